"""Removing so that it can be undone: files wait in the trash, and a crash at any step is settled by the next start."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import pytest

from unit.store.store_kit import (
    Sample,
    assert_at_rest,
    bring_in,
    change,
    environment,
    local_uids,
    receive,
    samples,
    write_files,
)
from VisualDICOMBrowserLib.domain.errors import BadData, FolderInUse, StorageError, UsageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import trash as trash_module
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.trash import Trash

SERIES = Target(Level.SERIES, ("1.2.1.1",))
UIDS = {f"1.2.1.1.{n}" for n in (1, 2, 3)}


def remove(store: LocalStore, target: Target = SERIES) -> str:
    return store.remove(target, undoable=True).trash


def contents(store: LocalStore) -> dict[str, bytes]:
    files = store.catalogue.local_files(Level.IMAGE, local_uids(store))
    return {file.instance.sop_uid: store.path_of(file).read_bytes() for file in files}


def test_what_was_removed_comes_back_byte_for_byte(store, folder):
    receive(store, samples(3))
    before = contents(store)
    trash = remove(store)

    assert store.verify().rows == 0
    assert store.verify().files == 0
    assert store.undo_remove(trash).instances == 3
    assert contents(store) == before
    assert store.verify().ok
    assert not folder.trash_folder.exists()


def test_the_result_counts_as_a_plain_removal_does_and_names_the_trash(store):
    receive(store, samples(3))
    values = store.remove(SERIES, undoable=True).to_dict()

    assert len(values.pop("trash")) == 32
    assert values == {"patients": 1, "studies": 1, "series": 1, "instances": 3, "files": 3}
    assert "trash" not in store.remove(SERIES).to_dict()


def test_a_linked_file_stays_and_is_linked_again(store, tmp_path):
    paths = write_files(tmp_path / "theirs", samples(3))
    bring_in(store, paths, link=True)
    trash = remove(store)

    assert local_uids(store) == set()
    assert all(path.is_file() for path in paths)
    assert store.undo_remove(trash).instances == 3
    assert {store.path_of(f) for f in store.catalogue.local_files(Level.SERIES, SERIES.uids)} == set(paths)


def test_a_linked_file_that_is_gone_or_another_one_is_named_and_the_rest_comes_back(store, tmp_path):
    paths = write_files(tmp_path / "theirs", samples(3))
    bring_in(store, paths, link=True)
    trash = remove(store)
    paths[0].unlink()
    paths[1].write_bytes(Sample(number=77).file)
    undone = store.undo_remove(trash)

    assert undone.instances == 1
    assert [failure.subject for failure in undone.failed] == ["1.2.1.1.1", "1.2.1.1.2"]
    assert local_uids(store) == {"1.2.1.1.3"}
    assert store.verify().ok


def test_what_is_here_again_meanwhile_is_kept(store):
    receive(store, samples(3))
    trash = remove(store)
    receive(store, [Sample(number=2, pixels=b"\7\7" * 50)])
    new = contents(store)["1.2.1.1.2"]
    undone = store.undo_remove(trash)

    assert undone.instances == 2
    assert undone.failed == ()
    assert contents(store)["1.2.1.1.2"] == new
    assert local_uids(store) == UIDS
    assert store.verify().ok


def test_two_removals_are_undone_in_any_order(store):
    receive(store, [*samples(3), *samples(2, series=2)])
    first, second = remove(store), remove(store, Target(Level.SERIES, ("1.2.1.2",)))

    assert store.undo_remove(first).instances == 3
    assert store.undo_remove(second).instances == 2
    assert len(local_uids(store)) == 5


def test_nothing_is_undone_twice(store):
    receive(store, samples(3))
    trash = remove(store)
    store.undo_remove(trash)
    with pytest.raises(UsageError, match="cannot be undone any more"):
        store.undo_remove(trash)
    assert local_uids(store) == UIDS


@pytest.mark.parametrize("trash", ["", "..", "0" * 32, "../" * 5 + "etc", "\0", "0" * 31 + "\n"])
def test_another_name_is_no_removal(store, trash):
    with pytest.raises(UsageError, match="cannot be undone"):
        store.undo_remove(trash)


def test_removing_what_is_not_here_leaves_no_trash(store, folder):
    assert remove(store) == ""
    assert not folder.trash_folder.exists()


def test_the_trash_is_emptied_when_the_store_closes(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(3))
        remove(store)
        assert folder.trash_folder.exists()
    assert not folder.trash_folder.exists()
    assert assert_at_rest(folder) == set()


def test_a_reader_neither_removes_nor_empties_the_trash(store, folder):
    receive(store, samples(3))
    trash = remove(store)
    with LocalStore.open(folder.root, read_only=True) as reader, pytest.raises(FolderInUse):
        reader.undo_remove(trash)
    assert store.undo_remove(trash).instances == 3


def test_a_file_in_the_trash_with_a_row_of_another_program_is_not_deleted(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(3))
        trash = remove(store)
        receive(store, samples(3))
        file = folder.trash_folder / trash / "000001.dcm"
        aside = shutil.copytree(folder.trash_folder, folder.root / "aside")
    shutil.copytree(aside, folder.trash_folder)
    shutil.rmtree(aside)
    name = f".trash/{trash}/000001.dcm"
    change(folder.ctk_database, "UPDATE Images SET Filename = ? WHERE SOPInstanceUID = ?", name, "1.2.1.1.1")
    with LocalStore.open(folder.root) as store:
        assert file.is_file()
    assert file.is_file()


def test_a_link_in_the_place_of_the_trash_is_not_followed(folder, tmp_path):
    outside = tmp_path / "outside" / ("a" * 32)
    outside.mkdir(parents=True)
    (outside / "file").write_bytes(b"theirs")
    folder.root.mkdir(parents=True)
    try:
        folder.trash_folder.symlink_to(outside.parent, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    with LocalStore.open(folder.root) as store, pytest.raises(UsageError):
        store.undo_remove("a" * 32)
    assert (outside / "file").read_bytes() == b"theirs"


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: b"{",
        lambda document: b"[" * 100_000,
        lambda document: json.dumps({**document, "version": 2}).encode(),
        lambda document: json.dumps({**document, "entries": [["1.2", "dicom/x.dcm", "../../x.dcm"]]}).encode(),
        lambda document: json.dumps({**document, "entries": [[1]]}).encode(),
    ],
)
def test_a_damaged_manifest_is_refused(store, folder, damage):
    receive(store, samples(3))
    trash = remove(store)
    manifest = folder.trash_folder / trash / "manifest.json"
    manifest.write_bytes(damage(json.loads(manifest.read_bytes())))
    with pytest.raises(BadData, match="damaged"):
        store.undo_remove(trash)
    assert local_uids(store) == set()


@pytest.mark.parametrize("file", ["visual-dicom-browser.sqlite", "../outside.dcm", "dicom/../x.dcm", ".trash/x.dcm"])
def test_a_manifest_that_leads_elsewhere_brings_nothing_there(store, folder, file):
    receive(store, samples(1))
    trash = remove(store)
    manifest = folder.trash_folder / trash / "manifest.json"
    document = json.loads(manifest.read_bytes())
    document["entries"][0][1] = file
    manifest.write_bytes(json.dumps(document).encode())
    undone = store.undo_remove(trash)

    assert undone.instances == 0
    assert [failure.subject for failure in undone.failed] == ["1.2.1.1.1"]
    assert store.verify().ok


def test_without_a_manifest_nothing_is_removed(store, monkeypatch):
    receive(store, samples(3))

    def full(*_: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(trash_module, "_write", full)
    with pytest.raises(StorageError, match="full"):
        remove(store)
    assert local_uids(store) == UIDS
    assert store.verify().ok


def test_an_undo_that_the_disk_hinders_is_taken_back_and_can_be_tried_again(store, monkeypatch):
    receive(store, samples(3))
    before = contents(store)
    trash = remove(store)

    def full(*_: object, **__: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(store._rows, "insert", full)
        undone = store.undo_remove(trash)
        assert undone.instances == 0
        assert len(undone.failed) == 3
    assert store.verify().ok
    assert store.undo_remove(trash).instances == 3
    assert contents(store) == before


def test_an_undo_that_was_hindered_is_finished_by_the_next_start(folder, monkeypatch):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(3))
        trash = remove(store)

        def full(*_: object, **__: object) -> None:
            raise StorageError("The disk is full.")

        monkeypatch.setattr(store._rows, "insert", full)
        store.undo_remove(trash)
    assert assert_at_rest(folder) == UIDS
    assert not folder.trash_folder.exists()


def test_the_manifest_names_no_file_outside_its_folder(store, folder):
    receive(store, samples(2))
    trash = Trash.open(folder, remove(store))

    assert [entry.name for entry in trash.entries] == ["000001.dcm", "000002.dcm"]
    assert all(trash.place_of(entry).parent == folder.trash_folder / trash.trash_id for entry in trash.entries)


_STEPS = """
import os, signal, sys
from pathlib import Path
from unit.store.store_kit import bring_in, receive, samples, write_files
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import catalogue, ctk_database, local, recovery, trash, undo, writer

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

folder, theirs, phase, owner, name, when, nth = sys.argv[1:]
owner = eval(owner)
with local.LocalStore.open(Path(folder)) as store:
    receive(store, samples(3))
    bring_in(store, write_files(Path(theirs), samples(2, series=2)), link=True)
    left = int(nth)
    original = getattr(owner, name)
    def dying(*args, **options):
        global left
        left -= 1
        if left:
            return original(*args, **options)
        if when == "after":
            original(*args, **options)
        die()
    if phase == "remove":
        setattr(owner, name, dying)
    removed = store.remove(Target(Level.STUDY, ("1.2.1",)), undoable=True).trash
    setattr(owner, name, dying)
    store.undo_remove(removed)
    # only a step of the closing is left
"""

_LINKED = {f"1.2.1.2.{n}" for n in (1, 2)}


def _crash(folder, tmp_path, phase: str, owner: str, name: str, when: str, nth: int = 1) -> set[str]:
    words = [str(folder.root), str(tmp_path / "theirs"), phase, owner, name, when, str(nth)]
    command = [sys.executable, "-c", _STEPS, *words]
    assert subprocess.run(command, env=environment(), timeout=60, check=False).returncode == -signal.SIGKILL
    local = assert_at_rest(folder)
    assert not folder.trash_folder.exists()
    assert len(list((tmp_path / "theirs").iterdir())) == 2
    return local


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("owner", "name", "when", "nth", "removed"),
    [
        ("trash", "_write", "before", 1, False),
        ("trash.Trash", "make", "after", 1, False),
        ("catalogue.Catalogue", "add_intents", "before", 1, False),
        ("catalogue.Catalogue", "add_intents", "after", 1, True),
        ("ctk_database.CtkDatabase", "remove", "after", 1, True),
        ("catalogue.Catalogue", "remove_local", "after", 1, True),
        ("trash", "replace_with_retry", "before", 1, True),
        ("trash", "replace_with_retry", "after", 2, True),
        ("catalogue.Catalogue", "clear_intents", "before", 1, True),
        ("catalogue.Catalogue", "clear_intents", "after", 1, True),
    ],
)
def test_a_crash_while_removing_leaves_the_old_state_or_a_finished_removal(
    folder, tmp_path, owner, name, when, nth, removed
):
    local = _crash(folder, tmp_path, "remove", owner, name, when, nth)

    assert local == (set() if removed else UIDS | _LINKED)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("owner", "name", "when", "nth", "back"),
    [
        ("trash", "_write", "before", 1, False),
        ("trash.Trash", "mark", "after", 1, True),
        ("catalogue.Catalogue", "add_intents", "before", 1, True),
        ("catalogue.Catalogue", "add_intents", "after", 1, True),
        ("trash", "replace_with_retry", "after", 2, True),
        ("ctk_database.CtkDatabase", "insert", "before", 1, True),
        ("ctk_database.CtkDatabase", "insert", "after", 1, True),
        ("catalogue.Catalogue", "add_local", "before", 1, True),
        ("catalogue.Catalogue", "add_local", "after", 1, True),
        ("undo", "forget", "before", 1, True),
        ("undo", "forget", "after", 1, True),
    ],
)
def test_a_crash_while_undoing_leaves_a_finished_removal_or_brings_all_back(
    folder, tmp_path, owner, name, when, nth, back
):
    local = _crash(folder, tmp_path, "undo", owner, name, when, nth)

    assert local == (UIDS | _LINKED if back else set())
