from __future__ import annotations

import dataclasses
import random
import re
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import BadData, SchemaMismatch, StorageError
from VisualDICOMBrowserLib.store import ctk_content, sqlite
from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase
from VisualDICOMBrowserLib.store.ctk_rows import StoredInstance, dicom_date, displayed_name, iso_date
from VisualDICOMBrowserLib.store.headers import CTK_TAGS, Header, read_header
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

SAMPLES = ("empty", "copied", "linked", "queried")
LOCAL_OF_QUERIED = "1.2.826.0.1.3680043.8.498.84464213652490592025355473067975944279"
STUDY = "1.2.826.0.1.3680043.8.498.13032911582176390737694135309109971567"


def _query(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


def _execute(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def _table(path: Path, table: str) -> dict[object, dict[str, object]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    connection.close()
    for row in rows:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", row.pop("InsertTimestamp"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row.pop("DisplayedFieldsUpdatedTimestamp"))
    return {next(iter(row.values())): row for row in rows}


def _made_up(header: Header, path: Path, **changes: object) -> StoredInstance:
    tags = {**header.tags, **{tag: text for tag, text in changes.items() if "," in tag}}
    fields = {name: value for name, value in changes.items() if "," not in name}
    return StoredInstance(dataclasses.replace(header, tags=tags, **fields), path)


@pytest.fixture
def header(source_files) -> Header:
    return read_header(source_files[0])


def test_inserting_the_copied_files_gives_the_rows_that_ctk_wrote(folder, ctk_sample, stored):
    sample = ctk_sample("copied")
    with CtkDatabase.open(folder) as database:
        assert database.insert(stored(folder)) == 12
    for table in ("Patients", "Studies", "Series", "Images"):
        assert _table(folder.ctk_database, table) == _table(sample.ctk_database, table)


def test_inserting_linked_files_gives_the_rows_that_ctk_wrote(folder, ctk_sample, stored, source_files):
    sample = ctk_sample("linked")
    linked = [
        dataclasses.replace(item, path=Path("/data/ct/source") / path.name)
        for item, path in zip(stored(folder), source_files, strict=True)
    ]
    with CtkDatabase.open(folder) as database:
        database.insert(linked)
    for table in ("Patients", "Studies", "Series", "Images"):
        assert _table(folder.ctk_database, table) == _table(sample.ctk_database, table)


def test_the_tag_cache_gets_the_rows_that_ctk_wrote_and_our_own_tags(folder, ctk_sample, stored):
    sample = ctk_sample("copied")
    with CtkDatabase.open(folder) as database:
        database.insert(stored(folder))
    ours = set(_query(folder.ctk_tag_cache, "SELECT * FROM TagCache"))
    ctk = set(_query(sample.ctk_tag_cache, "SELECT * FROM TagCache"))
    assert ctk <= ours
    assert {tag for _, tag, _ in ctk} == set(CTK_TAGS)
    assert {tag for _, tag, _ in ours - ctk}.isdisjoint(CTK_TAGS)
    assert (LOCAL_OF_QUERIED, "0020,0013", "0") in ours


@pytest.mark.parametrize("name", SAMPLES)
def test_reading_harms_no_database(ctk_sample, name):
    sample = ctk_sample(name)
    before = {path: path.read_bytes() for path in sample.root.iterdir()}
    with CtkDatabase.open(sample, read_only=True) as database:
        database.snapshot()
        database.tags_for([LOCAL_OF_QUERIED], CTK_TAGS)
        database.change_stamp()
    assert {path: path.read_bytes() for path in sample.root.iterdir()} == before


@pytest.mark.parametrize("name", SAMPLES)
def test_opening_to_write_changes_nothing_yet(ctk_sample, name):
    sample = ctk_sample(name)
    before = {path: path.read_bytes() for path in sample.root.iterdir()}
    CtkDatabase.open(sample).close()
    assert {path: path.read_bytes() for path in sample.root.iterdir()} == before


@pytest.mark.parametrize(("name", "beginning"), [("copied", "dicom/1c56f546/"), ("linked", "/data/ct/source/0_")])
def test_what_ctk_imported_is_read(ctk_sample, name, beginning):
    with CtkDatabase.open(ctk_sample(name), read_only=True) as database:
        content = database.snapshot()
    assert content.patients == (ctk_content.CtkPatient(1, "BAR1", "Bar^Test", "19700101", "O"),)
    assert content.studies == (ctk_content.CtkStudy(STUDY, 1, "1", "20260101", "101010", "Bar", "A1"),)
    assert [(found.number, found.modality, found.description) for found in content.series] == [
        (0, "CT", "S0"),
        (1, "CT", "S1"),
    ]
    assert len(content.images) == 12
    assert all(image.filename.startswith(beginning) for image in content.images)


def test_an_empty_database_has_no_content(ctk_sample):
    with CtkDatabase.open(ctk_sample("empty"), read_only=True) as database:
        assert database.snapshot() == ctk_content.CtkContent((), (), (), ())


def test_what_ctk_knows_only_from_queries_is_not_local(ctk_sample):
    with CtkDatabase.open(ctk_sample("queried"), read_only=True) as database:
        content = database.snapshot()
    assert [image.sop_uid for image in content.images] == [LOCAL_OF_QUERIED]
    assert [found.description for found in content.series] == ["S0"]
    assert [study.study_uid for study in content.studies] == [STUDY]
    assert content.studies[0].date == "20260101"
    assert len(content.patients) == 1


def test_both_forms_of_dates_are_read(ctk_sample):
    sample = ctk_sample("copied")
    _execute(sample.ctk_database, "UPDATE Studies SET StudyDate = '2026-01-01'")
    with CtkDatabase.open(sample, read_only=True) as database:
        assert database.snapshot().studies[0].date == "20260101"


def test_rows_without_parents_or_usable_uids_are_left_out(ctk_sample):
    sample = ctk_sample("copied")
    add = "INSERT INTO Images VALUES (?, 'dicom/x', '', ?, '', '')"
    series = _query(sample.ctk_database, "SELECT SeriesInstanceUID FROM Series")[0][0]
    _execute(sample.ctk_database, add, "../../evil", series)
    _execute(sample.ctk_database, add, "1.2.3", "1.2.3.no.such.series")
    _execute(sample.ctk_database, add, b"\xff\xfe", series)
    _execute(
        sample.ctk_database,
        "INSERT INTO Series (SeriesInstanceUID, StudyInstanceUID, InsertTimestamp) VALUES ('1.9', '1.8', '')",
    )
    _execute(sample.ctk_database, add, "1.2.4", "1.9")
    with CtkDatabase.open(sample, read_only=True) as database:
        assert len(database.snapshot().images) == 12


def test_text_that_is_no_utf8_is_read_with_replacement_characters(ctk_sample):
    sample = ctk_sample("copied")
    _execute(sample.ctk_database, "UPDATE Patients SET PatientsName = CAST(x'42ff' AS TEXT)")
    with CtkDatabase.open(sample, read_only=True) as database:
        assert database.snapshot().patients[0].name == "B\ufffd"


def test_many_images_are_read_in_short_statements(folder, stored, monkeypatch):
    monkeypatch.setattr(ctk_content, "_PAGE", 5)
    with CtkDatabase.open(folder) as database:
        database.insert(stored(folder))
        assert len({image.sop_uid for image in database.snapshot().images}) == 12


def test_tags_come_from_the_cache(ctk_sample):
    with CtkDatabase.open(ctk_sample("copied"), read_only=True) as database:
        found = database.tags_for([LOCAL_OF_QUERIED, "1.2.3"], ["0010,0010", "0018,0015", "0099,0099"])
    assert found == {LOCAL_OF_QUERIED: {"0010,0010": "Bar^Test", "0018,0015": None}}


def test_empty_and_missing_values_come_back_from_the_cache_as_they_were(folder, header):
    item = _made_up(header, folder.root / "x", **{"0018,0015": "", "0008,0080": None, "0008,0090": "Ä^é"})
    with CtkDatabase.open(folder) as database:
        database.insert([item])
        assert database.tags_for([header.sop_uid], header.tags) == {header.sop_uid: dict(item.header.tags)}
    stored = dict(_query(folder.ctk_tag_cache, "SELECT Tag, Value FROM TagCache"))
    assert stored["0018,0015"] == "__VALUE_IS_EMPTY_STRING__"
    assert stored["0008,0080"] == "__TAG_NOT_IN_INSTANCE__"


def test_a_local_row_is_left_as_it_is(folder, header):
    with CtkDatabase.open(folder) as database:
        assert database.insert([StoredInstance(header, folder.root / "first")]) == 1
        before = folder.ctk_database.read_bytes(), folder.ctk_tag_cache.read_bytes()
        assert database.insert([_made_up(header, folder.root / "second", **{"0010,0010": "Else"})]) == 0
        assert (folder.ctk_database.read_bytes(), folder.ctk_tag_cache.read_bytes()) == before


def test_the_same_instance_twice_in_one_batch_counts_once(folder, header):
    with CtkDatabase.open(folder) as database:
        assert database.insert([StoredInstance(header, folder.root / name) for name in ("first", "second")]) == 1
        assert [image.filename for image in database.snapshot().images] == ["first"]


def test_rows_known_from_a_query_become_local(ctk_sample, stored):
    sample = ctk_sample("queried")
    with CtkDatabase.open(sample) as database:
        assert database.insert(stored(sample)) == 11
        assert len(database.snapshot().images) == 12
    rows = _query(sample.ctk_database, "SELECT DISTINCT coalesce(URL, ''), Filename LIKE 'dicom/%' FROM Images")
    assert rows == [("", 1)]
    assert _query(sample.ctk_database, "SELECT count(*) FROM Patients") == [(1,)]
    values = _query(sample.ctk_tag_cache, "SELECT DISTINCT Value FROM TagCache WHERE Tag = '0020,0052'")
    assert values == [(STUDY,)]  # the frame of reference, which the query could not tell


def test_the_tag_cache_is_written_before_the_main_database(folder, stored, monkeypatch):
    def fail(*_args: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("VisualDICOMBrowserLib.store.ctk_database.add_instances", fail)
    with CtkDatabase.open(folder) as database, pytest.raises(StorageError, match="disk I/O error"):
        database.insert(stored(folder))
    assert _query(folder.ctk_database, "SELECT count(*) FROM Images") == [(0,)]
    assert _query(folder.ctk_tag_cache, "SELECT count(DISTINCT SOPInstanceUID) FROM TagCache") == [(12,)]


def test_an_insert_that_fails_half_way_leaves_nothing_in_the_main_database(folder, stored, monkeypatch):
    def fail(*_args: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("VisualDICOMBrowserLib.store.ctk_changes._refresh", fail)
    with CtkDatabase.open(folder) as database:
        with pytest.raises(StorageError, match=r"^The disk is full\.$"):
            database.insert(stored(folder))
        monkeypatch.undo()
        assert database.snapshot().images == ()
        assert database.insert(stored(folder)) == 12


def test_patients_are_told_apart_by_id_name_and_birth_date(folder, header):
    variants = [
        {},
        {"0010,0020": "OTHER"},
        {"0010,0010": "Other^Name"},
        {"0010,0030": "19800202"},
        {"0010,0030": None},
        {"0010,0030": "19700101"},
    ]
    items = [
        _made_up(header, folder.root / str(n), sop_uid=f"1.{n}", series_uid=f"2.{n}", study_uid=f"3.{n}", **changes)
        for n, changes in enumerate(variants)
    ]
    with CtkDatabase.open(folder) as database:
        database.insert(items)
        studies = {study.study_uid: study.patient_uid for study in database.snapshot().studies}
    assert studies == {"3.0": 1, "3.1": 2, "3.2": 3, "3.3": 4, "3.4": 1, "3.5": 1}


def test_a_patient_without_id_gets_the_study_uid_and_without_name_the_id(folder, header):
    items = [
        _made_up(header, folder.root / "a", sop_uid="1.1", **{"0010,0020": None, "0010,0010": ""}),
        _made_up(header, folder.root / "b", sop_uid="1.2", study_uid="3.2", series_uid="2.2", **{"0010,0010": None}),
    ]
    with CtkDatabase.open(folder) as database:
        database.insert(items)
        patients = database.snapshot().patients
    assert [(patient.patient_id, patient.name) for patient in patients] == [(STUDY, STUDY), ("BAR1", "BAR1")]


def test_images_of_a_known_series_add_no_second_patient(folder, header):
    with CtkDatabase.open(folder) as database:
        database.insert([StoredInstance(header, folder.root / "a")])
        database.insert([_made_up(header, folder.root / "b", sop_uid="1.2", **{"0010,0010": "Mistyped^Name"})])
        content = database.snapshot()
    assert (len(content.patients), len(content.series), len(content.images)) == (1, 1, 2)


def test_counts_and_last_study_date_follow(folder, header):
    with CtkDatabase.open(folder) as database:
        database.insert([StoredInstance(header, folder.root / "a")])
        database.insert(
            [
                _made_up(header, folder.root / "b", sop_uid="1.2"),
                _made_up(header, folder.root / "c", sop_uid="1.3", series_uid="2.3"),
                _made_up(
                    header,
                    folder.root / "d",
                    sop_uid="1.4",
                    series_uid="2.4",
                    study_uid="3.4",
                    **{"0008,0020": "20270203"},
                ),
            ]
        )
        last = "SELECT DisplayedNumberOfStudies, DisplayedLastStudyDate FROM Patients"
        assert _query(folder.ctk_database, last) == [(2, "2027-02-03")]
        assert _query(folder.ctk_database, "SELECT DisplayedNumberOfSeries FROM Studies") == [(2,), (1,)]
        assert _query(folder.ctk_database, "SELECT DisplayedCount FROM Series") == [(2,), (1,), (1,)]
        database.remove(["1.4", "1.2", "1.3"])
        assert _query(folder.ctk_database, last) == [(1, "2026-01-01")]
        assert _query(folder.ctk_database, "SELECT DisplayedNumberOfSeries FROM Studies") == [(1,)]
        assert _query(folder.ctk_database, "SELECT DisplayedCount FROM Series") == [(1,)]


def test_removal_takes_what_is_left_without_images(folder, stored):
    items = stored(folder)
    first_series = [item.header.sop_uid for item in items if item.header.series_number == 0]
    with CtkDatabase.open(folder) as database:
        database.insert(items)
        removed = database.remove(iter(first_series))
        assert (removed.patients, removed.studies, removed.series, removed.instances) == (0, 0, 1, 6)
        assert set(removed.filenames) == {folder.stored_name(item.path) for item in items[:6]}
        removed = database.remove([item.header.sop_uid for item in items])
        assert (removed.patients, removed.studies, removed.series, removed.instances) == (1, 1, 1, 6)
        assert database.remove(["1.2.3"]).instances == 0
    for table in ("Patients", "Studies", "Series", "Images"):
        assert _query(folder.ctk_database, f"SELECT count(*) FROM {table}") == [(0,)]
    assert _query(folder.ctk_tag_cache, "SELECT count(*) FROM TagCache") == [(0,)]


def test_removal_leaves_no_trace_of_the_patient_in_the_files(folder, stored, header):
    other = _made_up(header, folder.root / "o", sop_uid="1.1", series_uid="2.1", study_uid="3.1",
                     **{"0010,0020": "KEPT", "0010,0010": "Kept^Patient"})  # fmt: skip
    with CtkDatabase.open(folder) as database:
        database.insert(stored(folder))
        database.insert([other])
        assert b"Bar^Test" in folder.ctk_database.read_bytes()
        assert b"Bar^Test" in folder.ctk_tag_cache.read_bytes()
        database.remove([item.header.sop_uid for item in stored(folder)])
    for path in folder.root.iterdir():
        assert b"Bar^" not in path.read_bytes(), path.name
        assert b"BAR1" not in path.read_bytes(), path.name
    assert b"Kept^Patient" in folder.ctk_database.read_bytes()


def test_of_some_among_many_no_trace_is_left_even_where_sqlite_moved_rows(folder, header):
    secrets = {number: f"Q{random.Random(number).randrange(10**9):09}Z^X" for number in range(0, 1200, 17)}
    items = [
        _made_up(header, folder.root / str(n), sop_uid=f"1.{n}", series_uid=f"2.{n}", study_uid=f"3.{n}",
                 **{"0010,0020": f"ID{n}", "0010,0010": secrets.get(n, f"Kept{n}^Patient" + "x" * (n % 40))})
        for n in random.Random(1).sample(range(1200), 1200)
    ]  # fmt: skip
    with CtkDatabase.open(folder) as database:
        for start in range(0, len(items), 40):
            database.insert(items[start : start + 40])
        database.remove([f"1.{number}" for number in secrets])
    for path in (folder.ctk_database, folder.ctk_tag_cache):
        content = path.read_bytes()
        assert [name for name in secrets.values() if name[:10].encode() in content] == [], path.name
        assert b"Kept1^Patient" in content


@pytest.mark.parametrize("name", ["copied", "linked", "queried"])
def test_removal_from_a_database_of_ctk_takes_the_query_rows_of_the_patient_along(ctk_sample, name):
    sample = ctk_sample(name)
    with CtkDatabase.open(sample) as database:
        uids = [row[0] for row in _query(sample.ctk_database, "SELECT SOPInstanceUID FROM Images")]
        assert database.remove(uids).patients == 1
        database.compact()
    for path in sample.root.iterdir():
        assert b"Bar^" not in path.read_bytes(), path.name
    assert _query(sample.ctk_database, "SELECT count(*) FROM Studies") == [(0,)]


def test_removing_the_local_image_keeps_what_the_server_is_known_to_have(ctk_sample):
    sample = ctk_sample("queried")
    with CtkDatabase.open(sample) as database:
        removed = database.remove([LOCAL_OF_QUERIED])
    assert (removed.patients, removed.studies, removed.series, removed.instances) == (0, 0, 0, 1)
    assert _query(sample.ctk_database, "SELECT count(*) FROM Images") == [(11,)]


def test_four_hundred_instances_are_inserted_in_a_moment(folder, header):
    items = [
        _made_up(header, folder.dicom_folder / f"{n}.dcm", sop_uid=f"1.2.{n}", series_uid=f"1.3.{n // 100}")
        for n in range(400)
    ]
    with CtkDatabase.open(folder) as database:
        start = time.perf_counter()
        assert database.insert(items) == 400
        assert time.perf_counter() - start < 1.5  # takes 0.1 s on a machine of its own
        assert database.remove([item.header.sop_uid for item in items]).instances == 400


def test_hostile_texts_are_values_and_never_sql(folder, header):
    name = "Robert'); DROP TABLE Images;--^\"`[]"
    with CtkDatabase.open(folder) as database:
        database.insert([_made_up(header, folder.root / "a'b", **{"0010,0010": name, "0010,0020": name})])
        content = database.snapshot()
        assert content.patients[0].name == name
        assert content.images[0].filename == "a'b"
        database.remove(["' OR 1=1 --"])
        assert database.snapshot() == content


def test_the_stamp_changes_when_another_program_changes_the_database(folder, stored):
    with CtkDatabase.open(folder) as database:
        database.insert(stored(folder))
        stamp = database.change_stamp()
        assert database.change_stamp() == stamp
        database.snapshot()
        assert database.change_stamp() == stamp
        _execute(folder.ctk_database, "UPDATE Patients SET PatientsSex = 'F'")
        assert database.change_stamp() != stamp
        stamp = database.change_stamp()
    with CtkDatabase.open(folder, read_only=True) as database:
        assert database.change_stamp() == stamp


def test_the_stamp_keeps_the_locks_of_a_running_transaction(folder, stored):
    with CtkDatabase.open(folder) as database:
        database._main.execute("BEGIN EXCLUSIVE")
        database.change_stamp()
        other = sqlite3.connect(folder.ctk_database, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("SELECT * FROM Patients")
        other.close()
        database._main.execute("ROLLBACK")


def test_another_version_is_refused_and_left_as_it_is(ctk_sample):
    sample = ctk_sample("copied")
    _execute(sample.ctk_database, "UPDATE SchemaInfo SET Version = '0.7.0'")
    before = sample.ctk_database.read_bytes()
    for read_only in (True, False):
        with pytest.raises(SchemaMismatch, match=r"has version 0\.7\.0, this program knows 0\.8\.1"):
            CtkDatabase.open(sample, read_only=read_only)
    assert sample.ctk_database.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_as_it_is(folder):
    folder.root.mkdir()
    _execute(folder.ctk_database, "CREATE TABLE Recipes (Name)")
    before = folder.ctk_database.read_bytes()
    with pytest.raises(SchemaMismatch, match="not CTK's"):
        CtkDatabase.open(folder)
    assert folder.ctk_database.read_bytes() == before
    assert not folder.ctk_tag_cache.exists()


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_no_database_is_a_storage_error(folder, read_only):
    folder.root.mkdir()
    folder.ctk_database.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match=r"damaged: .* is cut off, or is no database at all.* verify --rebuild"):
        CtkDatabase.open(folder, read_only=read_only)


def test_reading_where_there_is_no_database_makes_none(folder):
    with pytest.raises(StorageError, match="no DICOM database"):
        CtkDatabase.open(folder, read_only=True)
    assert not folder.root.exists()


def test_a_missing_tag_cache_is_made_for_writing_and_done_without_for_reading(ctk_sample):
    sample = ctk_sample("copied")
    sample.ctk_tag_cache.unlink()
    with CtkDatabase.open(sample, read_only=True) as database:
        assert database.tags_for([LOCAL_OF_QUERIED], ["0010,0010"]) == {}
        assert len(database.snapshot().images) == 12
    assert not sample.ctk_tag_cache.exists()
    CtkDatabase.open(sample).close()
    assert _query(sample.ctk_tag_cache, "SELECT count(*) FROM TagCache") == [(0,)]


def test_a_database_opened_for_reading_cannot_be_written(ctk_sample, stored, header):
    sample = ctk_sample("copied")
    with CtkDatabase.open(sample, read_only=True) as database:
        with pytest.raises(StorageError):
            database.insert([_made_up(header, sample.root / "x", sop_uid="1.2.3")])
        with pytest.raises(StorageError):
            database.remove([LOCAL_OF_QUERIED])
    assert len(_query(sample.ctk_database, "SELECT * FROM Images")) == 12


def test_a_database_locked_by_another_program_is_said_so_and_may_be_tried_again(ctk_sample, header, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.0)
    sample = ctk_sample("copied")
    other = sqlite3.connect(sample.ctk_database, isolation_level=None)
    with CtkDatabase.open(sample) as database:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked by another program") as caught:
            database.insert([_made_up(header, sample.root / "x", sop_uid="1.2.3")])
        assert caught.value.retryable
        other.execute("ROLLBACK")
        assert database.insert([_made_up(header, sample.root / "x", sop_uid="1.2.3")]) == 1
    other.close()


def test_the_journal_stays_a_rollback_journal(ctk_sample, stored):
    sample = ctk_sample("copied")
    _query(sample.ctk_database, "PRAGMA journal_mode = WAL")
    with CtkDatabase.open(sample) as database:
        database.remove([LOCAL_OF_QUERIED])
        assert sorted(path.name for path in sample.root.iterdir() if path.is_file()) == [
            "ctkDICOM.sql",
            "ctkDICOMTagCache.sql",
        ]
    assert _query(sample.ctk_database, "PRAGMA journal_mode") == [("delete",)]


def test_threads_may_share_a_database(folder, header):
    failures: list[Exception] = []

    def work(database: CtkDatabase, worker: int) -> None:
        try:
            for n in range(10):
                item = _made_up(header, folder.root / f"{worker}-{n}", sop_uid=f"1.{worker}.{n}")
                assert database.insert([item]) == 1
                database.snapshot()
                database.change_stamp()
                database.tags_for([item.header.sop_uid], ["0010,0010"])
        except Exception as error:
            failures.append(error)

    with CtkDatabase.open(folder) as database:
        threads = [threading.Thread(target=work, args=(database, worker)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert len(database.snapshot().images) == 40


def test_a_folder_with_unusual_characters_in_its_name_opens(tmp_path, stored):
    folder = DatabaseFolder(tmp_path / "a?b #c%20 Ä&mode=ro")
    with CtkDatabase.open(folder) as database:
        assert database.insert(stored(folder)) == 12
    assert folder.ctk_database.is_file()


def test_a_hostile_file_name_in_the_database_is_not_followed(ctk_sample):
    sample = ctk_sample("copied")
    _execute(sample.ctk_database, "UPDATE Images SET Filename = '../../../etc/passwd'")
    with CtkDatabase.open(sample, read_only=True) as database:
        image = database.snapshot().images[0]
    with pytest.raises(BadData):
        sample.absolute(image.filename)


@pytest.mark.parametrize(
    ("name", "displayed"),
    [
        ("Bar^Test", "Bar, Test"),
        ("Bar", "Bar"),
        ("Bar^^^^", "Bar"),
        ("^Test", "Test"),
        ("Family^Given^Middle^Dr.^III", "Family, Given Middle, III (Dr.)"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou"),
        ("=山田^太郎", "山田, 太郎"),
        ("", ""),
        ("^^^^", ""),
    ],
)
def test_names_are_displayed_as_ctk_displays_them(name, displayed):
    assert displayed_name(name) == displayed


@given(st.dates())
def test_dates_go_into_the_database_and_back(day):
    digits = f"{day.year:04}{day.month:02}{day.day:02}"
    assert dicom_date(iso_date(digits)) == digits
    assert dicom_date(int(digits)) == (digits if day.year >= 1000 else "")


@pytest.mark.parametrize("digits", ["", "2026", "20261301", "abcdefgh", "00000000"])
def test_what_is_no_day_is_no_date(digits):
    assert iso_date(digits) is None
