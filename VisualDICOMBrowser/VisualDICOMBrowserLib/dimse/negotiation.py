"""Association negotiation (PS3.7 annex D, PS3.8 9.3.2–9.3.4), with pynetdicom's PDU classes as codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
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
from .contexts import MAX_CONTEXTS, Proposal
from .pdu import MAX_PDU_LENGTH

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
_ACCEPTED = 0


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
    primitive = A_ASSOCIATE()
    primitive.application_context_name = _APPLICATION_CONTEXT
    primitive.calling_ae_title = calling_aet
    primitive.called_ae_title = called_aet
    primitive.presentation_context_definition_list = [
        _context(index, proposal) for index, proposal in enumerate(proposals)
    ]
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
    return [length, implementation, version, *(_scp_role(sop_class) for sop_class in roles)]


def _scp_role(sop_class: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = sop_class
    role.scu_role = False
    role.scp_role = True
    return role


def read_accept(pdu: bytes, proposals: Sequence[Proposal]) -> tuple[dict[int, AcceptedContext], int]:
    """Read an A-ASSOCIATE-AC: the accepted contexts by id, and the longest PDU body the peer takes (0: any).

    The role selection is not enforced: peers that leave it out send their instances all the same.

    :raises ProtocolViolation: bytes that are no A-ASSOCIATE-AC, or a context that was never proposed.
    """
    accept = A_ASSOCIATE_AC()
    try:
        accept.decode(pdu)
        results = [(int(c.context_id or 0), c.result, str(c.transfer_syntax)) for c in accept.presentation_context]
        max_length = next((i.maximum_length for i in _user_items(accept) if hasattr(i, "maximum_length")), 0)
    except Exception as error:  # pynetdicom's decoder raises whatever the hostile bytes make it stumble over
        raise ProtocolViolation("The server answered the association request with damaged data.") from error
    accepted = {}
    for context_id, result, syntax in results:
        if result != _ACCEPTED:
            continue
        index, odd = divmod(context_id, 2)
        if not odd or index >= len(proposals) or syntax not in proposals[index].transfer_syntaxes:
            raise ProtocolViolation("The server accepted a presentation context that was not proposed.")
        accepted[context_id] = AcceptedContext(context_id, proposals[index].abstract_syntax, syntax)
    return accepted, int(max_length or 0)


def _user_items(accept: A_ASSOCIATE_AC) -> list[Any]:
    information = accept.user_information
    return list(information.user_data) if information is not None else []


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
    """Turn the body of an A-ASSOCIATE-RJ into an error that names what to mend (PS3.8, 9.3.4)."""
    _, result, source, reason = body
    words = _REASONS.get((source, reason), "it gave no reason")
    sentence = words.format(calling=calling_aet.strip(), called=called_aet.strip())
    transient = result == 2 or source == 3
    return AssociationRejected(f"The server refused the association: {sentence}.", retryable=transient)
