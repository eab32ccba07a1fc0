"""Looks at the job book when it changed, a few times a second at most, and once a second while jobs run."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt

from ...domain.errors import StorageError
from ...jobs.description import JobRecord
from ..parts.signals import Signal
from ..parts.throttle import Throttle
from ..session import Session
from .job_rates import JobRates
from .job_words import label_of, series_of, series_title

_INTERVAL_MS = 200
_TICK_MS = 1000
_TITLES_AT_ONCE = 50


class JobWatch:
    """All jobs, and how fast they are.

    ===========  ======  ==========================================================
    signal       values  when
    ===========  ======  ==========================================================
    ``updated``  none    jobs changed, or may be slower than they were a second ago
    ===========  ======  ==========================================================

    :ivar records: the newest first.
    :param parent: the Qt object that its timers belong to.
    """

    def __init__(self, session: Session, parent: qt.QObject, clock: Callable[[], float] = time.monotonic) -> None:
        self.updated = Signal()
        self.records: list[JobRecord] = []
        self._rates = JobRates()
        self._paused = False
        self._titles: dict[str, str] = {}  # of series, by UID
        self._reader = session.reader
        self._book, self._clock = session.jobs, clock
        self._later = Throttle(_INTERVAL_MS, self._look_if_seen, parent)
        self._ticker = qt.QTimer(parent)
        self._ticker.setInterval(_TICK_MS)
        self._ticker.timeout.connect(lambda *_: self._later())
        self._end = self._book.changed.connect(lambda *_: self._later())

    def pause(self) -> None:
        """Look no more until :meth:`resume`: nobody sees it."""
        self._paused = True

    def resume(self) -> None:
        """Look again, now and whenever something changes."""
        if self._paused:
            self._paused = False
            self.look()

    def look(self) -> None:
        """Look at the book now."""
        now, self.records = self._clock(), self._book.records()
        known = set()
        for record in self.records:
            if not record.state.terminal:
                known.add(record.job_id)
                self._rates.note(record.job_id, record.bytes, now)
        self._rates.keep(known)
        self._look_up_titles()
        if known and not self._ticker.isActive():
            self._ticker.start()
        elif not known:
            self._ticker.stop()
        self.updated.emit()

    def _look_if_seen(self) -> None:
        if not self._paused:
            self.look()

    def rate(self, job_id: str) -> float:
        """Return bytes a second of a job."""
        return self._rates.rate(job_id, self._clock())

    def label(self, record: JobRecord) -> str:
        """Return what a job is about: the name of its series if it is about one."""
        return self._titles.get(series_of(record) or "") or label_of(record)

    def total_rate(self) -> float:
        """Return bytes a second of all jobs."""
        return self._rates.total(self._clock())

    def _look_up_titles(self) -> None:
        """Ask the catalogue for the names of series not asked for before, some at a time."""
        uids = dict.fromkeys(uid for record in self.records if (uid := series_of(record)) is not None)
        unknown = [uid for uid in uids if uid not in self._titles][:_TITLES_AT_ONCE]
        try:
            found = self._reader.series_by_uid(unknown) if unknown else {}
        except StorageError:
            return  # jobs go without names until the next look; that the catalogue is damaged, the sheet says
        self._titles.update({uid: series_title(found[uid].series) if uid in found else "" for uid in unknown})

    def cleanup(self) -> None:
        """Let go of the session."""
        self._later.cancel()
        self._ticker.stop()
        self._end()
