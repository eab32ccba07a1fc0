"""Waiting for others to call: one thread that accepts connections, and one for each connection.

Whoever calls is a stranger until its association stands, and :mod:`.visits` bounds what strangers may cost. Who may
come in, and where instances go, the :class:`Reception` decides.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Protocol

from ..domain.cancel import CancelToken
from ..domain.errors import PeerError, UsageError, VisualDicomError
from .acceptor import AcceptedAssociation
from .admission import AssociationRequest, Refusal
from .service import serve
from .storing import StoreHandler
from .tls import TlsSocket, wrap_accepted
from .transport import Connection, plain_address
from .visits import Limits, Visit, Visits

_log = logging.getLogger(__name__)

_BACKLOG = 64
#: How long to wait when the system has no descriptor or thread for another connection, in seconds.
_BREATH_S = 0.1
#: How long closing may take, and how much of that the peers have to be told, in seconds.
_CLOSE_S = 2.0
_FAREWELL_S = 0.5


@dataclass(frozen=True)
class Caller:
    """Somebody who asks for an association.

    :ivar address: where the connection comes from.
    :ivar secured: whether it is encrypted.
    """

    address: str
    calling_aet: str
    called_aet: str
    secured: bool = False


class Guest(StoreHandler, Protocol):
    """Somebody whose association stands; takes the instances that come on it."""

    def left(self, reason: str) -> None:
        """Note that the association is over.

        :param reason: why it broke off; empty if it ended in order.
        """


class Reception(Protocol):
    """Decides who may come in; called on the threads of the connections."""

    def admit(self, caller: Caller) -> Guest | None:
        """Return who takes what the caller sends, or None to refuse it."""

    def turned_away(self, caller: Caller, reason: str) -> None:
        """Note that somebody did not get in, and why."""


class Listener:
    """Listens from the moment it is made until :meth:`close`.

    :param aet: our AE title; whoever calls another one is refused.
    :param address: of the interface to listen at; ``0.0.0.0`` and ``::`` are all of them.
    :param port: 0 takes any that is free.
    :param tls: how connections are secured; None if they are not. A port speaks TLS or does not, never both.
    :ivar address: as bound.
    :ivar port: as bound.
    :ivar secured: whether it speaks TLS.
    :raises UsageError: it cannot listen there; the sentence says why.
    """

    def __init__(
        self,
        aet: str,
        address: str,
        port: int,
        reception: Reception,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.aet = aet
        self._reception = reception
        self._limits = limits or Limits()
        self._tls = tls
        self.secured = tls is not None
        self._visits = Visits(self._limits)
        self._token = CancelToken()
        self._socket = _bound(address, port)
        self.address, self.port = self._socket.getsockname()[:2]
        self._waker, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="vdb-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no calls any more and end the associations; within 2 seconds. Idempotent."""
        if self._token.cancelled:
            return
        deadline = time.monotonic() + _CLOSE_S
        self._token.cancel()
        self._wake.send(b"\0")
        self._thread.join(_CLOSE_S)
        for end in (self._socket, self._waker, self._wake):
            end.close()
        for visit in self._visits.all():
            visit.interrupt()
        self._join(time.monotonic() + _FAREWELL_S)
        for visit in self._visits.all():
            visit.cut()
        self._join(deadline)

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _join(self, deadline: float) -> None:
        for visit in self._visits.all():
            if visit.thread is not None:
                visit.thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while not self._token.cancelled:
                ready = selector.select(self._visits.cut_overdue())
                if any(key.fileobj is self._socket for key, _ in ready):
                    self._accept()

    def _accept(self) -> None:
        try:
            sock, peer = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # gone again
        except OSError as error:
            _log.warning("A connection could not be accepted: %s", error.strerror)
            self._token.wait(_BREATH_S)
            return
        try:
            self._begin(sock, plain_address(peer[0]))
        except (OSError, RuntimeError) as error:  # RuntimeError: the system has no thread for it
            _log.warning("A connection could not be served: %s", type(error).__name__)
            sock.close()
            self._token.wait(_BREATH_S)

    def _begin(self, sock: socket.socket, address: str) -> None:
        sock.settimeout(self._limits.first)
        with contextlib.suppress(OSError):  # the peer may be gone already; reading tells
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        visit = Visit(sock, address)
        visit.thread = threading.Thread(target=self._receive, args=(visit,), name="vdb-caller", daemon=True)
        self._visits.enter(visit)
        try:
            visit.thread.start()
        except RuntimeError:
            self._visits.leave(visit)
            visit.close()
            raise

    def _receive(self, visit: Visit) -> None:
        try:
            self._serve(visit)
        except (VisualDicomError, OSError) as error:
            _log.info("A connection ended: %s", type(error).__name__)
        except Exception as error:
            # A fault of ours that one peer provokes must not become the others' problem.
            _log.error("Serving a connection failed: %s", type(error).__name__)
        finally:
            self._visits.leave(visit)
            visit.close()

    def _serve(self, visit: Visit) -> None:
        with contextlib.closing(Connection(self._secured(visit), self._limits.stall, self._token)) as connection:
            guests: list[Guest] = []
            decide = partial(self._decide, visit, guests)
            reason = ""
            try:
                with AcceptedAssociation.accept(connection, self._limits.first, decide) as association:
                    serve(association, guests[0], self._limits.idle)
            except BaseException as error:
                reason = _words(error) if isinstance(error, VisualDicomError) else type(error).__name__
                raise
            finally:
                for guest in guests:
                    guest.left(reason)

    def _secured(self, visit: Visit) -> socket.socket | TlsSocket:
        """Shake hands, if TLS is spoken; on the connection's own thread, since a peer may be mute."""
        if self._tls is None:
            return visit.socket
        try:
            return wrap_accepted(visit.socket, self._tls, self._limits.first, self._token)
        except PeerError as error:
            self._reception.turned_away(Caller(visit.address, "", "", self.secured), _words(error))
            raise

    def _decide(self, visit: Visit, guests: list[Guest], request: AssociationRequest) -> Refusal | None:
        caller = Caller(visit.address, request.calling_aet, request.called_aet, self.secured)
        if request.called_aet != self.aet:
            self._reception.turned_away(caller, f"It called {_printable(request.called_aet)}, and we are {self.aet}.")
            return Refusal.CALLED_AET
        if self._visits.is_full:
            self._reception.turned_away(caller, "As many associations as this program bears were open already.")
            return Refusal.LIMIT
        guest = self._reception.admit(caller)
        if guest is None:
            self._reception.turned_away(caller, "Nobody of this AE title at this address is allowed to call.")
            return Refusal.CALLING_AET
        guests.append(guest)
        return None if self._visits.settle(visit) else Refusal.LIMIT  # another one was quicker


def _words(error: VisualDicomError) -> str:
    """Return what an error says of whoever called: most are written for a server that we called."""
    return str(error).replace("The server", "The caller").replace("the server", "the caller")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # there, SO_REUSEADDR would let two programs have the same port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):  # a system with IPv6 only
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise UsageError(f"Nothing can be received at {address}, port {port}: {_problem(error)}.") from error
    return sock


def _problem(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this computer has no such address"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "the system does not allow it; ports below 1024 are often reserved"
    return (os.strerror(error.errno) if error.errno else type(error).__name__).rstrip(".").lower()
