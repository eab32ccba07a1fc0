"""One engine a folder, by a lock of the operating system, which ends with the process however it dies."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
import weakref
from datetime import datetime
from types import TracebackType

from ..domain.errors import FolderInUse
from .files import storage_error
from .layout import DatabaseFolder

_MAX_HOLDER_BYTES = 4096
# What POSIX and Windows say of a lock that another one holds; anything else is a file system without locks.
_TAKEN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}

_log = logging.getLogger(__name__)

if sys.platform == "win32":
    import msvcrt

    # Windows locks are mandatory: a byte far behind the text lets others read who holds the folder.
    _LOCKED_BYTE = 1 << 20

    def _try_lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FolderLock:
    """The right to write in a database folder. The lock file says who holds it: pid, host, since.

    :ivar was_left: whether who held it before did not give it back, but ended or was killed.
    """

    def __init__(self, folder: DatabaseFolder) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        self.was_left = False

    @property
    def held(self) -> bool:
        """Whether this object holds the folder."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the folder, creating it if need be.

        :raises FolderInUse: another engine holds it; the sentence names it.
        :raises StorageError: the folder cannot be written.
        """
        try:
            self._folder.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder.lock_file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise storage_error(error, "write in the database folder") from error
        try:
            _try_lock(descriptor)
        except OSError as error:
            who = _holder(descriptor)
            os.close(descriptor)
            if error.errno not in _TAKEN:
                raise storage_error(error, "lock the database folder") from error
            raise FolderInUse(f"{self._folder.root} is in use by {who}.") from error
        self._descriptor = descriptor
        self.was_left = os.fstat(descriptor).st_size > 0
        _held.add(self)
        _replace_text(descriptor, _myself())

    def release(self) -> None:
        """Give the folder back; nothing happens if it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        _held.discard(self)
        try:
            _replace_text(descriptor, b"")
            _unlock(descriptor)
        finally:
            os.close(descriptor)

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _forget(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


# A forked child shares the lock, and would keep it after the death of its parent.
_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_held):
        lock._forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


def _myself() -> bytes:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode()


def _replace_text(descriptor: int, text: bytes) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)
    except OSError as error:  # the lock holds without its text, and a full disk must not prevent removing files
        _log.info("The lock file could not be written: %s", error.strerror)


def _holder(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        values = json.loads(os.read(descriptor, _MAX_HOLDER_BYTES))
        return f"process {int(values['pid'])} on host {values['host']} since {values['since']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"  # caught between locking and writing its name
