"""Writing files so that a crash at any time leaves the old file, the new file, or a ``.part``."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from ..domain.errors import DiskFull, FolderUnusable, StorageError

PART_SUFFIX = ".part"
#: The end of the name of a file whose sender was told that it is here: see :mod:`.safekeeping`.
SAFE_SUFFIX = f".safe{PART_SUFFIX}"
#: The end of the name of a file that is to take the place of another: see :mod:`.host_swaps`.
SWAP_SUFFIX = f".swap{PART_SUFFIX}"

_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
# Virus scanners and indexers hold new files open for a moment: ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION,
# ERROR_LOCK_VIOLATION.
_BUSY_ON_WINDOWS = {5, 32, 33}
_RETRY_DELAYS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


def storage_error(error: OSError, doing: str) -> StorageError:
    """Turn an operating-system error into a sentence without the path, which may hold a patient's name.

    :param doing: what failed, as in ``"write the file"``.
    """
    if error.errno in _DISK_FULL:
        return DiskFull()
    if error.errno in _FORBIDDEN:
        return StorageError(f"No permission to {doing}.")
    return StorageError(f"Could not {doing}: {error.strerror or type(error).__name__}.")


class PartFile:
    """A file that appears under its name only when it is complete.

    Until :meth:`commit` it is ``<final>.part`` in the same folder, which is created if need be. A ``.part``
    that a crash left behind is replaced; if this process is writing the same file a second time at once,
    the second one is ``<final>.2.part`` and so on, and the last to commit wins. As a context
    manager it discards what was not committed. One thread at a time.

    :raises StorageError: from the constructor and all methods but :meth:`discard`.
    """

    _live: set[str] = set()  # noqa: RUF012 - shared on purpose, guarded by the lock
    _live_lock = threading.Lock()

    def __init__(self, final: Path) -> None:
        self.final = final
        self.size = 0
        self._synced = False
        self.part = self._claim_name()
        self._claimed = True
        self._descriptor: int | None = None
        try:
            self._descriptor = self._open()
        except OSError as error:
            raise storage_error(error, "create the file") from error
        finally:
            if self._descriptor is None:
                self._release_name()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append ``data``, without a buffer of its own."""
        view = memoryview(data).cast("B")
        try:
            while view:
                written = os.write(self._opened(), view)
                view = view[written:]
                self.size += written
        except OSError as error:
            raise storage_error(error, "write the file") from error
        self._synced = False

    @classmethod
    def is_live(cls, part: Path) -> bool:
        """Tell whether this process is writing the ``.part`` file at this moment."""
        with cls._live_lock:
            return str(part) in cls._live

    def retarget(self, final: Path) -> None:
        """Give the file another destination on the same file system, for one that is known only from its content."""
        self.final = final

    def rest(self) -> None:
        """Give the descriptor back until :meth:`commit`: a process may have few, and many files may wait."""
        self._close()

    def sync(self) -> None:
        """Have all that was written so far on the disk before returning."""
        try:
            if self._descriptor is None and self._claimed:
                self._descriptor = os.open(self.part, os.O_WRONLY | getattr(os, "O_BINARY", 0))
            os.fsync(self._opened())
        except OSError as error:
            raise storage_error(error, "write the file") from error
        self._synced = True

    def commit(self) -> Path:
        """Sync unless nothing came since the last :meth:`sync`, and give the file its name.

        The name itself survives a power cut only after :func:`fsync_folder`. The file is of this moment then: pictures
        of what had the name before are older.
        """
        try:
            if not self._synced:
                self.sync()
            self._close()
            touch(self.part)
            self._rename()
        except StorageError:
            self.discard()
            raise
        self._release_name()
        return self.final

    def take_back(self) -> None:
        """Undo :meth:`commit`: delete the file."""
        unlink_with_retry(self.final)

    def discard(self) -> None:
        """Drop the file; nothing happens after a commit. What cannot be deleted keeps the suffix ``.part``."""
        if not self._claimed:
            return
        try:
            self._close()
            unlink_with_retry(self.part)
        except StorageError:
            return  # swept at the next start
        finally:
            self._release_name()

    def __enter__(self) -> PartFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _claim_name(self) -> Path:
        with self._live_lock:
            part = f"{self.final}{PART_SUFFIX}"
            number = 2
            while part in self._live:
                part = f"{self.final}.{number}{PART_SUFFIX}"
                number += 1
            self._live.add(part)
        return Path(part)

    def _release_name(self) -> None:
        self._claimed = False
        with self._live_lock:
            self._live.discard(str(self.part))

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        for _ in range(10):
            try:
                return os.open(self.part, flags, 0o666)
            except FileExistsError:
                unlink_with_retry(self.part)
            except FileNotFoundError:  # there is no such folder, or somebody removes it while it is empty
                self.part.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.part, flags, 0o666)

    def _rename(self) -> None:
        """Give the file its name, in a folder that is made if need be: one that was made before may be gone again."""
        try:
            replace_with_retry(self.part, self.final)
        except StorageError as error:
            if not isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
                raise
            make_folder(self.final.parent)
            replace_with_retry(self.part, self.final)

    def _opened(self) -> int:
        if self._descriptor is None:
            raise StorageError("The file is closed already.")
        return self._descriptor

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            os.close(descriptor)
        except OSError as error:
            raise storage_error(error, "write the file") from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    :raises FolderUnusable: it failed.
    :raises DiskFull: there is no room for it.
    """
    for more_tries in (2, 1, 0):
        try:
            path.mkdir(parents=True, exist_ok=True)
            return
        except OSError as error:
            if isinstance(error, (FileExistsError, FileNotFoundError)) and more_tries:
                continue  # it, or one above it, was just removed as empty
            why = storage_error(error, "create the folder")
            raise why if isinstance(why, DiskFull) else FolderUnusable(str(why)) from error


def touch(path: Path) -> None:
    """Have a file be of this moment.

    :raises StorageError: it failed.
    """
    try:
        os.utime(path)
    except OSError as error:
        raise storage_error(error, "write the file") from error


def replace_with_retry(source: Path, target: Path) -> None:
    """Rename ``source`` over ``target``, waiting up to 1.6 s for programs that hold it open (Windows only).

    :raises StorageError: it failed.
    """
    for delay in (*_RETRY_DELAYS_S, None):
        try:
            os.replace(source, target)  # noqa: PTH105 - Path.replace makes another Path of the target each time
            return
        except OSError as error:
            _wait_if_busy(error, delay, "rename the file")


def unlink_with_retry(path: Path) -> bool:
    """Delete a file, waiting as :func:`replace_with_retry` does; tell whether it was there.

    :raises StorageError: it failed.
    """
    for delay in (*_RETRY_DELAYS_S, None):
        try:
            path.unlink()
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            _wait_if_busy(error, delay, "delete the file")
    return False


def _wait_if_busy(error: OSError, delay: float | None, doing: str) -> None:
    if delay is None or getattr(error, "winerror", None) not in _BUSY_ON_WINDOWS:
        raise storage_error(error, doing) from error
    time.sleep(delay)


def fsync_folder(path: Path) -> None:
    """Have the names in a folder on the disk; nothing to do on Windows.

    :raises StorageError: it failed.
    """
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, "write the folder") from error
