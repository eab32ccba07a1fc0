"""A module ``qt`` over PySide6, so that the same GUI code runs in Slicer and on the desktop.

Slicer's ``qt`` (PythonQt) has all classes of QtCore, QtGui and QtWidgets in one flat namespace. Where both can
agree cheaply, this module follows PythonQt:

==============================================  ==================================================================
``dialog.exec_()``, ``menu.exec_()``, …         without PySide6's warning that they will go away one day
``event.pos()``, ``globalPos()``, ``x()``, …    of mouse and drop events, which Qt 6 calls ``position()`` and the
                                                like, without its warnings; always a copy
``event.mouseButtons()``,                       of drop events, which Qt 6 calls ``buttons()`` and ``modifiers()``
``keyboardModifiers()``
``QFileDialog.getOpenFileName`` and siblings    return the path alone (``""`` if cancelled), a tuple of paths for
                                                several; PySide6 returns pairs with the chosen filter
==============================================  ==================================================================

These are the same already: ``QTimer.singleShot(ms, f)``, ``QImage.bits()`` (a memoryview that can be written to),
``QByteArray.data()`` (bytes), flat enums, ``QAction`` and ``QShortcut`` (which only moved to QtGui). Where the two
differ otherwise, above all in properties, the GUI code keeps to what is right in both.

The methods are set on PySide6's own classes: one process shows one program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def install() -> ModuleType:
    """Make ``import qt`` work in this process; once is enough.

    :raises ImportError: PySide6 is not installed, or a library of the system that it needs is missing.
    """
    if "qt" in sys.modules:
        return sys.modules["qt"]
    from PySide6 import QtCore, QtGui, QtWidgets  # noqa: PLC0415

    module = ModuleType("qt", __doc__)
    for part in (QtCore, QtGui, QtWidgets):
        for name in dir(part):
            if not name.startswith("_"):
                setattr(module, name, getattr(part, name))
    _keep_exec(module)
    _keep_names_of_events(QtGui.QMouseEvent, QtGui.QDropEvent)
    module.__dict__["QFileDialog"] = _file_dialog(QtWidgets.QFileDialog)
    sys.modules["qt"] = module
    return module


def _keep_exec(module: Any) -> None:
    for cls in (module.QEventLoop, module.QDrag, module.QDialog, module.QMenu):
        cls.exec_ = lambda loop, *arguments: loop.exec(*arguments)
    for cls in (module.QCoreApplication, module.QGuiApplication, module.QApplication):
        cls.exec_ = staticmethod(module.QApplication.exec)


def _keep_names_of_events(mouse_event: Any, drop_event: Any) -> None:
    """Give the events the names that Qt 5 has for their values."""
    for cls in (mouse_event, drop_event):
        cls.pos = lambda event: event.position().toPoint()
    drop_event.posF = lambda event: event.position()
    drop_event.mouseButtons = lambda event: event.buttons()
    drop_event.keyboardModifiers = lambda event: event.modifiers()
    mouse_event.x = lambda event: event.pos().x()
    mouse_event.y = lambda event: event.pos().y()
    mouse_event.localPos = lambda event: event.position()
    mouse_event.windowPos = lambda event: event.scenePosition()
    mouse_event.screenPos = lambda event: event.globalPosition()
    mouse_event.globalPos = lambda event: event.globalPosition().toPoint()
    mouse_event.globalX = lambda event: event.globalPos().x()
    mouse_event.globalY = lambda event: event.globalPos().y()


def _file_dialog(base: Any) -> Any:
    """Return a QFileDialog whose static functions return paths only."""

    def paths_of(ask: Callable[..., tuple[Any, str]], several: bool) -> Any:
        def ask_for_paths(*arguments: Any) -> Any:
            chosen, _filter = ask(*arguments)
            return tuple(chosen) if several else chosen

        return staticmethod(ask_for_paths)

    asking = {
        "getOpenFileName": paths_of(base.getOpenFileName, several=False),
        "getSaveFileName": paths_of(base.getSaveFileName, several=False),
        "getOpenFileNames": paths_of(base.getOpenFileNames, several=True),
    }
    return type("QFileDialog", (base,), {"__doc__": base.__doc__, **asking})
