"""Rows against files: whether every local row has a readable file, and every file below ``dicom/`` a row.

There may be millions of each. Rows come page by page, and the files that no row was found of yet lie in a temporary
database, which SQLite deletes by itself: only what is wrong is kept in memory.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from .catalogue import Catalogue
from .layout import DatabaseFolder
from .local_records import header_of
from .rows import LocalRows
from .sqlite import storage_errors

_INTENTS = ("receive", "remove", "unlink", "replace")
_FILES = "CREATE TABLE files (place BLOB, path BLOB, PRIMARY KEY (place, path)) WITHOUT ROWID"


@dataclass(frozen=True)
class Compared:
    """What was found.

    :ivar rows: how many rows there are.
    :ivar files: how many files were looked at.
    :ivar missing: SOP Instance UIDs of rows without a readable file.
    :ivar orphans: files without a row.
    """

    rows: int
    files: int
    missing: list[str]
    orphans: list[Path]


def compare(
    folder: DatabaseFolder,
    catalogue: Catalogue,
    rows: LocalRows,
    files: Iterable[Path],
    among: Collection[str] | None = None,
) -> Compared:
    """Compare all rows with files. What is stored or removed meanwhile may look wrong.

    :param among: SOP Instance UIDs of the rows whose files are looked at; None for all.
    :raises StorageError: a database, or the place for temporary files, is in the way.
    """
    with storage_errors(), closing(sqlite3.connect("", isolation_level=None)) as left:
        # In this order, a file that is being stored is still in the intents, or has its row already.
        count = _note(left, files)
        for kind in _INTENTS:
            _strike_off(left, folder, (file for _, file, _ in catalogue.intents(kind)))
        total, missing = 0, []
        for page in rows.image_pages():
            total += len(page)
            if count:
                _strike_off(left, folder, (image.filename for image in page))
            suspects = [image for image in page if among is None or image.sop_uid in among]
            missing += [i.sop_uid for i in suspects if header_of(folder, i.sop_uid, i.filename) is None]
        return Compared(total, count, missing, [path for path in _left(left) if path.exists()])


def _note(left: sqlite3.Connection, files: Iterable[Path]) -> int:
    """Write down files; return how many."""
    left.execute("PRAGMA journal_mode = OFF").fetchall()
    left.execute(_FILES)
    left.execute("BEGIN")
    places = ((_place(path.resolve()), os.fsencode(path)) for path in files)
    return max(0, left.executemany("INSERT OR IGNORE INTO files VALUES (?, ?)", places).rowcount)


def _strike_off(left: sqlite3.Connection, folder: DatabaseFolder, names: Iterable[str]) -> None:
    found = (path for name in names if (path := folder.find(name)) is not None)
    left.executemany("DELETE FROM files WHERE place = ?", ((_place(path.resolve()),) for path in found))


def _left(left: sqlite3.Connection) -> Iterator[Path]:
    for (path,) in left.execute("SELECT path FROM files"):
        yield Path(os.fsdecode(path))


def _place(path: Path) -> bytes:
    return blake2b(os.fsencode(path), digest_size=16).digest()
