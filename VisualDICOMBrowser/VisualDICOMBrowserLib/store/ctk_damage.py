"""Whether CTK's databases of a folder are whole, and what to say if they are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import damage
from .files import fsync_folder, storage_error
from .layout import DatabaseFolder
from .sqlite import DamagedDatabase

#: Of larger databases, a start after a crash does not read all, in bytes.
LARGE = 256 << 20

_REBUILDING = "rebuilding"


def damaged(folder: DatabaseFolder, how: str) -> DamagedDatabase:
    """Return the error for a damaged database of CTK, which says what to do.

    :param how: what is wrong, as the end of a sentence.
    """
    return DamagedDatabase(f"The DICOM database is damaged: {how}. {_IN_SLICER if folder.owns_all else _ALONE}")


_ALONE = "Make it anew from the files with: verify --rebuild. What is left of it is kept under another name."
_IN_SLICER = (
    "In Slicer, the DICOM module can repair it: DICOM database settings, Repair database. Or close Slicer, and run"
    " visual-dicom-browser verify --rebuild on its folder: that makes it anew from the files."
)


def check(folder: DatabaseFolder, *, thoroughly: bool) -> None:
    """Look whether CTK's databases are whole, before they are opened.

    What is wrong at their beginning, or that they are cut off, SQLite finds by itself.

    :param thoroughly: read all of them, unless they are large; a database in which damage was met is read in any case.
    :raises DamagedDatabase: they are not, or there are none although there were.
    """
    main = folder.ctk_database
    if not damage.has_content(main) and _knows_of_files(folder.catalogue):
        raise damaged(folder, f"{main.name} is {'empty' if main.exists() else 'missing'}")
    if is_being_rebuilt(folder):
        raise damaged(folder, "making it anew was interrupted")
    noted = damage.is_noted(main)
    for path in filter(damage.has_content, (main, folder.ctk_tag_cache)):
        if (noted or (thoroughly and path.stat().st_size <= LARGE)) and damage.is_damaged(path):
            raise damaged(folder, f"{path.name} does not hold together")
    damage.forget_damage(main)


def _knows_of_files(catalogue: Path) -> bool:
    return next(local_files(catalogue), None) is not None


def note_rebuilding(folder: DatabaseFolder) -> None:
    """Write down that CTK's databases are being made anew, until :func:`.damage.forget_damage`.

    :raises StorageError: it cannot be written.
    """
    try:
        damage.mark_of(folder.ctk_database).write_text(_REBUILDING, encoding="ascii")
        fsync_folder(folder.root)
    except OSError as error:
        raise storage_error(error, "write in the database folder") from error


def is_being_rebuilt(folder: DatabaseFolder) -> bool:
    """Tell whether making CTK's databases anew was begun and not finished."""
    try:
        return damage.mark_of(folder.ctk_database).read_text(encoding="ascii", errors="replace") == _REBUILDING
    except OSError:
        return False


def local_files(catalogue: Path) -> Iterator[tuple[str, str]]:
    """Yield SOP Instance UID and stored name of what a catalogue knows to be here, as far as it can be read."""
    for sop_uid, file in damage.salvage(catalogue, "instances", "sop_uid, file", "sop_uid"):
        if isinstance(file, str) and isinstance(sop_uid, str):
            yield sop_uid, file
