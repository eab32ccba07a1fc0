"""What every use of SQLite here has in common: connections, transactions, errors in plain words."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ..domain.errors import BadData, DiskFull, StorageError

BUSY_TIMEOUT_S = 5.0
#: Values in one statement; SQLite's oldest limit on variables is 999.
CHUNK = 500
#: Stands for a list of values in a statement, see :func:`fetch_in`.
LIST = "(?*)"

_Item = TypeVar("_Item")
_Rows = list[tuple[Any, ...]]


class DamagedDatabase(StorageError):
    """The file is damaged, or is no SQLite database: trying again does not help, making it anew does."""


def connect(
    path: Path, *, read_only: bool = False, immutable: bool = False, patience_s: float | None = None
) -> sqlite3.Connection:
    """Open a database in autocommit mode, usable from several threads one at a time.

    Text that is not UTF-8 reads with replacement characters. Deleted content is overwritten.

    :param immutable: nobody writes it meanwhile, and there is no log: it is read without any file beside it.
    :param patience_s: how long to wait for others who have it locked; :data:`BUSY_TIMEOUT_S` if None.
    :raises StorageError: it cannot be opened.
    """
    with storage_errors():
        connection = sqlite3.connect(
            f"{_uri(path)}?mode={'ro' if read_only else 'rwc'}{'&immutable=1' if immutable else ''}",
            timeout=BUSY_TIMEOUT_S if patience_s is None else patience_s,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        try:
            connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
            connection.execute("PRAGMA trusted_schema = OFF").fetchall()
            if not read_only:
                connection.execute("PRAGMA secure_delete = ON").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection


def _uri(path: Path) -> str:
    text = path.as_posix()
    return "file://" + ("" if text.startswith("/") and not text.startswith("//") else "/") + quote(text)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn errors of SQLite into :class:`StorageError` with a plain sentence.

    :raises BadData: a value that no database takes: half a character, or an integer of more than 64 bits.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _in_words(error) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise BadData("A text or a number is of no kind that can be kept in a database.") from error


def _in_words(error: sqlite3.Error) -> StorageError:
    text = str(error)
    if "locked" in text:
        return StorageError("The database is locked by another program.", retryable=True)
    if "full" in text:
        return DiskFull()
    if "readonly" in text:
        return StorageError("No permission to write the database.")
    if "unable to open" in text:
        return StorageError("The database cannot be opened.")
    if "not a database" in text or "malformed" in text:
        return DamagedDatabase("The database file is damaged, or is no database.")
    return StorageError(f"The database could not be used: {text}.")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or undo all of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLite itself rolls back after some errors
            connection.execute("ROLLBACK")


#: Databases of up to so many bytes are written anew with each removal; that takes about half a second.
SMALL = 64 << 20


def is_small(connection: sqlite3.Connection) -> bool:
    """Tell whether a database is at most :data:`SMALL`."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchall()[0][0] for name in ("page_count", "page_size"))
    return bool(pages * size <= SMALL)


def rewrite(connection: sqlite3.Connection) -> None:
    """Write a database anew, so that no trace is left of what was removed.

    What is deleted is overwritten, but not the copies that SQLite leaves in its pages when it moves rows from one to
    another. Of a small one, no copy is made in the temporary folder of the system either.
    """
    connection.execute(f"PRAGMA temp_store = {'MEMORY' if is_small(connection) else 'DEFAULT'}").fetchall()
    connection.execute("VACUUM")


def fetch_in(connection: sqlite3.Connection, statement: str, values: Iterable[str | int]) -> _Rows:
    """Run a statement whose :data:`LIST` stands for the values, in chunks; return all rows of all chunks.

    Values that come twice count once, as in the statement itself.
    """
    rows: _Rows = []
    for chunk in chunks(dict.fromkeys(values), CHUNK):
        marks = ", ".join("?" * len(chunk))
        rows += connection.execute(statement.replace(LIST, f"({marks})"), chunk).fetchall()
    return rows


def chunks(values: Iterable[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Cut ``values`` into lists of at most ``size``."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
