"""The mirror after any changes to ctkDICOM.sql, by this program and by others: the same as a mirror made anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support import large_folder
from support.large_folder import Size
from unit.store.store_kit import catalogue_in_memory, change
from VisualDICOMBrowserLib.domain.errors import Cancelled
from VisualDICOMBrowserLib.domain.model import Instance, Patient, Series, Study
from VisualDICOMBrowserLib.store import ctk_parts, mirror
from VisualDICOMBrowserLib.store.catalogue import Catalogue, LocalInstance
from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore


@pytest.fixture
def small_parts(monkeypatch):
    """Few rows to a part, so that a small database has several."""
    tables = {name: replace(table, rows=3) for name, table in ctk_parts._TABLES.items()}
    monkeypatch.setattr(ctk_parts, "_TABLES", tables)


def test_the_first_reading_tells_how_far_it_is_and_can_be_ended_and_goes_on(tmp_path):
    folder = large_folder.make(tmp_path / "database", Size(125, instances_each=1))

    def stop_at(limit: int) -> list[tuple[int, int]]:
        told: list[tuple[int, int]] = []

        def watch(done: int, total: int) -> None:
            told.append((done, total))
            if done >= limit:
                raise Cancelled

        try:
            LocalStore.open(folder.root, watch=watch).close()
        except Cancelled:
            told.append((-1, -1))
        return told

    assert stop_at(200) == [(0, 250), (100, 250), (200, 250), (-1, -1)]
    with closing(Catalogue.open(folder.catalogue)) as catalogue:
        assert catalogue.local_totals()[1] == 200
    assert stop_at(1000) == [(0, 250), (100, 250), (200, 250)]
    assert stop_at(0) == []
    with LocalStore.open(folder.root) as store:
        assert store.catalogue.local_totals() == (125, 250, 1250, 1250)
        assert store.catalogue._rows("PRAGMA cache_size") == catalogue_in_memory()._rows("PRAGMA cache_size")


def test_many_changed_parts_are_looked_at_in_turns_that_can_be_ended(tmp_path, small_parts, monkeypatch):
    folder = large_folder.make(tmp_path / "database", Size(10, instances_each=1))
    monkeypatch.setattr(mirror, "_PARTS_AT_ONCE", 20)
    told = []
    with LocalStore.open(folder.root, watch=lambda *state: told.append(state)) as store:
        assert store.catalogue.local_totals() == (10, 20, 100, 100)
    assert told
    assert set(told) == {(0, 0)}


def _contents(catalogue: Catalogue) -> tuple[list[tuple[object, ...]], ...]:
    return (
        catalogue._rows("SELECT sop_uid, series_uid, file FROM instances ORDER BY 1"),
        catalogue._rows("SELECT series_uid, study_uid, number, modality, description, local FROM series ORDER BY 1"),
        catalogue._rows(
            "SELECT study_uid, date, description, local, patient_id, name, p.birth_date, sex FROM studies t"
            " JOIN patients p ON p.id = t.patient ORDER BY 1"
        ),
        catalogue._rows("SELECT count(*) FROM patients"),
    )


_ADD_PERSON = "INSERT OR REPLACE INTO Patients (UID, PatientID, PatientsName, InsertTimestamp) VALUES (?, 'P', ?, '')"
_ADD_STUDY = (
    "INSERT OR REPLACE INTO Studies (StudyInstanceUID, PatientsUID, StudyDescription, InsertTimestamp)"
    " VALUES (?, ?, 'new', '')"
)
_ADD_SERIES = (
    "INSERT OR REPLACE INTO Series (SeriesInstanceUID, StudyInstanceUID, Modality, InsertTimestamp)"
    " VALUES (?, ?, 'new', '')"
)
_ADD_IMAGE = (
    "INSERT OR REPLACE INTO Images (SOPInstanceUID, SeriesInstanceUID, Filename, InsertTimestamp) VALUES (?, ?, ?, '')"
)
_WHOLE = [
    *[(_ADD_PERSON, (n, f"N{n}")) for n in range(1, 4)],
    *[(_ADD_STUDY, (f"1.{n}", n % 3 + 1)) for n in range(1, 5)],
    *[(_ADD_SERIES, (f"2.{n}", f"1.{n % 4 + 1}")) for n in range(1, 7)],
    *[(_ADD_IMAGE, (f"3.{n}", f"2.{n % 6 + 1}", f"f{n}")) for n in range(1, 10)],
]


def _uids(level: int, count: int) -> st.SearchStrategy[str]:
    return st.integers(1, count).map(lambda number: f"{level}.{number}")


def _change(statement: str, *values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[str, tuple[object, ...]]]:
    return st.tuples(st.just(statement), st.tuples(*values))


_PERSON, _STUDY, _SERIES, _IMAGE = st.integers(1, 3), _uids(1, 4), _uids(2, 6), _uids(3, 9)
# What is empty never takes anything away, so that texts of studies and series are never empty here.
_WORD, _TEXT = st.sampled_from(["A", "B"]), st.sampled_from(["", "A", "B"])
_CHANGES = st.one_of(
    _change(_ADD_PERSON, _PERSON, _TEXT),
    _change(_ADD_STUDY, _STUDY, _PERSON),
    _change(_ADD_SERIES, _SERIES, _STUDY),
    _change(_ADD_IMAGE, _IMAGE, _SERIES, _TEXT),
    _change("UPDATE Patients SET PatientsName = ? WHERE UID = ?", _TEXT, _PERSON),
    _change("UPDATE Studies SET StudyDescription = ? WHERE StudyInstanceUID = ?", _WORD, _STUDY),
    _change("UPDATE Series SET Modality = ? WHERE SeriesInstanceUID = ?", _WORD, _SERIES),
    _change("UPDATE Images SET Filename = ? WHERE SOPInstanceUID = ?", _TEXT, _IMAGE),
    _change("DELETE FROM Patients WHERE UID = ?", _PERSON),
    _change("DELETE FROM Studies WHERE StudyInstanceUID = ?", _STUDY),
    _change("DELETE FROM Series WHERE SeriesInstanceUID = ?", _SERIES),
    _change("DELETE FROM Images WHERE SOPInstanceUID = ?", _IMAGE),
    _change("VACUUM"),
)


#: What came to have to do with a study by a change elsewhere, and is changed itself later.
_LATER = [
    [[(_ADD_SERIES, ("2.3", "1.1"))], [(_ADD_IMAGE, ("3.2", "2.1", ""))]],
    [[("DELETE FROM Series WHERE SeriesInstanceUID = ?", ("2.3",))], [(_ADD_SERIES, ("2.3", "1.1"))],
     [("DELETE FROM Images WHERE SOPInstanceUID = ?", (uid,)) for uid in ("3.2", "3.8")]],
    [[(_ADD_STUDY, ("1.1", 3))], [("UPDATE Patients SET PatientsName = 'New' WHERE UID = ?", (3,))]],
]  # fmt: skip


@example(_LATER[0])
@example(_LATER[1])
@example(_LATER[2])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.lists(_CHANGES, max_size=6), min_size=1, max_size=4))
def test_no_change_is_missed(tmp_path_factory, small_parts, rounds):
    folder = DatabaseFolder(tmp_path_factory.mktemp("mirror", numbered=True))
    catalogue = catalogue_in_memory()
    with CtkDatabase.open(folder) as rows:
        other = sqlite3.connect(folder.ctk_database, isolation_level=None)
        other.execute("PRAGMA synchronous = OFF")
        for changes in [_WHOLE, *rounds]:
            for statement, values in changes:
                other.execute(statement, values)
            mirror.refresh(catalogue, rows)
            fresh = catalogue_in_memory()
            mirror.refresh(fresh, rows)
            assert _contents(catalogue) == _contents(fresh)
            assert not mirror.refresh(catalogue, rows)
        other.close()


def _local(study: int, number: int = 1) -> LocalInstance:
    uid = f"1.{study}"
    series = Series(f"{uid}.1", uid)
    instance = Instance(f"{uid}.1.{number}", series.series_uid, uid)
    return LocalInstance(Study(uid, Patient("P", "Doe^Jane", "19700101", issuer="H")), series, instance, f"f{number}")


def _insert(path: Path, *studies: int) -> None:
    """Add studies of one person, with an image each."""
    change(path, "INSERT OR IGNORE" + _ADD_PERSON.removeprefix("INSERT OR REPLACE"), 1, "Doe^Jane")
    for study in studies:
        change(path, _ADD_STUDY, f"1.{study}", 1)
        change(path, _ADD_SERIES, f"1.{study}.1", f"1.{study}")
        change(path, _ADD_IMAGE, f"1.{study}.1.1", f"1.{study}.1", "f1")


def test_what_came_by_us_and_went_by_others_is_seen_to_be_gone(folder):
    """The parts are then as they were mirrored, before it came."""
    catalogue = catalogue_in_memory()
    with CtkDatabase.open(folder) as rows:
        _insert(folder.ctk_database, 1)
        mirror.refresh(catalogue, rows)
        _insert(folder.ctk_database, 2)
        catalogue.add_local([_local(2)], str(rows.change_stamp()))
        for table in ("Images", "Series", "Studies"):
            change(folder.ctk_database, f"DELETE FROM {table} WHERE rowid = 2")
        assert mirror.refresh(catalogue, rows)
        assert [study.study_uid for study in catalogue.local_studies()] == ["1.1"]


def test_what_is_still_to_get_its_row_stays_and_is_looked_at_again(folder):
    catalogue = catalogue_in_memory()
    with CtkDatabase.open(folder) as rows:
        catalogue.add_intents("receive", [("1.2.1.1", "f1", "")])
        catalogue.add_local([_local(2)], settled=False)
        _insert(folder.ctk_database, 1)
        mirror.refresh(catalogue, rows)
        assert catalogue.local_counts(["1.1.1", "1.2.1"]) == {"1.1.1": 1, "1.2.1": 1}
        catalogue.clear_intents("receive", ["1.2.1.1"])  # it was refused
        change(folder.ctk_database, "UPDATE Series SET Modality = 'CT'")
        mirror.refresh(catalogue, rows)
        assert catalogue.local_counts(["1.1.1", "1.2.1"]) == {"1.1.1": 1}


def test_a_row_takes_nothing_from_what_the_file_says_of_its_person(folder):
    catalogue = catalogue_in_memory()
    with CtkDatabase.open(folder) as rows:
        catalogue.add_local([_local(1)], settled=False)
        _insert(folder.ctk_database, 1)
        change(folder.ctk_database, "UPDATE Patients SET PatientsSex = 'F', PatientsBirthDate = '1980-01-01'")
        mirror.refresh(catalogue, rows)
        assert catalogue.find_study("1.1").patient == Patient("P", "Doe^Jane", "19700101", "F", "H")
        change(folder.ctk_database, "UPDATE Patients SET PatientsName = 'Roe^Richard'")
        mirror.refresh(catalogue, rows)
        assert catalogue.find_study("1.1").patient == Patient("P", "Roe^Richard", "19800101", "F")


def test_the_uid_of_a_study_is_not_taken_for_a_patient_id_whichever_study_was_changed(folder):
    catalogue = catalogue_in_memory()
    with CtkDatabase.open(folder) as rows:
        _insert(folder.ctk_database, 1, 2)
        change(folder.ctk_database, "UPDATE Patients SET PatientID = '1.1'")
        for description in ("A", "B"):
            change(folder.ctk_database, f"UPDATE Studies SET StudyDescription = '{description}' WHERE rowid = 2")
            mirror.refresh(catalogue, rows)
            assert {study.patient.patient_id for study in catalogue.local_studies()} == {""}


def test_rows_anywhere_are_found(folder, small_parts):
    catalogue = catalogue_in_memory()
    with CtkDatabase.open(folder) as rows:
        _insert(folder.ctk_database, 1, 2)
        change(folder.ctk_database, "UPDATE Images SET rowid = ? WHERE rowid = 1", (1 << 63) - 1)
        change(folder.ctk_database, "UPDATE Images SET rowid = ? WHERE rowid = 2", -(1 << 63))
        mirror.refresh(catalogue, rows)
        assert len(list(catalogue.local_studies())) == 2
        change(folder.ctk_database, "DELETE FROM Images WHERE rowid > 9")
        mirror.refresh(catalogue, rows)
        assert [study.study_uid for study in catalogue.local_studies()] == ["1.2"]
