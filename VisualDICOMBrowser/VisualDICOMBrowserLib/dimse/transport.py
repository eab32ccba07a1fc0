"""TCP connections to DICOM peers: the one place that owns sockets, their options, timers and counters.

Why not pynetdicom's own transport (3.0.4, all measured): its reactor thread hangs for ever when a peer stops in
the middle of a PDU, ``abort()`` included, and keeps the process alive; its time-out counts whole messages, so
that healthy slow transfers are cut; it allocates whatever length a peer claims; it cannot use descriptors
above 1023; and it polls every millisecond. Here the thread that does the work blocks in the socket
itself, every wait has an end, any byte resets the stall timer, and :meth:`Connection.shutdown` wakes it
from any other thread.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..domain.cancel import CancelToken
from ..domain.errors import Cancelled, ConnectionLost, PeerError, PeerStalled, ServerUnreachable
from .send_queue import keep_short, unsent_bytes
from .tls import ClientTls, RecordIncomplete, TlsSocket, connect_tls

#: Linux only. Has to be set again after each read: the kernel falls back to delayed acknowledgements, which
#: cost 40 ms an instance with peers that leave Nagle's algorithm on (Orthanc and DCMTK do).
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
#: How often a connection that is being made looks whether it is still wanted, in seconds.
_SLICE_S = 0.05
#: How often whoever waits for a peer looks whether it still takes what was written, in seconds, and in stall times.
_LOOK_S, _LOOKS = 1.0, 8


@dataclass(frozen=True)
class Timers:
    """Time limits in seconds.

    :ivar connect: for name resolution and the TCP connection.
    :ivar association: for the answer to A-ASSOCIATE-RQ, and before that for the TLS handshake.
    :ivar stall: without a single byte, in either direction.
    :ivar release: for the answer to A-RELEASE-RQ; then the connection is simply closed.
    """

    connect: float = 5.0
    association: float = 10.0
    stall: float = 30.0
    release: float = 5.0


class Connection:
    """A connected TCP socket, secured or not.

    One thread reads and writes; any thread may call :meth:`shutdown`. Counters are plain integers that
    other threads may read.

    :ivar bytes_in: bytes received so far.
    :ivar bytes_out: bytes sent so far.
    """

    def __init__(self, sock: socket.socket | TlsSocket, stall: float, token: CancelToken) -> None:
        self._socket = sock
        self._token = token
        self._stall = stall
        self._cut_off = False
        self.bytes_in = 0
        self.bytes_out = 0

    @classmethod
    def open(cls, host: str, port: int, timers: Timers, token: CancelToken, tls: ClientTls | None = None) -> Connection:
        """Connect to a peer, and secure the connection if ``tls`` says how.

        :raises ServerUnreachable: no address, nobody listens, or no answer within ``timers.connect``.
        :raises PeerError: the connection could not be secured, see :func:`.connect_tls`.
        :raises Cancelled: the token was raised meanwhile.
        """
        sock = _connected(host, port, timers, token)
        if tls is None:
            return cls(sock, timers.stall, token)
        return cls(connect_tls(sock, tls, timers.association, token), timers.stall, token)

    @property
    def traffic(self) -> tuple[int, int, int]:
        """What differs from before if any byte came, was written, or has reached the peer meanwhile."""
        return self.bytes_in, self.bytes_out, unsent_bytes(self._socket)

    def read_into(self, view: memoryview, timeout: float | None = None) -> int:
        """Read at least one byte and at most ``len(view)``; return how many.

        :param timeout: seconds to wait instead of the stall time, whatever moves; if none are left, nothing is read.
        :raises PeerStalled: no byte came in time, nor did the peer take any of what was written before.
        :raises ConnectionLost: the peer closed or reset the connection.
        :raises TlsFailed: the peer refuses our certificate, or the lack of one; TLS 1.3 tells that late.
        """
        count = self._transfer(self._socket.recv_into, view, "sent", timeout)
        if count == 0:
            raise self._lost()
        if _QUICKACK is not None:
            with contextlib.suppress(OSError):  # the peer may be gone already; the next read tells
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        self.bytes_in += count
        return count

    def write(self, data: bytes | memoryview, timeout: float | None = None) -> None:
        """Send all of ``data``. Once that has failed, nothing can be sent any more: it would follow on half a PDU.

        :param timeout: seconds to wait until some of it can be written, instead of the stall time.
        :raises PeerStalled: the peer took no byte for the stall time.
        :raises ConnectionLost: the peer closed or reset the connection.
        :raises TlsFailed: the peer refuses our certificate, or the lack of one; TLS 1.3 tells that late.
        """
        if self._cut_off:
            raise self._lost()
        view = memoryview(data)
        self._cut_off = True
        while view:
            count = self._transfer(self._socket.send, view, "accepted", timeout)
            self.bytes_out += count
            view = view[count:]
        self._cut_off = False

    def _transfer(
        self, transfer: Callable[[memoryview], int], view: memoryview, verb: str, timeout: float | None
    ) -> int:
        """Read or write some bytes, and return how many; errors as with :meth:`read_into`."""
        seconds = self._stall if timeout is None else timeout
        started = time.monotonic()
        timer: StallTimer | None = None  # made when there is something to wait for: it asks the system each time
        while True:
            if timeout is not None:
                left = seconds - (time.monotonic() - started)
            else:
                left = seconds - (timer.idle() if timer is not None else 0.0)
            if left <= 0:
                raise self._stalled(verb, max(0.0, seconds))
            try:
                self._socket.settimeout(left if timeout is not None else min(left, _LOOK_S, seconds / _LOOKS))
                return transfer(view)
            except RecordIncomplete:
                timer = StallTimer(self)
            except TimeoutError:
                timer = timer or StallTimer(self)
            except PeerError:  # what TLS makes of it
                self._token.check()
                raise
            except OSError as error:
                raise self._lost() from error

    def is_quiet(self) -> bool:
        """Tell, without waiting, whether the connection is up and nothing was sent that is not read yet."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                return not selector.select(0)
        except (OSError, ValueError):  # closed
            return False

    def shutdown(self) -> None:
        """Break the connection at once; a thread that waits in it wakes with an error. Thread-safe."""
        with contextlib.suppress(OSError):  # not connected any more is what we want
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; to be called by the thread that uses it."""
        if isinstance(self._socket, TlsSocket):
            self._socket.say_goodbye()
        self.shutdown()
        self._socket.close()

    def _stalled(self, verb: str, seconds: float) -> Exception:
        if self._token.cancelled:
            return Cancelled()
        return PeerStalled(f"The server has {verb} no data for {seconds:.3g} seconds.")

    def _lost(self) -> Exception:
        if self._token.cancelled:
            return Cancelled()
        return ConnectionLost("The server closed the connection.")


class StallTimer:
    """Tells for how long nothing has moved on a connection, in either direction.

    What was written moves until the peer's system has it, which on a slow line is long after the write.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.restart()

    def restart(self) -> None:
        """Take it that something has moved just now."""
        self._traffic = self._connection.traffic
        self._since = time.monotonic()

    def idle(self) -> float:
        """Return the seconds since something was seen to have moved; it looks only when it is asked."""
        if self._connection.traffic != self._traffic:
            self.restart()
        return time.monotonic() - self._since


def _connected(host: str, port: int, timers: Timers, token: CancelToken) -> socket.socket:
    """Return a socket that is connected to one of the addresses of a host; errors as with :meth:`Connection.open`."""
    deadline = time.monotonic() + timers.connect
    problem = "no address found"
    addresses = _resolve(host, port, deadline, token)
    for index, address in enumerate(addresses):
        # an address that swallows everything leaves their share of the time to the others
        share = (deadline - time.monotonic()) / (len(addresses) - index)
        try:
            return _connect(address, max(_SLICE_S, share), token)
        except OSError as error:
            problem = _connect_problem(error, timers.connect)
    raise ServerUnreachable(f"The server at {host}:{port} cannot be reached: {problem}.")


#: What getaddrinfo returns for one address: family, type, protocol, canonical name, address.
_Address = tuple[Any, ...]


def _resolve(host: str, port: int, deadline: float, token: CancelToken) -> list[_Address]:
    """Resolve a name on a thread of its own, since getaddrinfo knows no time-out; an address needs none.

    A thread that is not waited for any more ends when the resolver of the system gives up.
    """
    with contextlib.suppress(OSError, ValueError):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answers: queue.SimpleQueue[list[_Address] | Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, ValueError) as error:  # ValueError: NUL, or no international domain name
            answers.put(error)

    threading.Thread(target=ask, name="vdb-resolve", daemon=True).start()
    with token.calling(lambda: answers.put(None)):
        try:
            answer = answers.get(timeout=max(_SLICE_S, deadline - time.monotonic()))
        except queue.Empty:
            raise ServerUnreachable(f"The name {host} could not be resolved in time.") from None
    if answer is None:
        raise Cancelled
    if isinstance(answer, Exception):
        raise ServerUnreachable(f"The host {host} is not known: check its name.") from answer
    return answer


def addresses_of(host: str, seconds: float, token: CancelToken) -> frozenset[str]:
    """Return the addresses of a host as :func:`plain_address` gives them; none if they cannot be had in time."""
    try:
        found = _resolve(host, 0, time.monotonic() + seconds, token)
    except (ServerUnreachable, Cancelled):
        return frozenset()
    return frozenset(plain_address(info[4][0]) for info in found)


def plain_address(address: str) -> str:
    """Return an address as it is compared: without zone, and IPv4 as such where it comes through IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _connect(info: _Address, seconds: float, token: CancelToken) -> socket.socket:
    """Connect to one address, looking at the token now and then: nothing wakes a connecting socket on every system.

    :raises OSError: refused, unreachable, or no answer in time.
    """
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(address)
        _wait_connected(sock, time.monotonic() + seconds, token)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        keep_short(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _wait_connected(sock: socket.socket, deadline: float, token: CancelToken) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while not selector.select(_SLICE_S):
            token.check()
            if time.monotonic() > deadline:
                raise TimeoutError
    token.check()
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _connect_problem(error: OSError, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:.3g} seconds"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on this port"
    return (error.strerror or str(error)).rstrip(".").lower()
