"""Instances that come and are here already: is it the same content? If not, the first one is kept, and it is said.

Most are equal byte by byte, which is found out here. The others are compared element by element, with their pixels
decoded where the encodings differ, by whoever the engine sets in :attr:`Duplicates.compare`: a process of its own,
since both files may be broken. Nothing here is done while the store is locked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..domain.errors import BadData, InternalError
from ..domain.model import Level
from ..domain.results import Conflict
from .catalogue import Catalogue, LocalFile
from .files import storage_error
from .headers import Header
from .layout import DatabaseFolder
from .local_records import file_of

#: Names the elements in which two files differ, none if they have the same content.
#:
#: Raises :class:`.BadData` where it cannot be told, :class:`.StorageError` where a file cannot be read.
Compare = Callable[[Path, Path], Sequence[str]]

_CHUNK = 128 * 1024


@dataclass(frozen=True)
class Here:
    """An instance that is on this computer, whole and readable."""

    local: LocalFile
    path: Path
    header: Header


class NotHere(Exception):
    """The instance is not here (any more)."""


class Duplicates:
    """See the module. Safe to use from several threads.

    :ivar compare: compares what is not equal byte by byte.
    """

    def __init__(self, folder: DatabaseFolder, catalogue: Catalogue) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self.compare: Compare = _cannot_compare

    def here(self, sop_uids: Iterable[str]) -> dict[str, Here]:
        """Return those instances that are really here: with a row, and a file that is whole and says the same."""
        found: dict[str, Here] = {}
        for local in self._catalogue.local_files(Level.IMAGE, sop_uids):
            uid = local.instance.sop_uid
            file = file_of(self._folder, uid, local.file)
            if file is not None:
                found[uid] = Here(local, *file)
        return found

    def is_file_of(self, sop_uid: str, path: Path) -> bool:
        """Tell whether a file is the very one that is here of an instance."""
        here = self.here([sop_uid]).get(sop_uid)
        try:
            return here is not None and here.path.samefile(path)
        except OSError:
            return False

    def judge(self, path: Path, header: Header, source: str) -> Conflict | None:
        """Compare a file with the instance that is here; None if the content is the same.

        :param source: where the file came from, for people.
        :raises NotHere: there is nothing to compare it with.
        :raises StorageError: one of the files cannot be read.
        :raises Cancelled: nobody can compare any more.
        """
        if self.is_copy(path, header):
            return None
        here = self.here([header.sop_uid]).get(header.sop_uid)
        if here is None:
            raise NotHere
        return self._judge(here.path, here.header, path, header, source)

    def judge_stored(self, sop_uid: str, first: str, second: str) -> Conflict | None:
        """Compare two files of an instance that both have their places, as :meth:`judge` does.

        :param first: the stored name of the one that is kept.
        """
        here, other = file_of(self._folder, sop_uid, first), file_of(self._folder, sop_uid, second)
        if here is None or (other is None and self._folder.find(second) is not None):
            raise NotHere
        return self._judge(*here, *other, "") if other is not None else None

    def _judge(self, here: Path, kept: Header, path: Path, header: Header, source: str) -> Conflict | None:
        if _is_equal(here, kept, path, header):
            return None
        try:
            tags = tuple(self.compare(here, path))
        except (BadData, InternalError) as error:
            return Conflict(header.sop_uid, f"{_UNSURE} {error}", (), source)
        return Conflict(header.sop_uid, _OTHER, tags, source) if tags else None

    def is_copy(self, path: Path, header: Header, *, owned: bool = False) -> bool:
        """Tell whether the file that is here is the same to the last byte: so it is whole, and not looked into.

        :param owned: whether it must lie in the folder, and not be linked.
        """
        for local in self._catalogue.local_files(Level.IMAGE, [header.sop_uid]):
            with suppress(BadData, OSError):
                here = self._folder.absolute(local.file)
                if here.stat().st_size == header.size and (not owned or self._folder.owns(here)):
                    return _same_from(here, 0, path, 0)
        return False


_OTHER = "It has other content than what is here, which was kept."
_UNSURE = "What is here was kept, since it cannot be told whether this has the same content:"


def _cannot_compare(first: Path, second: Path) -> Sequence[str]:
    del first, second
    raise BadData("The data sets are not equal byte by byte.")


def _is_equal(here: Path, kept: Header, path: Path, header: Header) -> bool:
    """Tell whether both are one file, or have the same data set in the same encoding."""
    try:
        sizes = (kept.size - kept.offset, header.size - header.offset)
        if kept.transfer_syntax != header.transfer_syntax or sizes[0] != sizes[1]:
            return False
        return _same_from(here, kept.offset, path, header.offset)
    except OSError as error:
        raise storage_error(error, "read the file") from error


def _same_from(first: Path, start: int, second: Path, begin: int) -> bool:
    with first.open("rb", buffering=0) as one, second.open("rb", buffering=0) as other:
        if os.path.sameopenfile(one.fileno(), other.fileno()):
            return True
        one.seek(start)
        other.seek(begin)
        while data := one.read(_CHUNK):
            if data != other.read(len(data)):
                return False
        return not other.read(1)
