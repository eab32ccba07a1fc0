"""Files from disks into the store, copied or linked, whatever else lies beside them."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from support.synthetic import empty_file, lying_file, text_folder, truncated_file
from support.waiting import join_all
from unit.store.dicom_bytes import element, meta
from unit.store.store_kit import (
    AET,
    Sample,
    assert_at_rest,
    bring_in,
    child,
    dicom_files,
    local_uids,
    part_files,
    receive,
    rows,
    samples,
    write_files,
)
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, StorageError, UsageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import importer as store_importer
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.importer import Importer
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.receive import Receiver
from VisualDICOMBrowserLib.store.writer import Batch


def _reasons(result) -> dict[str, str]:
    return {Path(failure.subject).name: failure.reason for failure in result.rejected}


def test_copies_are_byte_by_byte_and_the_source_stays(store, tmp_path):
    paths = write_files(tmp_path / "source", samples(5))
    before = {path: path.read_bytes() for path in paths}
    result = bring_in(store, [tmp_path / "source"])
    assert (result.files, result.imported, result.duplicates, result.rejected) == (5, 5, 0, ())
    assert sorted(path.read_bytes() for path in dicom_files(store.folder)) == sorted(before.values())
    assert {path: path.read_bytes() for path in paths} == before
    assert store.verify().ok


def test_real_files_of_ctk_are_copied_to_where_ctk_puts_them(store, source_files, ctk_sample):
    assert bring_in(store, source_files).imported == 12
    ctk = {name for (name,) in rows(ctk_sample("copied").ctk_database, "SELECT Filename FROM Images")}
    assert {store.folder.stored_name(path) for path in dicom_files(store.folder)} == ctk


def test_links_stay_where_they_are_and_removing_does_not_touch_them(store, tmp_path):
    paths = write_files(tmp_path / "source", samples(5))
    assert bring_in(store, [tmp_path / "source"], link=True).imported == 5
    assert dicom_files(store.folder) == []
    assert {image.filename for image in store._rows.snapshot().images} == {path.as_posix() for path in paths}
    assert store.verify().ok
    removed = store.remove(Target(Level.PATIENT, ("4711",)))
    assert (removed.instances, removed.files) == (5, 0)
    assert all(path.is_file() for path in paths)
    assert local_uids(store) == set()


def test_relative_names_are_linked_by_absolute_ones(store, tmp_path, monkeypatch):
    write_files(tmp_path / "source", samples(2))
    monkeypatch.chdir(tmp_path)
    assert bring_in(store, [Path("source")], link=True).imported == 2
    monkeypatch.chdir("/")
    assert all(Path(image.filename).is_absolute() for image in store._rows.snapshot().images)
    assert store.verify().ok


def test_what_is_no_image_is_told_by_name_and_reason(store, tmp_path, corpus):
    folder = tmp_path / "source"
    write_files(folder, samples(2))
    text_folder(folder)
    empty_file(folder)
    truncated_file(tmp_path).rename(folder / "truncated.dcm")
    lying_file(tmp_path).rename(folder / "lying.dcm")
    shutil.copy(_dicomdir(corpus), folder / "DICOMDIR")
    (folder / "no-uids.dcm").write_bytes(meta() + element(0x00080060, "CS", b"CT"))
    os.mkfifo(folder / "pipe")
    result = bring_in(store, [folder])
    reasons = _reasons(result)
    assert (result.files, result.imported) == (13, 2)
    assert "DICOMDIR" in reasons["DICOMDIR"]
    assert set(reasons) >= {"README.txt", "Thumbs.db", "empty.dcm", "truncated.dcm", "lying.dcm", "no-uids.dcm", "pipe"}
    assert all(reason.endswith(".") for reason in reasons.values())
    assert part_files(store.folder) == []
    assert store.verify().ok


def _dicomdir(corpus) -> Path:
    folders = {file.path.parent for file in corpus.files}
    return next(path for folder in sorted(folders) for path in folder.rglob("DICOMDIR") if path.is_file())


def test_one_instance_twice_in_an_import_is_a_duplicate_or_a_conflict(store, tmp_path):
    first = write_files(tmp_path / "a", [Sample(pixels=b"first!")])
    second = write_files(tmp_path / "b", [Sample(pixels=b"second")])
    result = bring_in(store, [*first, *second, *first])
    assert (result.files, result.imported, result.duplicates) == (3, 1, 1)
    assert [conflict.source for conflict in result.conflicts] == [str(second[0])]
    assert [path.read_bytes() for path in dicom_files(store.folder)] == [first[0].read_bytes()]
    linked = bring_in(store, second, link=True)
    assert (linked.imported, linked.duplicates, len(linked.conflicts)) == (0, 0, 1)
    assert second[0].is_file()


@pytest.mark.parametrize("link", [False, True])
def test_names_in_any_script_are_imported(store, tmp_path, link):
    for number, name in enumerate(
        ["Müller", "山田 太郎", "a'b\"c`d", "%20?#&mode=ro", " leading", "-rf", "x" * 200], 1
    ):
        (tmp_path / "s" / name).mkdir(parents=True)
        write_files(tmp_path / "s" / name, [Sample(number=number)])[0].rename(tmp_path / "s" / name / f"{name}.dcm")
    assert bring_in(store, [tmp_path / "s"], link=link).imported == 7
    assert store.verify().ok
    store.close()
    assert len(assert_at_rest(store.folder)) == 7


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_names_that_are_no_text_are_copied_and_not_linked(store, tmp_path):
    (path,) = write_files(tmp_path / "source", [Sample()])
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "source") + b"/\xff\xfe.dcm"))
    path.rename(odd)
    write_files(tmp_path / "source", samples(3, series=2))
    linked = bring_in(store, [tmp_path / "source"], link=True)
    assert linked.imported == 3
    ((subject, reason),) = [(failure.subject, failure.reason) for failure in linked.rejected]
    assert "import it by copying" in reason
    subject.encode("utf-8")
    assert bring_in(store, [odd]).imported == 1


def test_links_in_circles_end(store, tmp_path):
    folder = tmp_path / "source"
    write_files(folder, samples(2))
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "self.dcm").symlink_to(folder / "self.dcm")
    (folder / "nowhere.dcm").symlink_to(folder / "nothing")
    (folder / "one.dcm").symlink_to(folder / "1.2.1.1.1.dcm")
    result = bring_in(store, [folder])
    assert (result.imported, result.duplicates) == (2, 1)
    assert set(_reasons(result)) == {"self.dcm", "nowhere.dcm"}


def test_what_does_not_exist_is_wrong_usage_and_nothing_is_imported(store, tmp_path):
    paths = write_files(tmp_path / "source", samples(2))
    for wrong in (tmp_path / "no", tmp_path / ("x" * 5000), Path("a\0b"), paths[0] / "below"):
        with pytest.raises(UsageError):
            bring_in(store, [*paths, wrong])
    assert local_uids(store) == set()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_folders_that_may_not_be_read_are_told(store, tmp_path):
    paths = write_files(tmp_path / "source" / "closed", samples(2))
    write_files(tmp_path / "source", samples(1, series=2))
    paths[0].parent.chmod(0)
    try:
        result = bring_in(store, [tmp_path / "source"])
    finally:
        paths[0].parent.chmod(0o700)
    assert result.imported == 1
    assert "No permission" in _reasons(result)["closed"]


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_imported(store, tmp_path, monkeypatch):
    write_files(tmp_path / "source" / "closed", samples(2))
    write_files(tmp_path / "source", samples(1, series=2))
    original = os.scandir

    def scandir(path: str):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = bring_in(store, [tmp_path / "source"])
    assert result.imported == 1
    assert _reasons(result) == {"closed": "No permission to read the folder."}


@pytest.mark.parametrize("change", ["longer", "shorter", "other"])
def test_a_file_that_changes_while_it_is_read_is_refused_and_nothing_is_left(store, tmp_path, monkeypatch, change):
    (path,) = write_files(tmp_path / "source", [Sample()])
    content = {
        "longer": path.read_bytes() + b"\0\0",
        "shorter": path.read_bytes()[:-2],
        "other": Sample(number=2).file,
    }[change]
    original = store_importer._copy

    def copy(source: Path, part) -> None:
        path.write_bytes(content)
        original(source, part)

    monkeypatch.setattr(store_importer, "_copy", copy)
    result = bring_in(store, [path])
    assert result.imported == 0
    assert len(result.rejected) == 1
    assert dicom_files(store.folder) == []
    assert store.verify().ok


def test_a_file_that_vanishes_is_told(store, tmp_path, monkeypatch):
    paths = write_files(tmp_path / "source", samples(3))
    original = store_importer._copy

    def copy(source: Path, part) -> None:
        source.unlink(missing_ok=True)
        if source == paths[1]:
            original(source, part)
        else:
            part.write(Sample(number=int(source.stem[-1])).file)

    monkeypatch.setattr(store_importer, "_copy", copy)
    result = bring_in(store, paths)
    assert result.imported == 2
    assert list(_reasons(result)) == [paths[1].name]
    assert part_files(store.folder) == []


@pytest.mark.parametrize("link", [False, True])
def test_importing_the_database_folder_itself_changes_nothing_and_harms_nothing(store, link):
    receive(store, samples(5))
    before = {path: path.read_bytes() for path in dicom_files(store.folder)}
    result = bring_in(store, [store.folder.root, store.folder.ctk_database], link=link)
    assert (result.imported, result.duplicates) == (0, 5)
    reasons = _reasons(result)
    assert reasons["ctkDICOM.sql"] == "This is a file of the database itself."
    assert set(reasons) >= {"ctkDICOMTagCache.sql", "visual-dicom-browser.sqlite", "visual-dicom-browser.lock"}
    assert {path: path.read_bytes() for path in dicom_files(store.folder)} == before
    assert store.verify().ok


def test_importing_the_databases_by_another_name_keeps_their_locks(store, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "innocent.dcm").symlink_to(store.folder.ctk_database)
    store._rows._main.execute("BEGIN EXCLUSIVE")
    try:
        result = bring_in(store, [tmp_path / "source"])
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM Images')"
        with child(code, store.folder.ctk_database) as other:
            assert other.wait(30) == 1  # locked, as it must be
    finally:
        store._rows._main.execute("ROLLBACK")
    assert _reasons(result) == {"innocent.dcm": "This is a file of the database itself."}


def test_what_is_just_being_received_is_not_imported_from_where_it_waits(store):
    item = Sample(number=7, pixels=bytes(70_000))
    waiting = Receiver(store.folder, store.writer, Batch(), AET).open(item)
    waiting.write(memoryview(item.dataset))
    (part,) = part_files(store.folder)
    for link in (False, True):
        assert bring_in(store, [store.folder.root], link=link).imported == 0
    assert part.is_file()
    waiting.discard()


def test_an_orphan_of_the_folder_gets_its_row_by_importing_it(store):
    receive(store, samples(1))
    path = store.folder.instance_path("1.2.1", "1.2.1.2", "1.2.1.2.9")
    path.parent.mkdir(parents=True)
    path.write_bytes(Sample(number=9, series=2).file)
    assert store.verify().orphans == (store.folder.stored_name(path),)
    assert bring_in(store, [store.folder.dicom_folder]).imported == 1
    assert store.verify().ok
    assert store.remove(Target(Level.SERIES, ("1.2.1.2",))).files == 1
    assert not path.exists()


def test_a_cancelled_import_keeps_what_it_has(store, tmp_path):
    write_files(tmp_path / "source", samples(30))
    token = CancelToken()

    def progress(files: int) -> None:
        if files == 10:
            token.cancel()

    with pytest.raises(Cancelled):
        Importer(store, link=False, token=token, progress=progress).run([tmp_path / "source"])
    assert len(local_uids(store)) == 10
    assert store.verify().ok


def test_a_full_disk_is_told_for_each_file_and_leaves_nothing(store, tmp_path, monkeypatch):
    write_files(tmp_path / "source", samples(3))

    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("VisualDICOMBrowserLib.store.files.os.write", full)
    result = bring_in(store, [tmp_path / "source"])
    assert set(_reasons(result).values()) == {"The disk is full."}
    monkeypatch.undo()
    assert part_files(store.folder) == []
    assert bring_in(store, [tmp_path / "source"]).imported == 3


def test_a_closed_store_ends_the_import(store, tmp_path):
    write_files(tmp_path / "source", samples(3))
    store.writer.close()
    with pytest.raises(StorageError, match="closed"):
        bring_in(store, [tmp_path / "source"])
    assert part_files(store.folder) == []


def test_several_imports_at_once_agree(folder, tmp_path):
    for number in range(4):
        write_files(tmp_path / str(number), samples(40, series=number % 2 + 1))
    results = []
    with LocalStore.open(folder.root) as store:
        threads = [
            threading.Thread(target=lambda n=n: results.append(bring_in(store, [tmp_path / str(n)]))) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        join_all(threads, 60)
        assert sum(result.imported for result in results) == 80
        assert sum(result.duplicates for result in results) == 80
    assert len(assert_at_rest(folder)) == 80


def test_hostile_names_of_patients_do_no_harm(store, tmp_path):
    names = ["'); DROP TABLE Images;--", "../../../etc/passwd", "^" * 60, "=" * 5]
    write_files(tmp_path / "source", [Sample(number=n, study=n, name=name) for n, name in enumerate(names, 1)])
    assert bring_in(store, [tmp_path / "source"]).imported == 4
    assert store.verify().ok


def test_the_header_of_a_copy_is_that_of_its_file(store, corpus):
    files = [file.path for file in corpus.files[:25]]
    result = bring_in(store, files)
    assert result.imported + len(result.rejected) == 25
    for local in store.catalogue.local_files(Level.IMAGE, local_uids(store)):
        assert read_header(store.path_of(local)).sop_uid == local.instance.sop_uid
    assert store.verify().ok
