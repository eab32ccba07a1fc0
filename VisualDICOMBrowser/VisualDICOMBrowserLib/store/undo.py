"""Bringing back what was removed: the way of an import, with files that are moved instead of copied."""

from __future__ import annotations

from typing import Protocol

from ..domain.errors import BadData, StorageError
from ..domain.results import Failure, UndoResult
from .headers import read_header
from .layout import DatabaseFolder
from .trash import Trash, TrashedFile, TrashEntry, forget
from .writer import Batch, Pending, StoreWriter


class Store(Protocol):
    """What it needs of the local store."""

    folder: DatabaseFolder

    @property
    def writer(self) -> StoreWriter:
        """Where the instances go."""


def bring_back(trash: Trash, store: Store) -> UndoResult:
    """Give files and rows of a removal their places again.

    What the disk is in the way of stays in the trash, and can be tried again.

    :raises FolderInUse: the folder is open for reading only.
    """
    writer, batch = store.writer, Batch()
    failed: list[Failure] = []
    left = False
    trash.mark()
    try:
        for entry in trash.entries:
            try:
                writer.put(_pending(trash, entry, store.folder), batch)
            except (BadData, StorageError) as error:
                failed.append(Failure(entry.sop_uid, str(error)))
                left |= bool(entry.name) and isinstance(error, StorageError)
    finally:
        batch.wait()
    failed += [Failure(sop_uid, str(error)) for sop_uid, error in batch.failed]
    if not left and not batch.failed:
        forget(store.folder, trash.trash_id)
    return UndoResult(len(batch.stored), tuple(failed))


def _pending(trash: Trash, entry: TrashEntry, folder: DatabaseFolder) -> Pending:
    place, final = trash.place_of(entry), folder.absolute(entry.file)
    if entry.name and not folder.owns(final):
        raise BadData("The file did not lie in the database folder.")
    header = read_header(place)
    if header.sop_uid != entry.sop_uid:
        raise BadData("The file is another one by now.")
    return Pending(header, TrashedFile(place, final) if entry.name else None, final, "undo")
