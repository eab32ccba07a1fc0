"""The module file in a fake Slicer: what it tells of itself, its life, and the ways to the browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qt

from support.browser_window import wait_for
from support.slicer_fakes.application import MODULE, FakeSlicer
from support.slicer_fakes.window_parts import WindowKit

NAME = "VisualDICOMBrowser"


@pytest.fixture
def kit(qapp, tmp_path: Path) -> Iterator[WindowKit]:
    yield from _kit(FakeSlicer(tmp_path))


@pytest.fixture
def kit_without_main_window(qapp, tmp_path: Path) -> Iterator[WindowKit]:
    yield from _kit(FakeSlicer(tmp_path, window=False))


def _kit(slicer: FakeSlicer) -> Iterator[WindowKit]:
    with slicer.installed():
        kit = WindowKit(slicer)
        kit.open_database("first")
        yield kit
        window_module().close_browser()


def window_module() -> Any:
    """Give the module as it is loaded now."""
    from VisualDICOMBrowserLib.host_slicer import window  # noqa: PLC0415 - it needs the fake Slicer

    return window


def use_parts(kit: WindowKit) -> None:
    """Have the window made of the kit's parts, until the library is loaded anew."""
    window_module().__dict__["slicer_parts"] = kit.parts


def widget_of(kit: WindowKit) -> Any:
    return kit.slicer.modules.VisualDICOMBrowserWidget


def panel_texts(kit: WindowKit) -> str:
    parent = widget_of(kit).parent
    return "\n".join(label.text() for label in parent.findChildren(qt.QLabel) if not label.isHidden())


def button_of(kit: WindowKit, text: str) -> Any:
    (button,) = [one for one in widget_of(kit).parent.findChildren(qt.QPushButton) if one.text() == text]
    return button


def browser() -> Any:
    return window_module().browser_window()


def action_of(kit: WindowKit) -> Any:
    return kit.slicer.main_window.findChild(qt.QAction, "VisualDICOMBrowserAction")


def test_the_module_tells_slicer_what_it_is(kit):
    parent = kit.slicer.load().parent
    assert parent.title == "Visual DICOM Browser"
    assert parent.categories == ["Informatics"]
    assert parent.dependencies == ["DICOM"]
    assert parent.contributors
    assert "https://github.com/VisualDICOMBrowser/SlicerVisualDICOMBrowser#in-3d-slicer" in parent.helpText
    assert parent.acknowledgementText
    assert not parent.icon.isNull()


def test_reading_the_module_loads_nothing_of_the_library(kit):
    before = {name for name in sys.modules if name.startswith("VisualDICOMBrowserLib.host_slicer")}
    kit.slicer.load()
    assert {name for name in sys.modules if name.startswith("VisualDICOMBrowserLib.host_slicer")} == before


def test_when_slicer_has_started_there_are_a_button_a_menu_entry_and_a_key(kit):
    kit.slicer.load()
    kit.slicer.app.emit("startupCompleted()")
    main, action = kit.slicer.main_window, action_of(kit)
    assert action in main.findChild(qt.QToolBar, "MainToolBar").actions()
    assert action in main.findChild(qt.QMenu, "ViewMenu").actions()
    assert action.shortcut().toString() == "Ctrl+Shift+D"
    assert not action.icon().isNull()
    assert browser() is None


def test_what_the_start_of_slicer_loads_is_light():
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from VisualDICOMBrowserLib.host_desktop import qt_shim\n"
        "qt = qt_shim.install()\n"
        "app = qt.QApplication([])\n"
        "from support.slicer_fakes.application import FakeSlicer\n"
        "with FakeSlicer(Path()).installed() as slicer:\n"
        "    slicer.load()\n"
        "    slicer.app.emit('startupCompleted()')\n"
        "    print(*(name for name in sys.modules))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "VisualDICOMBrowserLib.host_slicer.entry" in loaded
    ours = {name for name in loaded if name.startswith("VisualDICOMBrowserLib.")}
    assert [name for name in ours if name.split(".")[1] not in ("host_slicer", "host_desktop")] == []
    assert not {name.partition(".")[0] for name in loaded} & {"pydicom", "pynetdicom", "numpy", "PIL", "vtk"}


def test_the_button_opens_the_browser_and_leaves_the_shown_module(kit):
    use_parts(kit)
    kit.slicer.load()
    kit.slicer.app.emit("startupCompleted()")
    action_of(kit).trigger()
    assert browser().is_visible()
    assert kit.slicer.shown == ["Welcome"]


def test_a_life_from_setup_to_cleanup(kit):
    use_parts(kit)
    kit.slicer.load()
    core = kit.slicer.modules.visualdicombrowser
    assert core.widgetRepresentation() is core.widgetRepresentation()
    assert browser() is None
    assert "it starts with the browser" in panel_texts(kit)
    kit.slicer.select(NAME)
    window = browser()
    assert window.is_visible()
    assert "The engine starts" in panel_texts(kit)
    kit.sessions[0].come_up()
    assert f"runs on {kit.slicer.folder / 'first'}" in panel_texts(kit)
    kit.slicer.select("Data")
    assert browser() is window
    assert window.is_visible()
    assert kit.log == ["start first"]
    kit.slicer.unload(NAME)
    assert browser() is None
    assert kit.log[-1] == "end first"
    assert kit.slicer.manager.listeners("moduleAboutToBeUnloaded(QString)") == 0


def test_the_panel_has_a_button_that_opens_the_browser(kit):
    use_parts(kit)
    kit.slicer.load()
    kit.slicer.modules.visualdicombrowser.widgetRepresentation()
    button_of(kit, "Open the browser").click()
    assert browser().is_visible()


def test_the_panel_shows_the_engines_log_once_there_is_an_engine(kit):
    use_parts(kit)
    kit.slicer.load()
    kit.slicer.modules.visualdicombrowser.widgetRepresentation()
    button = button_of(kit, "Show the engine's log")
    assert not button.isEnabled()
    button_of(kit, "Open the browser").click()
    button.click()
    assert kit.log[-1] == "log shown"


@pytest.mark.parametrize(
    ("tell", "sentence"),
    [
        (lambda kit: kit.database.closeDatabase(), "Slicer has no DICOM database open."),
        (lambda kit: kit.sessions[0].fail("PythonSlicer is missing."), "does not run. PythonSlicer is missing."),
    ],
)
def test_the_panel_says_what_is_wrong(kit, tell, sentence):
    use_parts(kit)
    kit.slicer.load()
    kit.slicer.select(NAME)
    tell(kit)
    wait_for(lambda: sentence in panel_texts(kit), sentence)


def test_setting_up_twice_makes_one_button(kit):
    kit.slicer.load()
    kit.slicer.app.emit("startupCompleted()")
    kit.slicer.modules.visualdicombrowser.widgetRepresentation()
    assert len(kit.slicer.main_window.findChildren(qt.QAction, "VisualDICOMBrowserAction")) == 1


def test_a_reload_closes_the_browser_first_and_opens_it_anew_where_the_module_is_shown(kit):
    qt.QSettings().setValue("Developer/DeveloperMode", True)
    use_parts(kit)
    kit.slicer.load()
    kit.slicer.select(NAME)
    old_window, old_widget, old_module = browser(), widget_of(kit), window_module()
    kit.slicer.on_read = lambda: use_parts(kit)
    old_widget.onReload()
    assert old_module.browser_window() is None
    assert kit.log == ["start first", "watch closed", "keeper closed", "loader closed", "end first", "start first"]
    assert widget_of(kit) is not old_widget
    assert window_module() is not old_module
    assert browser() is not old_window
    assert browser().is_visible()
    kit.sessions[-1].come_up()
    assert "The engine runs on" in panel_texts(kit)
    kit.slicer.unload(NAME)
    assert browser() is None
    assert kit.log[-1] == "end first"


def test_a_reload_while_another_module_is_shown_opens_nothing(kit):
    qt.QSettings().setValue("Developer/DeveloperMode", True)
    use_parts(kit)
    kit.slicer.load()
    kit.slicer.select(NAME)
    kit.slicer.select("Data")
    button_of(kit, "Reload").click()
    assert browser() is None
    assert kit.log[-1] == "end first"
    use_parts(kit)
    action_of(kit).trigger()  # was made before the reload, and opens the new one
    assert browser().is_visible()


def test_without_a_main_window_nothing_is_added_and_all_works(kit_without_main_window):
    kit = kit_without_main_window
    use_parts(kit)
    kit.slicer.load()
    kit.slicer.app.emit("startupCompleted()")
    kit.slicer.select(NAME)
    assert browser().is_visible()
    kit.slicer.unload(NAME)
    assert browser() is None


def test_scripts_open_and_close_the_browser_by_the_logic(kit):
    use_parts(kit)
    kit.slicer.load()
    logic = sys.modules[NAME].VisualDICOMBrowserLogic()
    assert logic.openBrowser() is browser()
    logic.closeBrowser()
    assert browser() is None


def test_the_module_file_is_short():
    assert len(MODULE.read_text(encoding="utf-8").splitlines()) < 150
