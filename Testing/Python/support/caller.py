"""Somebody who calls a listener: raw PDUs from a client, and a listener's reception that keeps what comes in memory."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from VisualDICOMBrowserLib.dimse.listener import Caller, Listener

from .client import MemoryHandler
from .loopback_server import HOST
from .messages import VERIFICATION, Message
from .pdu import EXPLICIT_LITTLE, AssociateAccept, Pdu, ProposedContext, ReleaseReply, associate_rq, release_rq
from .scripted_peer import Conversation

CT = "1.2.840.10008.5.1.4.1.1.2"
AET = "LISTENER"
#: Context 1 is verification, context 3 CT.
CONTEXTS = (ProposedContext(1, VERIFICATION, (EXPLICIT_LITTLE,)), ProposedContext(3, CT, (EXPLICIT_LITTLE,)))


@dataclass
class MemoryGuest(MemoryHandler):
    """Keeps in memory what one association brings.

    :ivar reasons: why the association ended, once it has.
    """

    reasons: list[str] = field(default_factory=list)

    def left(self, reason: str) -> None:
        """Note the end."""
        self.reasons.append(reason)


@dataclass
class MemoryReception:
    """Lets in whoever calls itself by an allowed title, or everybody.

    :ivar guests: what became of each association.
    :ivar turned: who was turned away, and why.
    """

    allowed: Iterable[str] | None = None
    template: MemoryGuest = field(default_factory=MemoryGuest)
    callers: list[Caller] = field(default_factory=list)
    guests: list[MemoryGuest] = field(default_factory=list)
    turned: list[tuple[Caller, str]] = field(default_factory=list)

    def turned_away(self, caller: Caller, reason: str) -> None:
        """Note it."""
        self.turned.append((caller, reason))

    def admit(self, caller: Caller) -> MemoryGuest | None:
        """Decide."""
        self.callers.append(caller)
        if self.allowed is not None and caller.calling_aet not in self.allowed:
            return None
        self.guests.append(MemoryGuest(self.template.failures))
        return self.guests[-1]

    def data(self) -> dict[str, bytes]:
        """Return all data sets that were kept."""
        return {uid: data for guest in self.guests for uid, data in guest.data().items()}


@contextmanager
def calling(port: int, host: str = HOST) -> Iterator[Conversation]:
    """Connect."""
    with socket.create_connection((host, port), timeout=5) as connection:
        yield Conversation(connection)


@contextmanager
def associated(
    listener: Listener, contexts: Sequence[ProposedContext] = CONTEXTS, *, title: str = "CALLER"
) -> Iterator[Conversation]:
    """Connect and associate; nothing is released."""
    with calling(listener.port) as peer:
        answer = ask(peer, contexts, title=title)
        assert isinstance(answer, AssociateAccept), f"The listener answered {answer}."
        yield peer


def ask(
    peer: Conversation, contexts: Sequence[ProposedContext] = CONTEXTS, *, called: str = AET, title: str = "CALLER"
) -> Pdu:
    """Send A-ASSOCIATE-RQ and return the answer."""
    peer.send(associate_rq(called, title, contexts))
    return peer.receive_pdu()


def release(peer: Conversation) -> None:
    """Release, and see the connection end."""
    peer.send(release_rq())
    assert isinstance(peer.receive_pdu(), ReleaseReply)
    assert peer.wait_for_hangup() == []


def status_of(peer: Conversation, request: Message) -> int:
    """Send a request and return the status of its answer."""
    peer.send(request)
    answer = peer.receive_message()
    assert answer.command["MessageIDBeingRespondedTo"] == request.message_id
    return int(answer.command["Status"])
