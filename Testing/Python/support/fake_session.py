"""A session without an engine and a catalogue without a file, for tests of single widgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from VisualDICOMBrowserLib.domain.errors import VisualDicomError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.overview import PatientRow, Places, SeriesRow, StudyRow
from VisualDICOMBrowserLib.gui.call_book import CallBook
from VisualDICOMBrowserLib.gui.job_book import JobBook
from VisualDICOMBrowserLib.gui.messages import Message, Tone
from VisualDICOMBrowserLib.gui.parts.signals import Signal
from VisualDICOMBrowserLib.store.reader import PersonMark


@dataclass
class Ask:
    """A request that a widget made."""

    method: str
    params: Mapping[str, Any]
    on_done: Callable[[Any], object] | None
    on_failed: Callable[[VisualDicomError], object] | None
    stopped: bool = False
    settled: bool = False

    def stop(self) -> None:
        self.stopped = True

    def done(self) -> bool:
        return self.settled

    def answer(self, result: Any = None) -> None:
        self.settled = True
        if self.on_done is not None:
            self.on_done(result)

    def fail(self, error: VisualDicomError) -> None:
        self.settled = True
        if self.on_failed is not None:
            self.on_failed(error)


@dataclass
class FakeReader:
    """Rows in memory."""

    people: list[PatientRow] = field(default_factory=list)
    studies_of: dict[int, list[StudyRow]] = field(default_factory=dict)
    series_of: dict[str, list[SeriesRow]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    paths_of: dict[str, list[Path]] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)

    def row_now(self, row: int) -> int:
        return self.moved.get(row, row)

    def patient_rows(self, filter: QueryFilter, places: Places) -> list[int]:
        self.asked.append(("patient_rows", filter))
        return [person.row for person in self.people if filter.matches_patient(person.patient)]

    def some_patient_rows(
        self, filter: QueryFilter, places: Places, after: PersonMark | None = None, among: int | None = None
    ) -> tuple[list[int], PersonMark | None]:
        first = 0 if after is None else after[2]
        self.asked.append(("patient_rows", filter))
        seen = self.people[first:] if among is None else self.people[first : first + among]
        last = first + len(seen)
        more = among is not None and len(seen) == among
        return [one.row for one in seen if filter.matches_patient(one.patient)], ("", "", last) if more else None

    def patients(self, rows: Sequence[int]) -> list[PatientRow]:
        self.asked.append(("patients", tuple(rows)))
        known = {person.row: person for person in self.people}
        return [known[row] for row in rows if row in known]

    def studies(self, patient_row: int, filter: QueryFilter, places: Places) -> list[StudyRow]:
        return self.studies_of.get(patient_row, [])

    def series(self, study_uids: Sequence[str], filter: QueryFilter, places: Places) -> dict[str, list[SeriesRow]]:
        self.asked.append(("series", tuple(study_uids)))
        return {uid: self.series_of.get(uid, []) for uid in study_uids}

    def series_by_uid(self, series_uids: Sequence[str]) -> dict[str, SeriesRow]:
        return {row.uid: row for rows in self.series_of.values() for row in rows if row.uid in set(series_uids)}

    def local_paths(self, series_uids: Sequence[str], limit: int) -> list[Path]:
        return [path for uid in series_uids for path in self.paths_of.get(uid, [])][:limit]

    def close(self) -> None:
        return None


class FakeSession:
    """The interface of :class:`VisualDICOMBrowserLib.gui.session.Session`."""

    def __init__(self) -> None:
        self.reader = FakeReader()
        self.jobs = JobBook()
        self.calls = CallBook()
        self.ready_changed = Signal()
        self.series_changed = Signal()
        self.catalogue_changed = Signal()
        self.servers_changed = Signal()
        self.listener_changed = Signal()
        self.caller_refused = Signal()
        self.index_wanted = Signal()
        self.removal_wanted = Signal()
        self.said = Signal()
        self.package_missing = Signal()
        self.ready = True
        self.asks: list[Ask] = []
        self.restarts = 0
        self.messages: list[Message] = []
        self.said.connect(self.messages.append)

    def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        done: Callable[[Any], object] | None = None,
        failed: Callable[[VisualDicomError], object] | None = None,
    ) -> Ask:
        ask = Ask(method, params or {}, done, failed)
        self.asks.append(ask)
        return ask

    def asked(self, method: str) -> list[Ask]:
        return [ask for ask in self.asks if ask.method == method]

    def say(self, text: str, tone: Tone = Tone.NOTE, about: str = "") -> None:
        self.said.emit(Message(text, tone, about))

    def restart(self) -> None:
        self.restarts += 1

    def begin_close(self) -> None:
        return None

    def close(self) -> None:
        return None
