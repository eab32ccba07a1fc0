"""The page of a patient: what it asks the servers for, and what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import qt

from support import sheet_samples as samples
from VisualDICOMBrowserLib.domain.errors import PeerError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Patient
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.gui.studies.patient_header import age_text, facts
from VisualDICOMBrowserLib.gui.studies.patient_page import ASK_MS, PatientPage

NOTHING_WRONG = {"errors": [], "warnings": []}


@pytest.fixture
def page(qtbot, session):
    page = PatientPage(session)
    qtbot.addWidget(page)
    page.resize(900, 600)
    page.show()
    qtbot.waitExposed(page)
    yield page
    page.cleanup()


def show(page, patient):
    """Show a patient for long enough."""
    page.show_patient(patient)
    page._ask_later.flush()


def button(page, name: str):
    return next(one for one in page.findChildren(qt.QToolButton) if one.accessibleName() == name)


def test_without_a_patient_there_is_a_hint(page, session):
    assert "Choose a patient" in page.sheet.canvas.notice
    assert session.asks == []


def test_the_servers_are_asked_for_the_studies_of_a_patient(page, session):
    show(page, samples.person())
    (ask,) = session.asked("explore")
    assert ask.params == {"patient": 1, "servers": None}
    assert page.sheet.canvas.notice == "Asking the servers for studies…"
    ask.answer(NOTHING_WRONG)
    assert page.sheet.canvas.notice == "No studies were found of this patient."


def test_only_the_chosen_servers_are_asked_and_none_for_what_is_here_alone(page, session):
    page.set_filter(QueryFilter(), Places(servers=("A",)))
    show(page, samples.person())
    page.set_filter(QueryFilter(), Places(servers=()))
    assert [ask.params["servers"] for ask in session.asked("explore")] == [["A"]]
    assert session.asks[0].stopped
    assert page.sheet.canvas.notice == "There are no studies of this patient on this computer."


def test_arrowing_through_the_list_asks_for_the_last_patient_only(page, session, qtbot):
    for row in (1, 2, 3):
        page.show_patient(samples.person(row=row))
    assert session.asks == []
    assert page.sheet.canvas.notice == "Asking the servers for studies…"
    qtbot.waitUntil(lambda: bool(session.asks))
    assert [ask.params["patient"] for ask in session.asked("explore")] == [3]


def test_a_patient_put_away_at_once_is_not_asked_for(page, session, qtbot):
    page.show_patient(samples.person())
    page.show_patient(None)
    qtbot.wait(ASK_MS + 50)
    assert session.asks == []


def test_another_filter_alone_asks_nobody_again(page, session):
    show(page, samples.person())
    page.set_filter(QueryFilter(text="x"), Places())
    assert len(session.asked("explore")) == 1


def test_the_same_patient_again_is_not_asked_for_again(page, session):
    show(page, samples.person())
    show(page, replace(samples.person(), studies=7))
    assert len(session.asked("explore")) == 1


def test_another_patient_stops_the_asking_and_its_late_answer_is_not_told(page, session):
    show(page, samples.person())
    show(page, samples.person(row=2))
    first, second = session.asked("explore")
    first.fail(PeerError("Too late."))
    assert first.stopped
    assert not page._trouble.isVisible()
    second.fail(PeerError("The engine is gone."))
    assert page._trouble.words == "The engine is gone."


def test_what_servers_said_is_told_and_can_be_tried_again(page, session, qtbot):
    show(page, samples.person())
    errors = [{"server": "A", "reason": "No answer."}, {"server": "B", "reason": "Refused."}]
    session.asks[0].answer({"errors": errors, "warnings": []})
    assert page._trouble.words == "A: No answer.  (and 1 more)"
    assert page.sheet.canvas.notice == "Not every server could be asked for studies; none are known."
    retry = page._trouble.findChildren(qt.QPushButton)[0]
    qtbot.mouseClick(retry, qt.Qt.LeftButton)
    assert len(session.asked("explore")) == 2
    assert not page._trouble.isVisible()


def test_an_id_that_another_person_has_too_is_marked_beside_the_name(page):
    show(page, samples.person())
    assert not page._header._namesake.isVisible()
    show(page, replace(samples.person(), shares_id=True))
    assert page._header._namesake.isVisible()
    assert page._header._namesake.toolTip() == "Another person has the same ID."


def test_without_an_engine_the_servers_are_asked_when_it_is_there(page, session):
    session.ready = False
    show(page, samples.person())
    assert session.asks == []
    session.ready = True
    session.ready_changed.emit(True, "")
    assert len(session.asked("explore")) == 1


def test_the_buttons_are_about_the_chosen_series_or_all(page, session, qtbot, tmp_path):
    told = []
    page.fetch_asked.connect(lambda rows: told.append([row.uid for row in rows]))
    page.cancel_asked.connect(lambda rows: told.append([row.uid for row in rows]))
    page.export_asked.connect(lambda rows: told.append([row.uid for row in rows]))
    show(page, samples.one_of_each_state(session, tmp_path / "none.png"))
    qtbot.waitUntil(lambda: button(page, "Cancel").isVisible())
    qtbot.mouseClick(button(page, "Fetch"), qt.Qt.LeftButton)
    qtbot.mouseClick(button(page, "Cancel"), qt.Qt.LeftButton)
    page.sheet.select(["1.1.2", "1.1.6"])
    qtbot.waitUntil(lambda: button(page, "Fetch").text() == "Fetch (2)")
    qtbot.mouseClick(button(page, "Fetch"), qt.Qt.LeftButton)
    qtbot.mouseClick(button(page, "Export"), qt.Qt.LeftButton)
    assert told == [
        ["1.1.2", "1.1.5", "1.1.7", "1.1.8", "1.2.1", "1.2.2", "1.2.3"],
        ["1.1.3", "1.1.4"],
        ["1.1.2"],
        ["1.1.6"],
    ]


def test_the_more_button_asks_for_a_menu_below_it(page, session, qtbot, tmp_path):
    told = []
    page.menu_asked.connect(lambda rows, point: told.append((len(rows), point.y())))
    show(page, samples.one_of_each_state(session, tmp_path / "none.png"))
    page.sheet.select(["1.1.2"])
    more = button(page, "More")
    qtbot.mouseClick(more, qt.Qt.LeftButton)
    assert told == [(1, more.mapToGlobal(qt.QPoint(0, more.height())).y())]


def test_the_slider_follows_the_sheet_and_the_sheet_the_slider(page):
    slider = page.findChildren(qt.QSlider)[0]
    slider.setValue(3)
    assert page.sheet.thumbnail_size() == 256
    page.sheet.canvas.zoomed.emit(-1)
    assert slider.value() == 2


def test_a_birth_date_that_is_none_has_no_age():
    today = date(2026, 3, 1)
    assert [age_text(text, today) for text in ("19620229", "", "20270101", "2020")] == ["", "", "", ""]


def test_ages_are_told_in_years_and_of_small_children_in_months():
    today = date(2026, 3, 1)
    ages = [age_text(text, today) for text in ("19700302", "19700301", "20250201", "20260131", "20260202")]
    assert ages == ["55 years", "56 years", "13 months", "1 month", "0 months"]


def test_the_facts_leave_out_what_is_not_known():
    assert facts(Patient(""), date(2026, 1, 1)) == "no ID"
    assert (
        facts(Patient("1", "", "20200101", "M"), date(2026, 1, 1)) == "ID 1   ·   born 2020-01-01 (6 years)   ·   male"
    )
