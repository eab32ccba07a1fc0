"""Databases that are damaged: they are kept under another name, and what can still be read of them is read.

A mark beside a file, ``<name>.damaged``, has the next start look through all of it: some damage is met only in use.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError
from .files import fsync_folder, storage_error
from .layout import DatabaseFolder
from .sqlite import DamagedDatabase, connect, storage_errors

#: Of larger databases, a start after a crash does not read all, in bytes.
LARGE = 256 << 20

_REBUILDING = "rebuilding"
_FILES = ("", "-wal", "-shm", "-journal")


def is_damaged(path: Path) -> bool:
    """Look through a whole database for damage; takes about a second for 100 MB.

    :raises StorageError: it is locked, or cannot be read.
    """
    try:
        with closing(connect(path)) as connection, storage_errors():
            return connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]
    except DamagedDatabase:
        return True


def of_ctk(folder: DatabaseFolder, how: str) -> DamagedDatabase:
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
    if not _has_content(main) and _knows_of_files(folder.catalogue):
        raise of_ctk(folder, f"{main.name} is {'empty' if main.exists() else 'missing'}")
    if is_being_rebuilt(folder):
        raise of_ctk(folder, "making it anew was interrupted")
    noted = is_noted(main)
    for path in filter(_has_content, (main, folder.ctk_tag_cache)):
        if (noted or (thoroughly and path.stat().st_size <= LARGE)) and is_damaged(path):
            raise of_ctk(folder, f"{path.name} does not hold together")
    forget_damage(main)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _knows_of_files(catalogue: Path) -> bool:
    return next(local_files(catalogue), None) is not None


def local_files(catalogue: Path) -> Iterator[tuple[str, str]]:
    """Yield SOP Instance UID and stored name of what a catalogue knows to be here, as far as it can be read."""
    for sop_uid, file in salvage(catalogue, "instances", "sop_uid, file", "sop_uid"):
        if isinstance(file, str) and isinstance(sop_uid, str):
            yield sop_uid, file


def note_rebuilding(folder: DatabaseFolder) -> None:
    """Write down that CTK's databases are being made anew, until :func:`forget_damage`.

    :raises StorageError: it cannot be written.
    """
    try:
        mark_of(folder.ctk_database).write_text(_REBUILDING, encoding="ascii")
        fsync_folder(folder.root)
    except OSError as error:
        raise storage_error(error, "write in the database folder") from error


def is_being_rebuilt(folder: DatabaseFolder) -> bool:
    """Tell whether making CTK's databases anew was begun and not finished."""
    try:
        return mark_of(folder.ctk_database).read_text(encoding="ascii", errors="replace") == _REBUILDING
    except OSError:
        return False


def note_damage(path: Path) -> None:
    """Set the mark."""
    with suppress(OSError):
        mark_of(path).touch()


def is_noted(path: Path) -> bool:
    """Tell whether the mark is set."""
    return mark_of(path).exists()


def forget_damage(path: Path) -> None:
    """Take the mark away."""
    with suppress(OSError):
        mark_of(path).unlink(missing_ok=True)


def mark_of(path: Path) -> Path:
    """Return where the mark of a database lies."""
    return path.with_name(f"{path.name}.damaged")


def set_aside(path: Path) -> Path:
    """Keep a database that cannot be used under another name, until the next removal; return that name.

    What was set aside before stays.

    :raises StorageError: it cannot be renamed.
    """
    aside, number = path.with_name(f"{path.name}.unusable"), 1
    while any(file.exists() for file in _files(aside)):
        number += 1
        aside = path.with_name(f"{path.name}.unusable-{number}")
    for file, kept in zip(_files(path), _files(aside), strict=True):
        try:
            if file.exists():
                file.replace(kept)
        except OSError as error:
            raise storage_error(error, "set the database aside") from error
    return aside


def drop_set_aside(path: Path) -> None:
    """Delete what :func:`set_aside` kept of a database: it may name patients.

    :raises StorageError: it cannot be deleted.
    """
    for file in path.parent.glob(f"{path.name}.unusable*"):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, "delete the database that was set aside") from error


def salvage(path: Path, table: str, columns: str, key: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table that can still be read, from both ends up to what cannot.

    :param key: what the rows are sorted by; the first of the columns.
    """
    seen = set()
    for order in ("ASC", "DESC"):
        for row in _readable(path, f"SELECT {columns} FROM {table} ORDER BY {key} {order}"):  # noqa: S608
            if row in seen:
                break
            seen.add(row)
            yield row


def _readable(path: Path, statement: str) -> Iterator[tuple[Any, ...]]:
    has_log = _has_content(path.with_name(f"{path.name}-wal"))
    with (
        suppress(sqlite3.Error, StorageError),
        closing(connect(path, read_only=True, immutable=not has_log)) as connection,
    ):
        yield from connection.execute(statement)


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _FILES]
