"""A loader on a scene of its own, with the event loop in the hands of the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.model import Series
from VisualDICOMBrowserLib.domain.overview import SeriesRow
from VisualDICOMBrowserLib.gui.host import LoadOption, LoadProgress
from VisualDICOMBrowserLib.gui.messages import Message
from VisualDICOMBrowserLib.host_slicer.loading import SlicerLoader
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState

from . import mrml
from .dicom_plugins import Plugin, VolumePlugin, dicom_lib
from .mrml import Slicer


class LoadingDesk:
    """See the module."""

    def __init__(self, running: Slicer, folder: Path) -> None:
        self.slicer = running
        self.folder = folder
        self.session = FakeSession()
        self.turns: deque[Callable[[], None]] = deque()
        self.progress: list[LoadProgress | None] = []
        self.loaded: list[frozenset[str]] = []
        self.options: list[tuple[LoadOption, ...]] = []
        self.use(VolumePlugin)
        self.loader = SlicerLoader(self.session, self.turns.append)
        self.loader.progress_changed.connect(self.progress.append)
        self.loader.loaded_changed.connect(self.loaded.append)
        self.loader.choice_asked.connect(self.options.append)

    def use(self, *plugins: type[Plugin]) -> None:
        """Let these be the plugins."""
        self.slicer.plugins.clear()
        self.slicer.plugins.update({plugin.__name__: plugin for plugin in plugins})

    def add(self, *paths: Path, **row: Any) -> str:
        """Let files of a series be in Slicer's database and in the catalogue; return its UID."""
        uid = self.slicer.database._add(*paths)
        count = len(self.slicer.database.filesForSeries(uid))
        values = {"instances": count, "local_instances": count} | row
        self.know(uid, **values)
        return uid

    def know(self, uid: str, **values: Any) -> SeriesRow:
        """Let the catalogue have a series."""
        number = int(uid.rpartition(".")[2])
        row = SeriesRow(Series(uid, "1", number, "CT", f"Series {number}"), **values)
        others = [one for one in self.session.reader.series_of.get("1", []) if one.uid != uid]
        self.session.reader.series_of["1"] = [*others, row]
        return row

    def know_anew(self, uid: str, **values: Any) -> None:
        """Let the catalogue say something else of a series."""
        row = self.session.reader.series_by_uid([uid])[uid]
        others = [one for one in self.session.reader.series_of["1"] if one.uid != uid]
        self.session.reader.series_of["1"] = [*others, replace(row, **values)]

    def note_job(self, uid: str, state: JobState, job_id: str = "job", reason: str = "", created: float = 1.0) -> None:
        """Let the engine tell of a retrieve."""
        description = JobDescription(job_id, JobKind.RETRIEVE, "PACS", {"level": "series", "uids": [uid]})
        self.session.jobs.note(JobRecord(description, state, Stamp(0.0, created), reason=reason).to_dict())

    def turn(self) -> None:
        """Let the event loop make one turn."""
        for _ in range(len(self.turns)):
            self.turns.popleft()()

    def run(self) -> None:
        """Let the event loop run until nothing is left to do."""
        for _ in range(1000):
            if not self.turns:
                return
            self.turn()
        raise AssertionError("The loader does not come to an end.")

    def load(self, *uids: str, **options: Any) -> None:
        """Load, and wait for the end."""
        self.loader.load(uids, **options)
        self.run()

    @property
    def message(self) -> Message:
        """What the user was told last."""
        return self.session.messages[-1]


@contextmanager
def loading_desk(folder: Path) -> Iterator[LoadingDesk]:
    """Open Slicer with a loader; afterwards nobody observes the scene any more."""
    with mrml.open_slicer() as running, dicom_lib():
        desk = LoadingDesk(running, folder)
        yield desk
        desk.loader.close()
        desk.run()
        running.scene.AddNewNodeByClass("vtkMRMLTextNode")
        assert not desk.turns
