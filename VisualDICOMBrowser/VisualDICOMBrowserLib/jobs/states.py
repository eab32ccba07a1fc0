"""The states of a job and the one table that says how they follow each other.

Theory of operation
-------------------
Everything that decides which state comes next stands in this file, as data. The scheduler, the window and
the persistent queue ask :func:`transition`; none of them compares states to find out what is allowed.

::

    queued ──START──▶ running ──FINISH──────▶ completed
      ▲                 │ ├─────FALL_SHORT──▶ incomplete ─┐
      │                 │ ├─────FAIL────────▶ failed ─────┤ RETRY (the user)
      │                 │ └─INDEX─▶ indexing ─▶ …         │
      │ WAKE            │ POSTPONE                        │
      ├──────────── waiting                               │
      └───────────────────────────────────────────────────┘

* *waiting* has a time at which the scheduler tries again by itself; it holds no thread and no association.
* *indexing* means that all files are safe and their rows are not yet seen; it too holds no thread.
* *completed* means verified, not merely transferred. It is the only state nothing leads out of.
* CANCEL leads from every unfinished state to *cancelled*. For a running job it is applied when the
  worker has let go, or when it had its time to let go.
* RECOVER is what a new process does with work whose process is gone: whatever was under way is queued again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from ..domain.errors import InternalError


class JobState(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    INDEXING = "indexing"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job stays so unless the user asks for a retry."""
        return self in TERMINAL


class JobEvent(Enum):
    """What can happen to a job."""

    START = "start"
    INDEX = "index"
    FINISH = "finish"
    FALL_SHORT = "fall short"
    FAIL = "fail"
    POSTPONE = "postpone"
    WAKE = "wake"
    CANCEL = "cancel"
    RETRY = "retry"
    RECOVER = "recover"


TERMINAL = frozenset({JobState.COMPLETED, JobState.INCOMPLETE, JobState.FAILED, JobState.CANCELLED})

TRANSITIONS: Mapping[JobState, Mapping[JobEvent, JobState]] = MappingProxyType(
    {
        JobState.QUEUED: {
            JobEvent.START: JobState.RUNNING,
            JobEvent.CANCEL: JobState.CANCELLED,
            JobEvent.RECOVER: JobState.QUEUED,
        },
        JobState.RUNNING: {
            JobEvent.INDEX: JobState.INDEXING,
            JobEvent.FINISH: JobState.COMPLETED,
            JobEvent.FALL_SHORT: JobState.INCOMPLETE,
            JobEvent.FAIL: JobState.FAILED,
            JobEvent.POSTPONE: JobState.WAITING,
            JobEvent.CANCEL: JobState.CANCELLED,
            JobEvent.RECOVER: JobState.QUEUED,
        },
        JobState.WAITING: {
            JobEvent.WAKE: JobState.QUEUED,
            JobEvent.CANCEL: JobState.CANCELLED,
            JobEvent.RECOVER: JobState.QUEUED,
        },
        JobState.INDEXING: {
            JobEvent.FINISH: JobState.COMPLETED,
            JobEvent.FALL_SHORT: JobState.INCOMPLETE,
            JobEvent.FAIL: JobState.FAILED,
            JobEvent.CANCEL: JobState.CANCELLED,
            JobEvent.RECOVER: JobState.QUEUED,
        },
        JobState.COMPLETED: {},
        JobState.INCOMPLETE: {JobEvent.RETRY: JobState.QUEUED},
        JobState.FAILED: {JobEvent.RETRY: JobState.QUEUED},
        JobState.CANCELLED: {JobEvent.RETRY: JobState.QUEUED},
    }
)


class IllegalTransition(InternalError):
    """An event that the table does not have for the state. Nothing was changed.

    :ivar state: the state the job is still in.
    :ivar event: what was tried.
    """

    def __init__(self, state: JobState, event: JobEvent) -> None:
        super().__init__(f"A job that is {state.value} cannot take the event {event.value!r}.")
        self.state = state
        self.event = event


def transition(state: JobState, event: JobEvent) -> JobState:
    """Return the state that follows.

    :raises IllegalTransition: the table has no such step.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(state, event) from None
