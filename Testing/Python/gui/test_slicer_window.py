"""The browser's window inside Slicer: its frame, the database it follows, how it ends."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qt
from PySide6.QtTest import QTest

from support.browser_window import spin, wait_for
from support.slicer_fakes.application import FakeSlicer
from support.slicer_fakes.window_parts import Keeper, WindowKit
from VisualDICOMBrowserLib.domain.errors import LocalError


@pytest.fixture
def kit(qapp, tmp_path: Path) -> Iterator[WindowKit]:
    with FakeSlicer(tmp_path).installed() as slicer:
        yield WindowKit(slicer)
        _window_module().close_browser()


@pytest.fixture
def kit_without_main_window(qapp, tmp_path: Path) -> Iterator[WindowKit]:
    with FakeSlicer(tmp_path, window=False).installed() as slicer:
        yield WindowKit(slicer)
        _window_module().close_browser()


def _window_module() -> Any:
    from VisualDICOMBrowserLib.host_slicer import window  # noqa: PLC0415 - it needs the fake Slicer

    return window


def _open(kit: WindowKit) -> Any:
    if kit.slicer.main_window is not None:
        kit.slicer.main_window.show()
    return _window_module().open_browser(kit.parts())


def _dock(kit: WindowKit) -> Any:
    return kit.slicer.main_window.findChild(qt.QDockWidget, "VisualDICOMBrowserDockWidget")


def _states(kit: WindowKit) -> list[str]:
    states: list[str] = []
    _window_module().status_changed.connect(lambda now: states.append(now.state.value))
    return states


def test_the_window_opens_as_a_floating_dock_on_the_database(kit):
    kit.open_database("first")
    window = _open(kit)
    assert window.is_visible()
    assert _dock(kit).isFloating()
    assert _dock(kit).size().width() >= 1000
    assert kit.log == ["start first"]
    assert window.host.name == "Slicer"


def test_opening_it_again_raises_the_same_one(kit):
    kit.open_database("first")
    window = _open(kit)
    _dock(kit).close()
    assert not window.is_visible()
    assert _open(kit) is window
    assert window.is_visible()
    assert len(kit.sessions) == 1


def test_closing_the_dock_leaves_the_engine_alone(kit):
    kit.open_database("first")
    _open(kit)
    _dock(kit).close()
    assert kit.log == ["start first"]


def test_closing_the_dock_keeps_its_place_at_once(kit):
    kit.open_database("first")
    _open(kit)
    assert qt.QSettings().allKeys() == []
    _dock(kit).close()
    kept = {key.removeprefix("VisualDICOMBrowser/") for key in qt.QSettings().allKeys()}
    assert kept == {"floating", "geometry", "arrangement"}


def test_the_status_follows_the_engine(kit):
    states = _states(kit)
    kit.open_database("first")
    _open(kit)
    kit.sessions[0].come_up()
    kit.sessions[0].fail("It crashed.")
    assert _window_module().status().reason == "It crashed."
    _window_module().close_browser()
    assert states == ["starting", "running", "gone", "closed"]


def test_another_folder_has_another_session(kit):
    kit.open_database("first")
    window = _open(kit)
    kit.open_database("second")
    wait_for(lambda: len(kit.sessions) == 2, "the second session")
    assert kit.log == ["start first", "keeper closed", "loader closed", "end first", "start second"]
    assert window.session is kit.sessions[1]
    assert window.status.folder.name == "second"
    kit.sessions[0].come_up()  # too late
    assert window.status.state.value == "starting"


def test_the_same_folder_keeps_its_session(kit):
    kit.open_database("first")
    _open(kit)
    kit.database.closeDatabase()
    kit.open_database("first")
    spin(0.05)
    assert len(kit.sessions) == 1


def test_without_a_database_a_page_says_so_and_its_button_opens_one(kit):
    window = _open(kit)
    assert window.status.state.value == "no database"
    (button,) = _dock(kit).widget().findChildren(qt.QPushButton)
    assert "no DICOM database" in _dock(kit).widget().findChild(qt.QLabel).text()
    button.click()
    wait_for(lambda: window.session is not None, "the session")
    assert window.status.folder.name == "created"


def test_a_database_that_could_not_be_opened_leaves_the_page(kit):
    kit.created = None
    window = _open(kit)
    _dock(kit).widget().findChildren(qt.QPushButton)[0].click()
    spin(0.05)
    assert window.status.state.value == "no database"


def test_a_database_that_is_closed_ends_the_session(kit):
    kit.open_database("first")
    window = _open(kit)
    kit.database.closeDatabase()
    wait_for(lambda: window.status.state.value == "no database", "the page")
    assert window.session is None
    assert kit.log[-1] == "end first"


def test_a_session_that_cannot_be_made_says_why_and_can_be_tried_again(kit):
    def fails(folder: Path) -> Any:
        raise LocalError("The log file cannot be written.")

    works, kit.make_session = kit.make_session, fails
    kit.open_database("first")
    window = _open(kit)
    assert window.status.reason == "The log file cannot be written."
    kit.make_session = works
    _dock(kit).widget().findChildren(qt.QPushButton)[0].click()
    wait_for(lambda: window.session is not None, "the session")


def test_place_and_arrangement_come_back(kit):
    kit.open_database("first")
    _open(kit)
    main = kit.slicer.main_window
    main.addDockWidget(qt.Qt.LeftDockWidgetArea, _dock(kit))
    _dock(kit).setFloating(False)
    main.resizeDocks([_dock(kit)], [500], qt.Qt.Horizontal)
    spin(0.05)
    width = _dock(kit).size().width()
    _window_module().close_browser()
    wait_for(lambda: _dock(kit) is None, "the dock to go")
    _open(kit)
    spin(0.05)
    assert not _dock(kit).isFloating()
    assert main.dockWidgetArea(_dock(kit)) == qt.Qt.LeftDockWidgetArea
    assert abs(_dock(kit).size().width() - width) <= 2
    assert kit.browsers[-1].arranged == "arranged in first"
    keys = {key.partition("/")[0] for key in qt.QSettings().allKeys()}
    assert keys == {"VisualDICOMBrowser"}


def test_a_floating_window_comes_back_where_it_was(kit):
    kit.open_database("first")
    _open(kit)
    _dock(kit).setGeometry(40, 60, 700, 500)
    _window_module().close_browser()
    wait_for(lambda: _dock(kit) is None, "the dock to go")
    _open(kit)
    assert _dock(kit).isFloating()
    assert _dock(kit).size().width() == 700


def test_settings_that_were_changed_by_hand_do_no_harm(kit):
    for key in ("floating", "area", "dockWidth", "dockHeight", "geometry", "arrangement"):
        qt.QSettings().setValue(f"VisualDICOMBrowser/{key}", "nonsense")
    kit.open_database("first")
    assert _open(kit).is_visible()
    assert not _dock(kit).isFloating()


def test_without_a_main_window_it_has_a_window_of_its_own(kit_without_main_window):
    kit = kit_without_main_window
    kit.open_database("first")
    window = _open(kit)
    assert window.is_visible()
    (own,) = [one for one in qt.QApplication.topLevelWidgets() if one.objectName() == "VisualDICOMBrowserDockWidget"]
    assert own.windowTitle() == "Visual DICOM Browser"
    _window_module().close_browser()
    assert kit.log[-1] == "end first"


def test_it_ends_when_slicer_quits(kit):
    kit.open_database("first")
    _open(kit)
    kit.slicer.app.emit("aboutToQuit()")
    assert kit.log.count("keeper closed") == kit.log.count("watch closed") == 1
    assert kit.log[-1] == "end first"
    assert _window_module().browser_window() is None


def test_closing_it_leaves_nothing_connected(kit):
    kit.open_database("first")
    _open(kit)
    _window_module().close_browser()
    assert kit.slicer.app.listeners("aboutToQuit()") == 0


def test_what_fails_while_it_ends_does_not_keep_the_engine(kit, monkeypatch):
    def fails(keeper: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(Keeper, "close", fails)
    kit.open_database("first")
    _open(kit)
    with pytest.raises(OSError, match="no"):
        _window_module().close_browser()
    assert kit.log[-1] == "end first"
    assert _window_module().browser_window() is None


def test_what_fails_while_it_opens_leaves_nothing_behind(kit, monkeypatch):
    def fails(*arguments: object) -> Any:
        raise ImportError("no")

    works, kit.make_browser = kit.make_browser, fails
    kit.open_database("first")
    with pytest.raises(ImportError):
        _open(kit)
    assert kit.log == ["watch closed", "keeper closed", "loader closed", "end first"]
    kit.make_browser = works
    assert _open(kit).is_visible()


@pytest.fixture
def slicers_keys(kit) -> list[str]:
    """Shortcuts of Slicer and of Segment Editor in the main window; the list has those that were taken."""
    main, taken = kit.slicer.main_window, []
    for keys in ("Ctrl+F", "Ctrl+Left", "Space", "I", "1", "Ctrl+O", "Alt+X", "F1"):
        shortcut = qt.QShortcut(qt.QKeySequence(keys), main)
        shortcut.activated.connect(lambda keys=keys: taken.append(keys))
        shortcut.activatedAmbiguously.connect(lambda keys=keys: taken.append(f"{keys} twice"))
    return taken


KEYS = (
    (qt.Qt.Key_F, qt.Qt.ControlModifier),
    (qt.Qt.Key_Left, qt.Qt.ControlModifier),
    (qt.Qt.Key_Space, qt.Qt.NoModifier),
    (qt.Qt.Key_I, qt.Qt.NoModifier),
    (qt.Qt.Key_1, qt.Qt.NoModifier),
    (qt.Qt.Key_O, qt.Qt.ControlModifier),
    (qt.Qt.Key_X, qt.Qt.AltModifier),
    (qt.Qt.Key_F1, qt.Qt.NoModifier),
)


@pytest.mark.parametrize("floating", [False, True])
def test_while_the_browser_has_the_focus_its_keys_are_its_own(kit, slicers_keys, floating):
    kit.open_database("first")
    _open(kit)
    _dock(kit).setFloating(floating)
    browser = kit.browsers[0]
    browser.setFocusPolicy(qt.Qt.StrongFocus)
    browser.activateWindow()
    browser.setFocus()
    wait_for(browser.hasFocus, "the focus")
    for key, modifiers in KEYS:
        QTest.keyClick(browser, key, modifiers)
    assert slicers_keys == ["Ctrl+O", "Alt+X", "F1"]
    assert kit.log[-1] == "search focused"


def test_elsewhere_slicers_keys_are_slicers(kit, slicers_keys):
    kit.open_database("first")
    _open(kit)
    views = kit.slicer.main_window.centralWidget()
    views.setFocusPolicy(qt.Qt.StrongFocus)
    kit.slicer.main_window.activateWindow()
    views.setFocus()
    wait_for(views.hasFocus, "the focus")
    for key, modifiers in KEYS:
        QTest.keyClick(views, key, modifiers)
    assert slicers_keys == ["Ctrl+F", "Ctrl+Left", "Space", "I", "1", "Ctrl+O", "Alt+X", "F1"]
    assert kit.log == ["start first"]


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@pytest.fixture
def root_log() -> Iterator[list[str]]:
    """Slicer's root logger: everything from DEBUG on."""
    root, heard = logging.getLogger(), _Heard()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(heard)
    yield heard.texts
    root.removeHandler(heard)
    root.setLevel(level)


@pytest.mark.expects_log("A listener failed.")
def test_only_troubles_reach_slicers_log_and_no_exceptions_text(kit, root_log):
    from VisualDICOMBrowserLib.host_slicer.quiet import quiet_logs  # noqa: PLC0415

    quiet_logs()
    quiet_logs()
    log = logging.getLogger("VisualDICOMBrowserLib.gui.session")
    log.info("busy")
    try:
        raise ValueError("Doe^Jane")
    except ValueError:
        log.exception("A listener failed.")
    assert [text for text in root_log if "busy" in text] == []
    (told,) = root_log
    assert told.startswith("A listener failed. ValueError in ")
    assert "Doe" not in told


def test_pynetdicom_is_silenced_where_it_is_loaded(kit, root_log, monkeypatch):
    from VisualDICOMBrowserLib.host_slicer.quiet import quiet_logs  # noqa: PLC0415

    network = logging.getLogger("pynetdicom")
    monkeypatch.setattr(network, "propagate", True)
    monkeypatch.setattr(network, "level", logging.DEBUG)
    network.manager._clear_cache()
    monkeypatch.setitem(sys.modules, "pynetdicom", sys)
    quiet_logs()
    logging.getLogger("pynetdicom.acse").error("Doe^Jane")
    assert root_log == []
