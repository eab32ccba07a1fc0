"""An association as acceptor (PS3.8, 7): somebody else asks for it, and sends requests.

Both roles share :class:`.Association`, whose errors call the other side "the server"; of a caller they only go
into the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..domain.errors import Cancelled, ConnectionLost, PeerError, ProtocolViolation
from . import pdu
from .admission import AssociationRequest, Refusal, acceptance, read_request, rejection_pdu
from .association import Association, Released
from .transport import Connection

#: How long a caller may take to hang up after a refusal, in seconds: closing first might destroy it on its way.
_FAREWELL_S = 1.0
_DRAIN_LENGTH = 64 * 1024

#: Decides on a request; None grants it.
Decide = Callable[[AssociationRequest], "Refusal | None"]


class Refused(PeerError):
    """A caller was refused.

    :ivar refusal: what it was told.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"An association was refused: {refusal.name}.")
        self.refusal = refusal


class AcceptedAssociation(Association):
    """An association that somebody else asked for; made by :meth:`accept`."""

    @classmethod
    @contextmanager
    def accept(cls, connection: Connection, seconds: float, decide: Decide) -> Iterator[AcceptedAssociation]:
        """Wait for a request and grant it for the length of a ``with`` block, which ends when the peer releases.

        Aborted on any error, and if the block ends by itself.

        :param seconds: how long the request may take, however it trickles in.
        :raises Refused: ``decide`` or the standard refused it.
        :raises PeerError: the peer did not ask, or broke the conversation.
        """
        association = cls(connection)
        try:
            association._answer(seconds, decide)
            yield association
        except Released:
            return
        except BaseException as error:
            association._give_up(error)
            if isinstance(error, ProtocolViolation):
                association._wait_for_hangup()
            raise
        association._give_up(ConnectionLost("Nothing is served any more."))

    def _answer(self, seconds: float, decide: Decide) -> None:
        with self.within(seconds):
            kind, body = self._reader.next()
        if kind != pdu.ASSOCIATE_RQ:
            raise ProtocolViolation("A caller did not ask for an association.")
        request = read_request(body)
        refusal = request.refusal() or decide(request)
        if refusal is not None:
            self._over = True
            with suppress(PeerError, Cancelled):
                self._connection.write(rejection_pdu(refusal), _FAREWELL_S)
            self._wait_for_hangup()
            raise Refused(refusal)
        self._agree(request.accepted(), request.max_length)
        self._connection.write(acceptance(request))

    def _wait_for_hangup(self) -> None:
        """Read on until the peer has ended the connection, so that what it was told reaches it; but not for long."""
        drain = memoryview(bytearray(_DRAIN_LENGTH))
        deadline = time.monotonic() + _FAREWELL_S
        with suppress(PeerError, Cancelled):
            while True:
                self._connection.read_into(drain, deadline - time.monotonic())
