"""What others send here: instances that the engine asked a server to send, and, where they are allowed, pushes.

The port is open while somebody expects something, or all the time if the settings say so. Whoever calls must be an
allowed peer, a configured server, or the server of an :class:`Expectation`; what it may send is decided instance by
instance. An instance is confirmed once it is safe (:mod:`..store.safekeeping`); its rows follow.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..dimse.listener import Caller, Listener
from ..dimse.tls import listener_context
from ..dimse.transport import addresses_of
from ..domain.cancel import CancelToken
from ..domain.errors import LocalError, UsageError
from ..domain.listener import ANY, AllowedPeer, CallRecord, ListenerSettings, ListenerStatus, ListenResult
from ..domain.servers import Server
from ..store.local import LocalStore
from .call_log import CallLog, Refused
from .configuration import Configuration
from .reception import Expectation, Reception

#: How long the resolver may take, in seconds: callers wait for it.
_RESOLVE_S = 2.0
#: How often whoever listens looks whether it shall go on, in seconds: not every system wakes it.
_SLICE_S = 0.2

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
#: How long to wait for the rows of what came where something failed, or was cancelled, in seconds.
_BRIEFLY_S = 0.5

Emit = Callable[[str, str, object], None]


@dataclass(frozen=True)
class OpenListener:
    """Where the listener can be reached: what a server must have registered.

    :ivar address: the one that the server sees, as far as it can be known here.
    :ivar secured: whether the server must speak TLS.
    """

    aet: str
    address: str
    port: int
    secured: bool = False


@dataclass(frozen=True)
class _Expected:
    expectation: Expectation
    addresses: frozenset[str]

    def comes_from(self, caller: Caller) -> bool:
        return caller.address in self.addresses or caller.calling_aet == self.expectation.server.called_aet.strip()


class Listening:
    """See the module. Safe to use from several threads.

    :param emit: tells of events: ``listener-changed``, ``association``, ``caller-refused``; see :class:`.Engine`.
    """

    def __init__(self, configuration: Configuration, store: LocalStore, emit: Emit) -> None:
        self._configuration = configuration
        self._store = store
        self._emit = emit
        self._lock = threading.RLock()  # held while the port is opened and closed, never by a connection
        self._listener: Listener | None = None
        self._permanent = False
        self._temporary: ListenerSettings | None = None
        self._result: ListenResult | None = None
        self._problem = ""
        self._token = CancelToken()
        self._expected_lock = threading.Lock()
        self._expected: list[_Expected] = []
        self._numbers = itertools.count(1)
        self._log = CallLog()

    def settings(self) -> ListenerSettings:
        """Return what is in force.

        :raises UsageError: the configuration cannot be read.
        """
        return self._temporary or self._configuration.listener()

    def status(self) -> ListenerStatus:
        """Return the settings, and whether the port is open.

        :raises UsageError: the configuration cannot be read.
        """
        with self._lock:
            settings, listener = self.settings(), self._listener
            found = tuple(_own_addresses(settings.bind))
            if listener is None:
                return ListenerStatus(settings, False, problem=self._problem, reachable_at=found)
            problem = self._store.safekeeping.problem
            return ListenerStatus(settings, True, listener.address, listener.port, listener.secured, problem, found)

    @property
    def is_standing(self) -> bool:
        """Whether the port is open to whoever may call, and not only for what is expected."""
        with self._lock, suppress(UsageError):  # of a configuration that cannot be read
            return self._listener is not None and self._is_wanted_by_settings()
        return False

    def calls(self) -> list[dict[str, Any]]:
        """Return the calls that run and the last that are over, the newest first; see :class:`.CallLog`."""
        return self._log.records()

    def begin(self) -> None:
        """Listen all the time from now on, if the settings say so and whenever they will; see :meth:`status`."""
        with self._lock:
            self._permanent = True
            self._adapt()

    def change(self, settings: ListenerSettings) -> None:
        """Keep other settings in the configuration and follow them. Associations that stand are ended.

        :raises UsageError: the files of TLS are not what they should be, or the configuration cannot be written.
        """
        with self._lock:
            if settings.tls is not None and settings.tls != self._configuration.listener().tls:
                listener_context(settings.tls)
            self._configuration.set_listener(settings)
            self._shut()
            self._adapt()
        self._emit("listener-changed", "listener", {})

    def close(self) -> None:
        """Take nothing any more; within 2 seconds."""
        self._token.cancel()
        with self._lock:
            self._shut()

    @contextmanager
    def expecting(self, expectation: Expectation) -> Iterator[OpenListener]:
        """Have the port open, and what is expected taken, for the length of a ``with`` block.

        :raises FolderInUse: another engine holds the folder.
        :raises UsageError: it cannot listen, or the server could not reach it.
        """
        self._store.require_writable()
        server = expectation.server
        expected = _Expected(expectation, addresses_of(server.host, _RESOLVE_S, self._token))
        _require_reachable(self.settings(), server, expected.addresses)
        if self._store.safekeeping.problem:  # which may be mended, and would refuse what is asked for
            self._store.safekeeping.settle(_BRIEFLY_S)
        with self._expected_lock:
            self._expected.append(expected)
        patience: float | None = _BRIEFLY_S
        try:
            with self._lock:
                listener = self._open()
            address = _seen_from(listener.address, expected.addresses)
            yield OpenListener(listener.aet, address, listener.port, listener.secured)
            patience = None
        finally:
            self._store.safekeeping.settle(patience)
            with self._expected_lock:
                self._expected.remove(expected)
            with self._lock:
                self._shut_unless_wanted()

    def listen(
        self, settings: ListenerSettings, token: CancelToken, ready: Callable[[OpenListener], None]
    ) -> ListenResult:
        """Listen by other settings than the configured ones until the token is raised.

        :param ready: called once the port is open.
        :raises FolderInUse: another engine holds the folder.
        :raises UsageError: it cannot listen.
        """
        self._store.require_writable()
        started = time.monotonic()
        with self._lock:
            self._shut()
            self._temporary = settings
            try:
                listener = self._open()
            except BaseException:
                self._temporary = None
                raise
        where = OpenListener(listener.aet, listener.address, listener.port, listener.secured)
        result = self._result = ListenResult(where.aet, where.address, where.port, where.secured)
        try:
            ready(where)
            while not token.wait(_SLICE_S):
                pass
        finally:
            with self._lock:
                self._shut()
                self._temporary = self._result = None
                self._adapt()
            self._store.safekeeping.settle()
        result.seconds = time.monotonic() - started
        return result

    def _open(self) -> Listener:
        """Return the listener, made if need be."""
        self._token.check()
        if self._listener is None:
            settings = self.settings()
            reception = Reception(self, self._store, unsolicited=settings.unsolicited)
            tls = None if settings.tls is None else listener_context(settings.tls)
            self._listener = Listener(settings.aet, settings.bind, settings.port, reception, tls=tls)
            self._problem = ""
            self._emit("listener-changed", "listener", {})
        return self._listener

    def _shut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            self._emit("listener-changed", "listener", {})

    def _adapt(self) -> None:
        """Listen if anything wants it, and note why not if that fails."""
        self._problem = ""
        try:
            if self._is_wanted():
                self._store.require_writable()
                self._open()
        except LocalError as error:
            self._problem = str(error)

    def _shut_unless_wanted(self) -> None:
        if not self._is_wanted():
            self._shut()

    def _is_wanted(self) -> bool:
        with self._expected_lock:
            if self._expected:
                return True
        return self._is_wanted_by_settings()

    def _is_wanted_by_settings(self) -> bool:
        return self._temporary is not None or (self._permanent and self.settings().enabled)

    # For the connections

    def expected_from(self, caller: Caller) -> list[Expectation]:
        """Return what was asked of whoever calls."""
        with self._expected_lock:
            return [one.expectation for one in self._expected if one.comes_from(caller)]

    def is_allowed(self, caller: Caller) -> bool:
        """Tell whether somebody is an allowed peer or a configured server, by title and address."""
        peers = self._peers()
        fitting = [peer.host for peer in peers if peer.aet.strip() in (ANY, caller.calling_aet)]
        return any(host in (ANY, caller.address) for host in fitting) or any(
            caller.address in addresses_of(host, _RESOLVE_S, self._token) for host in dict.fromkeys(fitting)
        )

    def _peers(self) -> list[AllowedPeer]:
        """Return who may call at any time; of a configuration that cannot be read, nobody is known."""
        try:
            servers = [AllowedPeer(server.called_aet, server.host) for server in self._configuration.servers()]
            return [*self.settings().allowed, *servers]
        except UsageError:
            return []

    def next_number(self) -> int:
        """Return a number for an association."""
        return next(self._numbers)

    def tell(self, record: CallRecord) -> None:
        """Tell that an association began, how far it is, or that it ended."""
        if record.over:
            with self._expected_lock:
                if self._result is not None:
                    self._result.add(record)
        self._emit("association", f"association {record.number}", self._log.note(record))

    def tell_refusal(self, caller: Caller, reason: str) -> None:
        """Tell that somebody did not get in. However many there are, the newest is the one that is told."""
        refused = Refused(caller.calling_aet, caller.address, reason)
        record = self._log.note_refusal(refused, self.next_number(), secured=caller.secured)
        self._emit("caller-refused", "listener", record)


def _require_reachable(settings: ListenerSettings, server: Server, addresses: frozenset[str]) -> None:
    """Return quietly unless a server on another computer is to send to a listener that only this one can reach.

    :raises UsageError: that is so.
    """
    if settings.is_local and addresses and not any(_is_here(address) for address in addresses):
        raise UsageError(
            f"{server.name} could not send anything here: our listener is bound to {settings.bind}, where only this "
            "computer can reach it. Give it another address, such as 0.0.0.0 for all."
        )


def _is_here(address: str) -> bool:
    """Tell whether an address is one of this computer's own."""
    try:
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _seen_from(bound: str, addresses: frozenset[str]) -> str:
    """Return the address under which whoever has one of ``addresses`` can reach us; nothing is sent for that."""
    if bound not in _EVERYWHERE:
        return bound
    for address in sorted(addresses):
        try:
            with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return bound


def _own_addresses(bound: str) -> Iterator[str]:
    """Yield addresses under which others reach whoever is bound there: those that lead out of this computer."""
    if bound not in _EVERYWHERE:
        yield bound
        return
    for abroad in ("192.0.2.1", "2001:db8::1") if bound == "::" else ("192.0.2.1",):  # for documentation only: RFC 5737
        seen = _seen_from(bound, frozenset({abroad}))
        if seen != bound:
            yield seen


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
