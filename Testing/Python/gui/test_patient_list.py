"""The list of persons, with real keys and clicks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import qt

from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Patient
from VisualDICOMBrowserLib.domain.overview import PatientRow, Places
from VisualDICOMBrowserLib.gui.patients.patient_list import PatientList

NAMES = ["Adams^Ann", "Baker^Bob", "Carter^Cat", "Carver^Carl", "Doe^Jane", "Wang^XiaoDong=王^小东"]


def person(key: int, name: str) -> PatientRow:
    return PatientRow(key, Patient(f"ID{key}", name, "19700101", "F"), 2, True, ("PACS",))


@pytest.fixture
def people(session, qtbot):
    session.reader.people = [person(key, name) for key, name in enumerate(NAMES, 1)]
    session.reader.people += [person(key, f"Zoe^{key:04}") for key in range(100, 300)]
    widget = PatientList(session)
    qtbot.addWidget(widget)
    widget.resize(300, 400)
    widget.show_filter(QueryFilter(), Places())
    with qtbot.waitExposed(widget):
        widget.show()
    qtbot.wait_until(lambda: widget._model.row_at(0) is not None)
    widget.told = []
    widget.chosen.connect(lambda row: widget.told.append(None if row is None else row.row))
    yield widget
    widget.cleanup()


def press(qtbot, people, key):
    qtbot.keyClick(people._view, key)


def click_row(qtbot, people, at, button=qt.Qt.LeftButton):
    where = people._view.visualRect(people._model.index(at, 0)).center()
    qtbot.mouseClick(people._view.viewport(), button, pos=where)


def test_the_header_counts(people, session):
    assert people._count.text() == "206 patients"
    people.show_filter(QueryFilter(text="doe"), Places())
    assert people._count.text() == "1 patient"


def test_a_click_chooses_a_person(people, qtbot):
    click_row(qtbot, people, 2)
    assert people.told == [3]
    assert people.current().patient.name == "Carter^Cat"


def test_what_else_becomes_known_of_the_chosen_person_is_told_once(people, session, qtbot):
    renewed = []
    people.renewed.connect(renewed.append)
    people.select(3)
    other = replace(person(3, "Carter^Cat"), shares_id=True)
    session.reader.people[2] = other
    people._model.refresh()
    qtbot.wait_until(lambda: people.current() == other)
    people._model.refresh()
    qtbot.wait_until(lambda: people.current() is not None)
    assert renewed == [other]
    assert people.told == [3]


def test_arrows_walk_and_the_first_row_leads_back_up(people, qtbot):
    left = []
    people.left_upwards.connect(lambda: left.append(1))
    people.focus_list()
    qtbot.wait_until(lambda: people.told == [1])
    press(qtbot, people, qt.Qt.Key_Down)
    press(qtbot, people, qt.Qt.Key_Down)
    press(qtbot, people, qt.Qt.Key_Up)
    assert people.told == [1, 2, 3, 2]
    press(qtbot, people, qt.Qt.Key_Home)
    press(qtbot, people, qt.Qt.Key_Up)
    assert left == [1]


def test_typing_jumps_to_a_name(people, qtbot):
    people.select(1)
    qtbot.keyClicks(people._view, "car")
    assert people.told[-1] == 3
    qtbot.keyClicks(people._view, "v")
    assert people.told[-1] == 4
    people._view._forget_typed()
    qtbot.keyClicks(people._view, "d")
    assert people.told[-1] == 5


def test_one_letter_again_goes_on_to_the_next_such_name(people, qtbot):
    people.select(1)
    qtbot.keyClicks(people._view, "c")
    people._view._forget_typed()
    qtbot.keyClicks(people._view, "c")
    assert people.told[-2:] == [3, 4]


def test_enter_and_a_double_click_tell_the_person(people, qtbot):
    entered = []
    people.entered.connect(lambda row: entered.append(row.row))
    people.select(2)
    press(qtbot, people, qt.Qt.Key_Return)
    where = people._view.visualRect(people._model.index(4, 0)).center()
    qtbot.mouseClick(people._view.viewport(), qt.Qt.LeftButton, pos=where)
    qtbot.mouseDClick(people._view.viewport(), qt.Qt.LeftButton, pos=where)
    assert entered == [2, 5]


def test_a_menu_is_asked_for_by_mouse_and_by_key(people, qtbot):
    asked = []
    people.menu_asked.connect(lambda row, point: asked.append((row.row, point)))
    view = people._view
    where = view.visualRect(people._model.index(1, 0)).center()
    point = view.viewport().mapToGlobal(where)
    qt.QApplication.sendEvent(view.viewport(), qt.QContextMenuEvent(qt.QContextMenuEvent.Mouse, where, point))
    people.select(3)
    event = qt.QContextMenuEvent(qt.QContextMenuEvent.Keyboard, qt.QPoint(0, 0), qt.QPoint(0, 0))
    qt.QApplication.sendEvent(view.viewport(), event)
    assert [row for row, _ in asked] == [2, 3]
    assert asked[0][1] == point
    assert asked[1][1] == view.viewport().mapToGlobal(view.visualRect(people._model.index(2, 0)).center())


def test_the_choice_stays_on_its_person_when_others_come_in_before_it(people, session, qtbot):
    people.select(5)
    session.reader.people.insert(0, person(900, "Aaa"))
    people._model.refresh()
    assert people.told == [5]
    assert people.current().row == 5
    assert people._view.currentIndex().row() == 5
    assert people._view.selectionModel().isSelected(people._model.index(5, 0))


def test_the_choice_follows_a_person_who_turns_out_to_be_another(people, session, qtbot):
    people.select(5)
    session.reader.people = [row for row in session.reader.people if row.row != 5]
    session.reader.moved[5] = 3
    people._model.refresh()
    assert people.told == [5, 3]
    assert people.current().row == 3
    assert people._view.selectionModel().isSelected(people._model.index(2, 0))


def test_the_place_stays_when_others_come_in_before_it(people, session, qtbot):
    bar, view = people._view.verticalScrollBar(), people._view
    bar.setValue(1000)
    at = view.indexAt(qt.QPoint(5, 5)).row()
    key, top = people._model.key_at(at), view.visualRect(people._model.index(at, 0)).top()
    session.reader.people[0:0] = [person(900 + n, f"Aaa^{n}") for n in range(7)]
    people._model.refresh()
    assert view.visualRect(people._model.index(people._model.find_key(key), 0)).top() == top


def test_the_top_stays_the_top(people, session, qtbot):
    session.reader.people.insert(0, person(900, "Aaa"))
    people._model.refresh()
    assert people._view.verticalScrollBar().value() == 0


def test_a_person_that_is_gone_is_no_longer_chosen(people, session, qtbot):
    people.select(5)
    session.reader.people = [p for p in session.reader.people if p.row != 5]
    people._model.refresh()
    assert people.told == [5, None]
    assert people.current() is None


def test_a_person_that_is_not_listed_yet_is_chosen_when_it_comes(people, session, qtbot):
    people.select(777)
    assert people.told == []
    session.reader.people.append(person(777, "Zzz^New"))
    session.catalogue_changed.emit()
    qtbot.wait_until(lambda: people.told == [777])


def test_a_person_is_told_once_its_row_is_read(people, session, qtbot):
    people.select(290)
    assert people.told == []
    qtbot.wait_until(lambda: people.told == [290])


def test_what_fits_nothing_says_so_and_offers_to_clear(people, qtbot):
    cleared = []
    people.clear_asked.connect(lambda: cleared.append(1))
    people.show_filter(QueryFilter(text="nobody"), Places())
    assert people._empty.isVisible()
    assert people._empty.words == "No patients match."
    qtbot.mouseClick(people._empty._button, qt.Qt.LeftButton)
    assert cleared == [1]


def test_an_empty_catalogue_says_how_to_begin(people, session):
    session.reader.people = []
    people.show_filter(QueryFilter(), Places())
    assert people._empty.words == "Nothing here yet."
    assert not people._empty._button.isVisible()
    people.busy(True)
    assert people._empty.words == "Searching…"
    assert people._line.busy
    people.busy(False)
    assert people._empty.words == "Nothing here yet."


def test_an_empty_list_says_that_a_server_has_not_answered(people, session):
    session.reader.people = []
    people.show_filter(QueryFilter(), Places())
    people.show_errors([("PACS", "It cannot be reached.")])
    assert people._empty.words == "Nothing found."
    people.show_errors([])
    assert people._empty.words == "Nothing here yet."


def test_servers_that_failed_have_a_line_with_a_retry(people, qtbot):
    retried = []
    people.retry_asked.connect(retried.append)
    people.show_errors([("PACS", "No answer."), ("Archive", "Refused.")])
    assert people._notes.lines == ["PACS: No answer.", "Archive: Refused."]
    button = people._notes._lines[1].findChild(qt.QToolButton)
    qtbot.mouseClick(button, qt.Qt.LeftButton)
    assert retried == ["Archive"]
    people.show_errors([])
    assert not people._notes.isVisible()


def test_a_hundred_thousand_persons_are_listed_and_hardly_any_of_them_read(people, session, qtbot):
    session.reader.people = [person(key, f"P^{key:06}") for key in range(100_000)]
    session.reader.asked.clear()
    people.show_filter(QueryFilter(), Places())
    qtbot.wait_until(lambda: people._count.text() == "100,000 patients")
    qtbot.wait_until(lambda: people._model.row_at(3) is not None)
    assert len([1 for method, _ in session.reader.asked if method == "patients"]) <= 2


@pytest.mark.parametrize("width", [120, 220, 500])
def test_rows_are_drawn_at_every_width(people, width):
    people.resize(width, 300)
    image = people._view.viewport().grab().toImage()
    base = people._view.palette.color(qt.QPalette.Base) if not callable(people._view.palette) else None
    base = base or people._view.palette().color(qt.QPalette.Base)
    inked = sum(image.pixelColor(x, y) != base for x in range(0, image.width(), 2) for y in range(0, 60, 2))
    assert inked > 50
