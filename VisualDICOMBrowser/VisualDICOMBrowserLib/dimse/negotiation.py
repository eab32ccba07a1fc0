"""Association negotiation (PS3.7 annex D, PS3.8 9.3.2–9.3.4).

A codec of its own: pynetdicom's refuses whole answers for what PS3.8 9.3.1 tells to ignore (unknown items, an odd
implementation version), quotes what the peer sent in warnings and logs, and takes seconds over hostile ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..domain.errors import AssociationRejected, ProtocolViolation
from ..domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from ..domain.uids import clean_uid
from .contexts import MAX_CONTEXTS, Proposal
from .pdu import ASSOCIATE_RQ, MAX_PDU_LENGTH, encode_pdu

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
_PROTOCOL_VERSION = 1
_ACCEPTED = 0

# Items (PS3.8 9.3.2, 9.3.3) and sub-items of the user information (PS3.8 D.1, PS3.7 D.3.3).
_APPLICATION, _PROPOSED, _ANSWERED, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_MAX_LENGTH, _IMPLEMENTATION_CLASS, _ROLE, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x54, 0x55

#: Protocol version, called and calling AE title.
_FIXED = struct.Struct(">H2x16s16s32x")
_ITEM = struct.Struct(">BxH")


@dataclass(frozen=True)
class AcceptedContext:
    """A presentation context that the peer accepted, with the one transfer syntax it chose."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


def associate_request(calling_aet: str, called_aet: str, proposals: Sequence[Proposal]) -> bytes:
    """Return the A-ASSOCIATE-RQ PDU; context ids are 1, 3, 5 … in the order of ``proposals``.

    :raises ValueError: no or more than 128 contexts, a bug of the caller.
    """
    if not 1 <= len(proposals) <= MAX_CONTEXTS:
        raise ValueError(f"{len(proposals)} presentation contexts")
    titles = (title.encode("ascii").ljust(16) for title in (called_aet, calling_aet))
    parts = [_FIXED.pack(_PROTOCOL_VERSION, *titles), _text_item(_APPLICATION, _APPLICATION_CONTEXT)]
    parts += (_proposed(2 * index + 1, proposal) for index, proposal in enumerate(proposals))
    parts.append(_item(_USER, _user_information(proposals)))
    return encode_pdu(ASSOCIATE_RQ, b"".join(parts))


def _item(kind: int, body: bytes) -> bytes:
    return _ITEM.pack(kind, len(body)) + body


def _text_item(kind: int, text: str) -> bytes:
    return _item(kind, text.encode("ascii"))


def _proposed(context_id: int, proposal: Proposal) -> bytes:
    syntaxes = b"".join(_text_item(_TRANSFER, syntax) for syntax in proposal.transfer_syntaxes)
    return _item(_PROPOSED, bytes((context_id, 0, 0, 0)) + _text_item(_ABSTRACT, proposal.abstract_syntax) + syntaxes)


def _user_information(proposals: Sequence[Proposal]) -> bytes:
    length = _item(_MAX_LENGTH, struct.pack(">I", MAX_PDU_LENGTH))
    implementation = _text_item(_IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID)
    roles = b"".join(map(_scp_role, dict.fromkeys(p.abstract_syntax for p in proposals if p.as_scp)))
    return length + implementation + roles + _text_item(_IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION)


def _scp_role(sop_class: str) -> bytes:
    return _item(_ROLE, struct.pack(">H", len(sop_class)) + sop_class.encode("ascii") + bytes((0, 1)))


def read_accept(body: bytes | memoryview, proposals: Sequence[Proposal]) -> tuple[dict[int, AcceptedContext], int]:
    """Read the body of an A-ASSOCIATE-AC: the accepted contexts by id, and the longest PDU the peer takes (0: any).

    The role selection is not enforced: peers that leave it out send their instances all the same.

    :raises ProtocolViolation: bytes that are no A-ASSOCIATE-AC, or a context that was never proposed.
    """
    if len(body) < _FIXED.size:
        raise ProtocolViolation(_DAMAGED)
    accepted: dict[int, AcceptedContext] = {}
    max_length = 0
    for kind, value in _items(bytes(body[_FIXED.size :])):
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
