"""A TCP proxy on loopback that stalls, cuts, throttles, delays or flips bytes between a client and a real server.

::

    with FaultProxy(server.address, to_client=[Stall(after=5000)]) as proxy:
        client.connect(*proxy.address)

Faults are counted in bytes of their direction and connection. What lies before the offset goes through untouched.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .loopback_server import TICK, LoopbackServer

CHUNK = 65536
#: How long a cut with FIN waits for the other side to close, before the socket goes anyway.
FIN_SECONDS = 2.0


@dataclass(frozen=True)
class Fault:
    """Something that happens once ``after`` bytes went through."""

    after: int = 0


@dataclass(frozen=True)
class Stall(Fault):
    """Take and give no further byte in this direction; the connection stays open until either side ends it."""


@dataclass(frozen=True)
class Cut(Fault):
    """End the connection on both sides: with a reset (RST), or in order (FIN)."""

    reset: bool = True


@dataclass(frozen=True)
class Throttle(Fault):
    """From here on let ``bytes_per_second`` through."""

    bytes_per_second: float = 1000.0


@dataclass(frozen=True)
class Delay(Fault):
    """Pause once for ``seconds``."""

    seconds: float = 0.1


@dataclass(frozen=True)
class Flip(Fault):
    """Change the byte at offset ``after`` by XOR with ``mask``."""

    mask: int = 0xFF


class _CutNow(Exception):
    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class _Flow:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, faults: Sequence[Fault]) -> None:
        self.source = source
        self.sink = sink
        self.faults = sorted(faults, key=lambda fault: (fault.after, isinstance(fault, Flip)))
        self.pending = b""
        self.taken = 0
        self.passed = 0
        self.ended = False
        self.stalled = False
        self.rate = 0.0
        self.not_before = 0.0

    def reach_faults(self) -> bool:
        """Let the faults at this offset happen; tell whether there was one that a test may wait for."""
        happened = False
        while not self.stalled and self.faults and self.faults[0].after <= self.passed:
            fault = self.faults[0]
            if isinstance(fault, Flip):
                break  # happens to the byte, in take()
            self.faults.pop(0)
            happened = True
            self._happen(fault)
        return happened

    def _happen(self, fault: Fault) -> None:
        if isinstance(fault, Cut):
            raise _CutNow(fault.reset)
        if isinstance(fault, Stall):
            self.stalled = True
        elif isinstance(fault, Throttle):
            self.rate = fault.bytes_per_second
        elif isinstance(fault, Delay):
            self.not_before = time.monotonic() + fault.seconds

    @property
    def wants_to_read(self) -> bool:
        return not (self.ended or self.pending or self.stalled) and time.monotonic() >= self.not_before

    def take(self) -> None:
        """Read what may be read before the next fault."""
        data = self.source.recv(self._room())
        if not data:
            self.ended = True
            self.sink.shutdown(socket.SHUT_WR)
            return
        if self.rate:
            self.not_before = max(self.not_before, time.monotonic()) + len(data) / self.rate
        if self.faults and isinstance(self.faults[0], Flip) and self.faults[0].after == self.taken:
            fault = self.faults.pop(0)
            assert isinstance(fault, Flip)
            data = bytes([data[0] ^ fault.mask]) + data[1:]
        self.taken += len(data)
        self.pending = data

    def _room(self) -> int:
        room = CHUNK
        if self.rate:
            room = min(room, max(1, int(self.rate * TICK)))
        later = [fault.after - self.taken for fault in self.faults if fault.after > self.taken]
        return min([room, *later])

    def give(self) -> int:
        """Write what can be written now; return how much."""
        sent = self.sink.send(self.pending)
        self.pending = self.pending[sent:]
        self.passed += sent
        return sent


class FaultProxy(LoopbackServer):
    """The proxy. ``to_server`` and ``to_client`` are the faults of either direction.

    :ivar connections: how many connections were accepted.
    :ivar happened: set when the first fault (a flip excepted) took place.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        to_server: Sequence[Fault] = (),
        to_client: Sequence[Fault] = (),
        only_first: int | None = None,
        buffer: int | None = None,
    ) -> None:
        """Begin to listen.

        :param only_first: so many connections get the faults; later ones go through untouched.
        :param buffer: how many bytes of a client its system may hold before they are read: few, as on a slow line.
        """
        super().__init__("fault-proxy")
        self.target = target
        self.to_server = tuple(to_server)
        self.to_client = tuple(to_client)
        self.only_first = only_first
        self.connections = 0
        self._counts = {"server": 0, "client": 0}
        self.happened = threading.Event()
        self._lock = threading.Lock()
        self._flows: list[_Flow] = []
        if buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)  # accepted ones inherit it
        self.begin()

    @property
    def bytes_to_server(self) -> int:
        """How many bytes went through to the server, over all connections."""
        with self._lock:
            return self._counts["server"]

    @property
    def bytes_to_client(self) -> int:
        """How many bytes went through to the client, over all connections."""
        with self._lock:
            return self._counts["client"]

    @property
    def open_connections(self) -> int:
        """How many connections go through the proxy at the moment."""
        return sum(thread.is_alive() for thread in self._threads)

    def heal(self) -> None:
        """End all faults: what is stalled goes on, new connections go through untouched."""
        with self._lock:
            self.to_server = self.to_client = ()
            for flow in self._flows:
                flow.faults, flow.stalled, flow.rate, flow.not_before = [], False, 0.0, 0.0

    def serving(self, client: socket.socket) -> Callable[[], None]:
        """See :class:`.LoopbackServer`."""
        self.connections += 1
        return partial(self._serve, client, self.connections)

    def _serve(self, client: socket.socket, number: int) -> None:
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            _reset(client)
            return
        reset = False
        try:
            self._shuttle(client, server, self.only_first is None or number <= self.only_first)
        except _CutNow as cut:
            reset = cut.reset
            self.happened.set()
            if not reset:
                self._finish((client, server))
        except OSError:
            reset = True  # one side reset the connection: so does the proxy to the other
        finally:
            for end in (client, server):
                _reset(end) if reset else end.close()

    def _shuttle(self, client: socket.socket, server: socket.socket, faulty: bool) -> None:
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setblocking(False)
        with self._lock:
            up = _Flow(client, server, self.to_server if faulty else ())
            down = _Flow(server, client, self.to_client if faulty else ())
            self._flows += [up, down]
        try:
            while not self.closing.is_set() and not _is_over(up, down):
                self._turn(up, down)
        finally:
            with self._lock:
                self._flows = [flow for flow in self._flows if flow not in (up, down)]

    def _turn(self, up: _Flow, down: _Flow) -> None:
        with self._lock:
            for flow in (up, down):
                if flow.reach_faults():
                    self.happened.set()
        ready = self._wait(_interest(up, down))
        with self._lock:
            for flow in (up, down):
                if flow.wants_to_read and ready.get(flow.source, 0) & selectors.EVENT_READ:
                    flow.take()
            self._counts["server"] += self._give(up)
            self._counts["client"] += self._give(down)

    def _wait(self, interest: dict[socket.socket, int]) -> dict[Any, int]:
        if not interest:
            self.closing.wait(TICK)
            return {}
        with selectors.DefaultSelector() as selector:
            for end, events in interest.items():
                selector.register(end, events)
            return {key.fileobj: events for key, events in selector.select(TICK)}

    @staticmethod
    def _give(flow: _Flow) -> int:
        try:
            return flow.give() if flow.pending else 0
        except BlockingIOError:
            return 0

    def _finish(self, ends: Sequence[socket.socket]) -> None:
        """Send FIN and read on until the other side has closed: closing with unread bytes would send RST."""
        for end in ends:
            try:
                end.shutdown(socket.SHUT_WR)
            except OSError:
                continue  # this side is gone already
        deadline = time.monotonic() + FIN_SECONDS
        waiting = list(ends)
        while waiting and time.monotonic() < deadline and not self.closing.is_set():
            waiting = [end for end in waiting if not _drained(end)]
            self.closing.wait(TICK)


def _interest(up: _Flow, down: _Flow) -> dict[socket.socket, int]:
    interest: dict[socket.socket, int] = {}
    for flow in (up, down):
        if flow.wants_to_read:
            interest[flow.source] = interest.get(flow.source, 0) | selectors.EVENT_READ
        if flow.pending:
            interest[flow.sink] = interest.get(flow.sink, 0) | selectors.EVENT_WRITE
    return interest


def _is_over(up: _Flow, down: _Flow) -> bool:
    """Tell whether both directions ended, or one did and the other is stalled for good."""
    flows = (up, down)
    silent = all(flow.stalled or (flow.ended and not flow.pending) for flow in flows)
    return silent and any(flow.ended for flow in flows)


def _drained(end: socket.socket) -> bool:
    try:
        while end.recv(CHUNK):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _reset(end: socket.socket) -> None:
    """Close so that the other side sees RST."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
