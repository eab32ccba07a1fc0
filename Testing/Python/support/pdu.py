"""The protocol data units of the DICOM upper layer (PS3.8, 9.3), written out by hand.

Independent of pynetdicom, so that tests can send what no library would. Builders return bytes; :func:`decode`
reads what a client sent, for assertions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_UID = "2.25.292883231018253420145017210312345678901"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

#: Results of a presentation context (PS3.8, table 9-18).
ACCEPTED, USER_REJECTED, NO_REASON, CLASS_NOT_SUPPORTED, SYNTAXES_NOT_SUPPORTED = range(5)

HEAD_LENGTH = 6


@dataclass(frozen=True)
class ProposedContext:
    """A presentation context as a client proposed it."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """SCP/SCU role selection for one SOP class (PS3.7, D.3.3.4)."""

    sop_class: str
    scu: bool
    scp: bool


@dataclass(frozen=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. ``max_length`` is the longest P-DATA-TF PDU that the client takes, 0 for any."""

    called: str
    calling: str
    contexts: tuple[ProposedContext, ...]
    max_length: int = 0
    roles: tuple[Role, ...] = ()
    implementation_uid: str = ""
    implementation_version: str = ""
    application_context: str = ""

    def context_id(self, abstract_syntax: str, transfer_syntax: str = "") -> int:
        """Return the id of the first context proposed for a SOP class (and transfer syntax).

        :raises KeyError: nothing such was proposed.
        """
        for context in self.contexts:
            fits = not transfer_syntax or transfer_syntax in context.transfer_syntaxes
            if context.abstract_syntax == abstract_syntax and fits:
                return context.context_id
        raise KeyError(abstract_syntax)


@dataclass(frozen=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. ``answers`` holds result and transfer syntax by context id."""

    answers: Mapping[int, tuple[int, str]]
    max_length: int = 0

    def accepts(self, context_id: int) -> bool:
        """Tell whether a context was accepted."""
        return self.answers.get(context_id, (NO_REASON, ""))[0] == ACCEPTED


@dataclass(frozen=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8, table 9-21)."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True)
class Pdv:
    """One presentation data value: a fragment of a command or data set."""

    context_id: int
    data: bytes
    is_command: bool
    is_last: bool

    def encoded(self) -> bytes:
        """Return the PDV item (PS3.8, 9.3.5.1 and annex E)."""
        control = (1 if self.is_command else 0) | (2 if self.is_last else 0)
        return struct.pack(">IBB", len(self.data) + 2, self.context_id, control) + self.data


@dataclass(frozen=True)
class DataTransfer:
    """P-DATA-TF."""

    pdvs: tuple[Pdv, ...]


@dataclass(frozen=True)
class ReleaseRequest:
    """A-RELEASE-RQ."""


@dataclass(frozen=True)
class ReleaseReply:
    """A-RELEASE-RP."""


@dataclass(frozen=True)
class Abort:
    """A-ABORT: source 0 the user, 2 the provider; reasons in PS3.8, table 9-26."""

    source: int
    reason: int


@dataclass(frozen=True)
class OtherPdu:
    """A PDU of an unknown type."""

    kind: int
    body: bytes = field(repr=False)


Pdu = (
    AssociateRequest
    | AssociateAccept
    | AssociateReject
    | DataTransfer
    | ReleaseRequest
    | ReleaseReply
    | Abort
    | OtherPdu
)

#: Answers, for a proposed context, its result and the chosen transfer syntax.
Choice = Callable[[ProposedContext], "tuple[int, str]"]


def pdu(kind: int, body: bytes, *, claimed_length: int | None = None) -> bytes:
    """Return a PDU of any type; ``claimed_length`` is a lie about the length of its body."""
    return struct.pack(">BxI", kind, len(body) if claimed_length is None else claimed_length) + body


def item(kind: int, body: bytes) -> bytes:
    """Return an item or sub-item of an association PDU."""
    return struct.pack(">BxH", kind, len(body)) + body


def accept_all(context: ProposedContext) -> tuple[int, str]:
    """Accept a context with its first transfer syntax."""
    return ACCEPTED, context.transfer_syntaxes[0]


def accept_only(*abstract_syntaxes: str) -> Choice:
    """Accept the contexts of these SOP classes, and say of the others that they are not supported."""

    def choose(context: ProposedContext) -> tuple[int, str]:
        if context.abstract_syntax in abstract_syntaxes:
            return ACCEPTED, context.transfer_syntaxes[0]
        return CLASS_NOT_SUPPORTED, IMPLICIT_LITTLE

    return choose


def accept_none(result: int = CLASS_NOT_SUPPORTED) -> Choice:
    """Refuse every context with the same result."""
    return lambda context: (result, IMPLICIT_LITTLE)


def associate_rq(
    called: str,
    calling: str,
    contexts: Sequence[ProposedContext],
    *,
    max_length: int = 131072,
    roles: Sequence[Role] = (),
) -> bytes:
    """Return A-ASSOCIATE-RQ."""
    proposed = b"".join(_proposal(context) for context in contexts)
    return pdu(0x01, _association_body(called, calling, proposed, max_length, roles))


def _proposal(context: ProposedContext) -> bytes:
    syntaxes = b"".join(item(0x40, name.encode()) for name in context.transfer_syntaxes)
    return item(0x20, struct.pack(">B3x", context.context_id) + item(0x30, context.abstract_syntax.encode()) + syntaxes)


def _association_body(called: str, calling: str, contexts: bytes, max_length: int, roles: Sequence[Role]) -> bytes:
    user = item(0x51, struct.pack(">I", max_length)) + item(0x52, IMPLEMENTATION_UID.encode())
    user += b"".join(_role_item(role) for role in roles) + item(0x55, b"TEST_KIT")
    head = struct.pack(">H2x", 1) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    return head + item(0x10, APPLICATION_CONTEXT.encode()) + contexts + item(0x50, user)


def associate_ac(
    request: AssociateRequest,
    choose: Choice = accept_all,
    *,
    max_length: int = 16384,
    roles: Sequence[Role] | None = None,
) -> bytes:
    """Return A-ASSOCIATE-AC for a request; the proposed roles are granted unless others are given."""
    contexts = b"".join(_answered(context.context_id, *choose(context)) for context in request.contexts)
    granted = request.roles if roles is None else roles
    return pdu(0x02, _association_body(request.called, request.calling, contexts, max_length, granted))


def _answered(context_id: int, result: int, syntax: str) -> bytes:
    return item(0x21, struct.pack(">BxBx", context_id, result) + item(0x40, syntax.encode()))


def _role_item(role: Role) -> bytes:
    name = role.sop_class.encode()
    return item(0x54, struct.pack(">H", len(name)) + name + bytes([role.scu, role.scp]))


def associate_rj(result: int = 1, source: int = 1, reason: int = 1) -> bytes:
    """Return A-ASSOCIATE-RJ (PS3.8, table 9-21): result 1 permanent, 2 transient."""
    return pdu(0x03, bytes([0, result, source, reason]))


def p_data(*pdvs: Pdv) -> bytes:
    """Return one P-DATA-TF PDU with these values."""
    return pdu(0x04, b"".join(pdv.encoded() for pdv in pdvs))


def release_rq() -> bytes:
    """Return A-RELEASE-RQ."""
    return pdu(0x05, bytes(4))


def release_rp() -> bytes:
    """Return A-RELEASE-RP."""
    return pdu(0x06, bytes(4))


def abort(source: int = 0, reason: int = 0) -> bytes:
    """Return A-ABORT."""
    return pdu(0x07, bytes([0, 0, source, reason]))


def decode(data: bytes) -> Pdu:  # noqa: PLR0911 - one return for each type of PDU
    """Read one whole PDU."""
    kind, body = data[0], data[HEAD_LENGTH:]
    if kind == 0x01:
        return _associate_request(body)
    if kind == 0x02:
        return _associate_accept(body)
    if kind == 0x03:
        return AssociateReject(*body[1:4])
    if kind == 0x04:
        return DataTransfer(tuple(_pdvs(body)))
    if kind == 0x05:
        return ReleaseRequest()
    if kind == 0x06:
        return ReleaseReply()
    if kind == 0x07:
        return Abort(body[2], body[3])
    return OtherPdu(kind, body)


def _pdvs(body: bytes) -> Iterator[Pdv]:
    offset = 0
    while offset < len(body):
        length, context_id, control = struct.unpack_from(">IBB", body, offset)
        yield Pdv(context_id, body[offset + 6 : offset + 4 + length], bool(control & 1), bool(control & 2))
        offset += 4 + length


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(body):
        kind, length = struct.unpack_from(">BxH", body, offset)
        yield kind, body[offset + 4 : offset + 4 + length]
        offset += 4 + length


def _associate_request(body: bytes) -> AssociateRequest:
    found = list(_items(body[68:]))
    user = [entry for kind, data in found if kind == 0x50 for entry in _items(data)]
    texts = {kind: _text(data) for kind, data in user if kind in (0x52, 0x55)}
    lengths = [int.from_bytes(data, "big") for kind, data in user if kind == 0x51]
    return AssociateRequest(
        called=_text(body[4:20]),
        calling=_text(body[20:36]),
        contexts=tuple(_proposed(data) for kind, data in found if kind == 0x20),
        max_length=lengths[0] if lengths else 0,
        roles=tuple(_role(data) for kind, data in user if kind == 0x54),
        implementation_uid=texts.get(0x52, ""),
        implementation_version=texts.get(0x55, ""),
        application_context=next((_text(data) for kind, data in found if kind == 0x10), ""),
    )


def _associate_accept(body: bytes) -> AssociateAccept:
    found = list(_items(body[68:]))
    answers = {
        data[0]: (data[2], next((_text(value) for _, value in _items(data[4:])), ""))
        for kind, data in found
        if kind == 0x21
    }
    user = [entry for kind, data in found if kind == 0x50 for entry in _items(data)]
    lengths = [int.from_bytes(data, "big") for kind, data in user if kind == 0x51]
    return AssociateAccept(answers, lengths[0] if lengths else 0)


def _proposed(data: bytes) -> ProposedContext:
    parts = list(_items(data[4:]))
    abstract = next(_text(value) for kind, value in parts if kind == 0x30)
    return ProposedContext(data[0], abstract, tuple(_text(value) for kind, value in parts if kind == 0x40))


def _role(data: bytes) -> Role:
    length = int.from_bytes(data[:2], "big")
    return Role(_text(data[2 : 2 + length]), bool(data[2 + length]), bool(data[3 + length]))


def _text(data: bytes) -> str:
    return data.decode("ascii", "replace").strip(" \0")
