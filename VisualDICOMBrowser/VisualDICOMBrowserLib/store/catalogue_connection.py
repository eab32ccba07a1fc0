"""The catalogue's connection: one, guarded by a lock; transactions, and deleting without a trace."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from . import catalogue_schema, damage
from .catalogue_matching import add_functions
from .sqlite import BUSY_TIMEOUT_S, DamagedDatabase, is_small, rewrite, storage_errors, transaction

_LARGE_CACHE_KIB = 65_536
_Self = TypeVar("_Self", bound="CatalogueConnection")


class CatalogueConnection:
    """Opens, reads and writes the file; what is in it is :class:`.catalogue.Catalogue`'s business.

    :ivar writable: False if another engine writes it.
    """

    def __init__(self, connection: sqlite3.Connection, *, writable: bool = True, path: Path | None = None) -> None:
        self._connection = connection
        add_functions(connection)
        self.writable = writable
        self._path = path
        self._lock = threading.RLock()
        self._unscrubbed = False
        self._traces = False
        self._synchronous = int(connection.execute("PRAGMA synchronous").fetchall()[0][0])

    @classmethod
    def open(cls: type[_Self], path: Path, *, read_only: bool = False) -> _Self:
        """Open the catalogue of a folder, or make it. A damaged one, or one of another version, is made anew.

        Read-only, a missing or unsuitable catalogue is replaced by an empty one in memory.
        """
        if not read_only:
            catalogue = cls(catalogue_schema.open_to_write(path), path=path)
            catalogue._scrub()
            return catalogue
        connection = catalogue_schema.open_to_read(path)
        return cls(catalogue_schema.in_memory()) if connection is None else cls(connection, writable=False)

    @classmethod
    def open_anew(cls: type[_Self], path: Path) -> _Self:
        """Set the catalogue aside, which turned out to be damaged, and make an empty one."""
        return cls(catalogue_schema.made_anew(path), path=path)

    def detached(self: _Self) -> _Self:
        """Return a copy in memory, which can follow the mirror though nobody writes the file."""
        copy = catalogue_schema.in_memory()
        with self._using():
            self._connection.backup(copy)
        return type(self)(copy)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._path is not None:
                self._scrub()
                self._path = None
            self._connection.close()

    # Used by the subclass

    @contextmanager
    def _using(self) -> Iterator[None]:
        try:
            with self._lock, storage_errors():
                yield
        except DamagedDatabase:
            if self._path is not None:
                damage.note_damage(self._path)
            raise

    @contextmanager
    def _writing(
        self, *, durable: bool = False, scrub: bool = False, persons: bool = False
    ) -> Iterator[sqlite3.Connection]:
        """Run a transaction.

        :param durable: have it on the disk afterwards; without, a power cut may cost the last ones (never a crash).
        :param scrub: something was deleted that shall leave no trace.
        :param persons: so were perhaps persons, of whom there may be traces elsewhere; see :meth:`rewrite`.
        """
        with self._using():
            if durable:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with transaction(self._connection):
                    yield self._connection
            finally:
                if durable:
                    self._connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._traces |= persons
            self._unscrubbed |= scrub or persons
            if self._unscrubbed:
                self._scrub()

    def rewrite(self) -> None:
        """Write the file anew, so that no trace is left of anybody who was removed, however large it is."""
        with self._lock, suppress(sqlite3.Error):  # a full disk, say: the next removal tries again
            if self._path is not None:
                rewrite(self._connection)
        self._scrub()

    @contextmanager
    def much_to_write(self, much: bool) -> Iterator[None]:
        """Have SQLite keep more of the file in memory meanwhile, if there is much to write all over it."""
        with self._using():
            ((before,),) = self._connection.execute("PRAGMA cache_size").fetchall()
            if much:
                self._connection.execute(f"PRAGMA cache_size = -{_LARGE_CACHE_KIB}").fetchall()
        try:
            yield
        finally:
            with self._using():
                self._connection.execute(f"PRAGMA cache_size = {before}").fetchall()

    def _scrub(self) -> None:
        """Overwrite what was deleted: the pages of the write-ahead log hold it until they are written back.

        While another process reads, or the disk is full, that is not possible, and is tried again with the next
        transaction: the one before is safe all the same.
        """
        with self._lock:
            self._unscrubbed = True
            self._connection.execute("PRAGMA busy_timeout = 0").fetchall()
            with suppress(sqlite3.Error):
                if self._traces and self._path is not None and is_small(self._connection):
                    self._traces = False  # what cannot be done now, the next removal does
                    rewrite(self._connection)
                busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
                self._unscrubbed = bool(busy)
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}").fetchall()

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._using():
            return self._connection.execute(statement, tuple(values)).fetchall()

    def _meta(self, key: str) -> str:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""
