"""The first page leads to a server or to a folder, by mouse and by keyboard."""

from __future__ import annotations

import pytest
import qt

from VisualDICOMBrowserLib.gui.welcome import WelcomePage


@pytest.fixture
def page(session, qtbot):
    page = WelcomePage(session)
    qtbot.addWidget(page)
    page.resize(800, 600)
    with qtbot.waitExposed(page):
        page.show()
    page.asked = []
    page.add_server_asked.connect(lambda: page.asked.append("server"))
    page.import_asked.connect(lambda: page.asked.append("folder"))
    return page


def test_the_two_ways_by_mouse(page, qtbot):
    qtbot.mouseClick(page._server, qt.Qt.LeftButton)
    qtbot.mouseClick(page._folder, qt.Qt.LeftButton)
    assert page.asked == ["server", "folder"]


def test_the_two_ways_by_keyboard(page, qtbot):
    qtbot.keyClick(page._server, qt.Qt.Key_Space)
    qtbot.keyClick(page._folder, qt.Qt.Key_Space)
    assert page.asked == ["server", "folder"]


def test_side_by_side_if_there_is_room_else_below_each_other(page, qtbot):
    assert page._server.y() == page._folder.y()
    page.resize(320, 600)
    qtbot.wait_until(lambda: page._folder.y() > page._server.y())
    assert page.width() == 320


def test_the_demo_is_mentioned_with_its_command(page):
    assert "visual-dicom-browser demo" in page._demo.text()
