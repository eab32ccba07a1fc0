"""The association request (PS3.8 9.3.2, PS3.7 annex D), built with pynetdicom's negotiation items.

Imported when an association is opened, behind :func:`.library.require_pynetdicom`: everything else does without.
"""

from __future__ import annotations

from collections.abc import Sequence
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

from ..domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from .contexts import MAX_CONTEXTS, Proposal
from .pdu import MAX_PDU_LENGTH

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1


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
