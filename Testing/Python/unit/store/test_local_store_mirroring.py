"""Folders that CTK made, changes by other programs, and two engines on one folder."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from unit.store.store_kit import assert_at_rest, bring_in, change, child, local_uids, receive, samples
from VisualDICOMBrowserLib.domain.errors import FolderInUse, SchemaMismatch, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore

LOCAL_OF_QUERIED = "1.2.826.0.1.3680043.8.498.84464213652490592025355473067975944279"
STUDY = "1.2.826.0.1.3680043.8.498.13032911582176390737694135309109971567"
TOTALS = {"empty": (0, 0, 0, 0), "copied": (1, 1, 2, 12), "linked": (1, 1, 2, 12), "queried": (1, 1, 1, 1)}


def _databases(folder: DatabaseFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder.ctk_database, folder.ctk_tag_cache)}


@pytest.mark.parametrize("name", TOTALS)
def test_read_only_a_folder_of_ctk_is_read_and_nothing_of_it_changes(ctk_sample, name):
    sample = ctk_sample(name)
    before = {path.name: path.read_bytes() for path in sample.root.iterdir()}
    with LocalStore.open(sample.root, read_only=True) as store:
        assert store.read_only
        assert store.held_by == ""
        assert store.catalogue.local_totals() == TOTALS[name]
        result = store.verify()
        assert (result.rows, len(result.missing)) == (TOTALS[name][3],) * 2  # the sample comes without its files
        assert not store.refresh()
    assert {path.name: path.read_bytes() for path in sample.root.iterdir()} == before


@pytest.mark.parametrize("name", TOTALS)
def test_opening_a_folder_of_ctk_for_writing_changes_nothing_of_ctk(ctk_sample, name):
    sample = ctk_sample(name)
    before = _databases(sample)
    for _ in range(2):
        with LocalStore.open(sample.root) as store:
            assert not store.read_only
            assert store.catalogue.local_totals() == TOTALS[name]
            assert not store.refresh()
            assert len(store.verify().missing) == TOTALS[name][3]
    assert _databases(sample) == before


def test_a_copied_folder_with_its_files_verifies(ctk_sample, source_files):
    sample = ctk_sample("copied")
    for path in source_files:
        header = read_header(path)
        target = sample.instance_path(header.study_uid, header.series_uid, header.sop_uid)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    with LocalStore.open(sample.root) as store:
        assert store.verify().ok
        assert bring_in(store, source_files).duplicates == 12
        (study,) = store.catalogue.local_studies()
        assert (study.patient.patient_id, study.patient.name, study.date, study.modalities) == (
            "BAR1",
            "Bar^Test",
            "20260101",
            ("CT",),
        )
        removed = store.remove(Target(Level.PATIENT, ("BAR1",)))
        assert (removed.patients, removed.instances, removed.files) == (1, 12, 12)
    assert assert_at_rest(sample) == set()


def test_what_ctk_only_knows_from_queries_is_not_local_and_can_become_it(ctk_sample, source_files):
    sample = ctk_sample("queried")
    with LocalStore.open(sample.root) as store:
        assert local_uids(store) == {LOCAL_OF_QUERIED}
        assert store.verify().missing == (LOCAL_OF_QUERIED,)
        assert [study.study_uid for study in store.catalogue.local_studies()] == [STUDY]
        result = bring_in(store, source_files)
        assert (result.imported, result.duplicates) == (12, 0)  # one of them instead of the file that is gone
        assert store.verify().ok
        assert store.catalogue.local_totals() == (1, 1, 2, 12)
    with LocalStore.open(sample.root) as store:
        assert store.verify().ok


def test_linked_files_that_are_gone_are_missing(ctk_sample):
    with LocalStore.open(ctk_sample("linked").root) as store:
        result = store.verify()
        assert len(result.missing) == 12
        assert store.readable(result.missing) == set()
        assert store.remove(Target(Level.STUDY, (STUDY,))).files == 0


@pytest.mark.parametrize("read_only", [False, True])
def test_changes_by_another_program_are_followed(ctk_sample, read_only):
    sample = ctk_sample("copied")
    with LocalStore.open(sample.root):
        pass  # leaves a catalogue behind
    change(sample.ctk_database, "UPDATE Studies SET StudyDescription = 'Changed while nobody looked'")
    with LocalStore.open(sample.root, read_only=read_only) as store:
        assert [study.description for study in store.catalogue.local_studies()] == ["Changed while nobody looked"]
        assert not store.refresh()
        change(sample.ctk_database, "UPDATE Studies SET StudyDescription = 'Changed'")
        change(sample.ctk_database, "DELETE FROM Images WHERE SOPInstanceUID = ?", LOCAL_OF_QUERIED)
        assert store.refresh()
        assert not store.refresh()
        assert [study.description for study in store.catalogue.local_studies()] == ["Changed"]
        assert store.catalogue.local_totals() == (1, 1, 2, 11)


def test_read_only_what_servers_have_is_known_from_the_catalogue(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(2))
        study, *_ = store.catalogue.local_studies()
        store.catalogue.note_found("PACS", [study], store.catalogue.local_series([study.study_uid]))
    change(folder.ctk_database, "UPDATE Patients SET PatientsSex = 'F'")
    before = {path: path.read_bytes() for path in folder.root.iterdir() if path.is_file()}
    # SQLite leaves its shared memory beside a log, even an empty one.
    with LocalStore.open(folder.root, read_only=True) as store:
        assert store.catalogue.servers_of_series("1.2.1.1") == ["PACS"]
        assert next(iter(store.catalogue.local_studies())).patient.sex == "F"
    assert {path: path.read_bytes() for path in before} == before


def test_another_schema_version_is_refused_and_untouched(ctk_sample):
    sample = ctk_sample("copied")
    change(sample.ctk_database, "UPDATE SchemaInfo SET Version = '0.9.0'")
    before = _databases(sample)
    for read_only in (True, False):
        with pytest.raises(SchemaMismatch, match=r"0\.9\.0"):
            LocalStore.open(sample.root, read_only=read_only)
    assert _databases(sample) == before
    assert not sample.catalogue.exists()
    change(sample.ctk_database, "UPDATE SchemaInfo SET Version = '0.8.1'")
    with LocalStore.open(sample.root) as store:  # the lock was given back
        assert not store.read_only


def test_read_only_a_folder_without_databases_stays_as_it_is(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(StorageError, match="no DICOM database"):
            LocalStore.open(folder, read_only=True)
    assert list((tmp_path / "empty").iterdir()) == []
    assert not (tmp_path / "nothing").exists()


def _first_pages(path: Path) -> int:
    """Return the size of what opening reads of a small catalogue: the beginnings of all tables and indexes."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT max(rootpage) * 4096 FROM sqlite_master").fetchall()[0][0]


def _damage(path: Path, start: int) -> None:
    data = bytearray(path.read_bytes())
    data[start:] = b"\xa5" * (len(data) - start)
    path.write_bytes(data)


def test_a_catalogue_that_is_damaged_at_its_beginning_is_made_anew_from_the_rows(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(200))
    _damage(folder.catalogue, 0)
    assert len(assert_at_rest(folder)) == 200


def test_damage_that_is_met_in_use_is_mended_at_the_next_start(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(400))
    _damage(folder.catalogue, _first_pages(folder.catalogue))
    with LocalStore.open(folder.root) as store, pytest.raises(StorageError, match="damaged"):
        store.catalogue.local_files(Level.PATIENT, ["4711"])
    assert len(assert_at_rest(folder)) == 400
    assert sorted(path.name for path in folder.root.glob("*.damaged")) == []


def test_damage_that_the_mirror_meets_is_mended_at_once(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(400))
    _damage(folder.catalogue, _first_pages(folder.catalogue))
    change(folder.ctk_database, "UPDATE Patients SET PatientsSex = 'F'")
    with LocalStore.open(folder.root) as store:
        assert store.catalogue.local_totals() == (1, 1, 1, 400)
    assert len(assert_at_rest(folder)) == 400


def test_a_damaged_database_of_ctk_is_said_and_nothing_is_made_anew(ctk_sample):
    sample = ctk_sample("copied")
    data = bytearray(sample.ctk_database.read_bytes())
    data[8 * 4096 :] = b"\xa5" * (len(data) - 8 * 4096)
    sample.ctk_database.write_bytes(data)
    for read_only in (True, False):
        with pytest.raises(StorageError, match="damaged"):
            LocalStore.open(sample.root, read_only=read_only)
    assert sample.ctk_database.read_bytes() == data
    assert not list(sample.root.glob("*.unusable"))


# Two engines


def test_the_second_one_in_a_process_reads_along_and_says_who_holds_the_folder(folder):
    with LocalStore.open(folder.root) as first:
        receive(first, samples(2))
        with LocalStore.open(folder.root) as second:
            assert second.read_only
            assert f"in use by process {os.getpid()}" in second.held_by
            assert second.catalogue.local_totals() == (1, 1, 1, 2)
            receive(first, samples(3, series=2))
            assert not second.refresh()  # the first one's business
            assert second.catalogue.local_totals() == (1, 1, 2, 5)
            assert second.verify().ok
            with pytest.raises(FolderInUse, match="in use by process"):
                second.remove(Target(Level.STUDY, ("1.2.1",)))
        assert receive(first, samples(4, series=3)).failed == []
    assert len(assert_at_rest(folder)) == 9


def test_the_locks_of_the_first_survive_the_end_of_the_second(folder):
    with LocalStore.open(folder.root) as first:
        first._rows._main.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked"):
            _open_impatiently(folder)
        first._rows._main.execute("ROLLBACK")
        second = LocalStore.open(folder.root)
        first._rows._main.execute("BEGIN EXCLUSIVE")
        second.close()
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM Images')"
        process = subprocess.run(
            [sys.executable, "-c", code, folder.ctk_database], capture_output=True, check=False, timeout=30
        )
        first._rows._main.execute("ROLLBACK")
        assert b"locked" in process.stderr


def _open_impatiently(folder: DatabaseFolder) -> None:
    original, patience = sqlite3.connect, {"timeout": 0.1}
    sqlite3.connect = lambda *args, **options: original(*args, **{**options, **patience})
    try:
        LocalStore.open(folder.root).close()
    finally:
        sqlite3.connect = original


_HOLD = """
import sys
from pathlib import Path
from unit.store.store_kit import receive, samples
from VisualDICOMBrowserLib.store.local import LocalStore
with LocalStore.open(Path(sys.argv[1])) as store:
    receive(store, samples(3))
    print("held", flush=True)
    for line in sys.stdin:
        receive(store, samples(2, series=int(line)))
        print("done", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_another_process_is_named_followed_and_succeeded_when_it_is_killed(folder):
    with child(_HOLD, folder.root) as holder:
        assert holder.stdout.readline() == b"held\n"
        with LocalStore.open(folder.root) as store:
            assert store.read_only
            assert f"in use by process {holder.pid} on host" in store.held_by
            assert store.catalogue.local_totals() == (1, 1, 1, 3)
            holder.stdin.write(b"2\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == b"done\n"
            assert store.catalogue.local_totals() == (1, 1, 2, 5)
            assert store.verify().ok
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        with LocalStore.open(folder.root) as store:
            assert not store.read_only
            assert receive(store, samples(1, series=3)).failed == []
    assert len(assert_at_rest(folder)) == 6


def test_a_store_may_be_closed_twice_and_opened_again(folder):
    store = LocalStore.open(folder.root)
    store.close()
    store.close()
    with LocalStore.open(folder.root) as again:
        assert not again.read_only


def test_a_catalogue_made_anew_has_numbers_and_sop_classes_again(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(3))
    folder.catalogue.unlink()
    with LocalStore.open(folder.root) as store:
        files = store.catalogue.local_files(Level.SERIES, ["1.2.1.1"])
        assert [(f.instance.number, f.instance.sop_class) for f in files] == [
            (n, samples(1)[0].sop_class) for n in (1, 2, 3)
        ]
