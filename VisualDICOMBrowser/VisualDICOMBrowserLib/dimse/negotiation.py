"""What a peer answers to an association request (PS3.8 9.3.3, 9.3.4; PS3.7 annex D).

What a stranger answers is not read by pynetdicom: its reader refuses whole answers for what PS3.8 9.3.1 tells to
ignore (unknown items, an odd implementation version), quotes the peer in warnings and logs, and takes seconds over
hostile ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..domain.errors import AssociationRejected, ProtocolViolation
from ..domain.uids import clean_uid
from .contexts import Proposal

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


def read_accept(body: bytes | memoryview, proposals: Sequence[Proposal]) -> tuple[dict[int, AcceptedContext], int]:
    """Read the body of an A-ASSOCIATE-AC: the accepted contexts by id, and the longest PDU the peer takes (0: any).

    The role selection is not enforced: peers that leave it out send their instances all the same.

    :raises ProtocolViolation: bytes that are no A-ASSOCIATE-AC, or a context that was never proposed.
    """
    if len(body) < _FIXED_LENGTH:
        raise ProtocolViolation(_DAMAGED)
    accepted: dict[int, AcceptedContext] = {}
    max_length = 0
    for kind, value in items(bytes(body[_FIXED_LENGTH:])):
        if kind == _ANSWERED and len(value) >= 4 and value[2] == _ACCEPTED:
            context = _accepted(value[0], value[4:], proposals)
            accepted[context.context_id] = context
        elif kind == _USER:
            max_length = next((int.from_bytes(v, "big") for k, v in items(value) if k == _MAX_LENGTH), 0)
    return accepted, max_length


_DAMAGED = "The server answered the association request with damaged data."


def items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and value of the items and sub-items that association PDUs consist of (PS3.8 9.3.1, D.1).

    :raises ProtocolViolation: lengths that do not fit.
    """
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
    syntax = next((clean_uid(value) for kind, value in items(data) if kind == _TRANSFER), "")
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
