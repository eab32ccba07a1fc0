"""What a crash left behind: open intents are finished or undone, ``.part`` files swept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..domain.errors import BadData, StorageError
from ..domain.model import Level
from .catalogue import Catalogue
from .ctk_database import CtkDatabase
from .ctk_rows import StoredInstance
from .files import PART_SUFFIX, PartFile, unlink_with_retry
from .headers import read_header
from .layout import DatabaseFolder
from .writer import local_instance


def recover(folder: DatabaseFolder, catalogue: Catalogue, ctk: CtkDatabase) -> None:
    """Bring files, rows and intents into agreement after a crash; nothing happens after an orderly end.

    :raises StorageError: the disk is in the way; open intents stay open.
    """
    sweep(folder.incoming_folder)
    _finish_receiving(folder, catalogue, ctk)
    finish_removing(folder, catalogue, ctk)


def sweep(root: Path) -> int:
    """Delete the ``.part`` files below ``root`` that this process does not write; return how many."""
    parts = (path for path in list(files_below(root)) if path.name.endswith(PART_SUFFIX))
    return sum(unlink_with_retry(path) for path in parts if not PartFile.is_live(path))


def files_below(root: Path) -> Iterator[Path]:
    """Yield all files below a folder, without following links to folders."""
    for parent, _, names in os.walk(root):
        for name in names:
            yield Path(parent, name)


def _finish_receiving(folder: DatabaseFolder, catalogue: Catalogue, ctk: CtkDatabase) -> None:
    """Give rows to files that have their names; what has none never arrived."""
    arrived = []
    undone = []
    for sop_uid, file in catalogue.intents("receive"):
        path = folder.find(file)
        try:
            header = read_header(path) if path is not None else None
        except (BadData, StorageError):
            header = None  # a link whose target changed, perhaps: there is no row yet, so nothing is lost
        if path is not None and header is not None and header.sop_uid == sop_uid:
            arrived.append(StoredInstance(header, path))
        else:
            undone.append(sop_uid)
    if arrived:
        ctk.insert(arrived)
        catalogue.add_local([local_instance(item.header, folder.stored_name(item.path)) for item in arrived])
    if undone:
        catalogue.clear_intents("receive", undone)


def finish_removing(folder: DatabaseFolder, catalogue: Catalogue, ctk: CtkDatabase) -> tuple[int, list[str]]:
    """Take rows and then files of all removal intents away; a linked file stays where it is.

    :returns: number of deleted files, and the folder's own files that could not be deleted.
    """
    intents = catalogue.intents("remove")
    if not intents:
        return 0, []
    sop_uids = [sop_uid for sop_uid, _ in intents]
    thumbnails = [
        folder.thumbnail_path(f.instance.study_uid, f.instance.series_uid, f.instance.sop_uid)
        for f in catalogue.local_files(Level.IMAGE, sop_uids)
    ]
    ctk.remove(sop_uids)
    deleted, kept = 0, []
    for _, file in intents:
        path = folder.find(file)
        if path is None or not folder.contains(path):
            continue
        try:
            deleted += unlink_with_retry(path)
            _remove_empty_parents(path, folder.dicom_folder)
        except StorageError:
            kept.append(file)
    for path in thumbnails:
        unlink_with_retry(path)
        _remove_empty_parents(path, folder.thumbs_folder)
    gone = [sop_uid for sop_uid, file in intents if file not in set(kept)]
    catalogue.remove_local(gone)
    catalogue.ctk_stamp = str(ctk.change_stamp())
    return deleted, kept


def _remove_empty_parents(path: Path, top: Path) -> None:
    """Remove the series' and the study's folder once nothing is left in them."""
    for parent in list(path.parents)[:2]:
        if parent == top or top not in parent.parents:
            return
        try:
            parent.rmdir()
        except OSError:
            return  # not empty, or used by another program: both are fine
