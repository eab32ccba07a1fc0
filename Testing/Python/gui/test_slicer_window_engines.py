"""The window inside a fake Slicer, on real engines: one for each database folder that Slicer opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qt
from PySide6.QtTest import QTest

from support.browser_window import wait_for
from support.process_table import children
from support.slicer_fakes.application import FakeSlicer
from support.slicer_fakes.window_parts import WindowKit
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.gui.browser_widget import BrowserWidget
from VisualDICOMBrowserLib.host_desktop.app import make_session

EVERYBODY = 7


@pytest.fixture
def kit(qapp, demo, tmp_path: Path) -> Iterator[WindowKit]:
    with FakeSlicer(tmp_path).installed() as slicer:
        from VisualDICOMBrowserLib.host_slicer import window  # noqa: PLC0415 - it needs the fake Slicer

        kit = WindowKit(slicer)
        config = tmp_path / "config.json"
        Configuration(config).add(demo.server)
        kit.make_session = lambda folder: make_session(folder, config, tmp_path)
        kit.make_browser = BrowserWidget
        window.slicer_parts = kit.parts
        slicer.main_window.show()
        yield kit
        window.close_browser()


def _open() -> Any:
    from VisualDICOMBrowserLib.host_slicer import window  # noqa: PLC0415

    return window.open_browser()


def _running(opened: Any, folder: str) -> bool:
    return opened.status.state.value == "running" and opened.status.folder.name == folder


def test_another_database_has_another_engine_and_the_same_servers(kit, tmp_path):
    from VisualDICOMBrowserLib.host_slicer import window  # noqa: PLC0415

    before = {child.pid for child in children()}
    kit.open_database("first")
    opened = _open()
    wait_for(lambda: _running(opened, "first"), "the first engine")
    (first,) = {child.pid for child in children()} - before
    kit.open_database("second")
    wait_for(lambda: _running(opened, "second"), "the second engine")
    (second,) = {child.pid for child in children()} - before
    assert first != second
    assert (tmp_path / "second" / "visual-dicom-browser.sqlite").is_file()
    kit.browsers[-1].search()
    wait_for(lambda: kit.browsers[-1]._patients._view.model().rowCount() == EVERYBODY, "the patients of the demo")
    window.close_browser()
    assert {child.pid for child in children()} == before


def test_the_docked_browser_leaves_room_for_slicers_views_and_has_its_keys(kit):
    kit.open_database("first")
    opened = _open()
    wait_for(lambda: _running(opened, "first"), "the engine")
    main, browser = kit.slicer.main_window, kit.browsers[0]
    dock = main.findChild(qt.QDockWidget, "VisualDICOMBrowserDockWidget")
    dock.setFloating(False)
    wait_for(lambda: main.centralWidget().width() >= 200 and dock.width() >= 600, "the layout")
    assert main.width() == 1400
    browser.search()
    people = browser._patients._view
    wait_for(lambda: people.model().rowCount() == EVERYBODY, "the patients of the demo")
    find_module = qt.QShortcut(qt.QKeySequence("Ctrl+F"), main)  # as Slicer has it
    browser.activateWindow()
    for key, modifiers in ((qt.Qt.Key_F, qt.Qt.ControlModifier), (qt.Qt.Key_Slash, qt.Qt.NoModifier)):
        people.setFocus()
        wait_for(people.hasFocus, "the focus")
        QTest.keyClick(people, key, modifiers)
        assert browser._search_bar._field.hasFocus()
    assert find_module.isEnabled()
