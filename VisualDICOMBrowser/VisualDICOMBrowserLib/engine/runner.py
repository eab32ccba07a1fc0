"""Work as jobs: whoever wants something waits for it, while it runs on the scheduler's threads."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..domain.cancel import CancelToken
from ..domain.errors import Cancelled, InternalError, UsageError
from ..domain.protocol_log import carrying
from ..jobs.attempt import end_of
from ..jobs.description import JobDescription, JobKind, JobRecord, Priority
from ..jobs.job import JobContext, JobHandle, JobTransition, Outcome
from ..jobs.lanes import Limits
from ..jobs.queue import JobQueueStore
from ..jobs.retry import RetryStrategy
from ..jobs.scheduler import Scheduler
from ..jobs.states import IllegalTransition, JobState

#: How often a waiting caller looks up, in seconds: on Windows a wait without end cannot be interrupted.
_LOOK_UP_S = 0.5

Task = Callable[[JobContext], Any]


@dataclass(frozen=True)
class Unfinished:
    """What a task returns whose files are safe, but whose rows another program has still to write.

    :ivar wait: calls back once, from any thread, when nothing is waited for any more.
    :ivar finish: looks at what came of it, as the end of the task.
    """

    wait: Callable[[Callable[[], None]], None]
    finish: Callable[[], Any]


#: Makes the task of a job anew from its description alone, for a retry long after whoever asked for it is gone.
Recipe = Callable[[JobDescription], Task]

_RETRIABLE = frozenset({JobState.INCOMPLETE, JobState.FAILED, JobState.CANCELLED})


class JobRunner:
    """Runs tasks as jobs.

    :param listener: called with each transition.
    :param on_progress: called with the record of a job that got on.
    """

    def __init__(
        self,
        limits: Limits,
        retry: RetryStrategy | None,
        store: JobQueueStore,
        listener: Callable[[JobTransition], None],
        on_progress: Callable[[JobRecord], None],
    ) -> None:
        self._listener = listener
        self._tasks: dict[str, Task] = {}
        self._unfinished: dict[str, Unfinished] = {}
        self._finishing = ThreadPoolExecutor(1, "vdb-finish")
        self._recipes: dict[JobKind, Recipe] = {}
        self._needs: dict[JobKind, Callable[[], None]] = {}
        workers = dict.fromkeys(JobKind, self._work)
        self._scheduler = Scheduler(
            workers, limits, retry, listener=self._on_transition, on_progress=on_progress, store=store
        )

    def records(self) -> list[JobRecord]:
        """Return the jobs that are remembered, oldest first."""
        return self._scheduler.records()

    def log(self, job_id: str) -> dict[str, Any]:
        """Return what happened to a job that is remembered: :meth:`.ProtocolLog.to_dict`.

        :raises UsageError: there is no such job.
        """
        return self._scheduler.log(job_id)

    def learn(self, kind: JobKind, recipe: Recipe, need: Callable[[], None] = lambda: None) -> None:
        """Make jobs of a kind retriable.

        :param need: raises an error where a retry would be in vain; whoever asks for one gets it.
        """
        self._recipes[kind] = recipe
        self._needs[kind] = need

    def cancel(self, job_id: str) -> bool:
        """Ask a job to stop, which it does within the cancel grace; False if it had ended.

        :raises UsageError: there is no such job.
        """
        return self._scheduler.cancel(job_id)

    def retry(self, job_id: str) -> None:
        """Queue a job again that ended short of its aim, under the same id; its task is made anew.

        :raises UsageError: there is no such job, or nothing to retry about it.
        :raises VisualDicomError: it would be in vain.
        """
        record = self._scheduler.record(job_id)
        if record.description.kind not in self._recipes:
            raise UsageError("Work of this kind is not retried; ask for it again.")
        if record.state not in _RETRIABLE:
            raise UsageError("Only what failed, fell short or was cancelled can be retried.")
        self._needs[record.description.kind]()
        self._tasks.pop(job_id, None)
        try:
            self._scheduler.retry(job_id)
        except IllegalTransition as error:
            raise UsageError("The job is under way again already.") from error

    def restore(self, record: JobRecord) -> bool:
        """Queue a job again that another process left unfinished; False if there is no way to do it again."""
        if record.description.kind not in self._recipes:
            return False
        self._scheduler.restore(record)
        return True

    def remember(self, record: JobRecord) -> None:
        """List a job that ended in another process; it can be retried and forgotten like any other."""
        self._scheduler.remember(record)

    def wait_ended(self, job_ids: Sequence[str], token: CancelToken) -> list[JobRecord]:
        """Wait until jobs have ended, all of which ``token`` cancels, and return how."""

        def cancel() -> None:
            for job_id in job_ids:
                with suppress(UsageError):
                    self._scheduler.cancel(job_id)

        with token.calling(cancel):
            for job_id in job_ids:
                while not self._scheduler.wait_ended(job_id, _LOOK_UP_S):
                    pass
        return [record for record in self.records() if record.job_id in job_ids]

    def clear(self) -> list[str]:
        """Forget the jobs that have ended; return their ids."""
        ended = [record.job_id for record in self.records() if record.state.terminal]
        return [job_id for job_id in ended if self._forget(job_id)]

    def _forget(self, job_id: str) -> bool:
        try:
            return self._scheduler.forget(job_id)
        except UsageError:
            return False  # the history overflowed meanwhile

    def set_limits(self, limits: Limits) -> None:
        """Let so many jobs run at once, and try all servers anew; what runs already is left alone."""
        self._scheduler.set_limits(limits)
        self._scheduler.trust_servers()

    def is_out_of_reach(self, server: str) -> bool:
        """Tell whether a server has not answered for a while: see :mod:`..jobs.reach`."""
        return self._scheduler.is_out_of_reach(server)

    def stop(self, unwanted: Callable[[JobDescription], bool]) -> None:
        """Cancel the unfinished jobs that are unwanted, and wait until they have stopped."""
        job_ids = [r.job_id for r in self.records() if not r.state.terminal and unwanted(r.description)]
        for job_id in job_ids:
            with suppress(UsageError):
                self._scheduler.cancel(job_id)
        for job_id in job_ids:
            self._scheduler.wait_ended(job_id)

    def unsave(self, unwanted: Callable[[JobDescription], bool]) -> None:
        """Take the ended jobs that are unwanted out of the queue on disk; this engine remembers them."""
        for record in self.records():
            if record.state.terminal and unwanted(record.description):
                self._scheduler.unsave(record.job_id)

    def close(self, grace_s: float) -> None:
        """Cancel what runs, and wait for it up to ``grace_s`` seconds."""
        self._scheduler.close(grace_s)
        self._finishing.shutdown(wait=False, cancel_futures=True)

    def submit(
        self,
        kind: JobKind,
        task: Task,
        *,
        server: str | None = None,
        params: Mapping[str, Any] | None = None,
        priority: Priority = Priority.USER,
    ) -> JobHandle:
        """Queue a task without waiting for it."""
        job_id = uuid.uuid4().hex
        self._tasks[job_id] = task
        return self._scheduler.submit(JobDescription(job_id, kind, server, params or {}, priority))

    def prioritise(self, choose: Callable[[JobDescription], Priority]) -> None:
        """Promote and demote what is queued, and from now on whatever comes; ``choose`` must return at once."""
        self._scheduler.prioritise(choose)

    def cancel_all(self, handles: Iterable[JobHandle]) -> None:
        """Cancel those jobs that have not ended."""
        for handle in handles:
            with suppress(UsageError):  # it ended so long ago that it is forgotten
                handle.cancel()

    def wait(self, handle: JobHandle, token: CancelToken | None) -> Outcome:
        """Wait for a job, which ``token`` cancels, and return how it ended.

        :raises Cancelled: it was cancelled.
        """

        def cancel() -> None:
            handle.cancel()

        with (token or CancelToken()).calling(cancel):
            while (outcome := handle.wait(_LOOK_UP_S)) is None:
                pass
        if outcome.state is JobState.CANCELLED:
            raise Cancelled
        return outcome

    def result(self, handle: JobHandle, token: CancelToken | None) -> Any:
        """Wait for a job, and return its result, which tells whether all was done, or raise its error."""
        outcome = self.wait(handle, token)
        if outcome.error is not None:
            raise outcome.error
        if outcome.state is not JobState.COMPLETED and outcome.result is None:
            raise InternalError(outcome.reason or "The job did not complete.")
        return outcome.result

    def do(
        self,
        kind: JobKind,
        task: Task,
        *,
        server: str | None = None,
        params: Mapping[str, Any] | None = None,
        priority: Priority = Priority.USER,
        token: CancelToken | None = None,
    ) -> Any:
        """Run a task as a job, and return its result or raise its error."""
        if token is not None:
            token.check()
        return self.result(self.submit(kind, task, server=server, params=params, priority=priority), token)

    def _work(self, description: JobDescription, context: JobContext) -> Any:
        task = self._tasks.get(description.job_id)
        if task is None:
            task = self._recipes[description.kind](description)
        returned = task(context)
        if isinstance(returned, Unfinished):
            self._unfinished[description.job_id] = replace(returned, finish=carrying(returned.finish))
            return Outcome(state=JobState.INDEXING, reason="All files are safe; the database takes them in.")
        return returned

    def _on_transition(self, step: JobTransition) -> None:
        if step.new.terminal:
            self._tasks.pop(step.job.job_id, None)
        self._listener(step)
        unfinished = self._unfinished.pop(step.job.job_id, None)
        if unfinished is not None and step.new is JobState.INDEXING:
            unfinished.wait(lambda: self._finish_soon(step.job.job_id, unfinished))

    def _finish_soon(self, job_id: str, unfinished: Unfinished) -> None:
        with suppress(RuntimeError):  # the program closes; the job is taken up again at the next start
            self._finishing.submit(self._finish, job_id, unfinished)

    def _finish(self, job_id: str, unfinished: Unfinished) -> None:
        outcome = end_of(unfinished.finish)
        with suppress(UsageError, IllegalTransition):  # it was cancelled meanwhile
            self._scheduler.index_done(job_id, outcome)
