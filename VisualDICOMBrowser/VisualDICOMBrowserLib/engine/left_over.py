"""The jobs that an earlier engine on this folder left in the queue, when it ended or was killed.

Those that had ended without success are listed like this engine's own, until they are cleared. Those that were under
way are not queued again before somebody says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..domain.errors import UsageError
from ..domain.protocol_log import ProtocolLog
from ..jobs.description import JobDescription, JobRecord
from ..jobs.queue import JobQueueStore
from ..jobs.states import JobEvent, transition
from .runner import JobRunner

#: How many jobs that ended without success are kept from one start to the next, if nobody clears them: the newest.
MAX_ENDED = 1000


class LeftOver:
    """See the module. What this engine itself queues is none of it.

    :param ours: whether this engine holds the folder; if not, the jobs are another one's, and are left alone.
    """

    def __init__(self, queue: JobQueueStore, jobs: JobRunner, *, ours: bool) -> None:
        self._queue = queue
        self._jobs = jobs
        records = queue.records() if ours else []
        self._records = {record.job_id: record for record in records if not record.state.terminal}
        ended = [record for record in records if record.state.terminal]
        for record in ended[:-MAX_ENDED]:
            queue.delete(record.job_id)
        for record in ended[-MAX_ENDED:]:
            jobs.remember(record)

    def records(self) -> list[JobRecord]:
        """Return the jobs that were under way, oldest first."""
        return list(self._records.values())

    def resume(self, job_ids: Iterable[str] | None = None) -> list[str]:
        """Queue some of :meth:`records` again, all if None, and return their ids; each does what is still missing."""
        return [record.job_id for record in self._taken(job_ids) if self._jobs.restore(record)]

    def cancel(self, job_id: str) -> bool:
        """Have one of :meth:`records` count as cancelled; False if it is none of them."""
        for record in self._taken([job_id]):
            state = transition(record.state, JobEvent.CANCEL)
            cancelled = replace(record, state=state, reason="Cancelled.", retry_at=None)
            self._queue.save(cancelled, self._queue.log(job_id))
            self._jobs.remember(cancelled)
            return True
        return False

    def forget(self, unwanted: Callable[[JobDescription], bool] = lambda _: True) -> list[str]:
        """Drop those of :meth:`records` that are unwanted, and return their ids; what they had brought stays."""
        ids = [record.job_id for record in self.records() if unwanted(record.description)]
        dropped = [record.job_id for record in self._taken(ids)]
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

    def _taken(self, job_ids: Iterable[str] | None = None) -> list[JobRecord]:
        """Take records out, so that nobody takes them twice."""
        wanted = list(self._records) if job_ids is None else job_ids
        return [record for job_id in wanted if (record := self._records.pop(job_id, None)) is not None]
