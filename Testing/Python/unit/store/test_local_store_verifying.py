"""Verification: every row a readable file, every file a row, also while others work."""

from __future__ import annotations

import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from support import large_folder
from support.large_folder import Size
from support.waiting import join_all
from unit.store.store_kit import (
    AET,
    Sample,
    assert_at_rest,
    bring_in,
    change,
    dicom_files,
    part_files,
    receive,
    samples,
    write_files,
)
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import ctk_content, verifying
from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.receive import Receiver
from VisualDICOMBrowserLib.store.writer import Batch


def test_an_empty_store_is_all_right(store):
    result = store.verify()
    assert (result.ok, result.rows, result.files) == (True, 0, 0)


@pytest.mark.parametrize("damage", ["missing", "truncated", "exchanged", "empty", "folder", "nonsense"])
@pytest.mark.parametrize("read_only", [False, True])
def test_rows_without_a_readable_file_are_found(folder, damage, read_only):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(4))
    path = folder.instance_path("1.2.1", "1.2.1.1", "1.2.1.1.2")
    content = {
        "truncated": path.read_bytes()[:-3],
        "exchanged": Sample(number=9).file,
        "empty": b"",
        "nonsense": b"x" * 999,
    }
    if damage in content:
        path.write_bytes(content[damage])
    else:
        path.unlink()
        if damage == "folder":
            path.mkdir()
    with LocalStore.open(folder.root, read_only=read_only) as store:
        result = store.verify()
        assert (result.missing, result.rows, result.ok) == (("1.2.1.1.2",), 4, False)
        assert store.readable([item.sop_uid for item in samples(5)]) == {f"1.2.1.1.{n}" for n in (1, 3, 4)}


@pytest.mark.parametrize("read_only", [False, True])
def test_files_without_a_row_are_found_and_left(folder, read_only):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(2))
    names = ["dicom/a/b/stray.dcm", "dicom/Ä ö.txt", "dicom/deep/er/and/deeper/x"]
    for name in names:
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).write_bytes(b"stray")
    (folder.root / "elsewhere.txt").write_bytes(b"not our business")
    with LocalStore.open(folder.root, read_only=read_only) as store:
        result = store.verify()
    assert result.orphans == tuple(sorted(names))
    assert (result.missing, result.files) == ((), 5)
    assert all((folder.root / name).is_file() for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux alone")
def test_files_are_looked_at_whatever_their_names_and_however_rows_name_them(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(4))
    paths = [folder.instance_path("1.2.1", "1.2.1.1", f"1.2.1.1.{number}") for number in (1, 2, 3)]
    names = [paths[0].as_posix(), f"dicom/../{paths[1].relative_to(folder.root)}", "dicom/link.dcm"]
    (folder.dicom_folder / "link.dcm").symlink_to(paths[2])
    for number, name in enumerate(names, 1):
        uid = f"1.2.1.1.{number}"
        change(folder.ctk_database, f"UPDATE Images SET Filename = '{name}' WHERE SOPInstanceUID = '{uid}'")
    stray = os.path.join(os.fsencode(folder.dicom_folder), b"\xff.dcm")  # noqa: PTH118 - not even UTF-8
    Path(os.fsdecode(stray)).write_bytes(b"stray")
    with LocalStore.open(folder.root) as store:
        result = store.verify()
    assert (result.rows, result.files, result.missing) == (4, 6, ())
    assert [os.fsencode(name) for name in result.orphans] == [b"dicom/\xff.dcm"]


def test_pages_hold_what_the_snapshot_does(folder, monkeypatch):
    monkeypatch.setattr(ctk_content, "_LINKED_PAGE", 3)
    with LocalStore.open(folder.root) as store:
        receive(store, [*samples(5), *samples(5, series=2)])
    change(folder.ctk_database, "UPDATE Images SET Filename = '' WHERE SOPInstanceUID = '1.2.1.1.2'")
    change(folder.ctk_database, "UPDATE Images SET SeriesInstanceUID = 'none' WHERE SOPInstanceUID = '1.2.1.1.3'")
    change(folder.ctk_database, "UPDATE Images SET SOPInstanceUID = 'x/y' WHERE SOPInstanceUID = '1.2.1.1.4'")
    with CtkDatabase.open(folder) as database:
        pages = list(database.image_pages())
        assert sorted(image for page in pages for image in page) == sorted(database.snapshot().images)
    assert sum(map(len, pages)) == 7
    assert max(map(len, pages)) == 3
    change(folder.ctk_database, "DELETE FROM Patients")
    with CtkDatabase.open(folder) as database:
        assert list(database.image_pages()) == []


def test_verifying_many_takes_no_more_memory_than_few(tmp_path, monkeypatch):
    folder = large_folder.make(tmp_path / "database", Size(300))
    monkeypatch.setattr(verifying, "header_of", lambda *_: True)  # there are no files
    monkeypatch.setattr(ctk_content, "_LINKED_PAGE", 500)
    with LocalStore.open(folder.root) as store:
        tracemalloc.start()
        try:
            found = store.verify()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (found.rows, found.missing) == (30_000, ())
    assert peak < 2_000_000  # the names alone of all take ten times as much


def test_linked_files_are_verified_where_they_are(store, tmp_path):
    paths = write_files(tmp_path / "source", samples(3))
    bring_in(store, paths, link=True)
    assert store.verify().ok
    paths[0].unlink()
    paths[1].write_bytes(b"replaced")
    assert store.verify().missing == ("1.2.1.1.1", "1.2.1.1.2")


def test_what_a_crash_left_is_swept(folder):
    stale = [
        folder.incoming_folder / "x.dcm.part",
        folder.incoming_folder / "y.png.part",
        folder.dicom_folder / "a" / "z.dcm.part",
    ]
    with LocalStore.open(folder.root) as store:
        receive(store, samples(1))
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    with LocalStore.open(folder.root, read_only=True) as store:
        assert store.verify().ok
        assert all(path.exists() for path in stale)
    with LocalStore.open(folder.root) as store:
        assert not stale[0].exists()
        assert not stale[1].exists()
        assert store.verify().ok
        assert not stale[2].exists()


def test_a_stale_part_that_cannot_be_deleted_keeps_nobody_out(folder, monkeypatch):
    folder.incoming_folder.mkdir(parents=True)
    (folder.incoming_folder / "x.dcm.part").touch()

    def refuse(_path: object) -> bool:
        raise StorageError("No permission to delete the file.")

    monkeypatch.setattr("VisualDICOMBrowserLib.store.recovery.unlink_with_retry", refuse)
    with LocalStore.open(folder.root) as store:
        assert receive(store, samples(1)).failed == []
        assert store.verify().ok


def test_what_is_just_coming_in_survives_and_is_no_orphan(store):
    item = Sample(pixels=bytes(70_000))
    file = Receiver(store.folder, store.writer, batch := Batch(), AET).open(item)
    file.write(memoryview(item.dataset))
    picture = store.folder.incoming_folder / "thumb.png.part"  # written by a decoder, another process
    picture.write_bytes(b"png")
    result = store.verify()
    assert (result.ok, result.files) == (True, 0)
    assert len(part_files(store.folder)) == 2
    file.finish()
    batch.wait()
    assert batch.stored == [Sample().sop_uid]
    assert store.verify().ok


def test_verifying_while_others_store_and_remove_is_always_all_right(folder):
    with LocalStore.open(folder.root) as store:
        done = threading.Event()
        failures: list[object] = []

        def work(series: int) -> None:
            for turn in range(12):
                failures.extend(receive(store, samples(10, series=series)).failed)
                if turn % 2:
                    store.remove(Target(Level.SERIES, (f"1.2.1.{series}",)))

        def verify(reader: LocalStore) -> None:
            while not done.is_set():
                result = reader.verify()
                if not result.ok:
                    failures.append(result)

        with LocalStore.open(folder.root) as reader:
            assert reader.read_only
            workers = [threading.Thread(target=work, args=(series,)) for series in (1, 2)]
            verifiers = [threading.Thread(target=verify, args=(one,)) for one in (store, reader)]
            for thread in (*workers, *verifiers):
                thread.start()
            join_all(workers, 60)
            done.set()
            join_all(verifiers, 60)
        assert failures == []
    assert_at_rest(folder)


def test_verifying_finishes_what_failed_before(store):
    path = store.folder.instance_path("1.2.1", "1.2.1.1", "1.2.1.1.1")
    store.catalogue.add_intents(
        "receive", [("1.2.1.1.1", store.folder.stored_name(path), "x"), ("1.2.1.1.2", "dicom/no", "x")]
    )
    path.parent.mkdir(parents=True)
    path.write_bytes(Sample().file)
    assert store.verify().ok
    assert store.catalogue.intents("receive") == []
    assert store.readable(["1.2.1.1.1", "1.2.1.1.2"]) == {"1.2.1.1.1"}


def test_rows_whose_names_lead_nowhere_are_missing_and_nothing_is_opened(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(3))
    change(folder.ctk_database, "UPDATE Images SET Filename = '../../../etc/passwd' WHERE SOPInstanceUID = '1.2.1.1.1'")
    change(folder.ctk_database, "UPDATE Images SET Filename = '/dev/zero' WHERE SOPInstanceUID = '1.2.1.1.2'")
    change(folder.ctk_database, "UPDATE Images SET Filename = 'ctkDICOM.sql' WHERE SOPInstanceUID = '1.2.1.1.3'")
    with LocalStore.open(folder.root) as store:
        assert store.verify().missing == tuple(f"1.2.1.1.{n}" for n in (1, 2, 3))
        assert len(store.verify().orphans) == len(dicom_files(folder)) == 3
