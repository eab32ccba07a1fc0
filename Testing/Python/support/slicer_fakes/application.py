"""Slicer's application as far as the module and its window meet it: ``slicer.app``, ``slicer.util``, its main window,
and how it loads, shows, reloads and unloads a scripted module.

Written after Slicer's documentation and the source of version 5.12. Whatever is not here raises
:class:`~.strict.NotInSlicer`. It needs the module ``qt``.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import qt

from .strict import FakeSignal, NotInSlicer

MODULE = Path(__file__).resolve().parents[4] / "VisualDICOMBrowser" / "VisualDICOMBrowser.py"
_LIBRARY = "VisualDICOMBrowserLib"
_DEFERRED_DELETE = 52  # QEvent::DeferredDelete
#: What belongs to one fake Slicer, and must not be seen by the next.
_OF_SLICER = ("slicer", "DICOM", "DICOMLib", "VisualDICOMBrowser", _LIBRARY)


class _Known:
    """Has the attributes that were set when it was made, and nothing else; those in ``WRITABLE`` can be set later."""

    WRITABLE: frozenset[str] = frozenset()

    def __init__(self, **members: Any) -> None:
        vars(self).update(members)

    def __getattr__(self, name: str) -> Any:
        raise NotInSlicer(f"{type(self).__name__} has no {name}")

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and name not in self.WRITABLE:
            raise NotInSlicer(f"{type(self).__name__}.{name} cannot be set")
        object.__setattr__(self, name, value)


class _KnownModule(ModuleType):
    """A Python module with the members that were given; those in ``maybe`` may come later, as Slicer starts."""

    def __init__(self, name: str, members: dict[str, Any], maybe: tuple[str, ...] = ()) -> None:
        super().__init__(name)
        vars(self).update(members, _maybe=maybe)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in vars(self)["_maybe"]:
            raise AttributeError(name)
        raise NotInSlicer(f"{self.__name__} has no {name}")


class _Connecting(_Known):
    """Has signals, which are connected by their signatures as PythonQt does."""

    SIGNALS: tuple[str, ...] = ()

    def __init__(self, **members: Any) -> None:
        super().__init__(_signals={signature: FakeSignal(signature) for signature in self.SIGNALS}, **members)

    def connect(self, signature: str, slot: Callable[..., object]) -> bool:
        return self._signal(signature).connect(slot)

    def disconnect(self, signature: str, slot: Callable[..., object]) -> bool:
        return self._signal(signature).disconnect(slot)

    def emit(self, signature: str, *values: object) -> None:
        """For tests."""
        self._signal(signature).emit(*values)

    def listeners(self, signature: str) -> int:
        """For tests: how many are connected."""
        return len(self._signal(signature)._slots)

    def _signal(self, signature: str) -> FakeSignal:
        if signature not in self._signals:
            raise NotInSlicer(f"{type(self).__name__} has no signal {signature}")
        return self._signals[signature]


class qSlicerModuleManager(_Connecting):  # noqa: N801 - the real class's name
    SIGNALS = ("moduleAboutToBeUnloaded(QString)",)


class qSlicerApplication(_Connecting):  # noqa: N801
    SIGNALS = ("startupCompleted()", "aboutToQuit()")


class qSlicerScriptedLoadableModule(_Known):  # noqa: N801
    """The C++ side of a module: what its Python side fills in."""

    WRITABLE = frozenset(
        {"title", "categories", "dependencies", "contributors", "helpText", "acknowledgementText", "icon", "hidden"}
    )


class qSlicerScriptedLoadableModuleWidget(qt.QWidget):  # noqa: N801
    """The C++ side of a module's widget, with an empty vertical layout and ``isEntered``, a property."""

    def __init__(self, reload: Callable[[], None]) -> None:
        qt.QWidget.__init__(self)
        qt.QVBoxLayout(self)
        self.isEntered = False
        self.reload = reload


class ScriptedLoadableModule:
    """Base class of a module, in Python."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        icon = Path(parent.path).parent / "Resources" / "Icons" / f"{self.moduleName}.png"
        if icon.is_file():
            parent.icon = qt.QIcon(str(icon))


class ScriptedLoadableModuleWidget:
    """Base class of a module's panel, in Python. In developer mode it has a button to reload the module."""

    def __init__(self, parent: Any) -> None:
        self._slicer = sys.modules["slicer"]
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()
        self.developerMode = self._slicer.util.settingsValue("Developer/DeveloperMode", False, _to_bool)
        manager = self._slicer.app.moduleManager()
        manager.connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def setup(self) -> None:
        if self.developerMode:
            self.reloadButton = qt.QPushButton("Reload")
            self.reloadButton.clicked.connect(lambda *_: self.onReload())
            self.layout.addWidget(self.reloadButton)

    def cleanup(self) -> None:
        return None

    def onReload(self) -> None:
        self._slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()
            manager = self._slicer.app.moduleManager()
            manager.disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """Base class of a module's logic, in Python."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base class of a module's test; :meth:`runTest` runs all methods with "test" in their names."""

    def delayDisplay(self, message: str) -> None:
        sys.modules["slicer"].util.delayDisplay(message, 100)

    def runTest(self) -> None:
        names = [name for name in dir(self) if "test" in name and callable(getattr(self, name))]
        self.setUpClass()
        for name in names:
            self.setUp()
            getattr(self, name)()
            self.tearDown()
        self.tearDownClass()


class FakeSlicer:
    """A Slicer that has started, with the module's file not yet read.

    :param folder: for its settings and its temporary files.
    :param window: whether it has a main window.
    :ivar module: the module ``slicer``.
    :ivar steps: what :func:`delayDisplay` was told.
    :ivar on_read: called when the module's file was read, at start-up and at each reload.
    :ivar shown: the names of the modules that were selected, the last one is shown.
    """

    def __init__(self, folder: Path, *, window: bool = True) -> None:
        self.folder = folder
        self.main_window = make_main_window() if window else None
        self.manager = qSlicerModuleManager()
        self.app = qSlicerApplication(
            moduleManager=lambda: self.manager,
            testingEnabled=lambda: True,
        )
        self.steps: list[str] = []
        self.on_read: Callable[[], object] = lambda: None
        self.shown: list[str] = ["Welcome"]
        self.modules = _KnownModule("slicer.modules", {}, maybe=("VisualDICOMBrowserWidget",))
        self.scene = _Known(RemoveNode=self._remove_node)
        self.nodes: list[Any] = []
        bases = (
            ScriptedLoadableModule,
            ScriptedLoadableModuleWidget,
            ScriptedLoadableModuleLogic,
            ScriptedLoadableModuleTest,
        )
        self.util = _KnownModule("slicer.util", self._util())
        self.python = {
            "slicer.util": self.util,
            "slicer.modules": self.modules,
            "slicer.i18n": _KnownModule("slicer.i18n", {"tr": _tr, "translate": lambda _context, text: _tr(text)}),
            "slicer.ScriptedLoadableModule": _KnownModule(
                "slicer.ScriptedLoadableModule", {base.__name__: base for base in bases}
            ),
        }
        members = {"app": self.app, "mrmlScene": self.scene}
        members |= {name.partition(".")[2]: module for name, module in self.python.items()}
        self.python["slicer"] = self.module = _KnownModule("slicer", members, maybe=("dicomDatabase", "dicomListener"))

    @contextmanager
    def installed(self) -> Iterator[FakeSlicer]:
        """Make it what ``import slicer`` gives; afterwards everything is as before."""
        before = _taken_out()
        log = logging.getLogger(_LIBRARY)
        logging_before = (log.level, log.propagate, list(log.handlers))
        settings = qt.QSettings.defaultFormat()
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, str(self.folder / "settings"))
        sys.modules.update({name: module for name, module in before.items() if not _sees_slicer(name)})
        sys.modules.update(self.python)
        try:
            yield self
        finally:
            _taken_out()
            sys.modules.update(before)
            log.level, log.propagate, log.handlers[:] = logging_before
            log.manager._clear_cache()
            if _LIBRARY in before and f"{_LIBRARY}.host_slicer" in before:
                before[_LIBRARY].__dict__["host_slicer"] = before[f"{_LIBRARY}.host_slicer"]
            qt.QSettings.setDefaultFormat(settings)
            if self.main_window is not None:
                self.main_window.close()
                self.main_window.deleteLater()
            qt.QApplication.sendPostedEvents(None, _DEFERRED_DELETE)

    # A module's life

    def load(self, path: Path = MODULE) -> Any:
        """Read a module's file, as at start-up, and return the object of its first class."""
        name = path.stem
        self._run(path)
        core = qSlicerScriptedLoadableModule(name=name, path=str(path))
        widgets: list[Any] = []

        def representation() -> Any:
            if not widgets:
                widgets.append(qSlicerScriptedLoadableModuleWidget(lambda: self._make_widget(name, widgets[0])))
                self._make_widget(name, widgets[0])
            return widgets[0]

        vars(core)["widgetRepresentation"] = representation
        vars(self.modules)[name.lower()] = core
        instance = vars(self.modules)[f"{name}Instance"] = getattr(sys.modules[name], name)(core)
        return instance

    def select(self, name: str) -> None:
        """Show a module; the one that was shown is left."""
        for widget, method, entered in (
            (self._widget(self.shown[-1]), "exit", False),
            (self._entered(name), "enter", True),
        ):
            if widget is not None:
                widget.parent.isEntered = entered
                getattr(widget, method)()
        self.shown.append(name)

    def unload(self, name: str) -> None:
        """Unload a module, as at the end of the program."""
        self.manager.emit("moduleAboutToBeUnloaded(QString)", name)

    def _entered(self, name: str) -> Any:
        if name.lower() in vars(self.modules):
            getattr(self.modules, name.lower()).widgetRepresentation()
        return self._widget(name)

    def _widget(self, name: str) -> Any:
        return vars(self.modules).get(f"{name}Widget")

    def _run(self, path: Path) -> None:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        self.on_read()

    def _make_widget(self, name: str, parent: Any) -> None:
        widget = getattr(sys.modules[name], f"{name}Widget")(parent)
        vars(self.modules)[f"{name}Widget"] = widget
        widget.setup()

    def _reload(self, name: str) -> None:
        core = getattr(self.modules, name.lower())
        self._run(Path(core.path))
        parent = core.widgetRepresentation()
        for child in parent.children():
            if child.isWidgetType():
                child.hide()
        widget = self._widget(name)
        widget.cleanup()
        self.manager.disconnect("moduleAboutToBeUnloaded(QString)", widget._onModuleAboutToBeUnloaded)
        while parent.layout().count():
            parent.layout().takeAt(0)
        parent.reload()

    # slicer.util

    def _util(self) -> dict[str, Any]:
        return {
            "mainWindow": lambda: self.main_window,
            "settingsValue": _settings_value,
            "toBool": _to_bool,
            "tryWithErrorDisplay": _try_with_error_display,
            "delayDisplay": self._delay_display,
            "selectModule": self._select_module,
            "selectedModule": self._selected_module,
            "reloadScriptedModule": self._reload,
            "getNodesByClass": lambda name: [node for node in self.nodes if node.IsA(name)],
        }

    def _delay_display(self, message: str, milliseconds: int) -> None:
        self.steps.append(message)

    def _select_module(self, name: str) -> None:
        self._selected_module()
        self.select(name)

    def _selected_module(self) -> str:
        if self.main_window is None:
            raise RuntimeError("Could not find moduleSelector in the main window")
        return self.shown[-1]

    def _remove_node(self, node: Any) -> None:
        self.nodes.remove(node)


def make_main_window() -> Any:
    """Return a main window with those named parts of Slicer's that extensions use; the views are grey."""
    window = qt.QMainWindow()
    window.setObjectName("qSlicerMainWindow")
    window.setWindowTitle("3D Slicer (a fake)")
    for title, name in (("&File", "FileMenu"), ("&View", "ViewMenu")):
        window.menuBar().addMenu(title).setObjectName(name)
    bar = window.addToolBar("Main")
    bar.setObjectName("MainToolBar")
    bar.addAction("DATA")
    panel = qt.QDockWidget("Module Panel", window)
    panel.setObjectName("PanelDockWidget")
    panel.setMinimumWidth(260)
    window.addDockWidget(qt.Qt.LeftDockWidgetArea, panel)
    views = qt.QLabel("Slice and 3D views")
    views.setAlignment(qt.Qt.AlignCenter)
    views.setMinimumWidth(200)
    views.setStyleSheet("background: #666; color: #ddd")
    window.setCentralWidget(views)
    window.resize(1400, 900)
    return window


def _taken_out() -> dict[str, ModuleType]:
    """Take what belongs to a Slicer, and our own package, out of the modules that Python has loaded."""
    names = [name for name in sys.modules if name.partition(".")[0] in _OF_SLICER]
    return {name: sys.modules.pop(name) for name in names}


def _sees_slicer(name: str) -> bool:
    """Tell whether a module imports ``slicer``, and so has to be loaded anew for each fake."""
    return not name.startswith(_LIBRARY) or name.startswith(f"{_LIBRARY}.host_slicer")


def _tr(text: str) -> str:
    if not isinstance(text, str):
        raise NotInSlicer("tr() takes a string")
    return text


def _settings_value(key: str, default: Any, converter: Callable[[Any], Any] = lambda kept: kept) -> Any:
    settings = qt.QSettings()
    return converter(settings.value(key)) if settings.contains(key) else default


def _to_bool(kept: Any) -> bool:
    """Read a setting, which comes back as text from a file."""
    return str(kept).lower() in ("true", "1")


@contextmanager
def _try_with_error_display(message: str | None = None) -> Iterator[None]:
    """Show a message and raise again what was raised; here the test fails by it."""
    yield
