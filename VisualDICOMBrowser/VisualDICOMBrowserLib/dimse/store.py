"""C-STORE as SCU (PS3.4, annex B): instances go out as they are in their files, undecoded and never whole in memory.

One request is open at a time: an asynchronous operations window is not negotiated (PS3.7, D.3.3.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..domain import status as codes
from ..domain.errors import ProtocolViolation
from . import command as c
from .association import Association
from .contexts import MAX_CONTEXTS, UNCOMPRESSED, Proposal
from .negotiation import AcceptedContext
from .pdu import Fill


@dataclass(frozen=True)
class Outgoing:
    """An instance to be sent.

    :ivar transfer_syntax: in which its data set is encoded.
    :ivar size: bytes of the data set.
    """

    sop_class: str
    sop_uid: str
    transfer_syntax: str
    size: int


@dataclass(frozen=True)
class StoreAnswer:
    """What the peer said of one instance."""

    status: int

    @property
    def taken(self) -> bool:
        """Whether the peer has it now; perhaps not quite as it was sent, see :attr:`warned`."""
        return self.warned or codes.category(self.status) is codes.StatusCategory.SUCCESS

    @property
    def warned(self) -> bool:
        """Whether the peer took it and changed something, or is not happy with it."""
        return codes.category(self.status) is codes.StatusCategory.WARNING

    @property
    def is_transient(self) -> bool:
        """Whether the peer only lacks resources, for this instance and probably for every other one."""
        return codes.is_transient(self.status)

    @property
    def words(self) -> str:
        """What the status means."""
        return codes.store_in_words(self.status)


#: SOP class and transfer syntax of instances.
Kind = tuple[str, str]


def store_batches(kinds: Iterable[Kind]) -> Iterator[list[Proposal]]:
    """Yield the contexts for what is going to be sent, in batches of which each fits into one association.

    Each kind has a context of its own, since a peer chooses one syntax of a context, which need not be that of the
    file. One more for each class offers the uncompressed syntaxes that are left.
    """
    syntaxes: dict[str, list[str]] = {}
    for sop_class, syntax in dict.fromkeys(kinds):
        syntaxes.setdefault(sop_class, []).append(syntax)
    batch: list[Proposal] = []
    for sop_class, own in syntaxes.items():
        for start in range(0, len(own), MAX_CONTEXTS - 1):
            part = _contexts_of(sop_class, own[start : start + MAX_CONTEXTS - 1])
            if len(batch) + len(part) > MAX_CONTEXTS:
                yield batch
                batch = []
            batch += part
    if batch:
        yield batch


def _contexts_of(sop_class: str, syntaxes: list[str]) -> list[Proposal]:
    others = tuple(syntax for syntax in UNCOMPRESSED if syntax not in syntaxes)
    own = [Proposal(sop_class, (syntax,)) for syntax in syntaxes]
    return [*own, Proposal(sop_class, others)] if others else own


def context_as_it_is(association: Association, instance: Outgoing) -> AcceptedContext | None:
    """Return the context in which an instance can be sent without conversion, None if the peer accepted none."""
    wanted = (instance.sop_class, instance.transfer_syntax)
    found = (x for x in association.contexts.values() if (x.abstract_syntax, x.transfer_syntax) == wanted)
    return next(found, None)


def uncompressed_syntax(association: Association, sop_class: str) -> str | None:
    """Return the uncompressed little endian syntax in which the peer takes a class, explicit VR if it takes both."""
    accepted = {x.transfer_syntax for x in association.contexts.values() if x.abstract_syntax == sop_class}
    return next((syntax for syntax in UNCOMPRESSED if syntax in accepted), None)


def takes_class(association: Association, sop_class: str) -> bool:
    """Tell whether the peer takes a SOP class in any transfer syntax that was proposed."""
    return any(x.abstract_syntax == sop_class for x in association.contexts.values())


def store(association: Association, context: AcceptedContext, instance: Outgoing, fill: Fill) -> StoreAnswer:
    """Send one instance and wait for what the peer says of it.

    :param fill: fills views with the next bytes of the data set; what it raises must end the association.
    :raises PeerError: the conversation broke; nobody knows whether the peer has the instance.
    """
    message_id = association.next_message_id()
    request: dict[int, str | int] = {
        c.AFFECTED_SOP_CLASS: instance.sop_class,
        c.COMMAND_FIELD: c.C_STORE_RQ,
        c.MESSAGE_ID: message_id,
        c.PRIORITY: c.MEDIUM,
        c.DATA_SET_TYPE: c.WITH_DATA_SET,
        c.AFFECTED_SOP_INSTANCE: instance.sop_uid,
    }
    association.send_stream(context.context_id, request, fill, instance.size)
    answer = association.receive().command
    if answer.field != c.C_STORE_RQ | c.RESPONSE or answer.number(c.MESSAGE_ID_RESPONDED_TO) != message_id:
        raise ProtocolViolation("The server answered the C-STORE with another message.")
    return StoreAnswer(answer.number(c.STATUS))
