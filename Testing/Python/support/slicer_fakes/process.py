"""Slicer's ways to run Python, and its database as the engine in its process sees it."""

from __future__ import annotations

import sqlite3
import stat
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from support.host_of_rows import HostOfRows
from VisualDICOMBrowserLib.gui.session import Session

from .strict import NotInSlicer, StrictFake

#: Like CTK's application launcher: standard input and output are forwarded, a crash is exit code 1.
_LAUNCHER = """#!{python}
import json, os, pathlib, subprocess, sys
folder = pathlib.Path({folder!r})
folder.joinpath("environment.json").write_text(json.dumps(dict(os.environ)))
child = subprocess.Popen([{python!r}, *[word for word in sys.argv[1:] if word not in {dropped!r}]])
with folder.joinpath("starts.jsonl").open("a") as file:
    file.write(json.dumps([os.getpid(), child.pid]) + "\\n")
code = child.wait()
sys.exit(code if code >= 0 else 1)
"""


def make_python_slicer(folder: Path, script: str | None = None, dropped: tuple[str, ...] = ()) -> Path:
    """Write ``PythonSlicer`` into a folder, which then belongs on the search path.

    It notes in ``starts.jsonl`` its own process and that of Python, and in ``environment.json`` what it was given.

    :param script: the text of a program to take its place.
    :param dropped: words of the command line that Python does not get.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "PythonSlicer"
    program.write_text(
        script or _LAUNCHER.format(python=sys.executable, folder=str(folder), dropped=dropped), encoding="utf-8"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


class FakeDatabase(StrictFake):
    """``slicer.dicomDatabase`` of a folder, for reading; only on the main thread, and without CTK's locks.

    :ivar calls: how often it was asked something.
    """

    REAL = "ctkDICOMDatabase"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder: Path | None = folder
        self._calls = 0

    @property
    def isOpen(self) -> bool:
        return self._folder is not None

    @property
    def databaseDirectory(self) -> str:
        return "" if self._folder is None else self._folder.as_posix()

    @property
    def calls_made(self) -> int:
        return self._calls

    def openDatabase(self, file: str) -> bool:
        self._folder = Path(file).parent
        return True

    def closeDatabase(self) -> None:
        self._folder = None

    def patients(self) -> tuple[str, ...]:
        return self._column("SELECT UID FROM Patients")

    def studiesForPatient(self, patient: str) -> tuple[str, ...]:
        return self._column("SELECT StudyInstanceUID FROM Studies WHERE PatientsUID = ?", patient)

    def seriesForStudy(self, study: str) -> tuple[str, ...]:
        return self._column("SELECT SeriesInstanceUID FROM Series WHERE StudyInstanceUID = ?", study)

    def instancesForSeries(self, series: str) -> tuple[str, ...]:
        return self._column("SELECT SOPInstanceUID FROM Images WHERE SeriesInstanceUID = ?", series)

    def filesForSeries(self, series: str) -> tuple[str, ...]:
        names = self._column("SELECT Filename FROM Images WHERE SeriesInstanceUID = ?", series)
        return tuple(map(self._absolute, names))

    def fileForInstance(self, sop_uid: str) -> str:
        return self._absolute(self._one("SELECT Filename FROM Images WHERE SOPInstanceUID = ?", sop_uid))

    def seriesForFile(self, file: str) -> str:
        internal = file.removeprefix(f"{self.databaseDirectory}/")
        return self._one("SELECT SeriesInstanceUID FROM Images WHERE Filename = ?", internal)

    def fieldForPatient(self, field: str, patient: str) -> str:
        return self._one(f"SELECT {field} FROM Patients WHERE UID = ?", patient)

    def fieldForStudy(self, field: str, study: str) -> str:
        return self._one(f"SELECT {field} FROM Studies WHERE StudyInstanceUID = ?", study)

    def fieldForSeries(self, field: str, series: str) -> str:
        return self._one(f"SELECT {field} FROM Series WHERE SeriesInstanceUID = ?", series)

    def cachedTag(self, sop_uid: str, tag: str) -> str:
        statement = "SELECT Value FROM TagCache WHERE SOPInstanceUID = ? AND Tag = ?"
        found = self._column(statement, sop_uid, tag.upper(), file="ctkDICOMTagCache.sql")
        return (found[0] or "__VALUE_IS_EMPTY_STRING__") if found else ""

    def _absolute(self, name: str) -> str:
        return name if not name or Path(name).is_absolute() else f"{self.databaseDirectory}/{name}"

    def _one(self, statement: str, *values: str) -> str:
        return next(iter(self._column(statement, *values)), "")

    def _column(self, statement: str, *values: str, file: str = "ctkDICOM.sql") -> tuple[str, ...]:
        if threading.current_thread() is not threading.main_thread():
            raise NotInSlicer("Slicer's database belongs to the main thread")
        self._calls += 1
        if self._folder is None:
            return ()
        with closing(sqlite3.connect(self._folder / file)) as connection:
            rows = connection.execute(statement, values).fetchall()
        return tuple("" if row[0] is None else str(row[0]) for row in rows)


class RowsForSession:
    """Does what a session wishes for the rows of its folder, at once and on the main thread.

    :ivar rows: what writes them.
    """

    def __init__(self, session: Session, folder: Path) -> None:
        self.rows = HostOfRows(folder)
        self._session = session
        session.index_wanted.connect(lambda _data: self.index())
        session.removal_wanted.connect(lambda _data: self.remove())

    def index(self) -> None:
        """Take batches in until there is none."""
        self._session.ask("index_batch", {"limit": 1000}, self._index)

    def remove(self) -> None:
        """Do removals until there is none."""
        self._session.ask("series_to_remove", {}, self._remove)

    def _index(self, batch: dict[str, Any]) -> None:
        if batch["files"]:
            self.rows.write_rows(batch["files"])
            self.rows.batches.append(tuple(batch["files"]))
            self._session.ask("index_done", {"batch": batch["batch"]}, lambda _outcome: self.index())

    def _remove(self, wish: dict[str, Any]) -> None:
        if wish["removal"]:
            for series_uid in wish["series"]:
                self.rows.remove_series(series_uid)
            self._session.ask("series_removed", {"removal": wish["removal"]}, lambda _nothing: self.remove())
