"""What a crash left behind: open intents are finished or undone, ``.part`` files swept."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

from ..domain.errors import BadData, StorageError
from .catalogue import Catalogue
from .ctk_rows import StoredInstance
from .files import PART_SUFFIX, SAFE_SUFFIX, SWAP_SUFFIX, PartFile, unlink_with_retry
from .headers import read_header
from .layout import DatabaseFolder
from .local_records import header_of
from .rows import LocalRows, RowKeeper
from .trash import Trash

_log = logging.getLogger(__name__)


def recover(folder: DatabaseFolder, catalogue: Catalogue, rows: LocalRows, keeper: RowKeeper) -> None:
    """Bring files, rows and intents into agreement after a crash; nothing happens after an orderly end.

    :raises StorageError: the disk is in the way; open intents stay open.
    """
    finish_receiving(folder, catalogue, keeper)
    finish_replacing(folder, catalogue, rows)
    finish_removing(folder, catalogue, rows, keeper)


def sweep(root: Path, suffix: str = PART_SUFFIX) -> int:
    """Delete the ``.part`` files below ``root`` that this process does not write; return how many.

    Those that are promised stay, and so does until the next time what cannot be deleted.

    :param suffix: the end of the names, for those who want only some of them.
    """
    swept = 0
    for path in [path for path in files_below(root) if path.name.endswith(suffix)]:
        if path.name.endswith((SAFE_SUFFIX, SWAP_SUFFIX)):
            continue
        with suppress(StorageError):
            swept += not PartFile.is_live(path) and unlink_with_retry(path)
    return swept


def drop_empty_folders(folder: DatabaseFolder, lock: AbstractContextManager[bool]) -> None:
    """Delete the folders of studies and series that a crash left without a file.

    :param lock: held by whoever gives a file its name, and makes its folder for that.
    """
    for parent, _, names in os.walk(folder.dicom_folder, topdown=False):
        if not names and Path(parent) not in (folder.dicom_folder, folder.incoming_folder):
            with lock, suppress(OSError):  # not empty: fine
                Path(parent).rmdir()


def files_below(root: Path) -> Iterator[Path]:
    """Yield all files below a folder, without following links to folders."""
    for parent, _, names in os.walk(root):
        for name in names:
            yield Path(parent, name)


def finish_receiving(folder: DatabaseFolder, catalogue: Catalogue, keeper: RowKeeper) -> None:
    """Give rows to files that have their names; what has none never arrived."""
    arrived, undone = [], []
    for sop_uid, file, _ in catalogue.intents("receive"):
        header = header_of(folder, sop_uid, file)
        if header is None:  # a link whose target changed, perhaps: there is no row yet, so nothing is lost
            undone.append(sop_uid)
        else:
            arrived.append(StoredInstance(header, folder.absolute(file)))
    if arrived:
        keeper.take_in(arrived)
    if undone:
        keeper.forget(undone)
        catalogue.clear_intents("receive", undone)


def finish_replacing(folder: DatabaseFolder, catalogue: Catalogue, rows: LocalRows) -> None:
    """Delete the old files of instances whose rows name other files now, and their pictures.

    :raises StorageError: it failed, and is tried again at the next start.
    """
    replaced = catalogue.intents("replace")
    if not replaced:
        return
    now = {image.sop_uid: image.filename for image in rows.images(sop_uids=[uid for uid, _, _ in replaced])}
    for sop_uid, file, thumbnail in replaced:
        current = now.get(sop_uid, file)
        if current != file and header_of(folder, sop_uid, current) and not _holds_another(folder, sop_uid, file):
            _delete(folder, file)
            if thumbnail:
                _delete(folder, thumbnail)
        catalogue.clear_intents("replace", [sop_uid])


def _holds_another(folder: DatabaseFolder, sop_uid: str, file: str) -> bool:
    """Tell whether a file is of another instance than its row said: then it is not for us to delete."""
    try:
        return read_header(folder.absolute(file)).sop_uid != sop_uid
    except (BadData, StorageError):
        return False


def finish_removing(
    folder: DatabaseFolder, catalogue: Catalogue, rows: LocalRows, keeper: RowKeeper, trash: Trash | None = None
) -> tuple[int, int]:
    """Take rows and then files of all removal intents away; a linked file stays where it is.

    :param trash: where files go that have a place in it; the others are deleted.
    :returns: number of deleted files, and of the folder's own files that could not be deleted.
    """
    keeper.finish_removing()
    files = catalogue.intents("unlink")
    return _delete_files(folder, catalogue, rows, files, trash) if files else (0, 0)


def _delete_files(
    folder: DatabaseFolder,
    catalogue: Catalogue,
    rows: LocalRows,
    files: Sequence[tuple[str, str, str]],
    trash: Trash | None,
) -> tuple[int, int]:
    # Another program may have brought one back since.
    wanted = rows.is_local(sop_uid for sop_uid, _, _ in files)
    deleted, done = 0, []
    for sop_uid, file, thumbnail in files:
        try:
            if sop_uid not in wanted:
                deleted += _delete(folder, file, partial(trash.take, sop_uid) if trash is not None else _keep_none)
                _delete(folder, thumbnail)
            done.append(sop_uid)
        except StorageError as error:
            _log.info("A file could not be deleted yet: %s", error)
    catalogue.clear_intents("unlink", done)
    return deleted, len(files) - len(done)


def _keep_none(_: Path) -> bool:
    return False


def _delete(folder: DatabaseFolder, file: str, keep: Callable[[Path], bool] = _keep_none) -> bool:
    path = _ours(folder, file)
    if path is None:
        return False
    deleted = folder.find(file) is not None and (keep(path) or unlink_with_retry(path))
    for parent in list(path.parents)[:2]:  # of the series, and of the study
        if parent not in (folder.dicom_folder, folder.thumbs_folder):
            with suppress(OSError):  # not empty, or used by another program: both are fine
                parent.rmdir()
    return deleted


def _ours(folder: DatabaseFolder, file: str) -> Path | None:
    """Return where a file of the folder's own lies, or lay: it may be gone, and its folders left by a crash."""
    try:
        path = folder.absolute(file)
        return path if folder.owns(path) else None
    except (BadData, OSError, ValueError):
        return None
