"""A job while it lives: what its worker gets and returns, what its owner holds, and the scheduler's notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..domain.cancel import CancelToken
from ..domain.errors import Cancelled, VisualDicomError
from ..domain.protocol_log import ProtocolLog
from .description import JobDescription, JobRecord, Missing, Priority, Stamp
from .states import JobState

#: Most texts of a memo that outlive the process.
MAX_MEMO = 10_000


@dataclass(frozen=True)
class Outcome:
    """How a job ended, or how one try of it did.

    A worker may return any value, which means completed; or an outcome that is completed, incomplete, or indexing
    (files safe, rows not yet seen: :meth:`.Scheduler.index_done` follows). An incomplete outcome with a retryable
    error is tried again first.

    :ivar result: what the worker has to show; for an incomplete job, with what is missing.
    :ivar reason: a sentence for the user.
    :ivar error: why it failed, or fell short.
    :ivar missing: what of an incomplete job is still to be done.
    :ivar conflicts: how many instances came with other content than what is here, and were not kept.
    """

    result: Any = None
    state: JobState = JobState.COMPLETED
    reason: str = ""
    error: VisualDicomError | None = None
    missing: Missing = field(default_factory=Missing)
    conflicts: int = 0


@dataclass(frozen=True)
class JobTransition:
    """One step of a job.

    :ivar job: the job right after the step.
    :ivar old: the state before, or None for a job that is new.
    :ivar reason: a sentence, or empty.
    """

    job: JobRecord
    old: JobState | None
    new: JobState
    reason: str
    at: Stamp


class JobContext:
    """What a worker gets beside the description, for one try.

    :param log: where notes of the worker go: :func:`..domain.protocol_log.note`.
    :param memo: what workers append for later tries, UIDs perhaps; the first :data:`MAX_MEMO` outlive the process.
    :ivar token: raised when nobody wants the work any more; workers check it or hang callbacks on it.
    """

    def __init__(
        self,
        report: Callable[[JobContext, int, int | None, int], None],
        log: ProtocolLog | None = None,
        memo: list[str] | None = None,
    ) -> None:
        self.token = CancelToken()
        self.log = log
        self.memo: list[str] = [] if memo is None else memo
        self._report = report

    def progress(self, done: int, total: int | None = None, moved: int = 0) -> None:
        """Say how many units of how many are done, and how many bytes moved in all. Cheap; call it freely."""
        self._report(self, done, total, moved)

    def incomplete(self, result: Any, reason: str, error: VisualDicomError | None = None) -> Outcome:
        """Return the outcome of work that is done in part; see :class:`Outcome`."""
        return Outcome(result, JobState.INCOMPLETE, reason, error)


@dataclass(eq=False)
class Job:
    """The scheduler's notes on a job. Only under the scheduler's lock.

    :ivar log: what happened to it, over all tries.
    :ivar memo: what its workers noted for later tries.
    :ivar log_is_stored: log and memo are still to be had from the store, since another process wrote them.
    :ivar context: the try that a worker is busy with, or None.
    :ivar suspended: the program closes, and the job is to be offered again at the next start.
    :ivar report_posted: a progress report is on its way and will carry the newest numbers.
    """

    description: JobDescription
    state: JobState
    created: Stamp
    log: ProtocolLog = field(default_factory=ProtocolLog)
    memo: list[str] = field(default_factory=list)
    reason: str = ""
    done: int = 0
    total: int | None = None
    moved: int = 0
    started: Stamp | None = None
    ended: Stamp | None = None
    retry_at: Stamp | None = None
    tries: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    context: JobContext | None = None
    cancel_asked: bool = False
    suspended: bool = False
    log_is_stored: bool = False
    report_posted: bool = False

    def record(self) -> JobRecord:
        """Return a snapshot."""
        return JobRecord(
            description=self.description,
            state=self.state,
            created=self.created,
            reason=self.reason,
            done=self.done,
            total=self.total,
            bytes=self.moved,
            started=self.started,
            ended=self.ended,
            retry_at=self.retry_at,
            tries=self.tries,
            missing=self.outcome.missing,
            conflicts=self.outcome.conflicts,
        )

    @property
    def notes(self) -> int:
        """How much was noted so far, in log and memo."""
        return self.log.length + len(self.memo)

    def notes_to_store(self) -> dict[str, Any]:
        """Return log and memo as plain values, for :meth:`restore_notes`; without a memo there is none in it."""
        memo = {"memo": self.memo[:MAX_MEMO]} if self.memo else {}
        return {**self.log.to_dict(), **memo}

    def restore_notes(self, stored: object) -> None:
        """Take over log and memo; what cannot be read is left out."""
        self.log.restore(stored)
        memo = stored.get("memo") if isinstance(stored, Mapping) else None
        self.memo += [text for text in memo[:MAX_MEMO] if isinstance(text, str)] if isinstance(memo, list) else []

    def note(self, record: JobRecord) -> None:
        """Take over what another process had to say of the job."""
        self.created = replace(self.created, wall=record.created.wall)
        self.done, self.total, self.moved = record.done, record.total, record.bytes
        self.reason, self.tries = record.reason, record.tries
        self.log_is_stored = True
        self.started, self.ended = record.started, record.ended
        self.outcome = Outcome(
            state=record.state, reason=record.reason, missing=record.missing, conflicts=record.conflicts
        )

    def renew(self) -> None:
        """Forget the tries so far: the user asks again."""
        self.done, self.total, self.moved, self.tries = 0, None, 0, 0
        self.started = self.ended = self.retry_at = None
        self.outcome = Outcome()
        self.cancel_asked = False


class JobOwner(Protocol):
    """What a handle needs of the scheduler."""

    def wait_for(self, job: Job, timeout: float | None) -> Outcome | None:
        """See :meth:`JobHandle.wait`."""

    def snapshot(self, job: Job) -> JobRecord:
        """See :meth:`JobHandle.record`."""

    def cancel(self, job_id: str) -> bool:
        """See :meth:`JobHandle.cancel`."""

    def retry(self, job_id: str) -> None:
        """See :meth:`JobHandle.retry`."""

    def set_priority(self, job_id: str, priority: Priority) -> None:
        """See :meth:`JobHandle.set_priority`."""


class JobHandle:
    """What the one who submitted a job holds; usable from any thread but the listener's."""

    def __init__(self, owner: JobOwner, job: Job) -> None:
        self._owner = owner
        self._job = job
        self.job_id = job.description.job_id

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Wait until the job is in a terminal state and return its outcome; None if ``timeout`` seconds pass first."""
        return self._owner.wait_for(self._job, timeout)

    def result(self, timeout: float | None = None) -> Any:
        """Return what the worker of a completed or incomplete job returned.

        :raises VisualDicomError: the job failed; this is the worker's error.
        :raises Cancelled: it was cancelled.
        :raises TimeoutError: it did not end within ``timeout`` seconds.
        """
        outcome = self.wait(timeout)
        if outcome is None:
            raise TimeoutError(f"Job {self.job_id} did not end in time.")
        if outcome.state is JobState.CANCELLED:
            raise Cancelled(outcome.reason)
        if outcome.state is JobState.FAILED and outcome.error is not None:
            raise outcome.error
        return outcome.result

    def record(self) -> JobRecord:
        """Return a snapshot of the job."""
        return self._owner.snapshot(self._job)

    def cancel(self) -> bool:
        """Ask the job to stop; False if it had ended. Returns at once; the job ends within the cancel grace."""
        return self._owner.cancel(self.job_id)

    def retry(self) -> None:
        """Queue an ended job again.

        :raises IllegalTransition: it is completed, or has not ended.
        """
        self._owner.retry(self.job_id)

    def set_priority(self, priority: Priority) -> None:
        """Promote or demote the job; without effect once it runs."""
        self._owner.set_priority(self.job_id, priority)
