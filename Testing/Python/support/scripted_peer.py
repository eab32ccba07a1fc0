"""A server on loopback that follows a script, down to the byte.

A script is a function; what it calls on the :class:`Conversation` are the steps::

    def script(peer: Conversation) -> None:
        peer.accept_association()
        query = peer.receive_message()
        peer.send(find_rsp(query, identifier))
        peer.send_half(find_rsp(query, identifier))
        peer.stay_silent()
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial

from .loopback_server import TICK, LoopbackServer
from .messages import Message, decode_command, encode_message
from .pdu import (
    HEAD_LENGTH,
    Abort,
    AssociateRequest,
    Choice,
    DataTransfer,
    Pdu,
    ReleaseRequest,
    Role,
    abort,
    accept_all,
    associate_ac,
    associate_rj,
    decode,
    release_rp,
)
from .waiting import wait_until

DEADLINE = 20.0
LINGER_SECONDS = 2.0


class PeerClosed(Exception):
    """The test is over, and with it the script."""


class HungUp(AssertionError):
    """The client ended the connection where the script expected more."""


class Conversation:
    """One connection, seen from the scripted server (or, as in the kit's sender, from a client).

    :ivar request: the client's A-ASSOCIATE-RQ, once received.
    :ivar received: every PDU that the client sent, decoded, in order.
    :ivar bytes_received: how many bytes the client sent.
    """

    def __init__(self, connection: socket.socket, closing: threading.Event | None = None) -> None:
        self._socket = connection
        self._closing = closing or threading.Event()
        self.request: AssociateRequest | None = None
        self.received: list[Pdu] = []
        self.bytes_received = 0
        connection.settimeout(TICK)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def is_released(self) -> bool:
        """Whether the last that came asks for the release."""
        return bool(self.received) and isinstance(self.received[-1], ReleaseRequest)

    # What the client sends

    def receive_pdu(self, timeout: float = DEADLINE) -> Pdu:
        """Return the next PDU.

        :raises HungUp: the client ended the connection instead.
        :raises AssertionError: nothing came in time.
        """
        deadline = time.monotonic() + timeout
        head = self._receive(HEAD_LENGTH, deadline)
        body = self._receive(struct.unpack(">I", head[2:])[0], deadline)
        found = decode(head + body)
        self.received.append(found)
        return found

    def receive_association(self) -> AssociateRequest:
        """Return the A-ASSOCIATE-RQ."""
        found = self.receive_pdu()
        assert isinstance(found, AssociateRequest), f"Expected A-ASSOCIATE-RQ, got {found}."
        self.request = found
        return found

    def receive_message(self) -> Message:
        """Gather the fragments of one message, command and data set, and return it decoded."""
        parts: dict[bool, bytearray] = {True: bytearray(), False: bytearray()}
        command: dict[str, str | int] | None = None
        while True:
            found = self.receive_pdu()
            assert isinstance(found, DataTransfer), f"Expected P-DATA-TF, got {found}."
            for value in found.pdvs:
                parts[value.is_command] += value.data
                if value.is_last and value.is_command:
                    command = decode_command(bytes(parts[True]))
                    if command["CommandDataSetType"] == 0x0101:
                        return Message(command, None, value.context_id)
                elif value.is_last:
                    assert command is not None, "A data set came before its command."
                    return Message(command, bytes(parts[False]), value.context_id)

    def wait_for_hangup(self, timeout: float = DEADLINE) -> list[Pdu]:
        """Read on until the client ends the connection; return the PDUs that still came (an A-ABORT, perhaps)."""
        before = len(self.received)
        try:
            while True:
                self.receive_pdu(timeout)
        except (HungUp, ConnectionError):
            return self.received[before:]

    def wait_for_abort(self, timeout: float = DEADLINE) -> Abort:
        """Read on until the client aborts the association, and return its A-ABORT."""
        while True:
            found = self.receive_pdu(timeout)
            if isinstance(found, Abort):
                return found

    # What the server sends

    def accept_association(
        self, choose: Choice = accept_all, *, max_length: int = 16384, roles: tuple[Role, ...] | None = None
    ) -> AssociateRequest:
        """Receive the request and accept it; contexts by ``choose``, roles as proposed unless given."""
        request = self.receive_association()
        self.accept(request, choose, max_length=max_length, roles=roles)
        return request

    def accept(
        self,
        request: AssociateRequest,
        choose: Choice = accept_all,
        *,
        max_length: int = 16384,
        roles: tuple[Role, ...] | None = None,
    ) -> None:
        """Accept a request that was received; see :meth:`accept_association`."""
        self.send(associate_ac(request, choose, max_length=max_length, roles=roles))

    def reject_association(self, result: int = 1, source: int = 1, reason: int = 1) -> AssociateRequest:
        """Receive the request, reject it, and give the client time to hang up."""
        request = self.receive_association()
        self.send(associate_rj(result, source, reason))
        self._linger()
        return request

    def accept_release(self) -> None:
        """Receive A-RELEASE-RQ, confirm it, and give the client time to hang up."""
        found = self.receive_pdu()
        assert isinstance(found, ReleaseRequest), f"Expected A-RELEASE-RQ, got {found}."
        self.send(release_rp())
        self._linger()

    def send(self, what: bytes | Message, *, size: int = 16000, per_pdu: int = 1) -> None:
        """Send bytes as they are, or a message: fragments of ``size`` bytes, ``per_pdu`` of them in each PDU."""
        self._send(what if isinstance(what, bytes) else encode_message(what, size=size, per_pdu=per_pdu))

    def send_half(self, what: bytes | Message, share: float = 0.5) -> None:
        """Send only the first part of what should come."""
        data = what if isinstance(what, bytes) else encode_message(what)
        self._send(data[: int(len(data) * share)])

    def abort(self, source: int = 0, reason: int = 0) -> None:
        """Send A-ABORT, give the client time to hang up, and close."""
        self.send(abort(source, reason))
        self._linger()
        self.close()

    # Silence and endings

    def stay_silent(self) -> None:
        """Neither send nor read any more, with the connection open, until the test ends."""
        self._closing.wait()
        raise PeerClosed

    def wait_for(self, event: threading.Event, timeout: float = DEADLINE) -> None:
        """Wait for something in the test; neither send nor read meanwhile."""
        deadline = time.monotonic() + timeout
        while not event.wait(TICK):
            self._check_time(deadline)

    def close(self) -> None:
        """End the connection in order."""
        self._socket.close()

    def reset(self) -> None:
        """End the connection with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _linger(self) -> None:
        """Leave the closing to the client, as PS3.8, 9.2 wants it; but not for ever (the ARTIM timer)."""
        deadline = time.monotonic() + LINGER_SECONDS
        try:
            while True:
                self._receive(1, deadline)
        except (AssertionError, OSError):
            return

    def _send(self, data: bytes) -> None:
        deadline = time.monotonic() + DEADLINE
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                self._check_time(deadline)

    def _receive(self, count: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            try:
                data = self._socket.recv(count - len(parts))
            except TimeoutError:
                self._check_time(deadline)
                continue
            if not data:
                raise HungUp(f"The client ended the connection; {count - len(parts)} more bytes were expected.")
            parts += data
            self.bytes_received += len(data)
        return bytes(parts)

    def _check_time(self, deadline: float) -> None:
        if self._closing.is_set():
            raise PeerClosed
        if time.monotonic() > deadline:
            raise AssertionError("The client did not do in time what the script expects.")


Script = Callable[[Conversation], None]


class ScriptedPeer(LoopbackServer):
    """A server on loopback. The first connection follows the first script, and so on; the last one repeats.

    :ivar conversations: all connections so far, for assertions on what the client sent.
    """

    def __init__(self, *scripts: Script) -> None:
        super().__init__("scripted-peer")
        self._scripts = scripts
        self._errors: list[Exception] = []
        self.conversations: list[Conversation] = []
        self.begin()

    def finish(self, timeout: float = DEADLINE) -> None:
        """Wait until every script has run to its end at least once, and raise what one of them raised."""
        deadline = time.monotonic() + timeout
        wait_until(lambda: len(self._threads) >= len(self._scripts), timeout, "a connection for each script")
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), "A script of the peer did not come to its end."
        self._raise_errors()

    def close(self) -> None:
        """End all connections and threads, and raise what a script raised before."""
        super().close()
        self._raise_errors()

    def _raise_errors(self) -> None:
        if self._errors:
            raise self._errors.pop(0)

    def serving(self, client: socket.socket) -> Callable[[], None]:
        """See :class:`.LoopbackServer`."""
        script = self._scripts[min(len(self.conversations), len(self._scripts) - 1)]
        conversation = Conversation(client, self.closing)
        self.conversations.append(conversation)
        return partial(self._run, script, conversation)

    def _run(self, script: Script, conversation: Conversation) -> None:
        try:
            script(conversation)
        except PeerClosed:
            return
        except Exception as error:
            self._errors.append(error)
        finally:
            conversation.close()
