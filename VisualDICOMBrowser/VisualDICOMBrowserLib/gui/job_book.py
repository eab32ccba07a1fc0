"""What the window knows of the engine's jobs, from their events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..domain.overview import SeriesRow
from ..jobs.description import JobKind, JobRecord
from .parts.signals import Signal

#: How many jobs that have ended are kept.
MAX_ENDED = 2000


class JobBook:
    """The newest record of each job. ``changed`` tells a job's id, ``None`` for all of them."""

    def __init__(self) -> None:
        self.changed = Signal()
        self._records: dict[str, JobRecord] = {}
        self._open: set[str] = set()
        self._retrieves: dict[str, str] = {}  # UID of a series or study -> its newest retrieve

    @property
    def any_open(self) -> bool:
        """Whether there is a job that has not ended; the listener, which goes on all the time, is none."""
        return bool(self._open)

    def note(self, values: Mapping[str, Any]) -> None:
        """Take the record of an event ``job`` or ``progress``.

        :raises BadData: it cannot be read.
        """
        record = JobRecord.from_dict(values)
        self._records[record.job_id] = record
        is_over = record.state.terminal or record.description.kind.standing
        (self._open.discard if is_over else self._open.add)(record.job_id)
        if record.description.kind is JobKind.RETRIEVE:
            for uid in record.description.params.get("uids", ()):
                newest = self._records.get(self._retrieves.get(uid, ""))
                if newest is None or newest.created.wall <= record.created.wall:
                    self._retrieves[uid] = record.job_id
        self._drop_oldest()
        self.changed.emit(record.job_id)

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take the engine's whole list."""
        self._records.clear()
        self._open.clear()
        self._retrieves.clear()
        for values in records:
            self.note(values)
        self.changed.emit(None)

    def forget(self, job_ids: Iterable[str]) -> None:
        """Drop jobs from the list."""
        for job_id in job_ids:
            self._records.pop(job_id, None)
            self._open.discard(job_id)
        self.changed.emit(None)

    def records(self) -> list[JobRecord]:
        """Return all jobs, newest first."""
        return sorted(self._records.values(), key=lambda record: record.created.wall, reverse=True)

    def get(self, job_id: str) -> JobRecord | None:
        """Return one job."""
        return self._records.get(job_id)

    def retrieve_of(self, series: SeriesRow) -> JobRecord | None:
        """Return the newest retrieve that is about a series, by itself or with its study."""
        if not self._retrieves:
            return None  # asked for each series of a sheet
        candidates = [
            record
            for uid in (series.uid, series.series.study_uid)
            if (record := self._records.get(self._retrieves.get(uid, ""))) is not None
        ]
        return max(candidates, key=lambda record: record.created.wall, default=None)

    def _drop_oldest(self) -> None:
        if len(self._records) <= 2 * MAX_ENDED:
            return
        ended = sorted((r for r in self._records.values() if r.state.terminal), key=lambda r: r.created.wall)
        for record in ended[: max(0, len(ended) - MAX_ENDED)]:
            del self._records[record.job_id]
