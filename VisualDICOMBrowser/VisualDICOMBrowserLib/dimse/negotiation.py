"""Association negotiation (PS3.7 annex D, PS3.8 9.3.2–9.3.4).

What we say is built with pynetdicom's negotiation items. What a stranger answers is read here: pynetdicom's reader
refuses whole answers for what PS3.8 9.3.1 tells to ignore (unknown items, an odd implementation version),
quotes the peer in warnings and logs, and takes seconds over hostile ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context

from ..domain.errors import AssociationRejected, ProtocolViolation
from ..domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from ..domain.uids import clean_uid
from .contexts import MAX_CONTEXTS, Proposal
from .pdu import MAX_PDU_LENGTH

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
_ACCEPTED = 0

# Items of the answer (PS3.8 9.3.3) and of its user information (PS3.8 D.1).
_ANSWERED, _TRANSFER, _USER, _MAX_LENGTH = 0x21, 0x40, 0x50, 0x51

#: Protocol version, called and calling AE title, reserved.
_FIXED_LENGTH = 68
_ITEM = struct.Struct(">BxH")


@dataclass(frozen=True)
class AcceptedContext:
    """A presentation context that the peer accepted, with the one transfer syntax it chose."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


def associate_request(calling_aet: str, called_aet: str, proposals: Sequence[Proposal]) -> bytes:
    """Return the A-ASSOCIATE-RQ PDU; context ids are 1, 3, 5 … in the order of ``proposals``.

    :raises ValueError: no or more than 128 contexts, a bug of the caller. UIDs that are not to the letter of the
        standard make pynetdicom warn and log: they are not to be proposed.
    """
    if not 1 <= len(proposals) <= MAX_CONTEXTS:
        raise ValueError(f"{len(proposals)} presentation contexts")
    primitive = A_ASSOCIATE()
    primitive.application_context_name = _APPLICATION_CONTEXT
    primitive.calling_ae_title = calling_aet
    primitive.called_ae_title = called_aet
    primitive.presentation_context_definition_list = [_context(*numbered) for numbered in enumerate(proposals)]
    primitive.user_information = _user_information(proposals)
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return pdu.encode()


def _context(index: int, proposal: Proposal) -> PresentationContext:
    context = build_context(proposal.abstract_syntax, list(proposal.transfer_syntaxes))
    context.context_id = 2 * index + 1
    return context


def _user_information(proposals: Sequence[Proposal]) -> list[Any]:
    length = MaximumLengthNotification()
    length.maximum_length_received = MAX_PDU_LENGTH
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    roles = dict.fromkeys(p.abstract_syntax for p in proposals if p.as_scp)
    return [length, implementation, *map(_scp_role, roles), version]


def _scp_role(sop_class: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = sop_class
    role.scu_role = False
    role.scp_role = True
    return role


def read_accept(body: bytes | memoryview, proposals: Sequence[Proposal]) -> tuple[dict[int, AcceptedContext], int]:
    """Read the body of an A-ASSOCIATE-AC: the accepted contexts by id, and the longest PDU the peer takes (0: any).

    The role selection is not enforced: peers that leave it out send their instances all the same.

    :raises ProtocolViolation: bytes that are no A-ASSOCIATE-AC, or a context that was never proposed.
    """
    if len(body) < _FIXED_LENGTH:
        raise ProtocolViolation(_DAMAGED)
    accepted: dict[int, AcceptedContext] = {}
    max_length = 0
    for kind, value in _items(bytes(body[_FIXED_LENGTH:])):
        if kind == _ANSWERED and len(value) >= 4 and value[2] == _ACCEPTED:
            context = _accepted(value[0], value[4:], proposals)
            accepted[context.context_id] = context
        elif kind == _USER:
            max_length = next((int.from_bytes(v, "big") for k, v in _items(value) if k == _MAX_LENGTH), 0)
    return accepted, max_length


_DAMAGED = "The server answered the association request with damaged data."


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        if position + _ITEM.size > len(data):
            raise ProtocolViolation(_DAMAGED)
        kind, length = _ITEM.unpack_from(data, position)
        position += _ITEM.size + length
        if position > len(data):
            raise ProtocolViolation(_DAMAGED)
        yield kind, data[position - length : position]


def _accepted(context_id: int, data: bytes, proposals: Sequence[Proposal]) -> AcceptedContext:
    syntax = next((clean_uid(value) for kind, value in _items(data) if kind == _TRANSFER), "")
    index, odd = divmod(context_id, 2)
    if not odd or index >= len(proposals) or syntax not in proposals[index].transfer_syntaxes:
        raise ProtocolViolation("The server accepted a presentation context that was not proposed.")
    return AcceptedContext(context_id, proposals[index].abstract_syntax, syntax)


# PS3.8 table 9-21: (source, reason) → sentence.
_REASONS = {
    (1, 2): "it does not support DICOM's application context",
    (1, 3): "it does not know our AE title {calling}: the server's administrator has to register it",
    (1, 7): "it is not called {called}: check the server's AE title",
    (2, 2): "it does not support this protocol version",
    (3, 1): "it is overloaded for the moment",
    (3, 2): "its limit of connections is reached",
}


def rejection(body: bytes | memoryview, calling_aet: str, called_aet: str) -> AssociationRejected:
    """Turn the body of an A-ASSOCIATE-RJ into an error that names what to mend (PS3.8, 9.3.4).

    :raises ProtocolViolation: a body of another length.
    """
    if len(body) != 4:
        raise ProtocolViolation("The server refused the association with damaged data.")
    _, result, source, reason = body
    words = _REASONS.get((source, reason), "it gave no reason")
    sentence = words.format(calling=calling_aet.strip(), called=called_aet.strip())
    transient = result == 2 or source == 3
    return AssociationRejected(f"The server refused the association: {sentence}.", retryable=transient)
