"""Who is connected to a listener: those whose association stands, and those who have still to ask for one.

Strangers cost a thread each, so there may be few of them. The newest is always let in, at the cost of whoever has been
waiting longest: somebody who means it asks within milliseconds, and crowds of mute connections keep nobody out.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a listener bears.

    :ivar strangers: connections that have no association yet.
    :ivar strangers_per_address: as many from one address.
    :ivar associations: at once; whoever comes then is refused for the moment.
    :ivar first: seconds until an association stands, TLS included.
    :ivar stall: seconds without a byte in the middle of a request.
    :ivar idle: seconds between two requests.
    """

    strangers: int = 20
    strangers_per_address: int = 10
    associations: int = 10
    first: float = 5.0
    stall: float = 30.0
    idle: float = 60.0


class Visit:
    """One connection.

    :ivar address: where it comes from; an IPv4 address as such also on an IPv6 socket.
    """

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.socket = sock
        self.address = address
        self.since = time.monotonic()
        self.thread: threading.Thread | None = None
        # TLS takes the socket over, and the object that was accepted then reaches nothing any more.
        self._handle = sock.dup()

    def interrupt(self) -> None:
        """Have the reader of the connection wake; what it has to say still reaches the peer."""
        self._shut(socket.SHUT_RD)

    def cut(self) -> None:
        """End the connection at once."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        with contextlib.suppress(OSError):  # not connected any more is what we want
            self._handle.shutdown(how)

    def close(self) -> None:
        """Give the descriptors back."""
        self.cut()
        self._handle.close()
        self.socket.close()


class Visits:
    """See the module. Safe to use from several threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._strangers: list[Visit] = []
        self._guests: list[Visit] = []

    def enter(self, visit: Visit) -> None:
        """Let somebody in, and cut off who is too many."""
        with self._lock:
            self._strangers.append(visit)
            surplus = self._surplus()
        if surplus is not None:
            surplus.cut()

    def _surplus(self) -> Visit | None:
        """Take out the one who has waited longest, of the address that sends most."""
        counts = Counter(visit.address for visit in self._strangers)
        address, most = counts.most_common(1)[0]
        if most <= self._limits.strangers_per_address and len(self._strangers) <= self._limits.strangers:
            return None
        surplus = next(visit for visit in self._strangers if visit.address == address)
        self._strangers.remove(surplus)
        return surplus

    @property
    def is_full(self) -> bool:
        """Whether nobody can get an association just now."""
        with self._lock:
            return len(self._guests) >= self._limits.associations

    def settle(self, visit: Visit) -> bool:
        """Note that somebody gets an association; False if there are too many."""
        with self._lock:
            if len(self._guests) >= self._limits.associations:
                return False
            if visit in self._strangers:
                self._strangers.remove(visit)
            self._guests.append(visit)
            return True

    def leave(self, visit: Visit) -> None:
        """Forget somebody."""
        with self._lock:
            for visits in (self._strangers, self._guests):
                if visit in visits:
                    visits.remove(visit)

    def cut_overdue(self) -> float | None:
        """Cut off who took too long to ask, and return the seconds until the next one may have to go."""
        now = time.monotonic()
        with self._lock:
            overdue = [visit for visit in self._strangers if now - visit.since >= self._limits.first]
            self._strangers = [visit for visit in self._strangers if visit not in overdue]
            eldest = min((visit.since for visit in self._strangers), default=math.inf)
        for visit in overdue:
            visit.cut()
        return None if math.isinf(eldest) else max(0.0, eldest + self._limits.first - now)

    def all(self) -> list[Visit]:
        """Return everybody who is connected."""
        with self._lock:
            return [*self._strangers, *self._guests]
