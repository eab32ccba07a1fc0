"""CTK's database of local images: the writer for folders that no Slicer has open, and the reader for all."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from ..domain.errors import SchemaMismatch, StorageError
from . import ctk_damage, ctk_schema, damage
from .ctk_changes import RemovedRows, add_instances, local_images, remove_images
from .ctk_content import (
    FIRST_ROW,
    CtkContent,
    CtkImage,
    read_content,
    read_content_of,
    read_image_page,
    read_images,
    read_tags,
)
from .ctk_parts import parts_holding, read_parts, studies_in
from .ctk_rows import StoredInstance, tag_rows
from .files import storage_error
from .layout import DatabaseFolder
from .sqlite import LIST, DamagedDatabase, connect, fetch_in, storage_errors, transaction

__all__ = ["CtkContent", "CtkDatabase", "RemovedRows", "StoredInstance"]

_ADD_TAGS = "INSERT OR REPLACE INTO TagCache (SOPInstanceUID, Tag, Value) VALUES (?, ?, ?)"
_REMOVE_TAGS = f"DELETE FROM TagCache WHERE SOPInstanceUID IN {LIST}"  # noqa: S608 - a constant
_BOTH = 2

# Bytes 24 to 27 of an SQLite file count the transactions that changed it (SQLite file format, 1.3.7).
_CHANGE_COUNTER = 24


class CtkDatabase:
    """``ctkDICOM.sql`` and ``ctkDICOMTagCache.sql`` of a folder; safe to use from several threads.

    Commits are synced (SQLite's ``synchronous`` is FULL, unlike CTK's OFF), so that not even a power cut costs a
    database or leaves a row without its file. All methods raise :class:`~..domain.errors.StorageError` when the disk
    or another program is in the way.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        main: sqlite3.Connection,
        tags: sqlite3.Connection | None,
        head: _SharedHead,
        *,
        read_only: bool,
    ) -> None:
        self._folder = folder
        self._main = main
        self._tags = tags
        self._closed = False
        self._lock = threading.RLock()
        self._head = head
        self._read_only = read_only

    @classmethod
    def open(cls, folder: DatabaseFolder, *, read_only: bool = False) -> CtkDatabase:
        """Open the databases of a folder; where there are none and it may write, make them.

        :raises SchemaMismatch: a database of another version, or of another program; nothing is changed.
        :raises StorageError: no SQLite database, or it cannot be read or written.
        """
        opened: list[sqlite3.Connection] = []
        try:
            main = _open_main(folder, read_only, opened)
            tags = _open_tags(folder, read_only, opened)
            return cls(folder, main, tags, _SharedHead.of(folder.ctk_database), read_only=read_only)
        except BaseException as error:
            for connection in opened:
                connection.close()
            if isinstance(error, StorageError) and read_only and _is_interrupted(folder):
                raise StorageError(
                    "A crash left the database in the middle of a change; open the folder for writing once to undo it."
                ) from error
            if isinstance(error, DamagedDatabase):
                name = (folder.ctk_database if len(opened) < _BOTH else folder.ctk_tag_cache).name
                raise ctk_damage.damaged(folder, f"{name} is cut off, or is no database at all") from error
            raise

    def close(self) -> None:
        """Close the files; the object is of no use any more."""
        with self._lock:
            self._main.close()
            if self._tags is not None:
                self._tags.close()
            if not self._closed:
                self._head.release()
            self._closed = True

    def __enter__(self) -> CtkDatabase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with storage_errors():
                yield
        except DamagedDatabase as error:
            if not self._read_only:
                damage.note_damage(self._folder.ctk_database)
            raise ctk_damage.damaged(self._folder, "it does not hold together") from error

    def check(self) -> None:
        """Look through both files for damage; takes about a second for 100 MB.

        :raises DamagedDatabase: there is some; the sentence says what to do.
        """
        with self._lock, self._errors():
            for connection in filter(None, (self._main, self._tags)):
                if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                    raise DamagedDatabase("The database is damaged.")

    def insert(self, items: Sequence[StoredInstance], replaced: Collection[str] = ()) -> int:
        """Add instances whose files are in place; return how many were added.

        Local ones are left as they are; those known only from a query become local. The tag cache is written
        first: what Slicer finds in the main database, it finds described.

        :param replaced: SOP Instance UIDs of local ones that get the new files, with all that these say of series,
            study and patient.
        """
        with self._lock, self._errors():
            new = self._not_local(items, replaced)
            if not new:
                return 0
            named = [(item, self._folder.stored_name(item.path)) for item in new]
            tags = self._writable_tags()
            with transaction(tags):
                tags.executemany(_ADD_TAGS, [row for item in new for row in tag_rows(item.header)])
            with transaction(self._main):
                add_instances(self._main, named, replaced)
            return len(named)

    def describe(self, items: Sequence[StoredInstance]) -> None:
        """Write the tag cache of instances anew."""
        with self._lock, self._errors():
            tags = self._writable_tags()
            with transaction(tags):
                tags.executemany(_ADD_TAGS, [row for item in items for row in tag_rows(item.header)])

    def is_local(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that have a row with a file."""
        with self._lock, self._errors():
            return local_images(self._main, sop_uids)

    def images(self, *, sop_uids: Iterable[str] = (), series_uids: Iterable[str] = ()) -> list[CtkImage]:
        """Return the rows with a file of images, and of series."""
        with self._lock, self._errors():
            return read_images(self._main, sop_uids=sop_uids, series_uids=series_uids)

    def forget_tags(self, sop_uids: Iterable[str]) -> None:
        """Take instances that are not local out of the tag cache: what :meth:`insert` leaves there if it fails."""
        with self._lock, self._errors():
            uids = list(sop_uids)
            local = local_images(self._main, uids)
            tags = self._writable_tags()
            with transaction(tags):
                fetch_in(tags, _REMOVE_TAGS, [uid for uid in uids if uid not in local])

    def remove(self, sop_uids: Iterable[str]) -> RemovedRows:
        """Forget instances, and series, studies and patients that are left without any; files stay.

        The tag cache goes first, so that no name lingers there that nobody would find any more.
        """
        uids = list(dict.fromkeys(sop_uids))
        with self._lock, self._errors():
            tags = self._writable_tags()
            with transaction(tags):
                fetch_in(tags, _REMOVE_TAGS, uids)
            with transaction(self._main):
                return remove_images(self._main, uids)

    def compact(self) -> None:
        """Rewrite both files, so that no trace is left of what other programs removed or changed before.

        What this class removes is overwritten at once; CTK does not do that. Takes as long as copying the files.
        """
        with self._lock, self._errors():
            for connection in (self._writable_tags(), self._main):
                connection.execute("VACUUM")

    def snapshot(self) -> CtkContent:
        """Read all that is local, in pages: compare :meth:`change_stamp` before and after to know it is of one time."""
        with self._lock, self._errors():
            return read_content(self._main)

    def image_pages(self) -> Iterator[Sequence[CtkImage]]:
        """Yield the images of :meth:`snapshot`, some at a time."""
        after: int | None = FIRST_ROW
        while after is not None:
            with self._statement():
                images, after = read_image_page(self._main, after)
            if images:
                yield images

    def parts(self) -> dict[str, str]:
        """Return digests of parts of the rows; see :func:`.ctk_parts.read_parts`."""
        return read_parts(self._main, self._statement)

    def studies_in(self, parts: Iterable[str]) -> dict[str, list[str]]:
        """Return the UIDs of the studies that the rows of each part have to do with."""
        with self._statement():
            return studies_in(self._main, parts)

    def parts_holding(self, study_uids: Iterable[str]) -> dict[str, set[str]]:
        """Return the parts that have to do with some of the studies; see :func:`.ctk_parts.parts_holding`."""
        with self._statement():
            return parts_holding(self._main, study_uids)

    def content_of(self, study_uids: Iterable[str]) -> CtkContent:
        """Read what is local of studies, as :meth:`snapshot` does; it may be more studies than asked for."""
        with self._statement():
            return read_content_of(self._main, study_uids)

    @contextmanager
    def _statement(self) -> Iterator[None]:
        with self._lock, self._errors():
            yield

    def tags_for(self, sop_uids: Iterable[str], tags: Iterable[str]) -> dict[str, dict[str, str | None]]:
        """Read the tag cache: SOP Instance UID -> ``"GGGG,EEEE"`` -> text, None if the instance lacks the element.

        Instances and tags that the cache does not know are left out.
        """
        if self._tags is None:
            return {}
        with self._lock, self._errors():
            return read_tags(self._tags, sop_uids, tags)

    def change_stamp(self) -> tuple[int, int, int]:
        """Return a value that changes whenever ``ctkDICOM.sql`` does: SQLite's counter, size, time in ns.

        It does not wait for a running :meth:`insert`, and means the same after a restart.
        """
        try:
            counter = self._head.change_counter()
            status = self._folder.ctk_database.stat()
        except OSError as error:
            raise storage_error(error, "read the database") from error
        return counter, status.st_size, status.st_mtime_ns

    def _not_local(self, items: Sequence[StoredInstance], replaced: Collection[str]) -> list[StoredInstance]:
        known = local_images(self._main, (item.header.sop_uid for item in items)).difference(replaced)
        new: dict[str, StoredInstance] = {}
        for item in items:
            if item.header.sop_uid not in known:
                new.setdefault(item.header.sop_uid, item)
        return list(new.values())

    def _writable_tags(self) -> sqlite3.Connection:
        if self._tags is None:
            raise StorageError("The database was opened for reading only.")
        return self._tags


def _is_interrupted(folder: DatabaseFolder) -> bool:
    """Tell whether there is a journal, which only those can roll back who may write."""
    journals = (path.with_name(path.name + "-journal") for path in (folder.ctk_database, folder.ctk_tag_cache))
    return any(path.is_file() for path in journals)


def _open_main(folder: DatabaseFolder, read_only: bool, opened: list[sqlite3.Connection]) -> sqlite3.Connection:
    path = folder.ctk_database
    if read_only and not path.is_file():
        raise StorageError("There is no DICOM database in the folder.")
    connection = _connect(folder, path, read_only, opened)
    with storage_errors():
        if not _tables(connection):
            if read_only:
                raise StorageError("There is no DICOM database in the folder.")
            ctk_schema.create_main(connection)
        check_version(connection)
        if not read_only:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    return connection


def _open_tags(folder: DatabaseFolder, read_only: bool, opened: list[sqlite3.Connection]) -> sqlite3.Connection | None:
    path = folder.ctk_tag_cache
    if read_only and not path.is_file():
        return None
    connection = _connect(folder, path, read_only, opened)
    with storage_errors():
        if "TagCache" not in _tables(connection):
            if read_only:
                return None
            ctk_schema.create_tag_cache(connection)
    return connection


def _connect(
    folder: DatabaseFolder, path: Path, read_only: bool, opened: list[sqlite3.Connection]
) -> sqlite3.Connection:
    if not read_only:
        try:
            folder.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, "create the database folder") from error
    connection = connect(path, read_only=read_only)
    opened.append(connection)
    return connection


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}


def check_version(connection: sqlite3.Connection) -> None:
    """Return quietly if this is a database that this program knows.

    :raises SchemaMismatch: it is not.
    """
    if "SchemaInfo" not in _tables(connection):
        raise SchemaMismatch("The folder holds a database that is not CTK's DICOM database; it was left as it is.")
    versions = {str(row[0]) for row in connection.execute("SELECT Version FROM SchemaInfo").fetchall()}
    if versions != {ctk_schema.SCHEMA_VERSION}:
        found = ", ".join(sorted(versions)) or "none"
        raise SchemaMismatch(
            f"The DICOM database in the folder has version {found[:40]}, this program knows"
            f" {ctk_schema.SCHEMA_VERSION}; it was left as it is. Update or move it with 3D Slicer."
        )


class _SharedHead:
    """The first bytes of a database file, by one descriptor for all who have it open in this process.

    POSIX drops a process's locks on a file, those of all its connections, as soon as one descriptor of it closes:
    this one closes when the last connection has.
    """

    _shared: ClassVar[dict[Path, _SharedHead]] = {}
    _guard = threading.Lock()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = 0
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    @classmethod
    def of(cls, path: Path) -> _SharedHead:
        """Return the one of a file; give it back with :meth:`release`, after the connections are closed.

        :raises StorageError: it cannot be opened.
        """
        with cls._guard:
            try:
                head = cls._shared.get(path) or cls(path)
            except OSError as error:
                raise storage_error(error, "read the database") from error
            cls._shared[path] = head
            head._users += 1
            return head

    def release(self) -> None:
        """Close the file if nobody else uses it."""
        with self._guard, self._lock:
            self._users -= 1
            if self._users == 0:
                del self._shared[self._path]
                os.close(self._descriptor)
                self._descriptor = -1

    def change_counter(self) -> int:
        """Return the number of transactions that changed the file.

        :raises OSError: it cannot be read.
        """
        with self._lock:
            os.lseek(self._descriptor, _CHANGE_COUNTER, os.SEEK_SET)
            return int.from_bytes(os.read(self._descriptor, 4), "big")
