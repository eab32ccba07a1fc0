"""What a job is to do, and the snapshot that users, the window and the persistent queue see of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any

from ..domain.errors import BadData
from .states import JobState


class JobKind(Enum):
    """The kinds of work. What a kind needs in ``params`` is between the engine and its worker."""

    ECHO = "echo"
    FIND = "find"
    RETRIEVE = "retrieve"
    IMPORT = "import"
    THUMBNAIL = "thumbnail"
    REMOVE = "remove"
    VERIFY = "verify"
    EXPORT = "export"
    SEND = "send"
    LISTENER = "listener"

    @property
    def bulk(self) -> bool:
        """Whether such jobs run for minutes, so that quick ones need a way past them."""
        return self in _BULK

    @property
    def standing(self) -> bool:
        """Whether such a job only stands for something that goes on elsewhere, and takes no place within the limits."""
        return self is JobKind.LISTENER

    @property
    def fetches(self) -> bool:
        """Whether instances come from the server, and so by way of its proxy."""
        return self in _FETCHES

    @property
    def retried(self) -> bool:
        """Whether a failure that may pass is tried again; where somebody waits for the answer, it is told at once."""
        return self not in _ANSWERS

    @property
    def awaited(self) -> bool:
        """Whether somebody looks at a screen for what it brings, and rather hears that it cannot be had now."""
        return self in _AWAITED

    @property
    def durable(self) -> bool:
        """Whether the work is worth taking up again after a crash or a restart."""
        return self in _DURABLE


_BULK = frozenset({JobKind.RETRIEVE, JobKind.IMPORT, JobKind.VERIFY, JobKind.EXPORT, JobKind.SEND})
_FETCHES = frozenset({JobKind.RETRIEVE, JobKind.THUMBNAIL})
_ANSWERS = frozenset({JobKind.ECHO, JobKind.FIND})
_AWAITED = frozenset({JobKind.FIND, JobKind.THUMBNAIL})
_DURABLE = frozenset({JobKind.RETRIEVE, JobKind.IMPORT, JobKind.SEND, JobKind.EXPORT})


class Priority(IntEnum):
    """How urgent a job is; sorts the most urgent first."""

    VISIBLE_THUMBNAIL = 0
    USER = 1
    VISIBLE_STUDY = 2
    REST = 3


@dataclass(frozen=True)
class JobDescription:
    """What is to be done. Never changes, except that a copy with another priority may take its place.

    :param job_id: unique among all jobs of a database folder; appears in logs, so it says nothing of patients.
    :param kind: which worker does it.
    :param server: name of the server whose associations it needs, or None for local work.
    :param params: JSON values for the worker. Kept as a read-only mapping of its own.
    :param priority: where it is put in the queue.
    """

    job_id: str
    kind: JobKind
    server: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    priority: Priority = Priority.USER

    def __post_init__(self) -> None:
        try:
            params = json.loads(json.dumps(dict(self.params), allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise BadData("The parameters of a job must be plain JSON values.") from error
        object.__setattr__(self, "params", MappingProxyType(params))

    def is_about_the_same(self, other: JobDescription) -> bool:
        """Tell whether another job does the same; the parameter ``label`` is a name for people, and does not count."""
        one, two = ({**job.params, "label": ""} for job in (self, other))
        return (self.kind, self.server, one) == (other.kind, other.server, two)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain values, for :meth:`from_dict`."""
        return {
            "job_id": self.job_id,
            "kind": self.kind.value,
            "server": self.server,
            "params": dict(self.params),
            "priority": self.priority.name.lower(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JobDescription:
        """Read what :meth:`to_dict` wrote.

        :raises BadData: a key is missing, or a value is not of its type.
        """
        try:
            job_id, server, params = values["job_id"], values["server"], values["params"]
            kind, priority = JobKind(values["kind"]), Priority[str(values["priority"]).upper()]
        except (KeyError, ValueError, TypeError) as error:
            raise BadData("A stored job has a description that cannot be read.") from error
        if not (isinstance(job_id, str) and isinstance(server, (str, type(None))) and isinstance(params, Mapping)):
            raise BadData("A stored job has a description with values of the wrong type.")
        return cls(job_id, kind, server, params, priority)


@dataclass(frozen=True)
class Stamp:
    """A moment on both clocks, in seconds.

    :ivar monotonic: for durations; means nothing in another process.
    :ivar wall: since the Unix epoch, for people.
    """

    monotonic: float
    wall: float


#: Most UIDs in a record: a window gets the records of a thousand jobs and more in one message.
MAX_MISSING = 100


@dataclass(frozen=True)
class Missing:
    """What a job did not bring, or not deliver.

    :ivar count: how many instances.
    :ivar uids: SOP Instance UIDs of them, as far as they are known; of many, the first :data:`MAX_MISSING`.
    """

    count: int = 0
    uids: tuple[str, ...] = ()

    @classmethod
    def of(cls, uids: Iterable[str], count: int = 0) -> Missing:
        """Make one of all the UIDs that are known; there may be more, ``count`` in all."""
        known = tuple(uids)
        return cls(max(count, len(known)), known[:MAX_MISSING])

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"count", "uids"}``."""
        return {"count": self.count, "uids": list(self.uids)}

    @classmethod
    def from_dict(cls, values: Any) -> Missing:
        """Read what :meth:`to_dict` wrote, and None as nothing.

        :raises TypeError: it is something else.
        """
        if values is None:
            return cls()
        uids, count = values["uids"], values["count"]
        if not isinstance(count, int) or not all(isinstance(uid, str) for uid in uids):
            raise TypeError("not what is missing")
        return cls.of(uids, count)


@dataclass(frozen=True)
class JobRecord:
    """A job at one moment.

    :ivar reason: a sentence on why it is in this state, or empty.
    :ivar done: units finished (instances or files) of ``total``; ``total`` is None while nobody knows.
    :ivar bytes: bytes moved so far.
    :ivar started: the first time a worker took it.
    :ivar ended: when it reached a terminal state.
    :ivar retry_at: when a waiting job is tried again.
    :ivar tries: how often a worker took it since the user last asked for it.
    :ivar missing: what an ended job leaves to be done.
    :ivar conflicts: how many instances came with other content than what is here; the log names the first of them.
    """

    description: JobDescription
    state: JobState
    created: Stamp
    reason: str = ""
    done: int = 0
    total: int | None = None
    bytes: int = 0
    started: Stamp | None = None
    ended: Stamp | None = None
    retry_at: Stamp | None = None
    tries: int = 0
    missing: Missing = Missing()
    conflicts: int = 0

    @property
    def job_id(self) -> str:
        """The job's identifier."""
        return self.description.job_id

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values; times are wall-clock seconds."""
        return {
            "job": self.description.to_dict(),
            "state": self.state.value,
            "reason": self.reason,
            "done": self.done,
            "total": self.total,
            "bytes": self.bytes,
            "created": self.created.wall,
            "started": _wall(self.started),
            "ended": _wall(self.ended),
            "retry_at": _wall(self.retry_at),
            "tries": self.tries,
            "missing": self.missing.to_dict(),
            "conflicts": self.conflicts,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JobRecord:
        """Read what :meth:`to_dict` wrote; monotonic times are lost and read as 0.

        :raises BadData: a key is missing, or a value is not of its type.
        """
        try:
            return cls(
                description=JobDescription.from_dict(values["job"]),
                state=JobState(values["state"]),
                reason=str(values["reason"]),
                done=int(values["done"]),
                total=None if values["total"] is None else int(values["total"]),
                bytes=int(values["bytes"]),
                created=Stamp(0.0, float(values["created"])),
                started=_stamp(values["started"]),
                ended=_stamp(values["ended"]),
                retry_at=_stamp(values["retry_at"]),
                tries=int(values["tries"]),
                missing=Missing.from_dict(values.get("missing")),
                conflicts=int(values.get("conflicts", 0)),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadData("A stored job has a record that cannot be read.") from error


def _stamp(wall: Any) -> Stamp | None:
    return None if wall is None else Stamp(0.0, float(wall))


def _wall(stamp: Stamp | None) -> float | None:
    return None if stamp is None else stamp.wall
