from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import VisualDICOMBrowserLib
from VisualDICOMBrowserLib.domain.errors import FolderInUse, StorageError
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.lock import FolderLock

_HOLD = """
import sys
from pathlib import Path
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.lock import FolderLock
lock = FolderLock(DatabaseFolder(Path(sys.argv[1])))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(folder: DatabaseFolder):
    path = str(Path(next(iter(VisualDICOMBrowserLib.__path__))).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    with process:
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_folder(folder, holder):
    with pytest.raises(FolderInUse, match=rf"in use by process {holder.pid} on host .+ since \d{{4}}-") as caught:
        FolderLock(folder).acquire()
    assert str(folder.root) in str(caught.value)


def test_the_folder_is_free_once_its_holder_is_killed(folder, holder):
    holder.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    holder.wait(10)
    with FolderLock(folder) as lock:
        assert lock.held


def test_the_folder_is_free_once_its_holder_ends(folder, holder):
    holder.communicate(timeout=10)
    with FolderLock(folder) as lock:
        assert lock.held


def test_the_lock_file_can_be_read_by_others(folder):
    with FolderLock(folder):
        values = json.loads(folder.lock_file.read_text())
    assert values["pid"] == os.getpid()
    assert set(values) == {"pid", "host", "since"}


def test_a_folder_is_locked_within_one_process_too(folder):
    with FolderLock(folder), pytest.raises(FolderInUse, match=str(os.getpid())):
        FolderLock(folder).acquire()


def test_a_released_folder_can_be_taken_again(folder):
    first, second = FolderLock(folder), FolderLock(folder)
    first.acquire()
    first.release()
    first.release()
    assert not first.held
    with second:
        assert second.held


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"pid": "x"}', b"\xff\xfe", b"null", b'{"pid": [], "host": 1}'])
def test_a_lock_file_of_nonsense_is_another_process(folder, text):
    with FolderLock(folder):
        folder.lock_file.write_bytes(text)
        with pytest.raises(FolderInUse, match="in use by another process"):
            FolderLock(folder).acquire()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_folder(folder):
    lock = FolderLock(folder)
    lock.acquire()
    read, write = os.pipe()
    ready, is_ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.write(is_ready, b".")
        os.read(read, 1)  # until the parent closes its end
        os._exit(0)
    try:
        assert os.read(ready, 1) == b"."
        os.close(lock._descriptor)  # as the death of the parent would
        lock._descriptor = None
        with FolderLock(folder) as again:
            assert again.held
    finally:
        for descriptor in (write, read, ready, is_ready):
            os.close(descriptor)
        os.waitpid(child, 0)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        FolderLock(DatabaseFolder(tmp_path / "file" / "database")).acquire()


def test_a_file_system_without_locks_is_not_taken_for_another_engine(folder, monkeypatch):
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("VisualDICOMBrowserLib.store.lock._try_lock", fail)
    with pytest.raises(StorageError, match="Could not lock the database folder: No locks available"):
        FolderLock(folder).acquire()


def test_a_full_disk_does_not_prevent_taking_the_folder(folder, monkeypatch):
    def fail(*_args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("VisualDICOMBrowserLib.store.lock.os.write", fail)
    with FolderLock(folder) as lock:
        assert lock.held
