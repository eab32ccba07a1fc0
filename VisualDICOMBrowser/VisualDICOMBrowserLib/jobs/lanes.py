"""Which queued job may run next: lanes, limits, priorities and fairness, without threads or time.

Each pair of server and kind has a lane of its own, so a lane that may not move holds up no other. Among the
lanes that may, the most urgent job goes first; at equal urgency the server that was served the longest
ago; within a server, first come, first served. Servers that did not answer last time have half of all places
among them, so that those that do are not kept waiting.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..domain.errors import UsageError
from ..domain.servers import DEFAULT_MAX_ASSOCIATIONS
from .description import JobDescription, JobKind, Priority
from .reach import Reach


@dataclass(frozen=True)
class Limits:
    """How many jobs may run at once.

    :param total: over everything, and so the most worker threads there are.
    :param per_server: for a server that ``servers`` does not name.
    :param servers: limits of single servers.
    :param proxies: the server by way of which another one's instances come: such jobs take a place at both.
    :param local: for jobs without a server.
    :param per_kind: limits of single kinds, over all servers.
    :param reserved: of ``total`` and of each server's limit, how many places bulk jobs leave to quick ones,
        so that a search is answered while retrieves run. Bulk jobs always get at least one place.
    :raises UsageError: a limit below 1.
    """

    total: int = 8
    per_server: int = DEFAULT_MAX_ASSOCIATIONS
    servers: Mapping[str, int] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    local: int = 4
    per_kind: Mapping[JobKind, int] = field(default_factory=dict)
    reserved: int = 1

    def __post_init__(self) -> None:
        counts = (self.total, self.per_server, self.local, *self.servers.values(), *self.per_kind.values())
        if min(counts) < 1 or self.reserved < 0:
            raise UsageError("Each limit of running jobs must be at least 1.")

    def of_server(self, server: str | None) -> int:
        """Return how many jobs may run for ``server``, or locally for None."""
        return self.local if server is None else self.servers.get(server, self.per_server)

    def places_of(self, job: JobDescription) -> tuple[str | None, ...]:
        """Return the servers at which a job takes a place; None stands for local work."""
        proxy = self.proxies.get(job.server or "") if job.kind.fetches else None
        return (job.server,) if proxy is None else (job.server, proxy)

    def has_room(self, job: JobDescription, running: Iterable[JobDescription]) -> bool:
        """Tell whether ``job`` may run beside the ``running`` ones."""
        if job.kind.standing:
            return True
        everything = [other for other in running if not other.kind.standing]
        alike = sum(other.kind is job.kind for other in everything)
        return (
            self._fits(job, everything, self.total)
            and all(
                self._fits(job, self._at(place, everything), self.of_server(place)) for place in self.places_of(job)
            )
            and alike < self.per_kind.get(job.kind, self.total)
        )

    def _at(self, place: str | None, running: Iterable[JobDescription]) -> list[JobDescription]:
        return [other for other in running if place in self.places_of(other)]

    def _fits(self, job: JobDescription, running: list[JobDescription], limit: int) -> bool:
        if len(running) >= limit:
            return False
        return not job.kind.bulk or sum(other.kind.bulk for other in running) < max(1, limit - self.reserved)


class _Lane:
    """The queued jobs of one server and kind."""

    def __init__(self) -> None:
        # Ordered dictionaries, because taking the first of a plain one again and again is quadratic.
        self._levels: dict[Priority, OrderedDict[str, int]] = {level: OrderedDict() for level in Priority}

    def add(self, job: JobDescription, number: int) -> None:
        self._levels[job.priority][job.job_id] = number

    def discard(self, job: JobDescription) -> None:
        self._levels[job.priority].pop(job.job_id, None)

    def head(self) -> tuple[Priority, int, str] | None:
        """Return priority, number and id of the next job."""
        for priority, jobs in self._levels.items():
            for job_id, number in jobs.items():
                return priority, number, job_id
        return None


class Lanes:
    """The queue. Not thread-safe: the scheduler's lock guards it.

    :param reach: which servers do not answer.
    """

    def __init__(self, limits: Limits, reach: Reach) -> None:
        self.limits = limits
        self._reach = reach
        self._numbers = itertools.count()
        self._queued: dict[str, JobDescription] = {}
        self._lanes: dict[tuple[str | None, JobKind], _Lane] = {}
        self._running: dict[int, JobDescription] = {}
        self._served: dict[str | None, int] = {}

    def put(self, job: JobDescription) -> None:
        """Append a job to its lane."""
        self._queued[job.job_id] = job
        lane = self._lanes.setdefault((job.server, job.kind), _Lane())
        lane.add(job, next(self._numbers))

    def discard(self, job_id: str) -> None:
        """Take a job out of the queue, if it is there."""
        job = self._queued.pop(job_id, None)
        if job is not None:
            self._remove(job)

    def peek(self) -> JobDescription | None:
        """Return the job that would run next, or None if none may."""
        best = min(filter(None, (self._candidate(lane) for lane in self._lanes)), default=None)
        return None if best is None else self._queued[best[-1]]

    def take(self) -> tuple[int, JobDescription] | None:
        """Move the next job from the queue to the running ones; the number is for :meth:`release`."""
        job = self.peek()
        if job is None:
            return None
        self.discard(job.job_id)
        place = next(self._numbers)
        self._served[job.server] = place
        self._running[place] = job
        return place, job

    def release(self, place: int) -> None:
        """Free the place of a job that no longer runs."""
        del self._running[place]

    def _candidate(self, key: tuple[str | None, JobKind]) -> tuple[Priority, int, int, str] | None:
        head = self._lanes[key].head()
        if head is None or not self._may_run(self._queued[head[2]]):
            return None
        priority, number, job_id = head
        return priority, self._served.get(key[0], -1), number, job_id

    def _may_run(self, job: JobDescription) -> bool:
        running = self._running.values()
        if not self._reach.lets(job) or not self.limits.has_room(job, running):
            return False
        if not self._reach.is_doubtful(job.server):
            return True
        return sum(self._reach.is_doubtful(other.server) for other in running) < max(1, self.limits.total // 2)

    @property
    def standing(self) -> int:
        """How many jobs run that take no place."""
        return sum(job.kind.standing for job in self._running.values())

    def queued_for(self, server: str) -> list[str]:
        """Return the ids of what is queued for a server."""
        return [job_id for job_id, job in self._queued.items() if job.server == server]

    def _remove(self, job: JobDescription) -> None:
        key = (job.server, job.kind)
        lane = self._lanes[key]
        lane.discard(job)
        if lane.head() is None:
            del self._lanes[key]
