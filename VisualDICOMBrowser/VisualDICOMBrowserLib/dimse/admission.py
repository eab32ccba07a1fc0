"""What a peer asks for when it wants an association, and our answer (PS3.8 9.3.2 to 9.3.4; PS3.7 annex D).

Of whom nothing is known yet: lengths are checked, nothing is kept that is not needed, nothing is quoted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pydicom import config
from pydicom.uid import UID

from ..domain.errors import ProtocolViolation
from ..domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from ..domain.uids import clean_uid, is_uid
from . import pdu
from .contexts import MAX_CONTEXTS
from .negotiation import AcceptedContext, items

VERIFICATION = "1.2.840.10008.1.1"

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
_PROTOCOL_VERSION = 0x0001

# Items of the request and of the answer (PS3.8 9.3.2, 9.3.3, D.1; PS3.7 D.3.3.2).
_APPLICATION, _PROPOSED, _ANSWERED, _ABSTRACT, _TRANSFER = 0x10, 0x20, 0x21, 0x30, 0x40
_USER, _MAX_LENGTH, _IMPLEMENTATION, _VERSION = 0x50, 0x51, 0x52, 0x55

#: Protocol version, called and calling AE title, reserved.
_FIXED = struct.Struct(">H2x16s16s32s")
_ITEM = struct.Struct(">BxH")

# What becomes of a context (PS3.8, table 9-18).
_ACCEPTED, _NO_SUCH_SERVICE, _NO_SUCH_SYNTAX = 0, 3, 4

_STANDARD = "1.2.840.10008."
_STANDARD_STORAGE = "1.2.840.10008.5.1.4.1.1."
_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
#: Standard SOP classes that are called storage, and are not of the storage service.
_NO_STORAGE = {"1.2.840.10008.1.3.10", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.2"}


class Refusal(Enum):
    """Why there is no association: result, source and reason of A-ASSOCIATE-RJ (PS3.8, table 9-21)."""

    CALLING_AET = (1, 1, 3)
    CALLED_AET = (1, 1, 7)
    APPLICATION_CONTEXT = (1, 1, 2)
    PROTOCOL_VERSION = (1, 2, 2)
    LIMIT = (2, 3, 2)


@dataclass(frozen=True)
class Proposed:
    """A presentation context that a peer asks for, with the transfer syntax we would take, or none."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str

    @property
    def result(self) -> int:
        """What becomes of it (PS3.8, table 9-18)."""
        if self.abstract_syntax != VERIFICATION and not is_storage(self.abstract_syntax):
            return _NO_SUCH_SERVICE
        return _ACCEPTED if self.transfer_syntax else _NO_SUCH_SYNTAX


@dataclass(frozen=True)
class AssociationRequest:
    """The body of an A-ASSOCIATE-RQ.

    :ivar max_length: longest PDU the peer takes; 0: any.
    :ivar repeated: the fields that the answer repeats: titles and reserved bytes.
    """

    protocol_version: int
    called_aet: str
    calling_aet: str
    application_context: str
    contexts: tuple[Proposed, ...]
    max_length: int
    repeated: bytes

    def refusal(self) -> Refusal | None:
        """Return why it cannot be granted to anybody, if so."""
        if not self.protocol_version & _PROTOCOL_VERSION:
            return Refusal.PROTOCOL_VERSION
        if self.application_context != _APPLICATION_CONTEXT:
            return Refusal.APPLICATION_CONTEXT
        return None

    def accepted(self) -> dict[int, AcceptedContext]:
        """Return the contexts that we take, by id."""
        return {
            one.context_id: AcceptedContext(one.context_id, one.abstract_syntax, one.transfer_syntax)
            for one in self.contexts
            if one.result == _ACCEPTED
        }


def is_storage(sop_class: str) -> bool:
    """Tell whether instances of a class are to be kept: all of the standard's storage classes, and private ones."""
    if not is_uid(sop_class) or sop_class in _NO_STORAGE:
        return False
    if not sop_class.startswith(_STANDARD):
        return True
    known = _named(sop_class)
    if not known.type:  # newer than our dictionary
        return sop_class.startswith(_STANDARD_STORAGE)
    return known.type == "SOP Class" and ("Storage" in known.name or not known.name)


def _named(uid: str) -> UID:
    return UID(uid, config.IGNORE)


def read_request(body: bytes | memoryview) -> AssociationRequest:
    """Read the body of an A-ASSOCIATE-RQ.

    :raises ProtocolViolation: bytes that are none.
    """
    if len(body) < _FIXED.size:
        raise ProtocolViolation("An association request is too short.")
    version, called, calling, _ = _FIXED.unpack_from(body)
    application, max_length = "", 0
    contexts: dict[int, Proposed] = {}
    for kind, value in items(bytes(body[_FIXED.size :])):
        if kind == _APPLICATION:
            application = clean_uid(value)
        elif kind == _PROPOSED:
            context = _proposed(value)
            if context.context_id in contexts:
                raise ProtocolViolation("An association request numbers two presentation contexts alike.")
            contexts[context.context_id] = context
        elif kind == _USER:
            max_length = next((int.from_bytes(v, "big") for k, v in items(value) if k == _MAX_LENGTH), 0)
    if len(contexts) > MAX_CONTEXTS:
        raise ProtocolViolation("An association request has too many presentation contexts.")
    return AssociationRequest(
        version, _title(called), _title(calling), application, tuple(contexts.values()), max_length, bytes(body[4:68])
    )


def _title(raw: bytes) -> str:
    """Return an AE title, without the spaces around it, which mean nothing (PS3.8, 9.3.2)."""
    return raw.decode("ascii", "replace").strip(" \0")


def _proposed(value: bytes) -> Proposed:
    if len(value) < 4 or not value[0] % 2:
        raise ProtocolViolation("An association request has a damaged presentation context.")
    abstract, first, known = "", "", ""
    for kind, data in items(value[4:]):
        if kind == _ABSTRACT:
            abstract = clean_uid(data)
        elif kind == _TRANSFER and not known:
            syntax = clean_uid(data)
            if is_uid(syntax):
                first = first or syntax
                known = syntax if _named(syntax).type == "Transfer Syntax" else ""
    # Data come as they are if the sender has its way. What is private can perhaps not be read by anybody.
    return Proposed(value[0], abstract, known or first)


def acceptance(request: AssociationRequest) -> bytes:
    """Return the A-ASSOCIATE-AC that grants a request, as far as we go."""
    head = struct.pack(">H2x", _PROTOCOL_VERSION) + request.repeated
    contexts = b"".join(_answer(context) for context in request.contexts)
    user = b"".join(_user_information())
    body = head + _item(_APPLICATION, _APPLICATION_CONTEXT.encode()) + contexts + _item(_USER, user)
    return pdu.encode_pdu(pdu.ASSOCIATE_AC, body)


def _answer(context: Proposed) -> bytes:
    # Of a refused context the transfer syntax has no meaning, and must be there.
    syntax = _item(_TRANSFER, (context.transfer_syntax or _IMPLICIT_LITTLE).encode())
    return _item(_ANSWERED, struct.pack(">BxBx", context.context_id, context.result) + syntax)


def _user_information() -> Iterator[bytes]:
    yield _item(_MAX_LENGTH, struct.pack(">I", pdu.MAX_PDU_LENGTH))
    yield _item(_IMPLEMENTATION, IMPLEMENTATION_CLASS_UID.encode())
    yield _item(_VERSION, IMPLEMENTATION_VERSION.encode())


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def rejection_pdu(refusal: Refusal) -> bytes:
    """Return an A-ASSOCIATE-RJ."""
    return pdu.encode_pdu(pdu.ASSOCIATE_RJ, bytes((0, *refusal.value)))
