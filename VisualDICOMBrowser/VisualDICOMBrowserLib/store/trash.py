"""Removed files that can still be brought back: ``.trash/<id>/`` in the database folder.

Each removal has a folder of its own with a manifest, written before anything is touched; files are moved there, never
copied. Undoing sets a mark first. So a crash leaves one of these, and the next start settles each:

* a manifest and the old state: nothing was removed, the folder goes;
* open removal intents: :mod:`.recovery` finishes the removal, the folder goes;
* a finished removal: the folder goes, as it does when the store is closed;
* the mark: the undoing is finished, then the folder goes.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import BadData, UsageError
from .files import PartFile, fsync_folder, make_folder, replace_with_retry, storage_error
from .layout import DatabaseFolder

_MANIFEST = "manifest.json"
_MARK = "undo"
_VERSION = 1
_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"(?:[0-9]{6,9}\.dcm)?")
_MAX_MANIFEST = 256 * 1024 * 1024


@dataclass(frozen=True)
class TrashEntry:
    """An instance that was removed.

    :ivar file: its stored name while it was here.
    :ivar name: of its file in the trash; empty if the file is a linked one, which stayed where it is.
    """

    sop_uid: str
    file: str
    name: str


class Trash:
    """One removal; made by :meth:`make` or :meth:`open`."""

    def __init__(self, folder: DatabaseFolder, trash_id: str, entries: Sequence[TrashEntry]) -> None:
        self.trash_id = trash_id
        self.entries = list(entries)
        self._folder = folder
        self._path = folder.trash_folder / trash_id
        self._places = {entry.sop_uid: self._path / entry.name for entry in entries if entry.name}

    @classmethod
    def make(cls, folder: DatabaseFolder, files: Sequence[tuple[str, str]]) -> Trash:
        """Begin a removal of instances: (SOP Instance UID, stored name). The manifest is on the disk when this returns.

        :raises StorageError: it cannot be written.
        """
        entries = [
            TrashEntry(sop_uid, file, f"{number:06d}.dcm" if _is_ours(folder, file) else "")
            for number, (sop_uid, file) in enumerate(files, 1)
        ]
        trash = cls(folder, uuid.uuid4().hex, entries)
        document = {"version": _VERSION, "entries": [[e.sop_uid, e.file, e.name] for e in entries]}
        _write(trash._path / _MANIFEST, json.dumps(document).encode("ascii"))
        return trash

    @classmethod
    def open(cls, folder: DatabaseFolder, trash_id: str) -> Trash:
        """Read a manifest.

        :raises UsageError: there is no such removal (any more).
        :raises BadData: the manifest is damaged.
        """
        if not _ID.fullmatch(trash_id) or not _is_real(folder):
            raise UsageError(_GONE)
        try:
            with (folder.trash_folder / trash_id / _MANIFEST).open("rb") as file:
                raw = file.read(_MAX_MANIFEST)
        except FileNotFoundError:
            raise UsageError(_GONE) from None
        except OSError as error:
            raise storage_error(error, "read what was removed") from error
        return cls(folder, trash_id, _entries(raw))

    def take(self, sop_uid: str, path: Path) -> bool:
        """Move the file of an instance into the trash; False if it has no place here.

        :raises StorageError: it cannot be moved.
        """
        place = self._places.get(sop_uid)
        if place is None:
            return False
        replace_with_retry(path, place)
        return True

    def mark(self) -> None:
        """Write down that this removal is being undone."""
        _write(self._path / _MARK, b"")

    @property
    def is_marked(self) -> bool:
        """Whether this removal was being undone."""
        return (self._path / _MARK).exists()

    def place_of(self, entry: TrashEntry) -> Path:
        """Return where the file of an entry lies now: in the trash, or where it always was.

        :raises BadData: the manifest leads out of the folder.
        """
        place = self._places.get(entry.sop_uid)
        return place if place is not None and place.is_file() else self._folder.absolute(entry.file)


_GONE = "This removal cannot be undone any more."


class TrashedFile:
    """A file in the trash on its way back, as the store's writer wants its files."""

    def __init__(self, place: Path, final: Path) -> None:
        self._place = place
        self._final = final

    @property
    def part(self) -> Path:
        """Where it lies."""
        return self._place

    def rest(self) -> None:
        """Nothing is open."""

    def retarget(self, final: Path) -> None:
        """Give the file another destination."""
        self._final = final

    def commit(self) -> Path:
        """Give the file its old name."""
        make_folder(self._final.parent)
        if self._place != self._final:
            replace_with_retry(self._place, self._final)
        return self._final

    def discard(self) -> None:
        """Leave the file where it is: either it is here already, or undoing is tried again."""

    def take_back(self) -> None:
        """Undo :meth:`commit`."""
        if self._place != self._final and self._final.is_file():
            replace_with_retry(self._final, self._place)


def removals(folder: DatabaseFolder) -> Iterator[str]:
    """Yield the ids of all removals that are in the trash."""
    if _is_real(folder):
        for path in sorted(folder.trash_folder.iterdir()):
            if _ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path.name


def forget(folder: DatabaseFolder, trash_id: str) -> None:
    """Delete what is left of a removal."""
    if _ID.fullmatch(trash_id) and _is_real(folder):
        shutil.rmtree(folder.trash_folder / trash_id, ignore_errors=True)
        with suppress(OSError):  # another removal may still be undone
            folder.trash_folder.rmdir()


def _is_real(folder: DatabaseFolder) -> bool:
    """Tell whether the trash is a folder of ours and no link to somewhere else."""
    return folder.trash_folder.is_dir() and not folder.trash_folder.is_symlink()


def _is_ours(folder: DatabaseFolder, file: str) -> bool:
    path = folder.find(file)
    return path is not None and folder.owns(path)


def _write(path: Path, content: bytes) -> None:
    with PartFile(path) as part:
        part.write(content)
        part.commit()
    for parent in list(path.parents)[:3]:
        fsync_folder(parent)


def _entries(raw: bytes) -> list[TrashEntry]:
    try:
        document: Any = json.loads(raw)
        if document["version"] != _VERSION:
            raise ValueError
        entries = [TrashEntry(str(uid), str(file), str(name)) for uid, file, name in document["entries"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadData("The list of what was removed is damaged.") from error
    if not all(_NAME.fullmatch(entry.name) for entry in entries):
        raise BadData("The list of what was removed is damaged.")
    return entries
