"""An association (PS3.8, 7): one TCP connection on which messages go back and forth.

Everything happens on the thread that calls, which blocks in the socket. The association is *established* while the
``with`` block of :meth:`Association.request` runs, and *over* after that, after any error, and when the peer ended it.
As acceptor, it is made by :mod:`.acceptor`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from ..domain.cancel import CancelToken
from ..domain.errors import (
    Cancelled,
    ConnectionLost,
    NoCommonContext,
    OperationRefused,
    PeerError,
    PeerStalled,
    ProtocolViolation,
    TlsFailed,
    UsageError,
    VisualDicomError,
)
from ..domain.protocol_log import note
from ..domain.servers import Server
from . import pdu
from .command import MAX_COMMAND_LENGTH, Command, decode_command, encode_command
from .contexts import Proposal
from .library import require_pynetdicom
from .negotiation import AcceptedContext, read_accept, rejection
from .tls import ClientTls, client_tls
from .transport import Connection, StallTimer, Timers

#: Longest data set of a message that is kept in memory (identifiers; a list of failed UIDs may be long), in bytes.
MAX_IDENTIFIER_LENGTH = 16 * 1024 * 1024
#: A peer that takes PDUs shorter than this could not carry on a conversation; DCMTK's lowest is 4096.
_MIN_PEER_PDU = 128
#: How long a last word (A-ABORT, A-RELEASE-RP) may take to leave, in seconds: a peer that takes no data gets none.
_LAST_WORD_S = 0.25
#: How often whoever decides how long to wait is asked, in seconds.
_LOOK_S = 0.1


class DataSink(Protocol):
    """Takes the fragments of a data set as they come."""

    def write(self, data: memoryview) -> None:
        """Take the next fragment, without keeping the view; an error ends the association."""


@dataclass(frozen=True)
class Message:
    """A DIMSE message: its command, and its data set where that was kept in memory."""

    context_id: int
    command: Command
    data_set: bytes = b""


#: Decides where the data set of a message goes: into a sink, or (None) into memory.
SinkFor = Callable[[int, Command], "DataSink | None"]


def timers_for(server: Server) -> Timers:
    """Return the time limits for a configured server: its ``timeout`` is the stall time."""
    return Timers(stall=server.timeout, association=max(1.0, min(10.0, server.timeout)))


class Released(ConnectionLost):
    """The peer released the association."""


class Association:
    """An established association; made by :meth:`request`, or by :meth:`open` for one user after the other.

    :ivar token: the one of whoever uses it now.
    :ivar patient: whoever uses it watches the token himself: its cancellation does not break the connection.
    :ivar retired: it served something that failed or was stopped, and is for nobody else.
    :ivar served: somebody else used it before; the peer may have given it up by now.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader = pdu.PduReader(connection.read_into)
        self.contexts: dict[int, AcceptedContext] = {}
        self._max_length = pdu.MAX_PDU_LENGTH
        self._packer: pdu.DataSetPacker | None = None
        self._pdvs: Iterator[tuple[int, int, memoryview]] = iter(())
        self._message_id = 0
        self._over = False
        self._nothing_to_send = threading.Event()
        self._nothing_to_send.set()
        self._timers = Timers()
        self._breaker = CancelToken()
        self.token = CancelToken()
        self.patient = False
        self.retired = False
        self.served = False

    @classmethod
    @contextmanager
    def request(
        cls, server: Server, proposals: Sequence[Proposal], token: CancelToken, timers: Timers | None = None
    ) -> Iterator[Association]:
        """Open an association for the length of a ``with`` block; released at its end, aborted on an error.

        :raises PeerError: not reachable, not to be trusted, rejected, stalled, or not DICOM.
        :raises NoCommonContext: nothing of ``proposals`` was accepted.
        :raises Cancelled: the token was raised.
        :raises PackageMissing: pynetdicom is not installed.
        """
        association = cls.open(server, proposals, token, timers)
        with closing(association), association.used_with(token):
            yield association

    @classmethod
    def open(
        cls, server: Server, proposals: Sequence[Proposal], token: CancelToken, timers: Timers | None = None
    ) -> Association:
        """Open an association that has to be closed.

        :raises PeerError: as :meth:`request`.
        """
        timers = timers or timers_for(server)
        request = _request(server, proposals)
        note(f"Association requested: {_described(server)}.")
        try:
            association = cls._opened(server, request, proposals, token, timers)
        except VisualDicomError as error:
            note(f"No association: {error}")
            raise
        note(f"{server.name} accepted the association with {len(association.contexts)} of {len(proposals)} contexts.")
        return association

    @classmethod
    def _opened(
        cls, server: Server, request: bytes, proposals: Sequence[Proposal], token: CancelToken, timers: Timers
    ) -> Association:
        breaker = CancelToken()
        with token.calling(breaker.cancel):
            connection = Connection.open(server.host, server.port, timers, breaker, _tls(server))
            association = cls(connection)
            association._breaker = breaker
            association._timers = timers
            with breaker.calling(connection.shutdown):
                try:
                    association._negotiate(server, request, proposals, timers)
                except BaseException as error:
                    association._give_up(error)
                    connection.close()
                    raise
        return association

    @contextmanager
    def used_with(self, token: CancelToken) -> Iterator[None]:
        """Let ``token`` end what goes on in the ``with`` block; an error in it aborts the association.

        A refusal does not: it is an orderly answer, after which the association can be released.
        """
        self.token = token
        with self._breaker.calling(self._connection.shutdown), token.calling(self._interrupt):
            try:
                yield
            except OperationRefused:
                raise
            except BaseException as error:
                self._give_up(error)
                raise

    def _interrupt(self) -> None:
        """Wake whoever waits in the connection, from any thread, unless he reads and looks at the token himself."""
        if not (self.patient and self._nothing_to_send.wait(_LOOK_S)):
            self._breaker.cancel()

    def close(self, timeout: float | None = None) -> None:
        """Release in order, if it is not over, and close the connection.

        :param timeout: seconds for the release, instead of the usual ones.
        """
        try:
            with self._breaker.calling(self._connection.shutdown), self.token.calling(self._breaker.cancel):
                self._release(self._timers.release if timeout is None else timeout)
        finally:
            self._connection.close()

    def leave(self, timeout: float) -> None:
        """Release in order before the end of the ``with`` block; nothing can be asked any more then."""
        self._release(timeout)

    @property
    def stall(self) -> float:
        """Seconds without a byte after which the peer counts as stalled."""
        return self._timers.stall

    @property
    def is_usable(self) -> bool:
        """Whether somebody else can use it: nothing went wrong on it, and nothing came unasked, such as its end."""
        return (
            not self._over
            and not self.retired
            and self._reader.is_empty
            and next(self._pdvs, None) is None
            and self._connection.is_quiet()
        )

    def _negotiate(self, server: Server, request: bytes, proposals: Sequence[Proposal], timers: Timers) -> None:
        try:
            self._connection.write(request)
            with self.within(timers.association):
                kind, body = self._reader.next()
        except ConnectionLost as error:
            if server.tls is not None or self.bytes_in:
                raise
            raise ConnectionLost(
                "The server closed the connection instead of answering the association request: perhaps it does not "
                "take calls from this computer, or expects TLS."
            ) from error
        except PeerStalled as error:
            raise PeerStalled(
                f"The server did not answer the association request within {timers.association:.3g} seconds."
            ) from error
        if kind == pdu.ASSOCIATE_RJ:
            self._over = True
            raise rejection(body, server.calling_aet, server.called_aet)
        if kind == pdu.ABORT:
            self._over = True
            raise ConnectionLost("The server aborted the association while it was being set up.")
        if kind != pdu.ASSOCIATE_AC:
            raise ProtocolViolation("The server answered the association request with something else.")
        self._agree(*read_accept(body, proposals))
        if not self.contexts:
            self._release(timers.release)
            raise NoCommonContext("The server accepted none of the services that were asked for.")

    def _agree(self, contexts: dict[int, AcceptedContext], max_length: int) -> None:
        """Note what both sides agreed on.

        :param max_length: longest PDU the peer takes; 0: any.
        :raises ProtocolViolation: nobody could talk to it.
        """
        if 0 < max_length < _MIN_PEER_PDU:
            raise ProtocolViolation(f"The server takes PDUs of {max_length} bytes only.")
        self._max_length = min(max_length or pdu.MAX_PDU_LENGTH, pdu.MAX_PDU_LENGTH)
        self.contexts = contexts

    def stall_timer(self) -> StallTimer:
        """Return what tells for how long nothing has moved; it begins to count now."""
        return StallTimer(self._connection)

    @property
    def bytes_in(self) -> int:
        """Bytes received on this connection so far."""
        return self._connection.bytes_in

    @property
    def is_over(self) -> bool:
        """Whether nothing can be asked on it any more."""
        return self._over

    def context_for(self, abstract_syntax: str) -> AcceptedContext:
        """Return an accepted context of a service.

        :raises NoCommonContext: the peer accepted none.
        """
        for context in self.contexts.values():
            if context.abstract_syntax == abstract_syntax:
                return context
        raise NoCommonContext("The server does not offer this service.")

    def next_message_id(self) -> int:
        """Return a message id for the next request (PS3.7, E.1: 16 bit, unique while outstanding)."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def send(self, context_id: int, command: dict[int, str | int], data_set: bytes | None = None) -> None:
        """Send a message, in one write when it is short: head and body apart would wait for each other."""
        parts = list(pdu.p_data(context_id, encode_command(command), is_command=True, max_length=self._max_length))
        if data_set is not None:
            parts += pdu.p_data(context_id, data_set, is_command=False, max_length=self._max_length)
        self._nothing_to_send.clear()  # before the token is looked at: see _interrupt
        self._connection.write(b"".join(parts), _LAST_WORD_S if self.token.cancelled else None)
        self._nothing_to_send.set()

    def send_stream(self, context_id: int, command: dict[int, str | int], fill: pdu.Fill, length: int) -> None:
        """Send a message whose data set is read while it goes out, piece by piece, its head with the first one.

        :param fill: fills views with the next bytes of the data set. What it raises must end the association, on which
            nothing else can follow half a data set.
        :param length: of the data set, in bytes, at least one.
        """
        head = b"".join(pdu.p_data(context_id, encode_command(command), is_command=True, max_length=self._max_length))
        if self._packer is None:
            self._packer = pdu.DataSetPacker(self._max_length)
        for piece in self._packer.pieces(head, context_id, fill, length):
            self._connection.write(piece)

    def receive(self, sink_for: SinkFor | None = None) -> Message:
        """Wait for the next message and read it whole.

        :raises PeerStalled: no byte came within the stall time.
        :raises Released: the peer released the association.
        :raises ConnectionLost: the peer aborted or closed.
        :raises ProtocolViolation: bytes that are no message.
        """
        context_id, raw = self._collect_command()
        command = decode_command(raw)
        if not command.has_data_set:
            return Message(context_id, command)
        sink = sink_for(context_id, command) if sink_for is not None else None
        if sink is None:
            memory = _Memory()
            self._collect_data_set(context_id, memory)
            return Message(context_id, command, bytes(memory.data))
        self._collect_data_set(context_id, sink)
        return Message(context_id, command)

    def wait(self, seconds: float) -> None:
        """Wait until something comes from the peer, for longer than the stall time or shorter.

        :raises PeerStalled: nothing came.
        """
        pdv = next(self._pdvs, None)
        if pdv is not None:
            self._pdvs = chain([pdv], self._pdvs)
            return
        with self.within(seconds):
            self._reader.wait()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Wait no longer than that for what comes in the ``with`` block altogether, though bytes may flow.

        Afterwards the stall time counts again. A :class:`PeerStalled` from the block leaves the association unusable.
        """
        deadline = time.monotonic() + seconds
        self._reader.use(lambda view: self._connection.read_into(view, deadline - time.monotonic()))
        yield
        self._reader.use(self._connection.read_into)

    @contextmanager
    def asking(self, look: Callable[[], None]) -> Iterator[None]:
        """Have ``look`` decide how long to wait in the ``with`` block, instead of the stall time: it raises to end it.

        It is called before each read and, while nothing comes, ten times a second; it may send a message.
        """

        def read(view: memoryview) -> int:
            while True:
                look()
                with suppress(PeerStalled):
                    return self._connection.read_into(view, _LOOK_S)

        self._reader.use(read)
        try:
            yield
        finally:
            self._reader.use(self._connection.read_into)

    def abandon(self) -> None:
        """End the association at once, for a peer that would not stop; whoever goes on using it gets an error."""
        self._give_up(ConnectionLost(""))
        self._connection.shutdown()

    def _collect_command(self) -> tuple[int, bytes]:
        data = bytearray()
        first_id: int | None = None
        while True:
            context_id, control, fragment = self._next_pdv()
            if not control & pdu.COMMAND_BIT or (first_id is not None and context_id != first_id):
                raise ProtocolViolation("The server mixed up the fragments of its messages.")
            first_id = context_id
            data += fragment
            if len(data) > MAX_COMMAND_LENGTH:
                raise ProtocolViolation("The server sent an endless command set.")
            if control & pdu.LAST_BIT:
                return context_id, bytes(data)

    def _collect_data_set(self, expected_id: int, sink: DataSink) -> None:
        while True:
            context_id, control, fragment = self._next_pdv()
            if control & pdu.COMMAND_BIT or context_id != expected_id:
                raise ProtocolViolation("The server mixed up the fragments of its messages.")
            sink.write(fragment)
            if control & pdu.LAST_BIT:
                return

    def _next_pdv(self) -> tuple[int, int, memoryview]:
        pdv = next(self._pdvs, None)
        if pdv is None:
            self._pdvs = pdu.split_pdvs(self._next_p_data())
            pdv = next(self._pdvs)
        if pdv[0] not in self.contexts:
            raise ProtocolViolation("The server used a presentation context that was not agreed on.")
        return pdv

    def _next_p_data(self) -> memoryview:
        kind, body = self._reader.next()
        if kind == pdu.P_DATA_TF:
            return body
        if kind == pdu.ABORT:
            self._over = True
            note("The server aborted the association.")
            raise ConnectionLost("The server aborted the association.")
        if kind == pdu.RELEASE_RQ:
            self._over = True
            note("The server released the association.")
            self._connection.write(pdu.RELEASE_RP_PDU, _LAST_WORD_S)
            raise Released("The server ended the association before the work was done.")
        raise ProtocolViolation("The server sent a PDU that does not belong into a conversation.")

    def _release(self, timeout: float) -> None:
        """Release in order; a peer that does not answer is not worth an error, all work is done."""
        if self._over:
            return
        self._over = True
        note("Association released.")
        with suppress(PeerError, Cancelled), self.within(timeout):
            self._connection.write(pdu.RELEASE_RQ_PDU, timeout)
            while (kind := self._reader.next()[0]) not in (pdu.RELEASE_RP, pdu.ABORT):
                if kind == pdu.RELEASE_RQ:  # both at once (PS3.8, 7.2.2.7): the requestor answers first
                    self._connection.write(pdu.RELEASE_RP_PDU, timeout)

    def _give_up(self, error: BaseException) -> None:
        """Tell the peer why the connection ends, unless that was its own doing (PS3.8, 9.3.8)."""
        if self._over:
            return
        self._over = True
        why = str(error) if isinstance(error, VisualDicomError) else type(error).__name__
        note(f"Association aborted{': ' if why else '.'}{why}")
        with suppress(PeerError, Cancelled):
            invalid = isinstance(error, ProtocolViolation)
            self._connection.write(pdu.abort_pdu(2, 6) if invalid else pdu.abort_pdu(0, 0), _LAST_WORD_S)


def _described(server: Server) -> str:
    secured = ", by TLS" if server.tls is not None else ""
    titles = f"{server.called_aet.strip()} called by {server.calling_aet.strip()}"
    return f"{server.name}, {titles}, at {server.host}:{server.port}{secured}"


def _tls(server: Server) -> ClientTls | None:
    """Return how to secure a connection to a server; files that do not fit are the fault of this server's settings."""
    try:
        return None if server.tls is None else client_tls(server.tls, server.host)
    except UsageError as error:
        raise TlsFailed(str(error)) from error


def _request(server: Server, proposals: Sequence[Proposal]) -> bytes:
    require_pynetdicom()
    from .request import associate_request  # noqa: PLC0415

    return associate_request(server.calling_aet, server.called_aet, proposals)


class _Memory:
    """Keeps a data set in memory, up to a limit."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: memoryview) -> None:
        self.data += data
        if len(self.data) > MAX_IDENTIFIER_LENGTH:
            raise ProtocolViolation("The server sent an answer of unreasonable length.")
