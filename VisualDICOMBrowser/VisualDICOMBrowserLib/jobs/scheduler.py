"""Runs jobs on threads, within limits, with retries and cancellation.

One lock guards all notes on jobs; workers, listener, store and cancel callbacks run outside it. Threads sleep on
conditions: worker threads until there is something they may run, one timer thread until a retry is due or a
cancelled worker has had its time. Nothing polls.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any

from ..domain.cancel import CancelToken
from ..domain.errors import InternalError, LocalError, VisualDicomError
from ..domain.protocol_log import ProtocolLog
from .attempt import Worker, attempt, where
from .clock import Clock, SystemClock
from .description import JobDescription, JobKind, JobRecord, Priority, Stamp
from .job import Job, JobContext, JobHandle, JobTransition, Outcome
from .lanes import Lanes, Limits
from .mailbox import Mailbox
from .queue import InMemoryJobQueueStore, JobQueueStore
from .reach import Reach
from .retry import RetryStrategy
from .shelf import Shelf
from .states import JobEvent, JobState, transition
from .timers import Timers

_log = logging.getLogger(__name__)

#: How often log and memo of a job that runs are saved, in seconds, if there is anything new in them.
_SAVE_LOG_S = 1.0

_END_EVENTS = {
    JobState.COMPLETED: JobEvent.FINISH,
    JobState.INCOMPLETE: JobEvent.FALL_SHORT,
    JobState.FAILED: JobEvent.FAIL,
    JobState.CANCELLED: JobEvent.CANCEL,
    JobState.INDEXING: JobEvent.INDEX,
}


def _ignore(_: object) -> None:
    """Be the listener of those who need none."""


class Scheduler:
    """The job engine.

    :param workers: what does the work of each kind.
    :param limits: how many jobs may run at once.
    :param listener: called with each transition, in order, one at a time, on whichever thread caused it; it may
        submit and cancel, but not wait.
    :param on_progress: called likewise with the newest record of a job that made progress.
    :param store: where durable jobs are kept.
    :param cancel_grace_s: how long a cancelled worker may take to return before the job is cancelled without
        it. Such a worker keeps its place within the limits until it returns.
    :param history: how many ended jobs are remembered.
    """

    def __init__(
        self,
        workers: Mapping[JobKind, Worker],
        limits: Limits | None = None,
        retry: RetryStrategy | None = None,
        clock: Clock | None = None,
        listener: Callable[[JobTransition], None] = _ignore,
        *,
        on_progress: Callable[[JobRecord], None] = _ignore,
        store: JobQueueStore | None = None,
        cancel_grace_s: float = 2.0,
        history: int = 1000,
    ) -> None:
        self._workers = dict(workers)
        self._retry = retry or RetryStrategy()
        self._clock = clock or SystemClock()
        self._listener = listener
        self._on_progress = on_progress
        self._store = store or InMemoryJobQueueStore()
        self._cancel_grace_s = cancel_grace_s
        self._lock = threading.Lock()
        self._work_ready = threading.Condition(self._lock)
        self._job_ended = threading.Condition(self._lock)
        self._reach = Reach(self._clock)
        self._lanes = Lanes(limits or Limits(), self._reach)
        self._choose: Callable[[JobDescription], Priority] = lambda job: job.priority
        self._jobs = Shelf(history)
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._mailbox = Mailbox()
        self._timers = Timers(self._clock, "jobs-timers")

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    # What users do

    def submit(self, description: JobDescription) -> JobHandle:
        """Queue a job.

        :raises LocalError: the scheduler is closed.
        :raises InternalError: there is such a job already, or nobody for its kind.
        """
        with self._lock:
            job = self._admit(description, JobState.QUEUED)
            job.reason = self._reach.sentence(description.server or "")
            self._announce(job, None, job.reason)
            self._enqueue(job)
            if job.description.priority <= Priority.USER:
                self._hurry(description.server)
        self._mailbox.drain()
        return JobHandle(self, job)

    def restore(self, record: JobRecord) -> JobHandle:
        """Queue a job again that another process left unfinished.

        :raises IllegalTransition: it had ended.
        :raises LocalError: as :meth:`submit`.
        """
        transition(record.state, JobEvent.RECOVER)
        with self._lock:
            job = self._admit(record.description, record.state)
            job.note(record)
            job.tries, job.started = 0, None
            self._recall_log(job)
            self._step(job, JobEvent.RECOVER, "Taken up again after a restart.")
            self._enqueue(job)
        self._mailbox.drain()
        return JobHandle(self, job)

    def remember(self, record: JobRecord) -> None:
        """Take in a job that ended in another process, so that it is listed, and can be retried and forgotten.

        :raises InternalError: it has not ended, or there is such a job already.
        """
        if not record.state.terminal:
            raise InternalError("Only what has ended is remembered; the rest is restored.")
        with self._lock:
            job = self._admit(record.description, record.state)
            job.note(record)
            self._jobs.note_end(job)

    def cancel(self, job_id: str) -> bool:
        """See :meth:`.JobHandle.cancel`.

        :raises UsageError: there is no such job.
        """
        with self._lock:
            job = self._jobs[job_id]
            if job.state.terminal:
                return False
            job.cancel_asked = True
            token = self._begin_cancel(job, "Cancelled.")
        _raise_flag(token)
        self._mailbox.drain()
        return True

    def retry(self, job_id: str) -> None:
        """See :meth:`.JobHandle.retry`.

        :raises UsageError: there is no such job.
        """
        with self._lock:
            self._refuse_if_closed()
            job = self._jobs[job_id]
            transition(job.state, JobEvent.RETRY)
            self._recall_log(job)
            job.renew()
            self._jobs.note_retry(job)
            self._step(job, JobEvent.RETRY, self._reach.sentence(job.description.server or ""))
            self._enqueue(job)
            self._hurry(job.description.server)
        self._mailbox.drain()

    def set_priority(self, job_id: str, priority: Priority) -> None:
        """See :meth:`.JobHandle.set_priority`.

        :raises UsageError: there is no such job.
        """
        with self._lock:
            job = self._jobs[job_id]
            self._move(job, priority)
            if priority <= Priority.USER and not job.state.terminal:
                self._hurry(job.description.server)
            self._tend()

    def prioritise(self, choose: Callable[[JobDescription], Priority]) -> None:
        """Promote and demote what has not ended, and from now on whatever is submitted.

        :param choose: returns how urgent a job is; called with the lock held.
        """
        with self._lock:
            self._choose = choose
            for job in self._jobs:
                if not job.state.terminal:
                    self._move(job, choose(job.description))
            self._tend()

    @property
    def limits(self) -> Limits:
        """How many jobs may run at once."""
        with self._lock:
            return self._lanes.limits

    def set_limits(self, limits: Limits) -> None:
        """Change how many jobs may run at once. What runs goes on, even where fewer are allowed now."""
        with self._lock:
            self._lanes.limits = limits
            self._tend()

    def is_out_of_reach(self, server: str) -> bool:
        """Tell whether a server has not answered for a while: see :mod:`.reach`."""
        with self._lock:
            return self._reach.is_lost(server)

    def trust_servers(self) -> None:
        """Let all servers be tried anew, since their settings changed."""
        with self._lock:
            self._reach.forgive()
            self._tend()

    def wait_ended(self, job_id: str, timeout: float | None = None) -> bool:
        """Wait until a job is in a terminal state, or forgotten; False if ``timeout`` seconds pass first."""
        with self._lock:
            return self._job_ended.wait_for(lambda: self._jobs.is_over(job_id), timeout)

    def index_done(self, job_id: str, outcome: Outcome) -> None:
        """End a job that is indexing: its rows were seen (completed), or are missing (incomplete, failed).

        :raises UsageError: there is no such job.
        :raises IllegalTransition: it is not indexing, or the outcome is no end of it.
        """
        with self._lock:
            job = self._jobs[job_id]
            event = _END_EVENTS.get(outcome.state, JobEvent.START)
            transition(job.state, event)
            job.outcome = outcome
            self._step(job, event, outcome.reason)
        self._mailbox.drain()

    def forget(self, job_id: str) -> bool:
        """Remove an ended job from memory and store; False if it has not ended.

        :raises UsageError: there is no such job.
        """
        with self._lock:
            job = self._jobs[job_id]
            if not job.state.terminal:
                return False
            self._jobs.remove(job)
            self._mailbox.post(partial(self._store.delete, job_id))
        self._mailbox.drain()
        return True

    def unsave(self, job_id: str) -> None:
        """Take a job out of the store, and leave it in memory: after a restart nobody knows of it."""
        self._mailbox.post(partial(self._store.delete, job_id))
        self._mailbox.drain()

    def record(self, job_id: str) -> JobRecord:
        """Return a snapshot of a job.

        :raises UsageError: there is no such job.
        """
        with self._lock:
            return self._jobs[job_id].record()

    def records(self) -> list[JobRecord]:
        """Return snapshots of all jobs that are remembered, oldest first."""
        with self._lock:
            return [job.record() for job in self._jobs]

    def log(self, job_id: str) -> dict[str, Any]:
        """Return what happened to a job: :meth:`.ProtocolLog.to_dict`.

        :raises UsageError: there is no such job.
        """
        with self._lock:
            job = self._jobs[job_id]
            self._recall_log(job)
            return job.log.to_dict()

    def close(self, grace_s: float = 3.0) -> bool:
        """Cancel everything, take no more, and wait up to ``grace_s`` seconds of real time for the workers.

        Durable jobs that the user did not cancel stay unfinished in the store.

        :returns: whether all threads are gone. Threads are daemons: one that hangs does not keep the process.
        """
        deadline = time.monotonic() + grace_s
        with self._lock:
            self._closed = True
            unfinished = [job for job in self._jobs if not job.state.terminal]
            for job in unfinished:
                job.suspended = not job.cancel_asked
            tokens = [self._begin_cancel(job, "The program closes.") for job in unfinished]
            self._work_ready.notify_all()
            threads = list(self._threads)
        for token in tokens:
            _raise_flag(token)
        self._mailbox.drain()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._timers.close()
        for job in unfinished:
            self._give_up(job, job.context)
        timers_gone = self._timers.join(max(0.1, deadline - time.monotonic()))
        # A job may have been ended by a thread of somebody else's, which is just telling of it.
        self._mailbox.settle(max(0.1, deadline - time.monotonic()))
        return timers_gone and not any(thread.is_alive() for thread in threads)

    # What handles need

    def wait_for(self, job: Job, timeout: float | None) -> Outcome | None:
        """See :meth:`.JobHandle.wait`."""
        with self._lock:
            ended = self._job_ended.wait_for(lambda: job.state.terminal, timeout)
            return job.outcome if ended else None

    def snapshot(self, job: Job) -> JobRecord:
        """See :meth:`.JobHandle.record`."""
        with self._lock:
            return job.record()

    # Steps, with the lock held

    def _admit(self, description: JobDescription, state: JobState) -> Job:
        self._refuse_if_closed()
        if description.kind not in self._workers:
            raise InternalError(f"Nobody does jobs of the kind {description.kind.value}.")
        if not state.terminal:
            description = dataclasses.replace(description, priority=self._choose(description))
        job = Job(description, state, self._now(), ProtocolLog(self._clock.wall))
        self._jobs.add(job)
        return job

    def _move(self, job: Job, priority: Priority) -> None:
        if job.description.priority is not priority:
            job.description = dataclasses.replace(job.description, priority=priority)
            if job.state is JobState.QUEUED:
                self._lanes.discard(job.description.job_id)
                self._lanes.put(job.description)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LocalError("The engine is closing and takes no more work.")

    def _recall_log(self, job: Job) -> None:
        """Have a job that came from another process go on with its log, which is not read before somebody wants it."""
        if job.log_is_stored:
            job.log_is_stored = False
            job.restore_notes(self._store.log(job.description.job_id))

    def _now(self) -> Stamp:
        return Stamp(self._clock.monotonic(), self._clock.wall())

    def _enqueue(self, job: Job) -> None:
        self._lanes.put(job.description)
        self._tend()

    def _step(self, job: Job, event: JobEvent, reason: str = "") -> None:
        """Move a job along the table and tell everybody; raises before anything is changed."""
        old, job.state = job.state, transition(job.state, event)
        job.reason = reason
        if job.state is not JobState.WAITING:
            job.retry_at = None
        if job.state.terminal:
            self._note_end(job)
        job.log.note(_line(job))
        self._announce(job, old, reason, save=not (job.suspended and event is JobEvent.CANCEL))

    def _note_end(self, job: Job) -> None:
        job.ended = self._now()
        if job.state is JobState.COMPLETED:
            job.memo = []
        job.outcome = dataclasses.replace(job.outcome, state=job.state, reason=job.reason)
        self._job_ended.notify_all()
        self._jobs.note_end(job)

    def _announce(self, job: Job, old: JobState | None, reason: str, *, save: bool = True) -> None:
        record = job.record()
        if save and record.description.kind.durable:
            self._mailbox.post(partial(self._persist, record, job))
        self._mailbox.post(partial(self._listener, JobTransition(record, old, record.state, reason, self._now())))

    def _tend(self) -> None:
        """See to it that somebody takes what may run. Who takes it calls this again for the next."""
        job = None if self._closed else self._lanes.peek()
        if job is None:
            return
        if self._idle:
            self._work_ready.notify()
        elif len(self._threads) < self._lanes.limits.total + self._lanes.standing + job.kind.standing:
            name = f"jobs-worker-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _begin_cancel(self, job: Job, reason: str) -> CancelToken | None:
        """Cancel what no worker has; return the token to raise, outside the lock, for what one has."""
        context = job.context
        if context is None:
            self._lanes.discard(job.description.job_id)
            self._step(job, JobEvent.CANCEL, reason)
            return None
        when = self._clock.monotonic() + self._cancel_grace_s
        self._timers.call_at(when, partial(self._give_up, job, context))
        return context.token

    # On worker threads

    def _work(self) -> None:
        taken = self._next()
        while taken is not None:
            place, job, context, refusal = taken
            if refusal is None:
                outcome = attempt(self._workers[job.description.kind], job.description, context)
            else:
                outcome = Outcome(state=JobState.FAILED, reason=str(refusal), error=refusal)
            self._conclude(place, job, context, outcome, tried=refusal is None)
            taken = self._next()

    def _next(self) -> tuple[int, Job, JobContext, VisualDicomError | None] | None:
        with self._lock:
            while not self._closed:
                taken = self._lanes.take()
                if taken is not None:
                    started = taken[0], *self._start(self._jobs[taken[1].job_id])
                    break
                self._idle += 1
                self._work_ready.wait()
                self._idle -= 1
            else:
                return None
        self._mailbox.drain()
        return started

    def _start(self, job: Job) -> tuple[Job, JobContext, VisualDicomError | None]:
        job.tries += 1
        job.started = job.started or self._now()
        job.context = JobContext(partial(self._progress, job), job.log, job.memo)
        refusal = self._reach.begin(job.description)
        self._step(job, JobEvent.START)
        if job.description.kind.durable:
            self._save_log_later(job, job.context)
        self._tend()
        return job, job.context, refusal

    def _save_log_later(self, job: Job, context: JobContext) -> None:
        when = self._clock.monotonic() + _SAVE_LOG_S
        self._timers.call_at(when, partial(self._save_log, job, context, job.notes))

    def _conclude(self, place: int, job: Job, context: JobContext, outcome: Outcome, *, tried: bool) -> None:
        with self._lock:
            self._lanes.release(place)
            if tried:
                self._note_answer(job.description, outcome)
            if job.context is context:
                job.context = None
                self._settle(job, outcome, cancelled=context.token.cancelled)
            self._tend()
        self._mailbox.drain()

    def _settle(self, job: Job, outcome: Outcome, *, cancelled: bool) -> None:
        if cancelled and outcome.state is not JobState.COMPLETED:
            outcome = dataclasses.replace(outcome, state=JobState.CANCELLED)
        elif outcome.error is not None and job.description.kind.retried:
            decision = self._retry.decide(outcome.error, job.tries)
            if decision.delay is not None:
                self._postpone(job, *self._after_silence(job, decision.delay, decision.reason))
                return
        job.outcome = outcome
        self._step(job, _END_EVENTS[outcome.state], outcome.reason)

    def _postpone(self, job: Job, delay: float, reason: str) -> None:
        now = self._now()
        retry_at = Stamp(now.monotonic + delay, now.wall + delay)
        job.retry_at = retry_at
        self._step(job, JobEvent.POSTPONE, reason)
        self._timers.call_at(retry_at.monotonic, partial(self._wake, job, retry_at))

    # Servers that do not answer

    def _after_silence(self, job: Job, delay: float, reason: str) -> tuple[float, str]:
        """Return when and why a job is tried again: not before its server is."""
        server = job.description.server or ""
        if not self._reach.is_lost(server):
            return delay, reason
        wait = self._reach.next_try(server) - self._clock.monotonic()
        return max(delay, wait), self._reach.sentence(server)

    def _note_answer(self, job: JobDescription, outcome: Outcome) -> None:
        alone = len(self._lanes.limits.places_of(job)) == 1
        if self._reach.end(job, outcome, alone=alone):
            self._note_reach(job.server or "")

    def _note_reach(self, server: str) -> None:
        """Say of queued jobs why they wait, or that they do not, and see to it that the server is tried in time."""
        reason = self._reach.sentence(server)
        for job_id in self._lanes.queued_for(server):
            job = self._jobs[job_id]
            job.reason = reason
            self._post_report(job)
        if reason:
            self._timers.call_at(self._reach.next_try(server), self._look_again)
            return
        for job in self._jobs:
            if job.state is JobState.WAITING and job.description.server == server:
                self._step(job, JobEvent.WAKE)
                self._enqueue(job)

    def _hurry(self, server: str | None) -> None:
        if self._reach.hurry(server) and self._reach.is_lost(server):
            self._note_reach(server or "")

    def _look_again(self) -> None:
        with self._lock:
            self._tend()

    def _progress(self, job: Job, context: JobContext, done: int, total: int | None, moved: int) -> None:
        with self._lock:
            if job.context is not context:
                return
            job.done, job.total, job.moved = done, total, moved
            self._post_report(job)
        self._mailbox.drain()

    def _post_report(self, job: Job) -> None:
        if not job.report_posted:
            job.report_posted = True
            self._mailbox.post(partial(self._report, job))

    # On the timer thread, or whichever drains the mailbox

    def _wake(self, job: Job, retry_at: Stamp) -> None:
        with self._lock:
            if job.retry_at is not retry_at or self._closed:
                return
            self._step(job, JobEvent.WAKE, self._reach.sentence(job.description.server or ""))
            self._enqueue(job)
        self._mailbox.drain()

    def _give_up(self, job: Job, context: JobContext | None) -> None:
        """End a cancelled job whose worker did not let go; what the worker brings later is ignored."""
        with self._lock:
            if context is None or job.context is not context:
                return
            job.context = None
            _log.warning("A worker (%s) did not stop in time when cancelled.", job.description.kind.value)
            self._step(job, JobEvent.CANCEL, "Cancelled; the work did not stop in time and was left behind.")
        self._mailbox.drain()

    def _save_log(self, job: Job, context: JobContext, saved: int) -> None:
        """Save log and memo of a try while it goes on, lest a crash takes them along; its end is saved as a step."""
        with self._lock:
            if job.context is not context or self._closed:
                return
            if job.notes > saved:
                self._mailbox.post(partial(self._persist, job.record(), job))
            self._save_log_later(job, context)
        self._mailbox.drain()

    def _report(self, job: Job) -> None:
        with self._lock:
            job.report_posted = False
            record = job.record()
        self._on_progress(record)

    def _persist(self, record: JobRecord, job: Job) -> None:
        if record.state is not JobState.COMPLETED:
            self._store.save(record, job.notes_to_store())
            return
        # What an earlier job did not bring about is done now: it is of no interest after the next start.
        with self._lock:
            done = [record.job_id, *self._jobs.ended_about_the_same(record.description)]
        for job_id in done:
            self._store.delete(job_id)


def _line(job: Job) -> str:
    """Say in the log of a job where it stands now."""
    words = f"{job.state.value}, try {job.tries}" if job.state is JobState.RUNNING else job.state.value
    return f"The job is {words}{': ' if job.reason else '.'}{job.reason}"


def _raise_flag(token: CancelToken | None) -> None:
    try:
        if token is not None:
            token.cancel()
    except Exception as error:
        _log.error("A cancel callback failed: %s", where(error))
