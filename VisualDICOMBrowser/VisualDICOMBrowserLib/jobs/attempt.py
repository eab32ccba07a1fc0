"""One try of one job: the worker is called, and whatever comes out of it becomes an outcome."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from ..domain.errors import Cancelled, InternalError, VisualDicomError
from .description import JobDescription
from .job import JobContext, Outcome
from .states import JobState

_log = logging.getLogger(__name__)

#: Does the work of one kind; see :class:`.job.Outcome` for what it returns.
Worker = Callable[[JobDescription, JobContext], Any]


def attempt(worker: Worker, description: JobDescription, context: JobContext) -> Outcome:
    """Run a worker. Never raises, for the thread outlives its jobs."""
    try:
        context.token.check()
        returned = worker(description, context)
        return _checked(returned) if isinstance(returned, Outcome) else Outcome(returned)
    except Cancelled as error:
        return Outcome(state=JobState.CANCELLED, reason=str(error))
    except VisualDicomError as error:
        return _failed(error, context)
    except BaseException as error:
        place = where(error)
        _log.error("Job %s (%s) failed: %s", description.job_id, description.kind.value, place)
        return _failed(InternalError(f"Something went wrong inside the program ({place})."), context)


def where(error: BaseException) -> str:
    """Name an exception and its line. Its text stays out: it may quote what a file or a peer holds."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _checked(outcome: Outcome) -> Outcome:
    if outcome.state not in (JobState.COMPLETED, JobState.INCOMPLETE, JobState.INDEXING):
        raise InternalError(f"A worker cannot end a job as {outcome.state.value}; it raises instead.")
    return outcome


def _failed(error: VisualDicomError, context: JobContext) -> Outcome:
    """Return the outcome for an error; after a cancellation, whatever broke, broke because of it."""
    if context.token.cancelled:
        return Outcome(state=JobState.CANCELLED, reason="Cancelled.")
    return Outcome(state=JobState.FAILED, reason=str(error), error=error)
