"""The private folder of a session, and the bounded cache in it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.engine.parent import is_running
from VisualDICOMBrowserLib.engine.session_folder import FileCache, SessionFolder, sweep

posix = pytest.mark.skipif(os.name != "posix", reason="permissions")


@pytest.fixture
def ended() -> int:
    """Give the pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    return process.pid


def renamed(folder: SessionFolder, pid: int) -> Path:
    """Return the folder of another engine, with one file in it."""
    file = folder.new_path(".raw")
    file.touch()
    other = file.parent.with_name(file.parent.name.replace(f"-{os.getpid()}-", f"-{pid}-"))
    return file.parent.rename(other)


@posix
def test_only_the_user_may_look_into_it(tmp_path):
    with SessionFolder(tmp_path) as folder:
        mode = folder.new_path(".raw").parent.stat().st_mode
    assert stat.S_IMODE(mode) == 0o700


def test_it_is_deleted_in_the_end_and_named_after_its_process(tmp_path):
    with SessionFolder(tmp_path) as folder:
        file = folder.new_path(".raw")
        file.touch()
        assert f"-{os.getpid()}-" in file.parent.name
        assert folder.new_path(".raw") != file
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_before_it_is_needed(tmp_path):
    with SessionFolder(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_the_next_engine_deletes_what_an_ended_one_left_and_nothing_else(tmp_path, ended):
    left = renamed(SessionFolder(tmp_path), ended)
    alive = renamed(SessionFolder(tmp_path), os.getppid())
    (tmp_path / "something else").mkdir()
    with SessionFolder(tmp_path) as folder:
        folder.new_path(".raw")
        assert not left.exists()
        assert alive.exists()
        assert (tmp_path / "something else").exists()


@posix
def test_a_link_under_such_a_name_is_not_followed(tmp_path, ended):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    left = renamed(SessionFolder(tmp_path), ended)
    (left / "1.raw").unlink()
    left.rmdir()
    left.symlink_to(tmp_path / "precious")
    sweep(tmp_path)
    assert (tmp_path / "precious" / "file").exists()


def test_a_parent_that_is_not_there_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        SessionFolder(tmp_path / "none").new_path(".raw")


def test_processes_run_until_they_end(ended):
    assert is_running(os.getpid())
    assert not is_running(ended)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(cache: FileCache[str], folder: Path, name: str, size: int = 10, **options: float) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    cache.put(name, name.upper(), path, size, **options)
    return path


def test_files_used_least_recently_make_room(tmp_path):
    cache: FileCache[str] = FileCache(25)
    first, second = kept(cache, tmp_path, "a"), kept(cache, tmp_path, "b")
    assert cache.get("a") == "A"
    kept(cache, tmp_path, "c")
    assert (first.exists(), second.exists()) == (True, False)
    assert (cache.get("b"), cache.get("c")) == (None, "C")


def test_the_newest_file_stays_even_if_it_is_too_large(tmp_path):
    cache: FileCache[str] = FileCache(25)
    kept(cache, tmp_path, "a")
    assert kept(cache, tmp_path, "b", 100).exists()
    assert (cache.get("a"), cache.get("b")) == (None, "B")


def test_entries_are_bounded_in_number_and_in_time(tmp_path):
    clock = Clock()
    cache: FileCache[str] = FileCache(10_000, 2, clock)
    shared = kept(cache, tmp_path, "a", 0, seconds=5)
    cache.put("b", "B", shared, 0)
    assert cache.get("a") == "A"
    clock.now = 6
    assert (cache.get("a"), cache.get("b")) == (None, "B")
    cache.put("c", "C", shared, 0)
    cache.put("d", "D", shared, 0)
    assert (cache.get("b"), cache.get("c"), cache.get("d")) == (None, "C", "D")
    assert shared.exists()


def test_a_file_that_is_gone_is_not_returned(tmp_path):
    cache: FileCache[str] = FileCache(100)
    kept(cache, tmp_path, "a").unlink()
    assert cache.get("a") is None
