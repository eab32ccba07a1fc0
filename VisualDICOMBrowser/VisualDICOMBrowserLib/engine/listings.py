"""The elements of files, page by page; the last few files' listings are kept."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import UsageError
from ..domain.views import ElementPage
from ..imaging.children import Decoder
from ..store.files import storage_error
from .element_rows import ElementRows
from .session_folder import SessionFolder

#: Most rows of a page.
MAX_PAGE = 1000
#: How many files' listings are kept.
KEPT = 16
#: Seconds for one listing.
TIMEOUT_S = 20.0

Identity = tuple[Path, int, int]


class Listings:
    """Has children read files once, and turns the pages of what they wrote. Safe from several threads.

    :param folder: where the listings are kept.
    """

    def __init__(self, decoder: Decoder, folder: SessionFolder) -> None:
        self._decoder = decoder
        self._folder = folder
        self._kept: OrderedDict[Identity, tuple[Path, ElementRows]] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, path: Path, offset: int, limit: int, search: str, token: CancelToken) -> ElementPage:
        """Return some of the elements of a file.

        :param limit: at most :data:`MAX_PAGE`.
        :param search: only what matches it, and what that stands below.
        :raises BadData: the file is not DICOM, or a child did not survive it.
        :raises StorageError: it cannot be read, or the listing not be written.
        """
        if offset < 0 or not 0 <= limit <= MAX_PAGE:
            raise UsageError(f"A page begins at 0 or later and has at most {MAX_PAGE} rows.")
        rows = self._rows(path, token)
        total, page = rows.page(offset, limit, search)
        return ElementPage(total, str(path), rows.warning, tuple(page))

    def forget_gone(self) -> None:
        """Delete the listings of files that are not there any more."""
        with self._lock:
            for key in [key for key in self._kept if not key[0].exists()]:
                _discard(self._kept.pop(key)[0])

    def _rows(self, path: Path, token: CancelToken) -> ElementRows:
        key = identity(path)
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known[0].exists():
                self._kept.move_to_end(key)
                return known[1]
        made = self._folder.new_path(".jsonl")
        try:
            answer = self._decoder.ask("elements", path, made, TIMEOUT_S, token=token)
            rows = ElementRows(made, str(answer.get("warning", "")))
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        return self._keep(key, made, rows)

    def _keep(self, key: Identity, made: Path, rows: ElementRows) -> ElementRows:
        """Keep a listing, unless another thread made one meanwhile; return the one that is kept."""
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known[0].exists():
                _discard(made)
                return known[1]
            self._kept[key] = (made, rows)
            while len(self._kept) > KEPT:
                _, (old, _) = self._kept.popitem(last=False)
                _discard(old)
        return rows


def _discard(listing: Path) -> None:
    with contextlib.suppress(OSError):  # somebody reads it on Windows; the folder goes in the end
        listing.unlink()


def identity(path: Path) -> Identity:
    """Return what changes when the file does.

    :raises StorageError: there is no such file.
    """
    try:
        state = os.stat(path)  # noqa: PTH116  the same, faster
    except OSError as error:
        raise storage_error(error, "read the file") from error
    return path, state.st_mtime_ns, state.st_size
