"""What the engine says of its jobs, and does with them when asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..domain.cancel import CancelToken
from ..domain.errors import UsageError
from ..jobs.description import JobRecord
from ..store.local import LocalStore
from .background import BackgroundFetching
from .job_queue import CatalogueJobQueue
from .job_targets import priority_when_shown
from .left_over import LeftOver
from .runner import JobRunner


@dataclass(frozen=True)
class QueuedJobs:
    """The queue of a database folder.

    :ivar records: oldest first; of a folder that another engine holds, as they were at their last transition.
    :ivar interrupted: ids of those that are under way in no engine any more.
    :ivar unreadable: how many more there are, which cannot be read, and are left alone.
    :ivar held_by: a sentence on the other engine, empty if the folder is ours.
    """

    records: tuple[JobRecord, ...]
    interrupted: frozenset[str]
    unreadable: int
    held_by: str


class JobDesk:
    """The part of :class:`.Engine` that is about jobs."""

    _background: BackgroundFetching
    _jobs: JobRunner
    _queue: CatalogueJobQueue
    _left_over: LeftOver
    _store: LocalStore

    def jobs(self) -> list[JobRecord]:
        """Return the jobs of this engine, and those that earlier ones ended without success, oldest first."""
        return self._jobs.records()

    def job_log(self, job_id: str) -> dict[str, Any]:
        """Return what happened to a job on the network, and why: ``{"lines": [{"at", "text"}], "dropped"}``.

        The newest 500 lines, the oldest first; ``at`` is in seconds since 1970, ``dropped`` counts older ones.
        No line holds patient data. A job that stays in the queue on disk keeps its log there until it is cleared.

        :raises UsageError: there is no such job.
        """
        return self._left_over.log(job_id)

    def cancel_job(self, job_id: str) -> bool:
        """Ask a job to stop; it has within 2 seconds. False if it had ended.

        One that an earlier engine left unfinished is not offered any more.

        :raises UsageError: there is no such job.
        :raises FolderInUse: it is not this engine's, which does not hold the folder.
        """
        if self._left_over.cancel(job_id):
            return True
        self._require_known(job_id)
        return self._jobs.cancel(job_id)

    def retry_job(self, job_id: str) -> None:
        """Queue a job again that failed, fell short, was cancelled or left unfinished: it does what is missing.

        :raises UsageError: there is no such job, or it cannot be retried.
        :raises FolderInUse: it is not this engine's, which does not hold the folder.
        """
        if not self._left_over.resume([job_id]):
            self._require_known(job_id)
            self._jobs.retry(job_id)

    def wait_for_jobs(self, job_ids: Sequence[str], *, token: CancelToken | None = None) -> list[JobRecord]:
        """Wait until jobs have ended, and return how; ``token`` cancels them."""
        return self._jobs.wait_ended(job_ids, token or CancelToken())

    def show(self, series_uids: Sequence[str], study_uids: Sequence[str] = ()) -> None:
        """Have thumbnails of these series, and what is fetched of them ahead, done before those of all others.

        That holds for what is queued, and for what comes until this is called again. What the user asked for keeps its
        place between the two.

        :param study_uids: studies that are open on the screen: what servers with ``fetch_ahead`` have of them is
            fetched ahead, each series once as long as this engine runs.
        """
        self._jobs.prioritise(partial(priority_when_shown, frozenset(series_uids)))
        self._background.fetch_ahead(study_uids)

    def clear_jobs(self) -> list[str]:
        """Forget the jobs that have ended, and return their ids."""
        cleared = self._jobs.clear()
        if not self._store.read_only:
            self._queue.delete_ended()
        return cleared

    def queued_jobs(self) -> QueuedJobs:
        """Return what is in the queue on disk, whoever put it there: it is not completed."""
        records = self._queue.records()
        own = {record.job_id for record in self._jobs.records()}
        left = {record.job_id for record in records if not record.state.terminal} - own
        interrupted = frozenset() if self._store.held_by else frozenset(left)
        return QueuedJobs(tuple(records), interrupted, self._queue.unreadable(), self._store.held_by)

    def unfinished_jobs(self) -> list[JobRecord]:
        """Return the durable jobs that an earlier engine on this folder left unfinished, oldest first."""
        return self._left_over.records()

    def resume_jobs(self) -> list[str]:
        """Queue again what :meth:`unfinished_jobs` returns, and return the jobs' ids; nothing is fetched twice."""
        return self._left_over.resume()

    def drop_jobs(self) -> list[str]:
        """Forget what :meth:`unfinished_jobs` returns, and return the jobs' ids; what they had brought stays."""
        return self._left_over.forget()

    def _require_known(self, job_id: str) -> None:
        """Return quietly if a job is this engine's, or if none could be another's.

        :raises FolderInUse: another engine holds the folder.
        """
        with suppress(UsageError):
            self._jobs.log(job_id)
            return
        self._store.require_writable()
