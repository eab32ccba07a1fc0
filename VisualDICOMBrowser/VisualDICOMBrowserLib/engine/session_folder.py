"""A private folder for the files of one engine's session, and a bounded cache of files in it.

It lies in the system's folder for temporary files, which is on this computer (a database folder may be far away, or not
writable), under a name that says whose it is: a digest of the host's name, the engine's pid, something random. Only its
user may look into it. It is deleted when the engine ends; what a killed engine left, the next one deletes.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ..domain.errors import Cancelled
from ..store.files import storage_error
from .parent import is_running

_PREFIX = "visual-dicom-browser"

Content = TypeVar("Content")


class SessionFolder:
    """The folder; made when first needed, and again if somebody tidied it away.

    :param parent: where it is made; the system's folder for temporary files if None.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent if parent is not None else Path(tempfile.gettempdir())
        self._path: Path | None = None
        self._closed = False
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def new_path(self, suffix: str) -> Path:
        """Return the path of a file that does not exist yet.

        :raises StorageError: the folder cannot be made.
        :raises Cancelled: it was closed.
        """
        with self._lock:
            if self._closed:
                raise Cancelled("The engine has ended.")
            if self._path is None:
                sweep(self._parent)
            if self._path is None or not self._path.is_dir():
                self._path = self._make()
            return self._path / f"{next(self._numbers)}{suffix}"

    def _make(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{_host()}-{os.getpid()}-", dir=self._parent))
        except OSError as error:
            raise storage_error(error, "make a folder for temporary files") from error

    def __enter__(self) -> SessionFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the folder."""
        with self._lock:
            self._closed = True
            path, self._path = self._path, None
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Delete the folders of engines of this host and user that have ended without doing so."""
    pattern = re.compile(rf"{_PREFIX}-{_host()}-([0-9]{{1,10}})-\w+")
    with contextlib.suppress(OSError):
        for path in parent.iterdir():
            match = pattern.fullmatch(path.name)
            if match and _is_ours(path) and not is_running(int(match[1])):
                shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    """Tell whether this is a real folder of this user: others may write in the parent, too."""
    if path.is_symlink() or not path.is_dir():
        return False
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


@dataclass
class _Entry(Generic[Content]):
    content: Content
    path: Path
    size: int
    until: float


class FileCache(Generic[Content]):
    """Files and what is known of them; those used least recently go when there are too many bytes.

    :param limit: bytes; the newest file stays even if it is larger.
    :param max_entries: how many files.
    """

    def __init__(self, limit: int, max_entries: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry[Content]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Content | None:
        """Return what was put under a key, None if it is not here, too old, or its file is gone."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._clock() >= entry.until or not entry.path.exists():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry.content

    def put(self, key: Hashable, content: Content, path: Path, size: int, seconds: float = math.inf) -> None:
        """Keep a file, and delete others if need be.

        :param size: bytes that count for it; a file of 0 bytes may belong to several keys, and is never deleted.
        :param seconds: for how long.
        """
        with self._lock:
            if key in self._entries:
                self._drop(key)
            self._entries[key] = _Entry(content, path, size, self._clock() + seconds)
            self._size += size
            while len(self._entries) > 1 and (self._size > self._limit or len(self._entries) > self._max_entries):
                self._drop(next(iter(self._entries)))

    def forget(self, unwanted: Callable[[Hashable], bool]) -> None:
        """Delete the files of keys that are unwanted."""
        with self._lock:
            for key in [key for key in self._entries if unwanted(key)]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key)
        self._size -= entry.size
        if entry.size:
            with contextlib.suppress(OSError):  # mapped by the window on Windows; the folder goes in the end
                entry.path.unlink()
