"""The list of persons reads little, keeps what it can, and tells Qt no more than changed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import qt

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Patient
from VisualDICOMBrowserLib.domain.overview import PatientRow, Places
from VisualDICOMBrowserLib.gui.patients.patient_model import MAX_PAGES_KEPT, PAGE, STEP, PatientModel


def person(key: int, name: str = "") -> PatientRow:
    return PatientRow(key, Patient(f"ID{key}", name or f"Person^{key:05}", "19700101", "F"), 2, True, ("PACS",))


@pytest.fixture
def model(session, qapp, qtmodeltester):
    session.reader.people = [person(key) for key in range(1, 1001)]
    model = PatientModel(session)
    model.look_for(QueryFilter(), Places())
    yield model
    model.cleanup()


def queries(session, name: str = "patients") -> list:
    return [values for method, values in session.reader.asked if method == name]


def shown(model, at: int) -> str | None:
    return model.data(model.index(at, 0), qt.Qt.DisplayRole)


def test_no_person_is_read_before_it_is_shown(model, session, qtbot):
    assert model.rowCount() == 1000
    qtbot.wait(10)
    assert queries(session) == []


def test_a_person_that_is_shown_is_read_a_turn_later_with_its_page(model, session, qtbot):
    assert shown(model, 70) is None
    assert queries(session) == []
    with qtbot.waitSignal(model.dataChanged, timeout=1000) as told:
        pass
    assert shown(model, 70) == "Person, 00071"
    assert len(queries(session)) == 1
    assert [told.args[0].row(), told.args[1].row()] == [PAGE, 2 * PAGE - 1]


def test_one_turn_of_the_event_loop_reads_one_page(model, session, qapp):
    for at in (0, 100, 200):
        shown(model, at)
    counts = []
    for _ in range(30):
        qapp.processEvents()
        counts.append(len(queries(session)))
        if counts[-1] == 3:
            break
    assert counts[-1] == 3
    assert all(later - earlier <= 1 for earlier, later in pairwise(counts))


def test_pages_that_nobody_looked_at_for_long_are_dropped(model, session, qtbot):
    session.reader.people = [person(key) for key in range(1, PAGE * (MAX_PAGES_KEPT + 3))]
    model.refresh()
    for page in range(MAX_PAGES_KEPT + 2):
        model.row_at(page * PAGE)
        qtbot.wait_until(lambda at=page: model.row_at(at * PAGE) is not None)
    assert len(model._pages) == MAX_PAGES_KEPT
    assert 0 not in model._pages


def test_a_change_without_new_keys_keeps_the_rows_and_reads_them_again(model, session, qtbot):
    resets, told = [], []
    shown(model, 0)
    qtbot.wait_until(lambda: shown(model, 0) is not None)
    model.modelReset.connect(lambda: resets.append(1))
    session.reader.people[0] = replace(session.reader.people[0], studies=9)
    model.rows_read.connect(told.append)
    session.catalogue_changed.emit()
    session.catalogue_changed.emit()
    assert shown(model, 0) == "Person, 00001"
    qtbot.wait_until(lambda: model.row_at(0).studies == 9)
    assert resets == []
    assert len(queries(session, "patient_rows")) == 2
    assert told[0][0] == 1


def test_many_persons_are_looked_at_in_steps_and_the_list_stays_until_all_are_known(model, session, qtbot):
    session.reader.people = [person(key) for key in range(1, 2 * STEP + 12)]
    before = len(queries(session, "patient_rows"))
    model.refresh()
    assert (len(queries(session, "patient_rows")) - before, model.rowCount()) == (1, 1000)
    qtbot.wait_until(lambda: model.rowCount() == 2 * STEP + 11)
    assert len(queries(session, "patient_rows")) - before == 3
    assert model.keys == list(range(1, 2 * STEP + 12))
    model.look_for(QueryFilter(modalities=("CT",)), Places())
    assert len(queries(session, "patient_rows")) - before == 4


def test_a_new_search_does_not_wait_for_the_steps_of_the_one_before(model, session, qtbot):
    session.reader.people = [person(key) for key in range(1, STEP + 12)]
    model.refresh()
    model.look_for(QueryFilter(text="00007"), Places())
    qtbot.wait_until(lambda: model.keys == [7])
    qtbot.wait(20)
    assert model.keys == [7]


def test_new_keys_reset_the_model_but_what_was_read_is_shown_at_once(model, session, qtbot):
    shown(model, 0)
    qtbot.wait_until(lambda: shown(model, 0) is not None)
    session.reader.people.insert(0, person(5000, "Aaa"))
    model.refresh()
    assert model.rowCount() == 1001
    assert shown(model, 1) == "Person, 00001"
    assert model.find_key(1) == 1
    assert shown(model, 0) is None
    qtbot.wait_until(lambda: shown(model, 0) == "Aaa")


def test_a_person_that_is_gone_does_not_make_it_read_for_ever(model, session, qtbot):
    keys = list(model.keys)
    del session.reader.people[3]
    shown(model, 3)
    qtbot.wait_until(lambda: shown(model, 0) is not None)
    shown(model, 3)
    qtbot.wait(20)
    assert len(queries(session)) == 1
    assert model.keys == keys


def test_a_name_is_found_by_its_beginning_from_here_on_and_around(model, session):
    assert model.first_named("person, 0004", 45) == 45
    assert model.first_named("Person^00040", 45) == 39
    assert model.first_named("zzz", 0) is None
    assert model.first_named("*", 0) is None or model.first_named("*", 0) == 0


def test_the_tooltip_and_screen_readers_get_all_there_is(model, session, qtbot):
    model.row_at(0)
    qtbot.wait_until(lambda: model.row_at(0) is not None)
    index = model.index(0, 0)
    assert model.data(index, qt.Qt.ToolTipRole).splitlines() == [
        "Person, 00001",
        "ID: ID1",
        "Born: 1970-01-01",
        "Sex: female",
        "2 studies",
        "On: this computer, PACS",
    ]
    spoken = model.data(index, qt.Qt.AccessibleTextRole)
    assert spoken == "Person, 00001, ID ID1, 1970-01-01, F, 2 studies, this computer, PACS"
    assert model.data(index, qt.Qt.DecorationRole) is None


def test_qt_finds_nothing_wrong_with_the_model(model, qtmodeltester):
    qtmodeltester.check(model, force_py=True)  # raises where the model breaks Qt's rules
    assert model.rowCount() > 0


def test_after_cleanup_nothing_is_read(model, session, qtbot):
    model.cleanup()
    before = len(session.reader.asked)
    session.catalogue_changed.emit()
    qtbot.wait(300)
    assert len(session.reader.asked) == before


@pytest.mark.parametrize("method", ["some_patient_rows", "patients"])
def test_a_catalogue_that_is_locked_is_read_again_soon(model, session, qtbot, monkeypatch, method):
    def locked(*_):
        raise StorageError("The catalogue is locked.", retryable=True)

    session.reader.people[0] = person(1, "New^Name")
    with monkeypatch.context() as patched:
        patched.setattr(session.reader, method, locked)
        model.refresh()
        assert shown(model, 0) is None
        qtbot.waitUntil(model._refresh_soon._timer.isActive)
    assert model.rowCount() == 1000
    qtbot.waitUntil(lambda: shown(model, 0) == "New, Name")
    assert session.messages == []


def test_a_catalogue_that_is_damaged_is_told(model, session):
    def damaged(*_):
        raise StorageError("The catalogue is damaged.")

    session.reader.some_patient_rows = damaged
    model.refresh()
    assert [message.text for message in session.messages] == ["The catalogue is damaged."]
    assert model.rowCount() == 1000
