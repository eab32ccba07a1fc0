"""How far a series has got: on the server, on its way, here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ...domain.overview import SeriesRow
from ...jobs.description import JobRecord
from ...jobs.states import JobState


class Presence(Enum):
    """Each has a look of its own in the window."""

    REMOTE = "on the server"
    QUEUED = "queued"
    ARRIVING = "arriving"
    PARTLY = "partly here"
    HERE = "here"
    LOADED = "loaded"
    FAILED = "failed"


@dataclass(frozen=True)
class SeriesState:
    """A presence with what goes with it.

    :ivar here: instances on this computer; ``total`` is None while nobody knows.
    :ivar reason: why it failed, or what it waits for; in plain words.
    """

    presence: Presence
    here: int = 0
    total: int | None = None
    reason: str = ""

    @property
    def fraction(self) -> float | None:
        """How much is here, 0 to 1; None if nobody knows."""
        return min(1.0, self.here / self.total) if self.total else None


_UNDER_WAY = {
    JobState.QUEUED: Presence.QUEUED,
    JobState.WAITING: Presence.QUEUED,
    JobState.RUNNING: Presence.ARRIVING,
    JobState.INDEXING: Presence.ARRIVING,
}


def state_of(series: SeriesRow, job: JobRecord | None, *, loaded: bool = False) -> SeriesState:
    """Combine what is here with the newest retrieve that is about the series."""
    here, total = series.local_instances, series.instances
    under_way = _UNDER_WAY.get(job.state) if job is not None else None
    if job is not None and under_way is not None and not series.complete:
        return SeriesState(under_way, here, total, job.reason)
    if series.complete:
        return SeriesState(Presence.LOADED if loaded else Presence.HERE, here, total)
    if job is not None and job.state in (JobState.FAILED, JobState.INCOMPLETE):
        return SeriesState(Presence.FAILED, here, total, job.reason)
    return SeriesState(Presence.PARTLY if here else Presence.REMOTE, here, total)
