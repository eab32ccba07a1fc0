from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.store import files
from VisualDICOMBrowserLib.store.files import PartFile, fsync_folder, replace_with_retry, unlink_with_retry


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "image.dcm"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_only_when_committed(final):
    with PartFile(final) as part:
        part.write(b"abc")
        part.write(memoryview(b"def"))
        assert part.part == final.with_name("image.dcm.part")
        assert not final.exists()
        assert part.commit() == final
    assert final.read_bytes() == b"abcdef"
    assert part.size == 6
    assert _names(final.parent) == ["image.dcm"]


def test_leaving_the_block_without_commit_leaves_nothing(final):
    with pytest.raises(ValueError, match="peer"), PartFile(final) as part:  # noqa: PT012
        part.write(b"abc")
        raise ValueError("peer went away")
    assert _names(final.parent) == []


def test_a_part_left_by_a_crash_is_replaced(final):
    final.parent.mkdir(parents=True)
    final.with_name("image.dcm.part").write_bytes(b"left by a crash, and longer")
    with PartFile(final) as part:
        part.write(b"new")
        part.commit()
    assert final.read_bytes() == b"new"
    assert _names(final.parent) == ["image.dcm"]


def test_a_part_that_is_a_symbolic_link_is_not_followed(final, tmp_path):
    final.parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    final.with_name("image.dcm.part").symlink_to(victim)
    with PartFile(final) as part:
        part.write(b"new")
        part.commit()
    assert victim.read_bytes() == b"precious"
    assert final.read_bytes() == b"new"


def test_two_writers_of_one_file_do_not_disturb_each_other(final):
    with PartFile(final) as first, PartFile(final) as second:
        first.write(b"first")
        second.write(b"second")
        assert second.part == final.with_name("image.dcm.2.part")
        second.commit()
        first.commit()
    assert final.read_bytes() == b"first"
    assert _names(final.parent) == ["image.dcm"]


def test_leaving_the_block_after_a_commit_does_not_take_the_next_writers_file(final):
    with PartFile(final) as first:
        first.commit()
        second = PartFile(final)
    second.write(b"second")
    second.commit()
    assert final.read_bytes() == b"second"


def test_a_name_is_free_again_after_a_failure(tmp_path):
    (tmp_path / "file").touch()
    for _ in range(2):
        with pytest.raises(StorageError):
            PartFile(tmp_path / "file" / "image.dcm")
    (tmp_path / "file").unlink()
    with PartFile(tmp_path / "file" / "image.dcm") as part:
        assert part.part.name == "image.dcm.part"


def test_many_threads_may_write_the_same_file(final):
    failures: list[Exception] = []

    def write(content: bytes) -> None:
        try:
            with PartFile(final) as part:
                part.write(content * 100_000)
                part.commit()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(bytes([65 + n]),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(set(final.read_bytes())) == 1
    assert _names(final.parent) == ["image.dcm"]


def test_commit_syncs_once_and_only_what_came_since(final, monkeypatch):
    synced: list[int] = []
    monkeypatch.setattr(files.os, "fsync", synced.append)
    with PartFile(final) as part:
        part.write(b"abc")
        part.sync()
        part.commit()
    assert len(synced) == 1
    with PartFile(final) as part:
        part.write(b"abc")
        part.sync()
        part.write(b"def")
        part.commit()
    assert len(synced) == 3


def test_a_write_in_pieces_is_completed(final, monkeypatch):
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    with PartFile(final) as part:
        part.write(b"0123456789")
        part.commit()
    assert final.read_bytes() == b"0123456789"


def _failing(number: int, winerror: int | None = None):
    def fail(*_args: object, **_more: object) -> None:
        error = OSError(number, os.strerror(number))
        if winerror is not None:
            error.winerror = winerror
        raise error

    return fail


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_is_said_in_plain_words_and_leaves_no_part(final, monkeypatch, call):
    with pytest.raises(StorageError) as caught, PartFile(final) as part:  # noqa: PT012
        monkeypatch.setattr(files.os, call, _failing(errno.ENOSPC))
        part.write(b"abc")
        part.commit()
    assert str(caught.value) == "The disk is full."
    monkeypatch.undo()
    assert _names(final.parent) == []


def test_an_error_never_names_the_file(tmp_path):
    target = tmp_path / "DOE^JANE"
    target.write_bytes(b"a file where a folder is needed")
    with pytest.raises(StorageError) as caught:
        PartFile(target / "image.dcm")
    assert "DOE" not in str(caught.value)


def test_a_failed_commit_leaves_the_old_file_and_no_part(final, monkeypatch):
    final.parent.mkdir(parents=True)
    final.write_bytes(b"old")
    monkeypatch.setattr(files.os, "replace", _failing(errno.EACCES))
    with pytest.raises(StorageError, match="No permission to rename the file"), PartFile(final) as part:
        part.commit()
    assert final.read_bytes() == b"old"
    assert _names(final.parent) == ["image.dcm"]


def test_a_file_cannot_be_written_after_its_commit(final):
    part = PartFile(final)
    part.commit()
    with pytest.raises(StorageError, match="closed"):
        part.write(b"x")
    part.discard()
    assert final.exists()


def test_a_folder_that_vanishes_before_the_file_is_opened_is_made_again(final, monkeypatch):
    real, calls = os.open, []

    def open_once_too_late(path: Path, flags: int, mode: int = 0o777) -> int:
        calls.append(path)
        if len(calls) == 1:
            final.parent.rmdir()
        return real(path, flags, mode)

    monkeypatch.setattr(files.os, "open", open_once_too_late)
    with PartFile(final) as part:
        part.commit()
    assert final.exists()


def test_sharing_violations_are_waited_for(tmp_path, monkeypatch):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    waits: list[float] = []

    def end_of_wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            monkeypatch.undo()

    monkeypatch.setattr(files.time, "sleep", end_of_wait)
    monkeypatch.setattr(files.os, "replace", _failing(errno.EACCES, winerror=32))
    replace_with_retry(source, target)
    assert target.read_bytes() == b"x"
    assert len(waits) == 3


def test_a_lasting_sharing_violation_fails_in_the_end(tmp_path, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(files.time, "sleep", waits.append)
    monkeypatch.setattr(Path, "unlink", _failing(errno.EACCES, winerror=32))
    with pytest.raises(StorageError, match="No permission to delete the file"):
        unlink_with_retry(tmp_path / "x")
    assert 1 < sum(waits) < 3


def test_unlink_tells_whether_the_file_was_there(tmp_path):
    (tmp_path / "x").touch()
    assert unlink_with_retry(tmp_path / "x")
    assert not unlink_with_retry(tmp_path / "x")


def test_a_folder_can_be_synced(tmp_path):
    fsync_folder(tmp_path)
    with pytest.raises(StorageError):
        fsync_folder(tmp_path / "missing")
