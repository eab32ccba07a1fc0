"""Slicer's DICOM database and its indexer, on real files of CTK's schema.

Rows are written and read as CTK does it, by this project's own writer, with a connection for each call only. The
indexer does its work in steps, that the test makes or an event loop: nothing here has a thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest

from VisualDICOMBrowserLib.domain.errors import VisualDicomError
from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase, StoredInstance
from VisualDICOMBrowserLib.store.ctk_rows import tag_text
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.sqlite import connect

from .strict import NotInSlicer, StrictFake

IN_MEMORY = ":memory:"

#: Table and key of what ``fieldForPatient`` and its like look up.
_TABLES = {"Patients": "UID", "Studies": "StudyInstanceUID", "Series": "SeriesInstanceUID"}


class FakeDatabase(StrictFake):
    """``ctkDICOMDatabase``: closed until :meth:`openDatabase`. Lists come as tuples, as PythonQt gives them.

    :ivar _removed: Series Instance UIDs that :meth:`removeSeries` was called with.
    """

    REAL = "ctkDICOMDatabase"

    def __init__(self, *_parent: object) -> None:
        super().__init__()
        self._filename = ""
        self._is_open = False
        self._loaded: tuple[str, ...] = ()
        self._removed: list[str] = []
        self.tagsToPrecache = ()

    @property
    def isOpen(self) -> bool:
        return self._is_open

    @property
    def isInMemory(self) -> bool:
        return self._filename == IN_MEMORY

    @property
    def databaseFilename(self) -> str:
        return self._filename

    @property
    def databaseDirectory(self) -> str:
        return str(Path(self._filename).absolute().parent)

    @property
    def loadedSeriesInstanceUIDs(self) -> tuple[str, ...]:
        return self._loaded

    @loadedSeriesInstanceUIDs.setter
    def loadedSeriesInstanceUIDs(self, uids: Sequence[str]) -> None:
        self._loaded = tuple(uids)
        self.loadedSeriesInstanceUIDsChanged.emit(self._loaded)

    def openDatabase(self, filename: str, _connection: str = "") -> bool:
        """Open or make a database, in place of the one that is open."""
        self._filename = filename
        try:
            if not self.isInMemory:
                CtkDatabase.open(self._folder()).close()
        except VisualDicomError:
            self._is_open = False
            return False
        self._is_open = True
        self.opened.emit()
        return True

    def closeDatabase(self) -> None:
        self._is_open = False
        self.closed.emit()

    def schemaVersion(self) -> str:
        return "0.8.1"

    def schemaVersionLoaded(self) -> str:
        return str(self._one("SELECT Version FROM SchemaInfo"))

    def allFiles(self) -> tuple[str, ...]:
        return self._paths("SELECT Filename FROM Images WHERE Filename <> ''")

    def patients(self) -> tuple[str, ...]:
        return self._column("SELECT UID FROM Patients ORDER BY UID")

    def studiesForPatient(self, patient: str) -> tuple[str, ...]:
        return self._column("SELECT StudyInstanceUID FROM Studies WHERE PatientsUID = ?", patient)

    def seriesForStudy(self, study_uid: str) -> tuple[str, ...]:
        return self._column("SELECT SeriesInstanceUID FROM Series WHERE StudyInstanceUID = ?", study_uid)

    def instancesForSeries(self, series_uid: str, hits: int = -1) -> tuple[str, ...]:
        return self._column("SELECT SOPInstanceUID FROM Images WHERE SeriesInstanceUID = ? LIMIT ?", series_uid, hits)

    def filesForSeries(self, series_uid: str, hits: int = -1) -> tuple[str, ...]:
        return self._paths(
            "SELECT Filename FROM Images WHERE SeriesInstanceUID = ? AND Filename <> '' LIMIT ?", series_uid, hits
        )

    def patientForStudy(self, study_uid: str) -> str:
        return self._one("SELECT PatientsUID FROM Studies WHERE StudyInstanceUID = ?", study_uid)

    def studyForSeries(self, series_uid: str) -> str:
        return self._one("SELECT StudyInstanceUID FROM Series WHERE SeriesInstanceUID = ?", series_uid)

    def seriesForFile(self, path: str) -> str:
        return self._one("SELECT SeriesInstanceUID FROM Images WHERE Filename = ?", self._stored(path))

    def instanceForFile(self, path: str) -> str:
        return self._one("SELECT SOPInstanceUID FROM Images WHERE Filename = ?", self._stored(path))

    def fileForInstance(self, sop_uid: str) -> str:
        return "".join(self._paths("SELECT Filename FROM Images WHERE SOPInstanceUID = ?", sop_uid))

    def nameForPatient(self, patient: str) -> str:
        return self.fieldForPatient("PatientsName", patient)

    def descriptionForStudy(self, study_uid: str) -> str:
        return self.fieldForStudy("StudyDescription", study_uid)

    def descriptionForSeries(self, series_uid: str) -> str:
        return self.fieldForSeries("SeriesDescription", series_uid)

    def fieldForPatient(self, field: str, patient: str) -> str:
        return self._field("Patients", field, patient)

    def fieldForStudy(self, field: str, study_uid: str) -> str:
        return self._field("Studies", field, study_uid)

    def fieldForSeries(self, field: str, series_uid: str) -> str:
        return self._field("Series", field, series_uid)

    def patientsCount(self) -> int:
        return self._count("Patients")

    def studiesCount(self) -> int:
        return self._count("Studies")

    def seriesCount(self) -> int:
        return self._count("Series")

    def imagesCount(self) -> int:
        return self._count("Images")

    def fileValue(self, path: str, tag: str | int, element: int | None = None) -> str:
        """Read from the tag cache, else from the file; empty if either lacks it."""
        value = self._value(path, _tag(tag, element))
        return value or ""

    def fileValueExists(self, path: str, tag: str | int, element: int | None = None) -> bool:
        return self._value(path, _tag(tag, element)) is not None

    def instanceValue(self, sop_uid: str, tag: str | int, element: int | None = None) -> str:
        path = self.fileForInstance(sop_uid)
        return (self._value(path, _tag(tag, element)) or "") if path else ""

    def instanceValueExists(self, sop_uid: str, tag: str | int, element: int | None = None) -> bool:
        path = self.fileForInstance(sop_uid)
        return bool(path) and self._value(path, _tag(tag, element)) is not None

    def instanceValues(self, sop_uids: Sequence[str], tag: str) -> dict[str, str]:
        return {uid: self.instanceValue(uid, tag) for uid in sop_uids}

    def removeSeries(self, series_uid: str, clear_cached_tags: bool = False, cleanup: bool = True) -> bool:
        """Remove a series; its files and pictures too, unless they lie outside the folder."""
        if not self._is_open or self.isInMemory:
            return False
        if not (clear_cached_tags and cleanup):
            raise NotImplementedError("the fake clears the tag cache and cleans up")
        self._removed.append(series_uid)
        folder = self._folder()
        study_uid, sop_uids = self.studyForSeries(series_uid), self.instancesForSeries(series_uid)
        with CtkDatabase.open(folder) as database:
            rows = database.remove(sop_uids)
        for name in rows.filenames:
            if not Path(name).is_absolute():
                Path(folder.root, name).unlink(missing_ok=True)
        for sop_uid in sop_uids:
            folder.thumbnail_path(study_uid, series_uid, sop_uid).unlink(missing_ok=True)
        if sop_uids:
            self.seriesRemoved.emit(series_uid)
            self.databaseChanged.emit()  # the real one comes from a watch on the file
        return True

    def updateDisplayedFields(self) -> None:
        """All displayed fields are written with the rows."""
        self.displayedFieldsUpdated.emit()

    def _folder(self) -> DatabaseFolder:
        return DatabaseFolder(Path(self.databaseDirectory))

    def _stored(self, path: str) -> str:
        folder = self.databaseDirectory + "/"
        return path.removeprefix(folder) if path.startswith(folder) else path

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        if not self._is_open or self.isInMemory:
            return []
        with closing(connect(self._folder().ctk_database, read_only=True)) as connection:
            return connection.execute(statement, values).fetchall()

    def _column(self, statement: str, *values: object) -> tuple[str, ...]:
        return tuple(str(row[0]) for row in self._rows(statement, *values))

    def _paths(self, statement: str, *values: object) -> tuple[str, ...]:
        return tuple(str(Path(self.databaseDirectory, name)) for name in self._column(statement, *values))

    def _one(self, statement: str, *values: object) -> str:
        rows = self._rows(statement, *values)
        return str(rows[0][0]) if rows and rows[0][0] is not None else ""

    def _field(self, table: str, field: str, key: str) -> str:
        return self._one(f"SELECT {field} FROM {table} WHERE {_TABLES[table]} = ?", key)

    def _count(self, table: str) -> int:
        return int(self._one(f"SELECT count(*) FROM {table}") or 0)

    def _value(self, path: str, tag: str) -> str | None:
        sop_uid = self.instanceForFile(path)
        if sop_uid:
            with closing(connect(self._folder().ctk_tag_cache, read_only=True)) as connection:
                cached = connection.execute(
                    "SELECT Value FROM TagCache WHERE SOPInstanceUID = ? AND Tag = ?", (sop_uid, tag)
                ).fetchall()
            if cached:
                return tag_text(cached[0][0])
        return _value_in_file(path, tag)


def _tag(tag: str | int, element: int | None) -> str:
    return str(tag).upper() if element is None else f"{tag:04X},{element:04X}"


def _value_in_file(path: str, tag: str) -> str | None:
    if not Path(path).is_file():
        return None
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    element = dataset.get(tuple(int(part, 16) for part in tag.split(",")))
    if element is None:
        return None
    if element.VR == "SQ" or element.value is None:
        return ""
    return "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value)


class FakeIndexer(StrictFake):
    """``ctkDICOMIndexer`` in its background mode; what it does in the background is :func:`work`, called later.

    :ivar _calls: the lists of files it was given, one for each call.
    :ivar _schedule: has a function called later; the default leaves that to the test (:func:`work`).
    """

    REAL = "ctkDICOMIndexer"

    def __init__(self, *_parent: object) -> None:
        super().__init__()
        object.__setattr__(self, "deleteLater", self._delete)  # a method of QObject
        self._is_deleted = False
        self.backgroundImportEnabled = False
        self._database: FakeDatabase | None = None
        self._importing = False
        self._waiting: list[str] = []
        self._calls: list[list[str]] = []
        self._schedule: Callable[[Callable[[], None]], object] = lambda _work: None

    @property
    def importing(self) -> bool:
        if self._is_deleted:
            raise ValueError("Trying to read a property of a deleted object")
        return self._importing

    def database(self) -> FakeDatabase | None:
        return self._database

    def setDatabase(self, database: FakeDatabase) -> None:
        self._database = database

    def addListOfFiles(self, paths: Sequence[str], copy: bool = False) -> None:
        """Queue files; what comes while it is at work is done in the same run."""
        if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
            raise ValueError("Could not find matching overload for given arguments")
        if any(not Path(path).is_absolute() for path in paths):
            raise NotInSlicer("a relative path is stored as it is, and its file never found again")
        if not self.backgroundImportEnabled:
            raise NotInSlicer("without the background it runs an event loop within the call")
        if copy:
            raise NotImplementedError("the fake copies no files")
        self._calls.append(list(paths))
        self._waiting += paths
        if not self._importing:
            self._importing = True
            self._schedule(lambda: work(self))

    def cancel(self) -> None:
        """Drop what is not parsed yet."""
        self._waiting.clear()

    def _delete(self) -> None:
        """The thread ends with it."""
        self._is_deleted = True


def work(indexer: FakeIndexer) -> None:
    """Do what the indexer's thread does, and deliver its signals; nothing if it is gone by then."""
    if indexer._is_deleted:
        return
    if not indexer.importing:
        raise AssertionError("the indexer has nothing to do")
    paths, indexer._waiting = indexer._waiting, []
    database = indexer._database
    counts = (0, 0, 0, 0)
    if database is not None and database.isOpen and paths:
        counts = _insert(indexer, database, paths)
    indexer._importing = False
    indexer.indexingComplete.emit(*counts)
    if database is not None and any(counts):
        database.databaseChanged.emit()  # the watch on the file is late


def _insert(indexer: FakeIndexer, database: FakeDatabase, paths: Sequence[str]) -> tuple[int, int, int, int]:
    before = _counts(database)
    indexer.progressStep.emit("Parsing DICOM files")
    items, replaced = _new_instances(database, paths)
    indexer.progress.emit(80)
    indexer.updatingDatabase.emit(True)
    with CtkDatabase.open(database._folder()) as writer:
        writer.insert(items, replaced)
    database.databaseChanged.emit()
    database.databaseChanged.emit()
    indexer.updatingDatabase.emit(False)
    indexer.progress.emit(100)
    patients, studies, series, images = (now - then for now, then in zip(_counts(database), before, strict=True))
    return patients, studies, series, images


def _counts(database: FakeDatabase) -> tuple[int, int, int, int]:
    return database.patientsCount(), database.studiesCount(), database.seriesCount(), database.imagesCount()


def _new_instances(database: FakeDatabase, paths: Sequence[str]) -> tuple[list[StoredInstance], set[str]]:
    """Read what is new, or changed since it was indexed; what is no instance is passed over."""
    known = {str(name): (uid, added) for name, uid, added in _indexed(database)}
    items, replaced = [], set()
    for path in paths:
        uid, added = known.get(database._stored(path), ("", ""))
        if uid:
            if Path(path).stat().st_mtime <= datetime.fromisoformat(added).timestamp():
                continue
            replaced.add(uid)
        try:
            items.append(StoredInstance(read_header(Path(path)), Path(path)))
        except VisualDicomError:
            continue
    return items, replaced


def _indexed(database: FakeDatabase) -> list[tuple[Any, ...]]:
    return database._rows("SELECT Filename, SOPInstanceUID, InsertTimestamp FROM Images WHERE Filename <> ''")


class FakeSlicer:
    """Modules ``slicer`` and ``ctk`` with a database in a folder.

    :ivar indexers: those that were made.
    :ivar schedule: given to each indexer; for a test with an event loop ``lambda work: qt.QTimer.singleShot(0, work)``.
    """

    def __init__(self, folder: Path | None, schedule: Callable[[Callable[[], None]], object] = lambda _: None) -> None:
        self.database = FakeDatabase()
        self.indexers: list[FakeIndexer] = []
        self.schedule = schedule
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.open_folder(folder)

    def open_folder(self, folder: Path) -> None:
        """Open the database of a folder, as Slicer does: the old one is closed first."""
        if self.database.isOpen:
            self.database.closeDatabase()
        self.database.openDatabase(f"{folder}/ctkDICOM.sql")

    @property
    def indexer(self) -> FakeIndexer:
        """The one indexer."""
        (indexer,) = self.indexers
        return indexer

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the modules in place of real ones until the test ends."""
        patch.setitem(sys.modules, "slicer", SimpleNamespace(dicomDatabase=self.database))
        patch.setitem(sys.modules, "ctk", SimpleNamespace(ctkDICOMIndexer=self._make_indexer))

    def _make_indexer(self, *parent: object) -> FakeIndexer:
        indexer = FakeIndexer(*parent)
        indexer._schedule = self.schedule
        self.indexers.append(indexer)
        return indexer
