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
from .files import replace_with_retry, unlink_with_retry
from .sqlite import DamagedDatabase, connect, storage_errors

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


def has_content(path: Path) -> bool:
    """Tell whether there is a file, and something in it."""
    return path.exists() and path.stat().st_size > 0


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
    # The journals first: none of them may lie beside the database that is made next.
    for file, kept in reversed(list(zip(_files(path), _files(aside), strict=True))):
        if file.exists():
            replace_with_retry(file, kept)
    return aside


def drop_set_aside(path: Path) -> None:
    """Delete what :func:`set_aside` kept of a database: it may name patients.

    :raises StorageError: it cannot be deleted.
    """
    for file in path.parent.glob(f"{path.name}.unusable*"):
        unlink_with_retry(file)


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
    has_log = has_content(path.with_name(f"{path.name}-wal"))
    with (
        suppress(sqlite3.Error, StorageError),
        closing(connect(path, read_only=True, immutable=not has_log)) as connection,
    ):
        yield from connection.execute(statement)


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _FILES]
