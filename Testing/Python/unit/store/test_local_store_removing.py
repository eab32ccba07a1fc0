"""Removing takes rows, copies, thumbnails, tags and names away, and never what is not ours."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.waiting import join_all
from unit.store.store_kit import (
    Sample,
    assert_at_rest,
    bring_in,
    change,
    dicom_files,
    local_uids,
    receive,
    rows,
    samples,
    write_files,
)
from VisualDICOMBrowserLib.domain.errors import FolderInUse, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import recovery
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.recovery import files_below


def _thumbnail(store: LocalStore, item: Sample) -> Path:
    path = store.folder.thumbnail_path(item.study_uid, item.series_uid, item.sop_uid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"png")
    store.catalogue.set_thumbnail(
        item.series_uid, item.sop_uid, store.folder.stored_name(path), placeholder=False, reason=""
    )
    return path


def _counts(result) -> tuple[int, ...]:
    return (result.patients, result.studies, result.series, result.instances, result.files)


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        (Target(Level.IMAGE, ("1.2.1.1.1", "1.2.1.1.2")), (0, 0, 0, 2, 2)),
        (Target(Level.SERIES, ("1.2.1.1",)), (0, 0, 1, 3, 3)),
        (Target(Level.STUDY, ("1.2.1",)), (0, 1, 2, 5, 5)),
        (Target(Level.PATIENT, ("4711",)), (1, 2, 3, 6, 6)),
        (Target(Level.PATIENT, ("4711", "0815")), (2, 3, 4, 7, 7)),
        (Target(Level.PATIENT, ("no", "' OR 1=1 --", "%")), (0, 0, 0, 0, 0)),
        (Target(Level.STUDY, ()), (0, 0, 0, 0, 0)),
    ],
)
def test_counts_rows_files_thumbnails_and_empty_folders(store, target, counts):
    items = [*samples(3), *samples(2, series=2), Sample(study=2), Sample(study=3, patient_id="0815", name="Roe^R")]
    receive(store, items)
    for item in items:
        _thumbnail(store, item)
    assert _counts(store.remove(target)) == counts
    assert len(dicom_files(store.folder)) == 7 - counts[3]
    assert len(list(files_below(store.folder.thumbs_folder))) == 7 - counts[3]
    folders = [path for top in ("dicom", "thumbs") for path in (store.folder.root / top).rglob("*") if path.is_dir()]
    assert [path for path in folders if not any(path.iterdir())] == [store.folder.incoming_folder]
    for kind in ("remove", "unlink"):
        assert store.catalogue.intents(kind) == []
    left = local_uids(store)
    assert len(left) == 7 - counts[3]
    assert {u for (u,) in store._rows._tags.execute("SELECT DISTINCT SOPInstanceUID FROM TagCache").fetchall()} == left
    assert store.verify().ok
    assert not store.refresh()
    assert _counts(store.remove(target)) == (0, 0, 0, 0, 0)
    store.close()
    assert assert_at_rest(store.folder) == left


def test_no_name_is_left_in_any_file_of_the_folder(store, tmp_path):
    linked = write_files(tmp_path / "Secret-Folder", [Sample(number=8, name="Secret^Name", patient_id="SECRET-ID")])
    receive(store, [Sample(study=9, name="Kept^Name", patient_id="KEPT")])
    receive(store, samples(5, name="Secret^Name", patient_id="SECRET-ID"))
    bring_in(store, linked, link=True)
    store.remove(Target(Level.PATIENT, ("SECRET-ID",)))
    # Read by another process, for POSIX would drop the locks of this one; with the store still open.
    for file in files_below(store.folder.root):
        content = _read_elsewhere(file)
        for secret in (b"Secret", b"SECRET-ID"):
            assert secret not in content, file.name
    assert b"Kept^Name" in _read_elsewhere(store.folder.ctk_database)
    assert linked[0].is_file()


def _read_elsewhere(path: Path) -> bytes:
    code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    return subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, timeout=30).stdout


def test_what_servers_have_stays_known(store):
    receive(store, samples(3))
    (study,) = store.catalogue.local_studies()
    series = store.catalogue.local_series([study.study_uid])
    store.catalogue.note_found("PACS", [study], series)
    store.remove(Target(Level.STUDY, (study.study_uid,)))
    assert store.catalogue.find_series("1.2.1.1")[0].patient.name == "Doe^Jane"
    assert store.catalogue.servers_of_series("1.2.1.1") == ["PACS"]
    assert store.catalogue.local_totals() == (0, 0, 0, 0)
    assert receive(store, samples(3)).duplicates == []
    assert store.verify().ok


def test_a_file_that_cannot_be_deleted_is_reported_and_tried_again_at_the_next_start(folder, monkeypatch):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(3))
        stubborn = folder.instance_path("1.2.1", "1.2.1.1", "1.2.1.1.2")
        monkeypatch.setattr(recovery, "unlink_with_retry", _refuse(stubborn))
        with pytest.raises(StorageError, match="1 files could not be deleted"):
            store.remove(Target(Level.STUDY, ("1.2.1",)))
        assert dicom_files(folder) == [stubborn]
        assert local_uids(store) == set()
        assert store.catalogue.local_totals() == (0, 0, 0, 0)
        assert store.verify().ok  # it is known, and no orphan
    with LocalStore.open(folder.root) as store:  # still refused: opening goes on all the same
        assert dicom_files(folder) == [stubborn]
    monkeypatch.undo()
    assert assert_at_rest(folder) == set()
    assert dicom_files(folder) == []


def _refuse(stubborn: Path):
    original = recovery.unlink_with_retry

    def unlink(path: Path) -> bool:
        if path == stubborn:
            raise StorageError("No permission to delete the file.")
        return original(path)

    return unlink


def test_what_comes_again_after_its_file_could_not_be_deleted_stays(folder, monkeypatch):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(1))
        monkeypatch.setattr(
            recovery, "unlink_with_retry", _refuse(folder.instance_path("1.2.1", "1.2.1.1", "1.2.1.1.1"))
        )
        with pytest.raises(StorageError):
            store.remove(Target(Level.STUDY, ("1.2.1",)))
        monkeypatch.undo()
        assert receive(store, samples(1)).stored == ["1.2.1.1.1"]
        assert store.remove(Target(Level.STUDY, ("no",))).files == 0
    assert assert_at_rest(folder) == {"1.2.1.1.1"}


def test_what_another_program_brings_back_meanwhile_stays(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(1))
        path = store.folder.stored_name(store.folder.instance_path("1.2.1", "1.2.1.1", "1.2.1.1.1"))
        store.catalogue.add_intents("unlink", [("1.2.1.1.1", path, "")])
    assert assert_at_rest(folder) == {"1.2.1.1.1"}


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../outside.dcm",
        "dicom/../../outside.dcm",
        "ctkDICOM.sql",
        "CTKDICOM.SQL",
        "./visual-dicom-browser.sqlite",
        "visual-dicom-browser.lock",
        "precious.txt",
        "dicom/link/outside.dcm",
        "dicom",
        "",
        "a\0b",
        "{root}/ctkDICOM.sql",
        "{root}/../outside.dcm",
        "{root}/precious.txt",
        "dicom/" + "x" * 5000,
    ],
)
def test_hostile_names_in_rows_are_never_followed_when_files_are_deleted(folder, tmp_path, name):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(2))
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(Sample(number=9).file)
    (folder.root / "precious.txt").write_text("precious")
    (folder.dicom_folder / "link").symlink_to(tmp_path, target_is_directory=True)
    hostile = name.replace("{root}", str(folder.root))
    if "\0" not in name:  # no argument of a program can hold it
        change(folder.ctk_database, "UPDATE Images SET Filename = ? WHERE SOPInstanceUID = '1.2.1.1.1'", hostile)
    else:
        change(
            folder.ctk_database, "UPDATE Images SET Filename = 'a' || char(0) || 'b' WHERE SOPInstanceUID = '1.2.1.1.1'"
        )
    with LocalStore.open(folder.root) as store:
        assert "1.2.1.1.1" not in store.readable(["1.2.1.1.1"])
        assert name == "" or store.verify().missing == ("1.2.1.1.1",)
        assert store.remove(Target(Level.STUDY, ("1.2.1",))).files == 1
        assert local_uids(store) == set()
        receive(store, samples(1, series=5))
        assert store.readable(["1.2.1.5.1"])
    assert Path("/etc/passwd").is_file()
    assert outside.read_bytes() == Sample(number=9).file
    assert (folder.root / "precious.txt").read_text() == "precious"
    assert rows(folder.ctk_database, "PRAGMA integrity_check") == [("ok",)]


def test_a_linked_file_in_the_folder_but_not_among_the_copies_is_not_deleted(folder):
    (path,) = write_files(folder.root / "my-images", [Sample()])
    with LocalStore.open(folder.root) as store:
        assert bring_in(store, [path], link=True).imported == 1
        assert [image.filename for image in store._rows.snapshot().images] == ["my-images/1.2.1.1.1.dcm"]
        assert store.remove(Target(Level.STUDY, ("1.2.1",))).files == 0
    assert path.is_file()


def test_removing_while_the_same_comes_in_ends_in_agreement(folder):
    with LocalStore.open(folder.root) as store:
        failures: list[object] = []

        def bring() -> None:
            for _ in range(15):
                failures.extend(receive(store, samples(8)).failed)

        def take() -> None:
            try:
                for n in range(30):
                    store.remove(
                        Target(Level.IMAGE, (f"1.2.1.1.{n % 8 + 1}",)) if n % 3 else Target(Level.STUDY, ("1.2.1",))
                    )
            except StorageError as error:
                failures.append(error)

        threads = [threading.Thread(target=bring), threading.Thread(target=take), threading.Thread(target=bring)]
        for thread in threads:
            thread.start()
        join_all(threads, 60)
        assert failures == []
        local = local_uids(store)
        assert store.catalogue.local_totals()[3] == len(local)
        assert not store.refresh()
        assert store.verify().ok
    assert assert_at_rest(folder) == local


def test_read_only_nothing_is_removed(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(1))
    with LocalStore.open(folder.root, read_only=True) as store:
        with pytest.raises(FolderInUse, match="opened for reading only"):
            store.remove(Target(Level.STUDY, ("1.2.1",)))
        with pytest.raises(FolderInUse):
            _ = store.writer
    assert assert_at_rest(folder) == {"1.2.1.1.1"}
