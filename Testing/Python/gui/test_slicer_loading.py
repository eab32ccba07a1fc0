"""Loading in the window: buttons, menus, keys, progress, the choice, what is marked; then with Slicer's own nodes."""

from __future__ import annotations

import pytest
import qt

from support import sheet_samples as samples
from support.fake_session import FakeSession
from support.slicer_fakes import core_here
from support.slicer_fakes import volumes_on_disk as disk
from VisualDICOMBrowserLib.domain.overview import SeriesRow
from VisualDICOMBrowserLib.gui.browser_widget import BrowserWidget
from VisualDICOMBrowserLib.gui.host import Host, LoadOption, LoadProgress
from VisualDICOMBrowserLib.gui.parts.signals import Signal
from VisualDICOMBrowserLib.gui.studies.series_state import Presence

STUDY, REMOTE, HERE, NOWHERE = "1", "1.1", "1.2", "1.3"
OPTIONS = (
    LoadOption(REMOTE, "“1: Axial”", "Scalar Volume", "Axial", 0.5, "", True),
    LoadOption(REMOTE, "“1: Axial”", "Volume Sequence", "Axial in time", 0.4, "Uneven."),
    LoadOption(HERE, "“2: Coronal”", "Scalar Volume", "Coronal", 0.5, "", True),
)


class FakeLoader:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.loaded_changed, self.progress_changed, self.choice_asked = Signal(), Signal(), Signal()
        self.loaded: frozenset[str] = frozenset()
        self.asked: list[object] = []

    def load(self, series_uids, *, choose: bool = False) -> None:
        self.asked.append(("load", list(series_uids), choose))

    def choose(self, places) -> None:
        self.asked.append(("choose", list(places)))

    def cancel(self) -> None:
        self.asked.append("cancel")

    def close(self) -> None:
        self.asked.append("close")


@pytest.fixture
def loader():
    return FakeLoader()


def open_browser(qtbot, session: FakeSession, loader) -> BrowserWidget:
    widget = BrowserWidget(session, None, Host("3D Slicer", loader=loader))
    qtbot.addWidget(widget)
    widget.resize(1200, 800)
    with qtbot.waitExposed(widget):
        widget.show()
    widget.activateWindow()
    return widget


def show_series(browser: BrowserWidget, *rows: SeriesRow) -> None:
    session = browser._session
    session.reader.studies_of[1] = [samples.study(STUDY)]
    session.reader.series_of[STUDY] = list(rows)
    browser._choose(samples.person())


@pytest.fixture
def browser(qtbot, session, loader):
    widget = open_browser(qtbot, session, loader)
    show_series(
        widget,
        samples.series(REMOTE, STUDY),
        samples.series(HERE, STUDY, 2, local_instances=120),
        samples.series(NOWHERE, STUDY, 3, servers=()),
    )
    yield widget
    widget.close_session()


def row(browser, uid: str) -> SeriesRow:
    return browser._page.sheet.content.find(uid)


def load_button(browser):
    return next(one for one in browser._page.findChildren(qt.QToolButton) if one.accessibleName() == "Load")


def test_the_desktop_offers_no_loading(qtbot, session):
    widget = open_browser(qtbot, session, None)
    show_series(widget, samples.series(HERE, STUDY, local_instances=120))
    assert not load_button(widget).isVisible()
    assert not any(entry and entry.label.startswith("Load") for entry in widget.series_entries([row(widget, HERE)]))
    widget.close_session()


def test_double_click_loads_instead_of_fetching_alone(browser, session, loader):
    browser._page.opened.emit(row(browser, REMOTE))
    assert loader.asked == [("load", [REMOTE], False)]
    assert session.asked("fetch") == []


def test_enter_loads_the_current_series(browser, loader, qtbot):
    browser._page.sheet.select([HERE])
    browser._page.sheet.canvas.setFocus()
    qtbot.keyClick(browser._page.sheet.canvas, qt.Qt.Key_Return)
    assert loader.asked == [("load", [HERE], False)]


def test_the_button_is_about_what_is_chosen(browser, loader, qtbot):
    button = load_button(browser)
    browser._page._show_deeds_now()
    assert button.isVisible()
    assert not button.isEnabled()
    browser._page.sheet.select([REMOTE, HERE])
    browser._page._show_deeds_now()
    assert button.text() == "Load (2)"
    qtbot.mouseClick(button, qt.Qt.LeftButton)
    assert loader.asked == [("load", [REMOTE, HERE], False)]


def test_the_menu_loads_what_is_here_or_can_be_fetched(browser, loader):
    entries = {entry.label: entry for entry in browser.series_entries([row(browser, NOWHERE)]) if entry}
    assert not entries["Load"].possible
    assert not entries["Load as…"].possible
    chosen = [row(browser, uid) for uid in (REMOTE, HERE, NOWHERE)]
    entries = {entry.label: entry for entry in browser.series_entries(chosen) if entry}
    entries["Load"].act()
    entries["Load as…"].act()
    assert loader.asked == [("load", [REMOTE, HERE], False), ("load", [REMOTE, HERE], True)]


def test_loaded_series_are_marked(browser, loader):
    loader.loaded_changed.emit(frozenset({HERE}))
    assert browser._page.sheet.content.state(row(browser, HERE)).presence is Presence.LOADED
    loader.loaded_changed.emit(frozenset())
    assert browser._page.sheet.content.state(row(browser, HERE)).presence is Presence.HERE


def test_what_was_loaded_before_the_window_opened_is_marked(qtbot, session, loader):
    loader.loaded = frozenset({HERE})
    widget = open_browser(qtbot, session, loader)
    show_series(widget, samples.series(HERE, STUDY, local_instances=120))
    assert widget._page.sheet.content.state(row(widget, HERE)).presence is Presence.LOADED
    widget.close_session()
    assert loader.asked == ["close"]


def test_progress_is_shown_and_can_be_stopped(browser, loader, qtbot):
    strip = browser._load_strip
    assert not strip.isVisible()
    loader.progress_changed.emit(LoadProgress("Loading “2: Axial” …", 0.5))
    assert strip.isVisible()
    assert strip._line.words == "Loading “2: Axial” …"
    assert strip._bar.isVisible()
    loader.progress_changed.emit(LoadProgress("1 series is loaded when it is here."))
    assert not strip._bar.isVisible()
    qtbot.mouseClick(strip.button, qt.Qt.LeftButton)
    assert loader.asked == ["cancel"]
    loader.progress_changed.emit(None)
    assert not strip.isVisible()


# The choice


def lines(browser) -> list[tuple[str, ...]]:
    tree = browser._load_choice.tree
    groups = [tree.topLevelItem(at) for at in range(tree.topLevelItemCount())]
    return [
        (group.text(0), *(group.child(at).text(column) for column in range(4)))
        for group in groups
        for at in range(group.childCount())
    ]


def test_the_choice_lists_by_series_and_answers_with_what_is_ticked(browser, loader, qtbot):
    choice = browser._load_choice
    assert not choice.isVisible()
    loader.choice_asked.emit(OPTIONS)
    assert choice.isVisible()
    assert lines(browser) == [
        ("“1: Axial”", "Axial", "Scalar Volume", "50%", ""),
        ("“1: Axial”", "Axial in time", "Volume Sequence", "40%", "Uneven."),
        ("“2: Coronal”", "Coronal", "Scalar Volume", "50%", ""),
    ]
    assert choice.load_button.text() == "Load (2)"
    choice.tree.topLevelItem(1).child(0).setCheckState(0, qt.Qt.Unchecked)
    qtbot.mouseClick(choice.load_button, qt.Qt.LeftButton)
    assert loader.asked == [("choose", [0])]
    loader.choice_asked.emit(())
    assert not choice.isVisible()
    assert lines(browser) == []


def test_the_choice_is_made_by_keys(browser, loader, qtbot):
    browser._page.sheet.setFocus()
    loader.choice_asked.emit(OPTIONS)
    tree = browser._load_choice.tree
    qtbot.waitUntil(tree.hasFocus)
    qtbot.keyClick(tree, qt.Qt.Key_Space)
    qtbot.keyClick(tree, qt.Qt.Key_Down)
    qtbot.keyClick(tree, qt.Qt.Key_Space)
    qtbot.keyClick(tree, qt.Qt.Key_Return)
    assert loader.asked == [("choose", [1, 2])]
    loader.choice_asked.emit(())
    qtbot.waitUntil(browser._page.sheet.canvas.hasFocus)


def test_escape_and_cancel_choose_nothing_and_nothing_ticked_cannot_be_loaded(browser, loader, qtbot):
    choice = browser._load_choice
    loader.choice_asked.emit((OPTIONS[1],))
    assert not choice.load_button.isEnabled()
    qtbot.keyClick(choice.tree, qt.Qt.Key_Return)
    assert loader.asked == []
    qtbot.keyClick(choice.tree, qt.Qt.Key_Escape)
    qtbot.mouseClick(choice.cancel_button, qt.Qt.LeftButton)
    assert loader.asked == [("choose", []), ("choose", [])]


def test_the_choice_leaves_the_keys_to_who_is_typing(browser, loader, qtbot):
    browser._search_bar.focus_field()
    qtbot.waitUntil(browser._search_bar._field.hasFocus)
    loader.choice_asked.emit(OPTIONS)
    assert browser._search_bar._field.hasFocus()


# With Slicer's own nodes


@pytest.fixture
def slicer_browser(qtbot, session, tmp_path):
    core_here.require_slicer_core()
    from support.slicer_fakes import dicom_plugins, mrml  # noqa: PLC0415 - they need slicer-core
    from VisualDICOMBrowserLib.host_slicer.loading import SlicerLoader  # noqa: PLC0415

    with mrml.open_slicer() as running, dicom_plugins.dicom_lib():
        running.plugins["VolumePlugin"] = dicom_plugins.VolumePlugin
        widget = open_browser(qtbot, session, SlicerLoader(session))
        yield widget, running
        widget.close_session()


def test_a_double_click_makes_a_volume_in_slicer(slicer_browser, qtbot, tmp_path):
    browser, running = slicer_browser
    uid = running.database._add(*disk.write_slices(tmp_path, 1, disk.oblique(), range(3)))
    show_series(browser, samples.series(uid, STUDY, local_instances=3, instances=3))
    strip = browser._load_strip
    browser._page.opened.emit(row(browser, uid))
    assert strip.isVisible()
    qtbot.waitUntil(lambda: len(running.volumes()) == 1)
    qtbot.waitUntil(lambda: not strip.isVisible())
    assert [message.text for message in browser._messages.shown()] == ["Loaded 1 volume."]
    assert browser._page.sheet.content.state(row(browser, uid)).presence is Presence.LOADED
    running.scene.Clear(0)
    qtbot.waitUntil(lambda: browser._page.sheet.content.state(row(browser, uid)).presence is Presence.HERE)


def test_load_as_asks_in_the_window_and_loads_what_is_ticked(slicer_browser, qtbot, tmp_path):
    browser, running = slicer_browser
    uid = running.database._add(*disk.write_slices(tmp_path, 1, disk.oblique(), range(3)))
    show_series(browser, samples.series(uid, STUDY, local_instances=3, instances=3))
    browser.load([row(browser, uid)], choose=True)
    choice = browser._load_choice
    qtbot.waitUntil(choice.isVisible)
    assert running.volumes() == []
    qtbot.mouseClick(choice.load_button, qt.Qt.LeftButton)
    assert not choice.isVisible()
    qtbot.waitUntil(lambda: len(running.volumes()) == 1)
