"""A-ASSOCIATE: our request as pynetdicom reads it, and whatever comes back."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context, negotiate_as_acceptor

from support import pdu as kit
from VisualDICOMBrowserLib.dimse.contexts import UNCOMPRESSED, Proposal, storage_batches
from VisualDICOMBrowserLib.dimse.negotiation import AcceptedContext, read_accept, rejection
from VisualDICOMBrowserLib.dimse.pdu import MAX_PDU_LENGTH
from VisualDICOMBrowserLib.dimse.request import associate_request
from VisualDICOMBrowserLib.domain.errors import ProtocolViolation
from VisualDICOMBrowserLib.domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

CT, GET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
PROPOSALS = [Proposal(GET), Proposal(CT, UNCOMPRESSED, as_scp=True), Proposal(CT, (JPEG_2000,), as_scp=True)]
REQUEST = associate_request("OUR AET", "THEIRS", PROPOSALS)
HEADER = 6


def accept(choose: kit.Choice = kit.accept_all, max_length: int = 16384, extra: bytes = b"") -> bytes:
    """Return the body of an A-ASSOCIATE-AC for the request above."""
    request = kit.decode(REQUEST)
    assert isinstance(request, kit.AssociateRequest)
    return kit.associate_ac(request, choose, max_length=max_length)[HEADER:] + extra


def as_pynetdicom_reads_it(request: bytes):
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(request)
    return pdu.to_primitive()


def test_pynetdicom_reads_our_request():
    primitive = as_pynetdicom_reads_it(REQUEST)
    assert primitive.application_context_name == "1.2.840.10008.3.1.1.1"
    assert (primitive.calling_ae_title, primitive.called_ae_title) == ("OUR AET", "THEIRS")
    contexts = primitive.presentation_context_definition_list
    assert [(c.context_id, c.abstract_syntax, tuple(c.transfer_syntax)) for c in contexts] == [
        (1, GET, UNCOMPRESSED),
        (3, CT, UNCOMPRESSED),
        (5, CT, (JPEG_2000,)),
    ]


def test_pynetdicom_reads_our_user_information():
    items = as_pynetdicom_reads_it(REQUEST).user_information
    kinds = [type(item) for item in items]
    assert kinds == [
        MaximumLengthNotification,
        ImplementationClassUIDNotification,
        SCP_SCU_RoleSelectionNegotiation,
        ImplementationVersionNameNotification,
    ]
    assert items[0].maximum_length_received == MAX_PDU_LENGTH
    assert items[1].implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert (items[2].sop_class_uid, items[2].scu_role, items[2].scp_role) == (CT, False, True)
    assert items[3].implementation_version_name == IMPLEMENTATION_VERSION


def test_pynetdicom_as_acceptor_grants_our_role_and_contexts():
    primitive = as_pynetdicom_reads_it(REQUEST)
    storage = build_context(CT, [*UNCOMPRESSED, JPEG_2000])
    storage.scu_role = storage.scp_role = True
    asked = primitive.presentation_context_definition_list
    results, roles = negotiate_as_acceptor(asked, [build_context(GET), storage], {CT: (False, True)})
    assert [context.result for context in results] == [0, 0, 0]
    assert [(role.sop_class_uid, role.scu_role, role.scp_role) for role in roles] == [(CT, False, True)]


def test_a_full_request_of_128_contexts_is_read_whole():
    batch = next(storage_batches([], ["CT"], room=127))
    primitive = as_pynetdicom_reads_it(associate_request("A" * 16, "B" * 16, [Proposal(GET), *batch]))
    contexts = primitive.presentation_context_definition_list
    assert [context.context_id for context in contexts] == list(range(1, 256, 2))
    assert primitive.called_ae_title == "B" * 16


@pytest.mark.parametrize("count", [0, 129])
def test_no_context_or_too_many_are_a_bug_of_the_caller(count: int):
    with pytest.raises(ValueError, match="presentation contexts"):
        associate_request("A", "B", [Proposal(CT)] * count)


@pytest.mark.parametrize("uid", ["1.02.3", "1..2", "...", "1.2.", "", "1.2;3"])
def test_class_uids_that_are_none_by_the_letter_are_not_proposed(uid: str):
    (batch,) = storage_batches([uid, CT], [], room=127, only_these=True)
    assert {proposal.abstract_syntax for proposal in batch} == {CT}


@pytest.mark.parametrize("uid", ["9" * 64, "1.2.826.0.1.3680043.9.7433.1"])
def test_private_class_uids_go_out_as_they_are(uid: str):
    found = kit.decode(associate_request("A", "B", [Proposal(uid, as_scp=True)]))
    assert isinstance(found, kit.AssociateRequest)
    assert found.contexts[0].abstract_syntax == uid
    assert found.roles == (kit.Role(uid, scu=False, scp=True),)


# The answer


def test_accepted_contexts_and_the_longest_pdu_are_read():
    contexts, max_length = read_accept(accept(max_length=4096), PROPOSALS)
    assert max_length == 4096
    assert contexts == {
        1: AcceptedContext(1, GET, EXPLICIT),
        3: AcceptedContext(3, CT, EXPLICIT),
        5: AcceptedContext(5, CT, JPEG_2000),
    }


def test_an_answer_of_pynetdicom_is_read():
    primitive = as_pynetdicom_reads_it(REQUEST)
    asked = primitive.presentation_context_definition_list
    results, roles = negotiate_as_acceptor(asked, [context for context in asked if context.context_id != 5])
    primitive.presentation_context_definition_results_list = results
    primitive.result = 0
    primitive.user_information = [*primitive.user_information[:2], *roles]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    contexts, max_length = read_accept(pdu.encode()[HEADER:], PROPOSALS)
    assert max_length == MAX_PDU_LENGTH
    assert {context.abstract_syntax for context in contexts.values()} == {GET, CT}


@pytest.mark.parametrize("result", [1, 2, 3, 4, 255])
def test_refused_contexts_are_left_out_whatever_they_name(result: int):
    def choose(context: kit.ProposedContext) -> tuple[int, str]:
        return (0, IMPLICIT) if context.context_id == 1 else (result, "")

    contexts, _ = read_accept(accept(choose), PROPOSALS)
    assert contexts == {1: AcceptedContext(1, GET, IMPLICIT)}


def test_a_padded_transfer_syntax_is_understood():
    contexts, _ = read_accept(accept(lambda c: (0, c.transfer_syntaxes[0] + "\0")), PROPOSALS)
    assert contexts[5].transfer_syntax == JPEG_2000


def test_items_that_nobody_knows_are_ignored():
    assert len(read_accept(accept(extra=kit.item(0x99, b"what")), PROPOSALS)[0]) == 3


def test_an_answer_without_user_information_sets_no_limit():
    body = accept()
    contexts, max_length = read_accept(body[: body.index(b"\x50\0", 74)], PROPOSALS)
    assert (len(contexts), max_length) == (3, 0)


def answered(context_id: int, syntax: str) -> bytes:
    return accept(kit.accept_none()) + kit.item(0x21, bytes((context_id, 0, 0, 0)) + kit.item(0x40, syntax.encode()))


@pytest.mark.parametrize(
    ("context_id", "syntax"),
    [(0, EXPLICIT), (2, EXPLICIT), (7, EXPLICIT), (255, EXPLICIT), (5, EXPLICIT), (1, JPEG_2000), (1, "")],
)
def test_what_was_never_proposed_cannot_be_accepted(context_id: int, syntax: str):
    with pytest.raises(ProtocolViolation, match="not proposed"):
        read_accept(answered(context_id, syntax), PROPOSALS)


@pytest.mark.parametrize("length", [0, 1, 67, 69, 71, 80, 100])
def test_an_answer_that_ends_early_is_damaged(length: int):
    with pytest.raises(ProtocolViolation, match="damaged data"):
        read_accept(accept()[:length], PROPOSALS)


@settings(deadline=None)
@given(st.data())
def test_damage_anywhere_is_survived_or_a_violation(data: st.DataObject):
    body = bytearray(accept())
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(body[: data.draw(st.integers(0, len(body)))]))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_a_violation(tail: bytes):
    check(bytes(68) + tail)


def check(body: bytes) -> None:
    try:
        contexts, max_length = read_accept(body, PROPOSALS)
    except ProtocolViolation:
        return
    assert max_length >= 0
    for context_id, context in contexts.items():
        proposal = PROPOSALS[context_id // 2]
        assert context.abstract_syntax == proposal.abstract_syntax
        assert context.transfer_syntax in proposal.transfer_syntaxes


@pytest.mark.parametrize("kind", [0x10, 0x21, 0x50, 0x99])
def test_a_megabyte_of_empty_items_costs_little_time(kind: int):
    body = bytes(68) + kit.item(kind, b"") * 262_000
    before = time.thread_time()
    assert read_accept(body, PROPOSALS) == ({}, 0)
    assert time.thread_time() - before < 1.0


# Rejections (PS3.8, table 9-21)


@pytest.mark.parametrize(
    ("result", "source", "reason", "part", "retryable"),
    [
        (1, 1, 1, "gave no reason", False),
        (1, 1, 2, "application context", False),
        (1, 1, 3, "does not know our AE title OUR AET: the server's administrator", False),
        (1, 1, 7, "not called THEIRS: check the server's AE title", False),
        (1, 1, 9, "gave no reason", False),
        (1, 2, 1, "gave no reason", False),
        (1, 2, 2, "protocol version", False),
        (2, 3, 1, "overloaded for the moment", True),
        (2, 3, 2, "limit of connections", True),
        (1, 3, 2, "limit of connections", True),
        (2, 1, 1, "gave no reason", True),
        (0, 0, 0, "gave no reason", False),
    ],
)
def test_a_rejection_says_what_to_mend(result: int, source: int, reason: int, part: str, retryable: bool):
    error = rejection(bytes((0, result, source, reason)), "OUR AET ", "THEIRS")
    assert part in str(error)
    assert error.retryable is retryable


def test_titles_with_braces_do_not_break_the_sentence():
    assert "our AE title {called}{0}:" in str(rejection(bytes((0, 1, 1, 3)), "{called}{0}", "B"))


@pytest.mark.parametrize("length", [0, 3])
def test_a_rejection_that_ends_early_is_a_violation(length: int):
    with pytest.raises(ProtocolViolation):
        rejection(bytes(length), "A", "B")
