"""How this program can be called: the settings of its listener."""

from __future__ import annotations

import dataclasses
import ipaddress
import time
from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .results import MAX_CONFLICTS, Conflict, named_conflicts
from .servers import DEFAULT_CALLING_AET, is_ae_title
from .tls import ListenerTls, is_host

DEFAULT_PORT = 11112
LOOPBACK = "127.0.0.1"
#: Stands for any AE title, or any address, of an allowed peer.
ANY = "*"


@dataclass(frozen=True)
class AllowedPeer:
    """Somebody who may call.

    :param aet: its AE title, or ``*`` for any.
    :param host: its name or address, or ``*`` for any.
    :raises UsageError: a value that cannot be right.
    """

    aet: str
    host: str

    def __post_init__(self) -> None:
        if self.aet != ANY and not is_ae_title(self.aet):
            raise UsageError("An allowed peer's AE title must have 1 to 16 ASCII characters and no backslash, or be *.")
        if self.host != ANY and not is_host(self.host):
            raise UsageError("An allowed peer's host must be a host name or an address, or *.")

    @classmethod
    def parse(cls, text: str) -> AllowedPeer:
        """Read ``AET@HOST``.

        :raises UsageError: it is not of that form.
        """
        aet, at, host = text.rpartition("@")
        if not at:
            raise UsageError(f"An allowed peer is written AET@HOST, and {text!r} is not.")
        return cls(aet, host)

    def __str__(self) -> str:
        return f"{self.aet}@{self.host}"


@dataclass(frozen=True)
class ListenerSettings:
    """Where and for whom to listen.

    :param aet: our AE title; whoever calls another one is refused.
    :param port: TCP port, 1 to 65535; 0 takes any that is free.
    :param bind: address of the interface; ``0.0.0.0`` and ``::`` are all of them.
    :param allowed: who may call, beside the configured servers.
    :param unsolicited: whether they may send what was not asked for.
    :param enabled: whether to listen all the time, and not only while something is expected.
    :param tls: how connections are secured; None if they are not.
    :raises UsageError: a value that cannot be right.
    """

    aet: str = DEFAULT_CALLING_AET
    port: int = DEFAULT_PORT
    bind: str = LOOPBACK
    allowed: tuple[AllowedPeer, ...] = ()
    unsolicited: bool = False
    enabled: bool = False
    tls: ListenerTls | None = None

    def __post_init__(self) -> None:
        if not is_ae_title(self.aet):
            raise UsageError("The listener's AE title must have 1 to 16 ASCII characters and no backslash.")
        if not 0 <= self.port <= 65535:
            raise UsageError("The listener's port must lie between 1 and 65535.")
        try:
            ipaddress.ip_address(self.bind)
        except ValueError as error:
            raise UsageError("The listener's address must be that of an interface, such as 0.0.0.0 for all.") from error

    @property
    def is_local(self) -> bool:
        """Whether only this computer can call."""
        return ipaddress.ip_address(self.bind).is_loopback

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values; the allowed peers as ``AET@HOST``."""
        return {**dataclasses.asdict(self), "allowed": [str(peer) for peer in self.allowed]}

    @classmethod
    def from_dict(cls, values: Any) -> ListenerSettings:
        """Read settings from plain values; what is missing is as by default.

        :raises UsageError: a key is unknown or of the wrong type.
        """
        if not isinstance(values, dict):
            raise UsageError("The listener in the configuration is no set of named values.")
        unknown = sorted(str(key) for key in values if key not in _TYPES)
        if unknown:
            raise UsageError(f"Unknown listener setting: {', '.join(unknown)}.")
        for key, value in values.items():
            if type(value) not in _TYPES[key]:
                raise UsageError(f"The listener in the configuration has a wrong value for {key!r}.")
        allowed = values.get("allowed", [])
        if not all(isinstance(peer, str) for peer in allowed):
            raise UsageError("The listener in the configuration has a wrong value for 'allowed'.")
        tls = values.get("tls")
        changed = {
            "allowed": tuple(AllowedPeer.parse(peer) for peer in allowed),
            "tls": None if tls is None else ListenerTls.from_dict(tls),
        }
        return cls(**{**values, **changed})


_TYPES: dict[str, tuple[type, ...]] = {
    "aet": (str,),
    "port": (int,),
    "bind": (str,),
    "allowed": (list,),
    "unsolicited": (bool,),
    "enabled": (bool,),
    "tls": (dict, type(None)),
}


@dataclass(frozen=True)
class ListenerStatus:
    """How the listener is.

    :ivar open: whether it listens.
    :ivar address: where, as bound; empty if it does not.
    :ivar secured: whether it listens, and to TLS only.
    :ivar problem: why it does not though it should, or why it takes nothing at the moment; or empty.
    :ivar reachable_at: addresses of this computer under which others reach it, as far as they can be known here.
    """

    settings: ListenerSettings
    open: bool
    address: str = ""
    port: int = 0
    secured: bool = False
    problem: str = ""
    reachable_at: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain values."""
        values = dataclasses.asdict(self)
        return {**values, "settings": self.settings.to_dict(), "reachable_at": list(self.reachable_at)}


@dataclass
class CallRecord:
    """What an association brought that somebody else asked for, or that somebody was refused one.

    :ivar number: counts the calls of this engine.
    :ivar at: when it began, or was refused last, in seconds since the Unix epoch.
    :ivar secured: whether it was encrypted (TLS).
    :ivar admitted: whether there was an association.
    :ivar reason: why there was none, or why it broke off; empty if it ended in order, or runs.
    :ivar times: how often the same caller was refused for the same reason.
    :ivar refused: instances that nobody had asked for.
    :ivar failed: instances that could not be kept.
    :ivar conflicting: instances that were here already with other content.
    :ivar conflicts: the first :data:`.MAX_CONFLICTS` of them.
    :ivar asked_for: how many of those that are here now, or were here already, somebody here had asked for.
    """

    number: int
    aet: str
    address: str
    secured: bool = False
    over: bool = False
    reason: str = ""
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    failed: int = 0
    bytes: int = 0
    studies: set[str] = dataclasses.field(default_factory=set)
    conflicting: int = 0
    conflicts: list[Conflict] = dataclasses.field(default_factory=list)
    asked_for: int = 0
    at: float = dataclasses.field(default_factory=time.time)
    admitted: bool = True
    times: int = 1

    def add_conflict(self, conflict: Conflict) -> None:
        """Count a conflict, and remember it unless there are too many."""
        self.conflicting += 1
        self.conflicts = [*self.conflicts, conflict][:MAX_CONFLICTS]

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values, the studies counted."""
        conflicts = named_conflicts(self.conflicts)
        return {**dataclasses.asdict(self), "studies": len(self.studies), "conflicts": conflicts}


@dataclass
class ListenResult:
    """What came while somebody listened.

    :ivar secured: whether connections were encrypted (TLS).
    :ivar studies: Study Instance UIDs of what was stored.
    :ivar conflicting: instances that were here already with other content; ``conflicts`` are the first of them.
    """

    aet: str
    address: str
    port: int
    secured: bool = False
    associations: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    studies: set[str] = dataclasses.field(default_factory=set)
    conflicting: int = 0
    conflicts: list[Conflict] = dataclasses.field(default_factory=list)

    def add(self, record: CallRecord) -> None:
        """Count an association that is over."""
        self.associations += 1
        self.stored += record.stored
        self.duplicates += record.duplicates
        self.refused += record.refused
        self.failed += record.failed
        self.bytes += record.bytes
        self.studies |= record.studies
        self.conflicting += record.conflicting
        self.conflicts = [*self.conflicts, *record.conflicts][:MAX_CONFLICTS]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``listen --json``."""
        conflicts = named_conflicts(self.conflicts)
        seconds, studies = round(self.seconds, 3), sorted(self.studies)
        return {**dataclasses.asdict(self), "seconds": seconds, "studies": studies, "conflicts": conflicts}
