"""What callers ask for, well-formed or hostile, and the answer as pynetdicom and the kit read it."""

from __future__ import annotations

import struct
import time
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ
from pynetdicom.presentation import AllStoragePresentationContexts

from support import pdu as kit
from VisualDICOMBrowserLib.dimse.admission import (
    VERIFICATION,
    AssociationRequest,
    Refusal,
    acceptance,
    is_storage,
    read_request,
    rejection_pdu,
)
from VisualDICOMBrowserLib.dimse.contexts import Proposal
from VisualDICOMBrowserLib.dimse.negotiation import AcceptedContext, read_accept
from VisualDICOMBrowserLib.dimse.pdu import MAX_PDU_LENGTH
from VisualDICOMBrowserLib.dimse.request import associate_request
from VisualDICOMBrowserLib.domain.errors import ProtocolViolation
from VisualDICOMBrowserLib.domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

HEADER = 6
CT, FIND = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1"
PRIVATE = "1.2.826.0.1.3680043.9.9"
IMPLICIT, EXPLICIT, JPEG_2000 = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"
PRIVATE_SYNTAX = "1.2.840.113619.5.2"


def requested(*contexts: kit.ProposedContext, **options: int) -> AssociationRequest:
    return read_request(kit.associate_rq("US", "THEM", contexts, **options)[HEADER:])


def context(number: int, abstract: str, *syntaxes: str) -> kit.ProposedContext:
    return kit.ProposedContext(number, abstract, syntaxes)


def test_a_request_of_our_own_is_read():
    request = read_request(associate_request("THEM", "US", [Proposal(CT), Proposal(VERIFICATION)])[HEADER:])
    assert (request.calling_aet, request.called_aet, request.max_length) == ("THEM", "US", MAX_PDU_LENGTH)
    assert request.refusal() is None
    assert request.accepted() == {
        1: AcceptedContext(1, CT, EXPLICIT),
        3: AcceptedContext(3, VERIFICATION, EXPLICIT),
    }


@pytest.mark.parametrize(
    ("syntaxes", "chosen"),
    [
        ((JPEG_2000, IMPLICIT), JPEG_2000),
        ((IMPLICIT, EXPLICIT), IMPLICIT),
        ((PRIVATE_SYNTAX, IMPLICIT), IMPLICIT),
        ((PRIVATE_SYNTAX,), PRIVATE_SYNTAX),
        (("../x", "", EXPLICIT), EXPLICIT),
    ],
)
def test_the_sender_has_its_way_with_transfer_syntaxes_that_can_be_read(syntaxes: tuple[str, ...], chosen: str):
    assert requested(context(1, CT, *syntaxes)).accepted()[1].transfer_syntax == chosen


@pytest.mark.parametrize("syntaxes", [(), ("",), ("1" * 65,), ("not a uid",)])
def test_without_a_transfer_syntax_there_is_no_context(syntaxes: tuple[str, ...]):
    request = requested(context(1, CT, *syntaxes))
    assert request.accepted() == {}
    answer = kit.decode(acceptance(request))
    assert isinstance(answer, kit.AssociateAccept)
    assert answer.answers == {1: (4, IMPLICIT)}


def test_the_answer_says_what_became_of_each_context():
    request = requested(context(1, VERIFICATION, IMPLICIT), context(3, FIND, IMPLICIT), context(255, PRIVATE, EXPLICIT))
    answer = kit.decode(acceptance(request))
    assert isinstance(answer, kit.AssociateAccept)
    assert answer.answers == {1: (0, IMPLICIT), 3: (3, IMPLICIT), 255: (0, EXPLICIT)}
    assert answer.max_length == MAX_PDU_LENGTH


def test_the_answer_repeats_titles_and_reserved_bytes_and_tells_who_we_are():
    asked = bytearray(kit.associate_rq("US", "THEM", [context(1, CT, EXPLICIT)]))
    asked[HEADER + 36 : HEADER + 68] = bytes(range(32))
    answer = acceptance(read_request(bytes(asked[HEADER:])))
    assert answer[HEADER + 4 : HEADER + 68] == asked[HEADER + 4 : HEADER + 68]
    decoded = A_ASSOCIATE_AC()
    decoded.decode(answer)
    assert decoded.user_information.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert decoded.user_information.implementation_version_name == IMPLEMENTATION_VERSION
    assert decoded.application_context_name == "1.2.840.10008.3.1.1.1"


def test_our_own_requestor_understands_our_acceptor():
    proposals = [Proposal(CT, (JPEG_2000,)), Proposal(FIND), Proposal(VERIFICATION)]
    request = read_request(associate_request("THEM", "US", proposals)[HEADER:])
    contexts, max_length = read_accept(acceptance(request)[HEADER:], proposals)
    assert contexts == request.accepted()
    assert sorted(contexts) == [1, 5]
    assert max_length == MAX_PDU_LENGTH


def test_all_storage_classes_are_taken():
    assert [str(c.abstract_syntax) for c in AllStoragePresentationContexts if not is_storage(c.abstract_syntax)] == []


@pytest.mark.parametrize(
    ("sop_class", "taken"),
    [
        (PRIVATE, True),
        ("1.2.840.10008.5.1.4.1.1.9999", True),
        ("1.2.840.10008.5.1.4.1.1.40", True),
        ("1.2.840.10008.5.1.4.1.1.200.4", False),
        ("1.2.840.10008.5.1.4.1.1.201.6", False),
        ("1.2.840.10008.1.3.10", False),
        ("1.2.840.10008.1.20.1", False),
        ("1.2.840.10008.4.2", False),
        ("1.2.840.10008.5.1.4.31", False),
        ("1.2.840.10008.9.9", False),
        (EXPLICIT, False),
        ("", False),
        ("../CT", False),
    ],
)
def test_other_services_are_not(sop_class: str, taken: bool):
    assert is_storage(sop_class) is taken


@pytest.mark.parametrize(
    ("offset", "value", "refusal"),
    [(0, b"\0\2", Refusal.PROTOCOL_VERSION), (68 + 4, b"9", Refusal.APPLICATION_CONTEXT), (0, b"\0\3", None)],
)
def test_what_nobody_may_ask_for(offset: int, value: bytes, refusal: Refusal | None):
    asked = bytearray(kit.associate_rq("US", "THEM", [context(1, CT, EXPLICIT)])[HEADER:])
    asked[offset : offset + len(value)] = value
    assert read_request(bytes(asked)).refusal() is refusal


@pytest.mark.parametrize("refusal", list(Refusal))
def test_a_refusal_reads_as_the_standard_wants(refusal: Refusal):
    pdu = A_ASSOCIATE_RJ()
    pdu.decode(rejection_pdu(refusal))
    assert (pdu.result, pdu.source, pdu.reason_diagnostic) == refusal.value
    assert pdu.reason_str


@pytest.mark.parametrize(
    "contexts",
    [
        [context(2, CT, EXPLICIT)],
        [context(0, CT, EXPLICIT)],
        [context(1, CT, EXPLICIT), context(1, CT, IMPLICIT)],
    ],
    ids=["even", "zero", "twice"],
)
def test_context_ids_are_odd_and_different(contexts: list[kit.ProposedContext]):
    with pytest.raises(ProtocolViolation):
        requested(*contexts)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(67),
        bytes(68) + b"\x20\0\xff\xff",
        bytes(68) + b"\x20\0\0\2\1\0",
        bytes(68) + kit.item(0x20, b"\1\0\0\0" + b"\x30\0\0\x09123"),
        bytes(68) + kit.item(0x50, b"\x51\0"),
        bytes(68) + b"\x10",
    ],
)
def test_lengths_that_lie_are_violations(body: bytes):
    with pytest.raises(ProtocolViolation):
        read_request(body)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_arbitrary_items_are_read_or_refused(tail: bytes):
    try:
        request = read_request(b"\0\1" + bytes(66) + tail)
    except ProtocolViolation:
        return
    assert kit.decode(acceptance(request))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_request_with_bytes_changed_is_read_or_refused(data: st.DataObject):
    asked = bytearray(kit.associate_rq("US", "THEM", [context(1, CT, EXPLICIT, IMPLICIT), context(3, FIND, IMPLICIT)]))
    for _ in range(data.draw(st.integers(1, 4))):
        asked[data.draw(st.integers(HEADER, len(asked) - 1))] = data.draw(st.integers(0, 255))
    try:
        request = read_request(bytes(asked[HEADER:]))
    except ProtocolViolation:
        return
    answer = kit.decode(acceptance(request))
    assert isinstance(answer, kit.AssociateAccept)
    assert {number for number in answer.answers if answer.accepts(number)} == set(request.accepted())


LONGEST = {
    "contexts": bytes(68) + kit.item(0x20, struct.pack(">B3x", 1) + b"\x40\0\0\0" * 16_000) * 16,
    "unknown items": bytes(68) + b"\x99\0\0\0" * 250_000,
}


def read_or_refuse(body: bytes) -> None:
    with suppress(ProtocolViolation):
        read_request(body)


@pytest.mark.parametrize("body", LONGEST.values(), ids=LONGEST.keys())
def test_the_longest_hostile_request_takes_little_time(body: bytes):
    started = time.thread_time()
    read_or_refuse(body)
    assert time.thread_time() - started < 2.0


@pytest.mark.parametrize("body", LONGEST.values(), ids=LONGEST.keys())
def test_the_longest_hostile_request_takes_little_memory(body: bytes):
    tracemalloc.start()
    try:
        read_or_refuse(body)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
