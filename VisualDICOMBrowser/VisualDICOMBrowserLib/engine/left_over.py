"""Jobs that an earlier engine on this folder left unfinished, when it ended or was killed."""

from __future__ import annotations

from collections.abc import Iterable

from ..jobs.description import JobRecord
from ..jobs.queue import JobQueueStore
from .runner import JobRunner


class LeftOver:
    """See the module. What this engine itself queues is none of it."""

    def __init__(self, queue: JobQueueStore, jobs: JobRunner) -> None:
        self._queue = queue
        self._jobs = jobs
        self._records = {record.job_id: record for record in queue.load_unfinished()}

    def records(self) -> list[JobRecord]:
        """Return the jobs, oldest first."""
        return list(self._records.values())

    def resume(self) -> list[str]:
        """Queue all of them again, and return their ids; each looks at what is here and does the rest."""
        return [record.job_id for record in self._taken() if self._jobs.restore(record)]

    def forget(self) -> list[str]:
        """Drop all of them, and return their ids; what they had brought stays."""
        dropped = [record.job_id for record in self._taken()]
        for job_id in dropped:
            self._queue.delete(job_id)
        return dropped

    def _taken(self) -> Iterable[JobRecord]:
        taken, self._records = list(self._records.values()), {}
        return taken
