"""One try of one job: the worker is called, and whatever comes out of it becomes an outcome."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from ..domain.errors import Cancelled, InternalError, VisualDicomError
from ..domain.protocol_log import writing_to
from .description import JobDescription
from .job import JobContext, Outcome
from .states import JobState

_log = logging.getLogger(__name__)

#: Does the work of one kind; see :class:`.job.Outcome` for what it returns.
Worker = Callable[[JobDescription, JobContext], Any]


def attempt(worker: Worker, description: JobDescription, context: JobContext) -> Outcome:
    """Run a worker. Never raises, for the thread outlives its jobs."""

    def work() -> Any:
        context.token.check()
        return worker(description, context)

    with writing_to(context.log):
        outcome = end_of(work, f"Job {description.job_id} ({description.kind.value})")
    if outcome.state is JobState.FAILED and context.token.cancelled:
        # Whatever broke after a cancellation, broke because of it.
        return Outcome(state=JobState.CANCELLED, reason="Cancelled.")
    return outcome


def end_of(work: Callable[[], Any], name: str = "A job") -> Outcome:
    """Run some work, and turn whatever comes out of it into an outcome. Never raises.

    :param name: for the log, in case of a bug.
    """
    try:
        returned = work()
        return _checked(returned) if isinstance(returned, Outcome) else Outcome(returned)
    except Cancelled as error:
        return Outcome(state=JobState.CANCELLED, reason=str(error))
    except VisualDicomError as error:
        return _failed(error)
    except BaseException as error:
        place = where(error)
        _log.error("%s failed: %s", name, place)
        return _failed(InternalError(f"Something went wrong inside the program ({place})."))


def where(error: BaseException) -> str:
    """Name an exception and its line. Its text stays out: it may quote what a file or a peer holds."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _checked(outcome: Outcome) -> Outcome:
    if outcome.state not in (JobState.COMPLETED, JobState.INCOMPLETE, JobState.INDEXING):
        raise InternalError(f"A worker cannot end a job as {outcome.state.value}; it raises instead.")
    return outcome


def _failed(error: VisualDicomError) -> Outcome:
    return Outcome(state=JobState.FAILED, reason=str(error), error=error)
