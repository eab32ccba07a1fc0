"""How the parts of the browser work together, on a session without an engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
import qt

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.domain.model import Patient, Series
from VisualDICOMBrowserLib.domain.overview import PatientRow, SeriesRow
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.gui.browser_widget import BrowserWidget
from VisualDICOMBrowserLib.gui.studies.sheet_look import ThumbnailSize
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState

SERVER = Server("PACS", "localhost", 104, "PACS").to_dict()
REMOTE = SeriesRow(Series("1.1", "1"), instances=4, servers=("PACS",))
HERE = SeriesRow(Series("1.3", "1"), instances=4, local_instances=4, servers=("PACS",))


@pytest.fixture
def browser(session, qtbot):
    widget = BrowserWidget(session)
    qtbot.addWidget(widget)
    widget.resize(1100, 700)
    with qtbot.waitExposed(widget):
        widget.show()
    yield widget
    widget.close_session()


def tell_servers(session, servers) -> None:
    session.asks.clear()
    session.servers_changed.emit()
    for ask in session.asked("servers"):
        ask.answer(servers)


def shown_page(browser) -> str:
    return type(browser._stack.currentWidget()).__name__


def test_without_servers_and_patients_the_first_page_leads_on(browser, session):
    tell_servers(session, [])
    assert shown_page(browser) == "WelcomePage"
    browser.add_server()
    assert shown_page(browser) == "SettingsPage"


def test_with_a_server_the_browser_is_shown(browser, session):
    tell_servers(session, [SERVER])
    assert shown_page(browser) == "QSplitter"


def test_the_first_page_gives_way_to_what_was_imported(browser, session):
    tell_servers(session, [])
    session.reader.people.append(PatientRow(1, Patient("1", "Doe^Jane"), local=True))
    session.catalogue_changed.emit()
    assert shown_page(browser) == "QSplitter"


def test_a_search_asks_the_servers_and_shows_the_browser(browser, session):
    browser.show_settings()
    browser.search()
    assert shown_page(browser) == "QSplitter"
    (ask,) = session.asked("search")
    assert ask.params["servers"] is None


def test_what_was_said_of_a_search_goes_with_the_next_one(browser, session):
    answer = {"errors": [], "warnings": ["There are more than 1,000."], "complete": False, "servers_asked": ["PACS"]}
    browser.search()
    session.asked("search")[-1].answer(answer)
    assert [message.text for message in browser._messages.shown()] == ["There are more than 1,000."]
    browser.search()
    assert browser._messages.shown() == []


def test_a_patient_whose_series_cannot_be_read_is_told_of_in_place_of_the_menu(browser, session):
    def damaged(*_):
        raise StorageError("The catalogue is damaged.")

    session.reader.studies = damaged
    browser._show_patient_menu(PatientRow(1, Patient("1", "Doe^Jane"), local=True), qt.QPoint(0, 0))
    assert [message.text for message in session.messages] == ["The catalogue is damaged."]


def test_a_search_by_program_keeps_what_the_user_has_typed(browser, session, qtbot):
    browser._search_bar.focus_field()
    qtbot.keyClicks(browser._search_bar._field, "Yama")
    browser.search()
    assert session.asked("search")[-1].params["filter"]["text"] == "Yama"


def entries(browser, series) -> dict[str, bool]:
    return {entry.label: entry.possible for entry in browser.series_entries(series) if entry is not None}


def test_what_is_on_a_server_can_be_fetched_and_what_is_here_can_be_removed(browser):
    assert entries(browser, [REMOTE])["Fetch"]
    assert not entries(browser, [REMOTE])["Remove from this computer"]
    assert not entries(browser, [HERE])["Fetch"]
    assert entries(browser, [HERE])["Remove from this computer"]
    assert entries(browser, [HERE])["Export…"]
    assert not entries(browser, [HERE])["Cancel fetching"]


def test_what_is_here_and_on_a_server_can_be_fetched_again(browser):
    assert entries(browser, [HERE])["Fetch again and replace"]
    assert not entries(browser, [REMOTE])["Fetch again and replace"]


def test_uids_are_copied_one_a_line(browser):
    (copy,) = [e for e in browser.series_entries([REMOTE, HERE]) if e is not None and e.label == "Copy UIDs"]
    copy.act()
    assert qt.QApplication.clipboard().text() == "1.1\n1.3"


def dropped(*urls) -> tuple[qt.QDropEvent, qt.QMimeData]:
    data = qt.QMimeData()
    data.setUrls([qt.QUrl(url) for url in urls])
    event = qt.QDropEvent(qt.QPointF(5, 5), qt.Qt.CopyAction, data, qt.Qt.LeftButton, qt.Qt.NoModifier)
    return event, data


def test_files_that_are_dropped_are_imported_and_web_addresses_are_not(browser, session, tmp_path):
    event, _data = dropped(qt.QUrl.fromLocalFile(str(tmp_path)), "http://example.org/x")
    browser.dropEvent(event)
    (ask,) = session.asked("import_paths")
    assert ask.params == {"paths": [str(tmp_path)], "link": False, "replace": False}


def failed_job() -> dict[str, Any]:
    description = JobDescription("failed", JobKind.RETRIEVE, "PACS", {"label": "CT"})
    return JobRecord(description, JobState.FAILED, Stamp(0, 100.0), reason="The server did not answer.").to_dict()


def choose_somebody(browser):
    browser._choose(PatientRow(1, Patient("1", "Doe^Jane"), servers=("PACS",)))


def test_preview_and_elements_are_there_once_a_patient_is_chosen(browser, session):
    tell_servers(session, [SERVER])
    assert not browser._detail.isVisible()
    choose_somebody(browser)
    assert browser._detail.isVisible()
    browser._choose(None)
    assert not browser._detail.isVisible()


def test_f4_hides_preview_and_elements_and_brings_them_back(browser, session, qtbot):
    tell_servers(session, [SERVER])
    choose_somebody(browser)
    for expected in (False, True):
        qtbot.keyClick(browser._search_bar._field, qt.Qt.Key_F4)
        assert browser._detail.isVisible() is expected
        assert browser._page._header._detail.isChecked() is expected


def test_an_arrangement_can_be_taken_over(browser, session):
    tell_servers(session, [SERVER])
    browser._page.sheet.set_thumbnail_size(ThumbnailSize.LARGE)
    browser.show_detail(False)
    kept = browser.arrangement()
    browser._page.sheet.set_thumbnail_size(ThumbnailSize.SMALL)
    browser.show_detail(True)
    browser.arrange(kept)
    assert browser._page.sheet.thumbnail_size() is ThumbnailSize.LARGE
    choose_somebody(browser)
    assert not browser._detail.isVisible()


def test_the_list_of_jobs_is_as_high_as_the_user_makes_it_and_choosing_one_moves_nothing(browser, session):
    tell_servers(session, [SERVER])
    browser._jobs.setVisible(True)
    browser._rows.setSizes([400, 300])
    before = browser._rows.sizes()
    kept = browser.arrangement()
    session.jobs.note(failed_job())
    browser._jobs._watch.look()
    browser._jobs.choose("failed")
    assert browser._jobs.details.isVisible()
    assert browser._rows.sizes() == before
    browser._rows.setSizes([500, 200])
    browser.arrange(kept)
    assert browser._rows.sizes() == before


def test_an_arrangement_of_an_earlier_window_is_taken_as_far_as_it_goes(browser, session):
    kept = json.loads(browser.arrangement())
    del kept["sizes"]["rows"]
    browser.arrange(json.dumps({**kept, "detail": False}))
    assert json.loads(browser.arrangement())["detail"] is False


@pytest.mark.parametrize("text", ["", "null", "[]", '{"detail": true}', '{"detail": 1, "pictures": 7, "sizes": {}}'])
def test_an_arrangement_that_is_none_changes_nothing(browser, text):
    before = browser.arrangement()
    browser.arrange(text)
    assert browser.arrangement() == before


def test_the_studies_say_nothing_of_a_server_whose_failure_the_search_told(browser, session, qtbot):
    tell_servers(session, [SERVER])
    browser._search.errors_changed.emit([("PACS", "No answer.")])
    choose_somebody(browser)
    qtbot.waitUntil(lambda: bool(session.asked("explore")), timeout=5000)
    session.asked("explore")[-1].answer({"errors": [{"server": "PACS", "reason": "No answer."}], "warnings": []})
    assert not browser._page._trouble.isVisible()


def test_the_menu_sends_what_is_here(browser, session, qtbot):
    assert not entries(browser, [REMOTE])["Send…"]
    (entry,) = [one for one in browser.series_entries([HERE]) if one is not None and one.label == "Send…"]
    assert entry.possible
    entry.act()
    session.asked("servers")[-1].answer([SERVER])
    qtbot.keyClick(browser._send_panel, qt.Qt.Key_Return)
    assert session.asked("send")[0].params["server"] == "PACS"


def test_the_panel_that_sends_says_whose_images_they_are_also_from_the_list_of_patients(browser, session):
    browser.send([HERE], PatientRow(1, Patient("1", "Doe^Jane"), local=True))
    assert browser._send_panel._title.words == "Send 4 images of 1 series of Doe, Jane"


def test_the_window_remembers_where_it_sent_to(browser):
    browser._send_panel.server, browser._send_panel.verify = "PACS", False
    kept = browser.arrangement()
    browser._send_panel.server, browser._send_panel.verify = "", True
    browser.arrange(kept)
    assert (browser._send_panel.server, browser._send_panel.verify) == ("PACS", False)
