"""Damaged databases: noticed, said with what to do, kept aside, and made anew from the files."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from unit.store.store_kit import (
    assert_at_rest,
    bring_in,
    change,
    receive,
    rows,
    samples,
    write_files,
)
from VisualDICOMBrowserLib.domain.errors import FolderInUse, SchemaMismatch, StorageError, UsageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.results import RebuildResult
from VisualDICOMBrowserLib.store import ctk_database, damage
from VisualDICOMBrowserLib.store import rebuild as rebuild_module
from VisualDICOMBrowserLib.store.host_link import HostPlan
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.sqlite import DamagedDatabase

PAGE = 4096
ADVICE = "verify --rebuild"


@pytest.fixture
def filled(folder: DatabaseFolder, tmp_path: Path) -> DatabaseFolder:
    """Twelve instances that were copied, three that are linked, in two series."""
    with LocalStore.open(folder.root) as store:
        receive(store, samples(12))
        bring_in(store, write_files(tmp_path / "theirs", samples(3, series=2)), link=True)
    return folder


def _cut(pages: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: pages * PAGE]


def _zeroed(page: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: page * PAGE] + bytes(PAGE) + data[(page + 1) * PAGE :]


def _flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut to a page": _cut(1),
    "cut by a page": lambda data: data[:-PAGE],
    "cut in a page": lambda data: data[: len(data) // 2 + 100],
    "a page of zeros": _zeroed(1),
    "zeros at the end": lambda data: data[:-PAGE] + bytes(PAGE),
    "magic": _flipped(3),
    "page size": _flipped(16),
    "format": _flipped(19),
    "number of pages": _flipped(30),
    "schema": _flipped(105),
    "empty": lambda _: b"",
    "text": lambda _: b"Patients: none\n" * 1000,
}


def _contents(folder: DatabaseFolder) -> list[list[tuple[object, ...]]]:
    """All rows that do not say when they were written."""
    images = "SELECT SOPInstanceUID, Filename, SeriesInstanceUID FROM Images ORDER BY 1"
    series = (
        "SELECT SeriesInstanceUID, StudyInstanceUID, Modality, DisplayedCount, DisplayedSize FROM Series ORDER BY 1"
    )
    patients = "SELECT PatientID, PatientsName, DisplayedNumberOfStudies FROM Patients ORDER BY 1"
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    tags = "SELECT SOPInstanceUID, Tag, Value FROM TagCache ORDER BY 1, 2"
    wanted = [rows(folder.ctk_database, one) for one in (images, series, patients, schema)]
    return [*wanted, rows(folder.ctk_tag_cache, tags)]


def _rebuilt(folder: DatabaseFolder) -> RebuildResult:
    with LocalStore.open(folder.root, rebuild=True) as store:
        assert store.rebuilt is not None
        assert store.verify().ok
        return store.rebuilt


def _is_noticed(folder: DatabaseFolder) -> None:
    with pytest.raises(DamagedDatabase, match=ADVICE):
        _use(folder)


def _use(folder: DatabaseFolder) -> None:
    with LocalStore.open(folder.root) as store:
        store.verify()


@pytest.mark.parametrize("which", ["ctk_database", "ctk_tag_cache"])
@pytest.mark.parametrize("how", DAMAGES)
def test_damage_is_noticed_and_mended_from_the_files(filled, which, how):
    path: Path = getattr(filled, which)
    before = _contents(filled)
    data = DAMAGES[how](path.read_bytes())
    path.write_bytes(data)
    if (which, how) != ("ctk_tag_cache", "empty"):  # Slicer takes an empty tag cache for a new one, and so do we
        _is_noticed(filled)
        assert path.read_bytes() == data
    made = _rebuilt(filled)

    (aside,) = made.aside
    assert (aside.name, aside.kept_as) == (path.name, f"{path.name}.unusable")
    assert (filled.root / aside.kept_as).read_bytes() == data
    assert made.rows == (15 if which == "ctk_database" else 0)
    assert made.failed == ()
    assert _contents(filled) == before
    assert len(assert_at_rest(filled)) == 15
    assert not damage.is_noted(filled.ctk_database)


def test_a_database_that_is_missing_is_missed(filled):
    filled.ctk_database.unlink()
    with pytest.raises(DamagedDatabase, match="is missing"):
        LocalStore.open(filled.root)
    assert not filled.ctk_database.exists()
    assert _rebuilt(filled).rows == 15
    assert len(assert_at_rest(filled)) == 15


def test_a_database_of_another_program_gives_way_only_when_asked(filled):
    filled.ctk_database.unlink()
    change(filled.ctk_database, "CREATE TABLE Recipes (name)")
    with pytest.raises(SchemaMismatch):
        LocalStore.open(filled.root)
    assert _rebuilt(filled).aside[0].how == "it was a database of another program"
    assert len(assert_at_rest(filled)) == 15


def test_another_version_of_ctk_is_left_as_it_is(filled):
    change(filled.ctk_database, "UPDATE SchemaInfo SET Version = '0.9'")
    before = filled.ctk_database.read_bytes()
    with pytest.raises(SchemaMismatch, match=r"0\.9"):
        LocalStore.open(filled.root, rebuild=True)
    assert filled.ctk_database.read_bytes() == before
    assert not damage.is_noted(filled.ctk_database)


def test_nothing_that_was_kept_is_overwritten(filled):
    for number, name in enumerate(("ctkDICOM.sql.unusable", "ctkDICOM.sql.unusable-2")):
        filled.ctk_database.write_bytes(b"damaged %d" % number)
        assert _rebuilt(filled).aside[0].kept_as == name
    assert filled.root.joinpath("ctkDICOM.sql.unusable").read_bytes() == b"damaged 0"


def test_with_the_catalogue_gone_too_links_are_read_from_the_old_database(filled):
    ((page,),) = rows(filled.ctk_database, "SELECT rootpage FROM sqlite_master WHERE name = 'Patients'")
    filled.ctk_database.write_bytes(_zeroed(page - 1)(filled.ctk_database.read_bytes()))
    filled.catalogue.unlink()
    assert _rebuilt(filled).rows == 15
    assert len(assert_at_rest(filled)) == 15


def test_a_linked_file_that_is_gone_and_a_file_that_is_none_are_named(filled, tmp_path):
    (tmp_path / "theirs" / "1.2.1.2.1.dcm").unlink()
    (filled.dicom_folder / "notes.txt").write_bytes(b"no DICOM")
    filled.ctk_database.write_bytes(b"damaged")
    with LocalStore.open(filled.root, rebuild=True) as store:
        made = store.rebuilt
        assert store.verify().orphans == ("dicom/notes.txt",)
    assert made.rows == 14
    assert {Path(failure.subject).name for failure in made.failed} == {"notes.txt", "1.2.1.2.1.dcm"}


def test_two_files_of_one_instance_give_one_row(filled):
    first = next(path for path in filled.dicom_folder.rglob("*.dcm"))
    shutil.copy(first, first.with_name("another.dcm"))
    with LocalStore.open(filled.root, rebuild=True) as store:
        assert store.rebuilt.rows == 0
        assert [failure.reason for failure in store.rebuilt.failed] == [
            "Another file of the same instance has the row."
        ]


def test_sound_databases_stay_and_files_without_rows_get_some(filled):
    assert _rebuilt(filled) == RebuildResult((), 0, ())
    with LocalStore.open(filled.root) as store:
        store._rows.remove(["1.2.1.1.1", "1.2.1.1.2"])
    made = _rebuilt(filled)
    assert (made.rows, made.aside) == (2, ())
    assert len(assert_at_rest(filled)) == 15


def test_what_was_being_removed_does_not_come_back(filled):
    with LocalStore.open(filled.root) as store:
        file = store.folder.stored_name(store.folder.instance_path("1.2.1", "1.2.1.1", "1.2.1.1.1"))
        store.catalogue.add_intents("remove", [("1.2.1.1.1", file, "")])
    filled.ctk_database.write_bytes(b"damaged")
    assert _rebuilt(filled).rows == 14
    assert len(assert_at_rest(filled)) == 14
    assert not (filled.root / file).exists()


def test_an_interrupted_rebuilding_is_said_and_goes_on(filled, monkeypatch):
    before = _contents(filled)
    filled.ctk_database.write_bytes(b"damaged")
    filled.ctk_tag_cache.write_bytes(b"damaged")
    monkeypatch.setattr(rebuild_module, "_AT_ONCE", 5)
    calls = []

    def insert(self, items):
        calls.append(1)
        if len(calls) > 2:
            raise StorageError("The disk is full.")
        return original(self, items)

    original = ctk_database.CtkDatabase.insert
    monkeypatch.setattr(ctk_database.CtkDatabase, "insert", insert)
    with pytest.raises(StorageError, match="full"):
        LocalStore.open(filled.root, rebuild=True)
    monkeypatch.undo()
    with pytest.raises(DamagedDatabase, match="interrupted"):
        LocalStore.open(filled.root)
    assert _rebuilt(filled).rows == 5
    assert _contents(filled) == before
    assert len(assert_at_rest(filled)) == 15


def test_what_is_kept_aside_goes_with_the_next_removal(filled):
    filled.ctk_database.write_bytes(b"damaged")
    filled.ctk_tag_cache.write_bytes(b"damaged")
    with LocalStore.open(filled.root, rebuild=True) as store:
        assert len(list(filled.root.glob("*.unusable*"))) == 2
        store.remove(Target(Level.IMAGE, ("1.2.1.1.1",)))
        assert list(filled.root.glob("*.unusable*")) == []


def test_on_windows_a_program_that_just_looks_at_a_database_does_not_keep_it_from_being_set_aside(filled, monkeypatch):
    def busy(*_: object) -> None:
        monkeypatch.undo()
        error = PermissionError(errno.EACCES, "in use")
        error.winerror = 32
        raise error

    monkeypatch.setattr(os, "replace", busy)
    aside = damage.set_aside(filled.ctk_database)
    assert aside.is_file()
    monkeypatch.setattr(Path, "unlink", busy)
    damage.drop_set_aside(filled.ctk_database)
    assert not aside.exists()


def test_only_who_holds_the_folder_and_keeps_its_rows_rebuilds(filled):
    with LocalStore.open(filled.root), pytest.raises(FolderInUse):
        LocalStore.open(filled.root, rebuild=True)
    with pytest.raises(UsageError, match="Another program"):
        LocalStore.open(filled.root, host=HostPlan(lambda *_: None), rebuild=True)


def test_in_slicer_it_is_said_what_to_do_there_and_nothing_is_touched(filled):
    data = filled.ctk_database.read_bytes()[:PAGE]
    filled.ctk_database.write_bytes(data)
    with pytest.raises(DamagedDatabase, match=r"Repair database.*close Slicer.*verify --rebuild"):
        LocalStore.open(filled.root, host=HostPlan(lambda *_: None))
    assert filled.ctk_database.read_bytes() == data
    assert not list(filled.root.glob("*.damaged"))


def test_after_a_crash_the_next_start_looks_thoroughly(filled):
    filled.ctk_database.write_bytes(_zeroed(8)(filled.ctk_database.read_bytes()))
    filled.lock_file.write_bytes(b"{}")  # as left by who was killed
    with pytest.raises(DamagedDatabase, match=r"ctkDICOM\.sql does not hold together"):
        LocalStore.open(filled.root)


# The catalogue


def test_open_work_is_taken_over_from_a_damaged_catalogue(filled):
    record = '{"job_id": "1"}'
    with LocalStore.open(filled.root) as store:
        store.catalogue.save_job("1", "queued", 1.0, record)
        store.catalogue.add_intents("receive", [("1.2.9", "dicom/a/b/c.dcm", "PACS")])
        store.catalogue.add_intents("unlink", [("1.2.8", "dicom/a/b/d.dcm", "")])
        names = dict(store.catalogue._rows("SELECT name, rootpage FROM sqlite_master"))
    filled.catalogue.write_bytes(_zeroed(names["instances"] - 1)(filled.catalogue.read_bytes()))
    connection = damage.salvage(filled.catalogue, "intents", "sop_uid, kind", "sop_uid")
    assert sorted(connection) == [("1.2.8", "unlink"), ("1.2.9", "receive")]
    damage.note_damage(filled.catalogue)
    with LocalStore.open(filled.root) as store:
        assert store.catalogue.jobs() == [record]
        assert store.catalogue.local_totals() == (1, 1, 2, 15)
    kept = filled.catalogue.with_name(f"{filled.catalogue.name}.unusable")
    assert kept.is_file()
    assert len(assert_at_rest(filled)) == 15


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_catalogue_is_made_anew_by_itself(filled, how):
    filled.catalogue.write_bytes(DAMAGES[how](filled.catalogue.read_bytes()))
    damage.note_damage(filled.catalogue)
    assert len(assert_at_rest(filled)) == 15
