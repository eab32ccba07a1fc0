"""The scripted peer speaks DICOM well enough for stock pynetdicom, and badly where the script says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association

from support.corpus import Corpus, LeftOut
from support.messages import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    VERIFICATION,
    decode_command,
    encode_command,
    encode_dataset,
    find_rsp,
    fragments,
    get_rsp,
    interleave,
    respond,
    store_rq,
)
from support.pdu import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    DataTransfer,
    ProposedContext,
    ReleaseRequest,
    Role,
    abort,
    accept_none,
    accept_only,
    associate_ac,
    associate_rj,
    associate_rq,
    decode,
    p_data,
    pdu,
)
from support.scripted_peer import Conversation, ScriptedPeer
from support.sender import data_set_bytes, send_files
from support.waiting import wait_until

CT = "1.2.840.10008.5.1.4.1.1.2"
Factory = Callable[..., ScriptedPeer]


def associate(peer: ScriptedPeer, *classes: str, **options) -> Association:
    ae = AE("KIT")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 5
    contexts = [build_context(name, IMPLICIT_LITTLE) for name in classes or (VERIFICATION,)]
    return ae.associate(*peer.address, ae_title="SCRIPTED", contexts=contexts, **options)


def person(number: int) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "PATIENT"
    dataset.PatientID = f"ID-{number}"
    dataset.PatientName = f"Doe^Number {number}"
    return dataset


def query() -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "PATIENT"
    dataset.PatientID = ""
    return dataset


def test_an_echo_is_answered_and_the_association_released(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send(respond(peer.receive_message()))
        peer.accept_release()

    peer = scripted_peer(script)
    association = associate(peer)
    assert association.send_c_echo().Status == 0x0000
    association.release()
    peer.finish()
    (conversation,) = peer.conversations
    assert conversation.request is not None
    assert (conversation.request.called, conversation.request.calling) == ("SCRIPTED", "KIT")
    assert conversation.request.contexts[0].abstract_syntax == VERIFICATION
    assert isinstance(conversation.received[-1], ReleaseRequest)


@pytest.mark.expects_log("Association Rejected", "Result: Rejected", "Source: ", "Reason: ")
@pytest.mark.parametrize(
    ("result", "source", "reason"),
    [(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 7), (1, 2, 1), (1, 2, 2), (2, 3, 1), (2, 3, 2)],
)
def test_each_kind_of_rejection_reaches_the_client(scripted_peer: Factory, result: int, source: int, reason: int):
    peer = scripted_peer(lambda conversation: conversation.reject_association(result, source, reason))
    seen: list[tuple[int, int, int]] = []

    def note(event: evt.Event) -> None:
        seen.append((event.pdu.result, event.pdu.source, event.pdu.reason_diagnostic))

    # is_rejected is not asked: pynetdicom takes a rejection that comes very quickly for a failure to connect
    association = associate(peer, evt_handlers=[(evt.EVT_PDU_RECV, note)])
    assert not association.is_established
    peer.finish()
    assert seen == [(result, source, reason)]


@pytest.mark.expects_log("Association Aborted", "No accepted presentation contexts")
def test_refused_contexts_are_seen_as_refused(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(accept_none())
        peer.wait_for_hangup()

    association = associate(scripted_peer(script))
    wait_until(lambda: not association.is_established, what="the client to give up")
    assert [context.result for context in association.rejected_contexts] == [3]


def test_some_contexts_can_be_accepted_and_others_not(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(accept_only(VERIFICATION))
        peer.accept_release()

    association = associate(scripted_peer(script), VERIFICATION, PATIENT_ROOT_FIND)
    assert [context.abstract_syntax for context in association.accepted_contexts] == [VERIFICATION]
    association.release()


@pytest.mark.parametrize(("size", "per_pdu"), [(1, 1), (1, 50), (7, 3), (16000, 1), (16000, 2)])
def test_messages_in_any_fragmentation_arrive_whole(scripted_peer: Factory, size: int, per_pdu: int):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        for number in range(3):
            peer.send(find_rsp(request, person(number)), size=size, per_pdu=per_pdu)
        peer.send(find_rsp(request), size=size, per_pdu=per_pdu)
        peer.accept_release()

    association = associate(scripted_peer(script), PATIENT_ROOT_FIND)
    answers = list(association.send_c_find(query(), PATIENT_ROOT_FIND))
    association.release()
    assert [status.Status for status, _ in answers] == [0xFF00] * 3 + [0x0000]
    assert [identifier.PatientID for _, identifier in answers[:3] if identifier] == ["ID-0", "ID-1", "ID-2"]


def test_a_get_sends_objects_and_counts(scripted_peer: Factory):
    sent = person(1)
    stored: list[tuple[str, str]] = []

    def script(peer: Conversation) -> None:
        request = peer.accept_association()
        get = peer.receive_message()
        peer.send(store_rq(request.context_id(CT), CT, "1.2.3.4", sent))
        assert peer.receive_message().command["Status"] == 0x0000
        peer.send(get_rsp(get, 0xFF00, remaining=0, completed=1))
        peer.send(get_rsp(get, completed=1))
        peer.accept_release()

    def keep(event: evt.Event) -> int:
        stored.append((event.request.AffectedSOPInstanceUID, event.dataset.PatientID))
        return 0x0000

    peer = scripted_peer(script)
    roles = [build_role(CT, scp_role=True)]
    association = associate(peer, PATIENT_ROOT_GET, CT, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, keep)])
    answers = list(association.send_c_get(query(), PATIENT_ROOT_GET))
    association.release()
    peer.finish()
    assert stored == [("1.2.3.4", "ID-1")]
    assert answers[-1][0].NumberOfCompletedSuboperations == 1
    assert peer.conversations[0].request is not None
    assert [(role.sop_class, role.scp) for role in peer.conversations[0].request.roles] == [(CT, True)]


@pytest.mark.expects_log("Connection closed")
def test_half_a_message_and_then_an_abort(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(find_rsp(request, person(1)))
        pdus = fragments(request.context_id, encode_dataset(person(2)), is_command=False, size=10)
        peer.send(p_data(pdus[0]))
        peer.abort(source=2, reason=1)

    association = associate(scripted_peer(script), PATIENT_ROOT_FIND)
    answers = list(association.send_c_find(query(), PATIENT_ROOT_FIND))
    assert [bool(status) for status, _ in answers] == [True, False]
    wait_until(lambda: association.is_aborted, what="the client to see the abort")


def test_half_a_pdu_and_then_silence_until_the_test_ends(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        request = peer.receive_association()
        peer.send_half(associate_ac(request))
        peer.stay_silent()

    peer = scripted_peer(script)
    with socket.create_connection(peer.address, timeout=0.3) as client:
        client.sendall(pdu(0x01, bytes(68)))
        first = client.recv(4096)
        assert first[0] == 0x02
        assert len(first) < int.from_bytes(first[2:6], "big") + 6
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_a_reset_a_wait_and_a_hangup(scripted_peer: Factory):
    go = threading.Event()

    def resets(peer: Conversation) -> None:
        peer.wait_for(go)
        peer.reset()

    def listens(peer: Conversation) -> None:
        assert peer.wait_for_hangup() == [Abort(0, 0)]

    peer = scripted_peer(resets, listens)
    with socket.create_connection(peer.address, timeout=5) as client:
        go.set()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with socket.create_connection(peer.address, timeout=5) as client:
        client.sendall(abort())
    peer.finish()
    assert len(peer.conversations) == 2


def test_what_a_script_raises_fails_the_test():
    def script(peer: Conversation) -> None:
        peer.receive_message()

    peer = ScriptedPeer(script)
    with socket.create_connection(peer.address, timeout=5) as client:
        client.sendall(abort())
        assert client.recv(1) == b""
    with pytest.raises(AssertionError, match="Expected P-DATA-TF"):
        peer.close()


def test_command_sets_and_data_pdus_survive_encoding_and_decoding():
    command = {"AffectedSOPClassUID": VERIFICATION, "CommandField": 0x0030, "MessageID": 7, "CommandDataSetType": 0x101}
    assert decode_command(encode_command(command)) == command
    first = fragments(1, b"abcdef", is_command=True, size=4)
    second = fragments(3, b"xy", is_command=False)
    found = decode(p_data(*interleave(first, second)))
    assert isinstance(found, DataTransfer)
    assert [value.data for value in found.pdvs] == [b"abcd", b"xy", b"ef"]
    assert [value.is_last for value in found.pdvs] == [False, True, True]


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_data_sets_are_encoded_in_both_plain_transfer_syntaxes(syntax: str):
    message = store_rq(1, CT, "1.2.3", person(5), transfer_syntax=syntax)
    assert message.dataset(syntax) == person(5)


def test_a_pdu_can_lie_about_its_length():
    assert pdu(0x04, b"abc", claimed_length=0xFFFFFFFF)[:6] == b"\x04\x00\xff\xff\xff\xff"


def test_both_answers_to_an_association_request_can_be_decoded():
    proposed = [ProposedContext(1, VERIFICATION, (IMPLICIT_LITTLE,)), ProposedContext(3, CT, (EXPLICIT_LITTLE,))]
    request = decode(associate_rq("CALLED", "CALLING", proposed, max_length=4096, roles=[Role(CT, False, True)]))
    assert isinstance(request, AssociateRequest)
    assert (request.called, request.calling, request.max_length) == ("CALLED", "CALLING", 4096)
    assert (list(request.contexts), request.roles) == (proposed, (Role(CT, False, True),))
    answer = decode(associate_ac(request, accept_only(CT), max_length=8192))
    assert isinstance(answer, AssociateAccept)
    assert (answer.accepts(1), answer.accepts(3), answer.max_length) == (False, True, 8192)
    assert decode(associate_rj(2, 3, 1)) == AssociateReject(2, 3, 1)


def test_the_kits_sender_sends_files_byte_for_byte_and_goes_on_after_an_abort(scripted_peer: Factory, corpus: Corpus):
    names = ("CT_small.dcm", "MR2_J2KR.dcm", "image_dfl.dcm", "rtplan.dcm")
    files = [file for file in corpus.files if file.path.name in names]
    got: list[bytes] = []

    def keep(peer: Conversation) -> None:
        message = peer.receive_message()
        got.append(message.data or b"")
        peer.send(respond(message))

    def aborts_after_one(peer: Conversation) -> None:
        peer.accept_association()
        keep(peer)
        peer.receive_message()
        peer.abort()

    def takes_two(peer: Conversation) -> None:
        peer.accept_association()
        keep(peer)
        keep(peer)
        peer.accept_release()

    peer = scripted_peer(aborts_after_one, takes_two)
    (refused,) = send_files(peer.address, "SCRIPTED", files)
    assert refused == LeftOut(files[1].path, "the server ended the association over it")
    assert got == [data_set_bytes(file.path.read_bytes()) for file in (files[0], *files[2:])]
    for file, data in zip(files[2:], got[1:], strict=True):
        assert file.path.read_bytes().endswith((data, data[:-1])), file.path.name
