"""Jobs that an earlier engine on this folder left unfinished, when it ended or was killed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ..domain.errors import UsageError
from ..domain.protocol_log import ProtocolLog
from ..jobs.description import JobRecord
from ..jobs.queue import JobQueueStore
from .runner import JobRunner


class LeftOver:
    """See the module. What this engine itself queues is none of it."""

    def __init__(self, queue: JobQueueStore, jobs: JobRunner, *, ours: bool) -> None:
        self._queue = queue
        self._jobs = jobs
        self._records = {record.job_id: record for record in queue.load_unfinished()} if ours else {}

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

    def log(self, job_id: str) -> dict[str, Any]:
        """Return the log of a job of this engine, or of one in the queue.

        :raises UsageError: there is no such job.
        """
        with suppress(UsageError):
            return self._jobs.log(job_id)
        log = ProtocolLog()
        log.restore(self._queue.log(job_id))
        if not log.to_dict()["lines"]:
            raise UsageError("There is no such job.")
        return log.to_dict()

    def _taken(self) -> Iterable[JobRecord]:
        taken, self._records = list(self._records.values()), {}
        return taken
