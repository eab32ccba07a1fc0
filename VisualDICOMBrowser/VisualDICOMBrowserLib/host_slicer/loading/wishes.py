"""Series that are to be loaded once they are here: fetched first, then handed on by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ...domain.errors import Cancelled, StorageError, VisualDicomError
from ...domain.overview import SeriesRow
from ...gui.messages import Message, Remedy, Tone
from ...gui.parts.signals import Signal
from ...gui.session import Session
from ...jobs.description import JobRecord
from ...jobs.states import JobState
from .plugins import files_of
from .words import name_of


@dataclass(frozen=True)
class Wish:
    """One series.

    :ivar choose: the user wants to choose how it is loaded.
    :ivar stale: id of a retrieve that had ended before; it says nothing.
    """

    row: SeriesRow
    choose: bool
    stale: str = ""


class Wishes:
    """See the module. ``changed`` tells when there are more or fewer.

    :param ready: called with a UID and ``choose`` when a series is here, or what is here of it is wanted anyhow.
    """

    def __init__(self, session: Session, ready: Callable[[str, bool], None]) -> None:
        self.changed = Signal()
        self._session = session
        self._ready = ready
        self._wishes: dict[str, Wish] = {}
        self._disconnects = [
            session.jobs.changed.connect(lambda *_: self._look_at_jobs()),
            session.series_changed.connect(lambda uid: self._look_at([uid])),
            session.catalogue_changed.connect(lambda: self._look_at(list(self._wishes))),
        ]

    def __contains__(self, series_uid: object) -> bool:
        return series_uid in self._wishes

    def __len__(self) -> int:
        return len(self._wishes)

    def take(self, series_uids: Sequence[str], choose: bool) -> list[str]:
        """Have those fetched that are not wholly here, and return the others, to be loaded now."""
        try:
            rows = self._session.reader.series_by_uid(list(series_uids))
        except StorageError as error:
            self._session.say(f"Nothing is loaded. {error}", Tone.PROBLEM, "load")
            return []
        absent = [row for row in rows.values() if not row.complete and row.servers]
        self._wishes |= {row.uid: Wish(row, choose, self._ended_job(row)) for row in absent}
        to_fetch = [row.uid for row in absent if not self._is_under_way(row)]
        if to_fetch:
            self._session.ask("fetch", {"series_uids": to_fetch}, failed=lambda error: self._refused(to_fetch, error))
        if absent:
            self.changed.emit()
        return [uid for uid in series_uids if uid not in {row.uid for row in absent}]

    def rows(self, series_uids: Iterable[str]) -> dict[str, SeriesRow]:
        """Return what the catalogue says of series; nothing while it cannot be read, for it is asked again."""
        try:
            return self._session.reader.series_by_uid(list(series_uids))
        except StorageError:
            return {}

    def ask_choice(self, series_uid: str) -> None:
        """Remember that the user wants to choose."""
        self._wishes[series_uid] = replace(self._wishes[series_uid], choose=True)

    def drop(self) -> None:
        """Forget all; what is being fetched is fetched to the end."""
        if self._wishes:
            self._wishes.clear()
            self.changed.emit()

    def close(self) -> None:
        """Hear nothing more."""
        self._wishes.clear()
        for disconnect in self._disconnects:
            disconnect()

    def _job(self, wish: Wish) -> JobRecord | None:
        job = self._session.jobs.retrieve_of(wish.row)
        return None if job is None or job.job_id == wish.stale else job

    def _ended_job(self, row: SeriesRow) -> str:
        job = self._session.jobs.retrieve_of(row)
        return job.job_id if job is not None and job.state.terminal else ""

    def _is_under_way(self, row: SeriesRow) -> bool:
        job = self._session.jobs.retrieve_of(row)
        return job is not None and not job.state.terminal

    def _look_at_jobs(self) -> None:
        ended = [uid for uid, wish in self._wishes.items() if (job := self._job(wish)) and job.state.terminal]
        if ended:
            self._look_at(ended)

    def _look_at(self, uids: Sequence[str]) -> None:
        """Hand on what is complete; where the retrieve has ended otherwise, say so."""
        waiting = {uid: wish for uid in uids if (wish := self._wishes.get(uid)) and not self._is_under_way(wish.row)}
        rows = self.rows(waiting) if waiting else {}
        for uid, wish in waiting.items():
            job, row = self._job(wish), rows.get(uid, wish.row)
            whole = row.complete or (job is not None and job.state is JobState.COMPLETED)
            if whole and files_of(uid):
                self._hand_on(uid)
            elif job is not None and job.state.terminal:
                self._end(uid, job)

    def _hand_on(self, uid: str) -> None:
        wish = self._wishes.pop(uid)
        self.changed.emit()
        self._ready(uid, wish.choose)

    def _end(self, uid: str, job: JobRecord) -> None:
        """Say that a series will not be loaded, and why."""
        wish = self._wishes.pop(uid)
        self.changed.emit()
        name, about = name_of(wish.row), f"load:{uid}"
        if job.state is JobState.CANCELLED:
            self._session.say(f"{name} is not loaded: fetching was cancelled.", about=about)
            return
        here = bool(files_of(uid))
        fault = "was not fetched wholly" if here else "could not be fetched"
        if job.state is JobState.COMPLETED:
            fault = "was fetched, but Slicer's database does not list it"
        text = f"{name} is not loaded: it {fault}. {job.reason}".strip()
        remedies = (Remedy("Load what is here", lambda: self._ready(uid, wish.choose)),) if here else ()
        self._session.said.emit(Message(text, Tone.PROBLEM, about, remedies))

    def _refused(self, uids: Sequence[str], error: VisualDicomError) -> None:
        for uid in uids:
            wish = self._wishes.pop(uid, None)
            if wish is not None and not isinstance(error, Cancelled):
                text = f"{name_of(wish.row)} is not loaded: it could not be fetched. {error}"
                self._session.say(text, Tone.PROBLEM, f"load:{uid}")
        self.changed.emit()
