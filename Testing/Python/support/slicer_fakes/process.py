"""Slicer's ways to run Python, and its database as the engine in its process sees it."""

from __future__ import annotations

import stat
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from support.host_of_rows import HostOfRows
from VisualDICOMBrowserLib.gui.session import Session
from VisualDICOMBrowserLib.store.sqlite import connect

from .database import FakeDatabase
from .strict import NotInSlicer

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


class MainThreadDatabase(FakeDatabase):
    """``slicer.dicomDatabase`` of a folder, which minds on what thread it is asked.

    :ivar _asked: how often.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._asked = 0
        self.openDatabase(f"{folder}/ctkDICOM.sql")

    def filesForSeries(self, series_uid: str) -> tuple[str, ...]:
        return self._paths("SELECT Filename FROM Images WHERE SeriesInstanceUID = ?", series_uid)

    def cachedTag(self, sop_uid: str, tag: str) -> str:
        self._note()
        with closing(connect(self._folder().ctk_tag_cache, read_only=True)) as connection:
            values = (sop_uid, tag.upper())
            found = connection.execute("SELECT Value FROM TagCache WHERE SOPInstanceUID = ? AND Tag = ?", values)
            rows = found.fetchall()
        return (rows[0][0] or "__VALUE_IS_EMPTY_STRING__") if rows else ""

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        self._note()
        return super()._rows(statement, *values)

    def _paths(self, statement: str, *values: object) -> tuple[str, ...]:
        """What is known of a server only has no file, and then CTK returns no folder either."""
        names = (row[0] or "" for row in self._rows(statement, *values))
        return tuple(str(Path(self.databaseDirectory, name)) if name else "" for name in names)

    def _note(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise NotInSlicer("Slicer's database belongs to the main thread")
        self._asked += 1


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
