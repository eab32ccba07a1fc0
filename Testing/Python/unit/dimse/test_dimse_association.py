"""Associations with peers that stall, cut, lie, fragment, or end in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from support import pdu as kit
from support.client import Background, MemoryHandler, at_most, chain, fetch, server_at, storage, until_hangup
from support.fault_proxy import Cut, FaultProxy, Stall, Throttle
from support.messages import (
    STUDY_ROOT_GET,
    VERIFICATION,
    Message,
    encode_command,
    encode_message,
    fragments,
    get_rsp,
    interleave,
    pdvs,
    respond,
    store_rq,
)
from support.scripted_peer import Conversation, Script, ScriptedPeer
from VisualDICOMBrowserLib.dimse import association as module
from VisualDICOMBrowserLib.dimse import command as c
from VisualDICOMBrowserLib.dimse.association import Association, timers_for
from VisualDICOMBrowserLib.dimse.contexts import Proposal
from VisualDICOMBrowserLib.dimse.echo import echo
from VisualDICOMBrowserLib.dimse.transport import Timers
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import (
    AssociationRejected,
    Cancelled,
    ConnectionLost,
    NoCommonContext,
    OperationRefused,
    PeerStalled,
    ProtocolViolation,
)

Factory = Callable[..., ScriptedPeer]
Proxies = Callable[..., FaultProxy]
CT = "1.2.840.10008.5.1.4.1.1.2"
TIMERS = Timers(connect=2.0, association=0.5, stall=0.5, release=0.5)
PATIENT = Timers(connect=30.0, association=30.0, stall=30.0, release=30.0)
INVALID_PARAMETER = kit.Abort(2, 6)
BY_USER = kit.Abort(0, 0)
DATA = bytes(i * 7 % 256 for i in range(100_000))
KEYS = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}


def associate(peer: ScriptedPeer, timers: Timers = TIMERS, token: CancelToken | None = None, *classes: str) -> None:
    """Associate and release again."""
    with Association.request(server_at(peer.address), proposals(*classes), token or CancelToken(), timers):
        pass


def proposals(*classes: str) -> list[Proposal]:
    return [Proposal(name) for name in classes or (VERIFICATION,)]


def receive(peer: ScriptedPeer, timers: Timers = TIMERS) -> Message:
    with Association.request(server_at(peer.address), proposals(), CancelToken(), timers) as association:
        return association.receive()


def answering(send: Script, *, ending: Script | None = None) -> Script:
    """Accept the association, let ``send`` do what it wants, then wait for the client to end."""

    def script(peer: Conversation) -> None:
        peer.accept_association()
        send(peer)
        (ending or Conversation.wait_for_hangup)(peer)

    return script


RELEASE = Conversation.accept_release


# Setting up


def test_an_echo_is_answered_and_the_association_released(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send(respond(peer.receive_message()))
        peer.accept_release()

    peer = scripted_peer(script)
    echo(server_at(peer.address), CancelToken())
    peer.finish()
    request = peer.conversations[0].request
    assert request is not None
    assert (request.called, request.calling) == ("SCRIPTED", "KIT")


@pytest.mark.parametrize(("status", "retryable"), [(0x0122, False), (0x0213, True)])
def test_a_refused_echo_tells_the_status(scripted_peer: Factory, status: int, retryable: bool):
    peer = scripted_peer(answering(lambda peer: peer.send(respond(peer.receive_message(), status)), ending=RELEASE))
    with pytest.raises(OperationRefused, match=f"0x{status:04X}") as caught:
        echo(server_at(peer.address), CancelToken())
    assert (caught.value.status, caught.value.retryable) == (status, retryable)


def test_an_echo_answered_by_something_else_is_a_violation(scripted_peer: Factory):
    def send(peer: Conversation) -> None:
        request = peer.receive_message()
        peer.send(Message({**respond(request).command, "CommandField": 0x8020}, None, request.context_id))

    with pytest.raises(ProtocolViolation, match="another message"):
        echo(server_at(scripted_peer(answering(send)).address), CancelToken())


def test_silence_instead_of_an_answer_is_a_stall_and_told_to_the_peer(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.receive_association()
        assert peer.wait_for_hangup() == [BY_USER]

    peer = scripted_peer(script)
    with at_most(1.5), pytest.raises(PeerStalled, match=r"did not answer the association request within 0\.5 seconds"):
        associate(peer)
    peer.finish()


def test_an_answer_that_trickles_is_given_up_in_time(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.receive_association()
        peer.send(kit.pdu(2, b"", claimed_length=1_000_000))
        until_hangup(peer, lambda: b"x", pause=0.004)

    with at_most(1.5), pytest.raises(PeerStalled, match="did not answer the association request"):
        associate(scripted_peer(script))


def hangs_up(peer: Conversation) -> None:
    peer.receive_association()


def resets(peer: Conversation) -> None:
    peer.receive_association()
    peer.reset()


def aborts(peer: Conversation) -> None:
    peer.receive_association()
    peer.abort(2, 1)


@pytest.mark.parametrize("script", [hangs_up, resets, aborts])
def test_an_end_instead_of_an_answer_is_a_lost_connection(scripted_peer: Factory, script: Script):
    with at_most(1.0), pytest.raises(ConnectionLost) as caught:
        associate(scripted_peer(script))
    assert caught.value.retryable


def answers(data: bytes) -> Script:
    def script(peer: Conversation) -> None:
        peer.receive_association()
        peer.send(data)
        assert peer.wait_for_hangup() == [INVALID_PARAMETER]

    return script


NO_ANSWERS = {
    "a web page": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "4 GiB": kit.pdu(2, bytes(1000), claimed_length=0xFFFFFFFF),
    "P-DATA": kit.p_data(kit.Pdv(1, b"data", True, True)),
    "A-RELEASE-RP": kit.release_rp(),
    "A-ASSOCIATE-RQ": kit.pdu(1, bytes(68)),
    "half an answer": kit.pdu(2, bytes(60)),
    "short rejection": kit.pdu(3, b"\0"),
}


@pytest.mark.parametrize("name", [name for name in NO_ANSWERS if name != "short rejection"])
def test_what_is_no_answer_is_a_violation_and_told_to_the_peer(scripted_peer: Factory, name: str):
    peer = scripted_peer(answers(NO_ANSWERS[name]))
    with pytest.raises(ProtocolViolation):
        associate(peer)
    peer.finish()


def test_a_rejection_that_ends_early_is_a_violation(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.receive_association()
        peer.send(NO_ANSWERS["short rejection"])
        peer.wait_for_hangup()

    with pytest.raises(ProtocolViolation, match="refused the association with damaged data"):
        associate(scripted_peer(script))


@pytest.mark.parametrize(("reason", "retryable"), [((1, 1, 7), False), ((2, 3, 2), True)])
def test_a_rejection_is_final_and_no_abort_follows(
    scripted_peer: Factory, reason: tuple[int, int, int], retryable: bool
):
    def script(peer: Conversation) -> None:
        peer.receive_association()
        peer.send(kit.associate_rj(*reason))
        assert peer.wait_for_hangup() == []

    peer = scripted_peer(script)
    with pytest.raises(AssociationRejected) as caught:
        associate(peer)
    assert caught.value.retryable is retryable
    peer.finish()


def test_without_common_context_the_association_is_released(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(kit.accept_none())
        peer.accept_release()

    peer = scripted_peer(script)
    with pytest.raises(NoCommonContext):
        associate(peer)
    peer.finish()


def test_a_service_that_was_not_accepted_has_no_context(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(kit.accept_only(VERIFICATION))
        assert peer.wait_for_abort() == BY_USER

    peer = scripted_peer(script)
    server = server_at(peer.address)
    with (
        pytest.raises(NoCommonContext, match="does not offer"),
        Association.request(server, proposals(VERIFICATION, STUDY_ROOT_GET), CancelToken()) as association,
    ):
        association.context_for(STUDY_ROOT_GET)
    peer.finish()


def test_a_peer_that_takes_hardly_a_byte_is_refused(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(max_length=20)
        assert peer.wait_for_abort() == INVALID_PARAMETER

    peer = scripted_peer(script)
    with pytest.raises(ProtocolViolation, match="PDUs of 20 bytes only"):
        associate(peer)
    peer.finish()


def test_times_follow_the_servers_setting():
    assert timers_for(server_at(("h", 1), timeout=0.5)) == Timers(stall=0.5, association=1.0)
    assert timers_for(server_at(("h", 1), timeout=60)) == Timers(stall=60, association=10.0)


# Sending


@pytest.mark.parametrize("max_length", [128, 4096, 16383, 0])
def test_our_pdus_are_no_longer_than_the_peer_takes(scripted_peer: Factory, max_length: int):
    got: list[Message] = []

    def script(peer: Conversation) -> None:
        peer.accept_association(max_length=max_length)
        got.append(peer.receive_message())
        peer.accept_release()

    peer = scripted_peer(script)
    with Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS) as association:
        association.send(1, {c.COMMAND_FIELD: 0x0020, c.MESSAGE_ID: 1, c.DATA_SET_TYPE: 1}, DATA)
    peer.finish()
    assert got[0].data == DATA
    sent = [found for found in peer.conversations[0].received if isinstance(found, kit.DataTransfer)]
    longest = max(sum(6 + len(value.data) for value in found.pdvs) for found in sent)
    limit = max_length or 128 * 1024
    assert limit - 2 <= longest <= limit or longest == len(DATA) + 6


def test_a_peer_that_stops_reading_is_a_stall(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.stay_silent()

    peer = scripted_peer(script)
    with (
        at_most(0.5 + 1 + 0.5),  # and the time that an A-ABORT may take to leave
        pytest.raises(PeerStalled, match="accepted no data"),
        Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS) as association,
    ):
        association.send(1, {c.COMMAND_FIELD: 0x0020, c.MESSAGE_ID: 1, c.DATA_SET_TYPE: 1}, bytes(32 << 20))


def test_message_ids_count_up_and_begin_again(scripted_peer: Factory):
    peer = scripted_peer(answering(lambda peer: None, ending=Conversation.accept_release))
    with Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS) as association:
        assert [association.next_message_id() for _ in range(3)] == [1, 2, 3]
        ids = {association.next_message_id() for _ in range(0xFFFF)}
        assert (min(ids), max(ids)) == (1, 0xFFFF)


# Receiving

STORE = store_rq(3, CT, "1.2.3.4", DATA)


def stores(peer: Conversation, send: Callable[[], None]) -> None:
    """Serve a C-GET: ``send`` sends the C-STORE request; its answer ends the C-GET."""
    peer.accept_association()
    request = peer.receive_message()
    send()
    answer = peer.receive_message()
    assert answer.command["Status"] == 0
    peer.send(get_rsp(request, completed=1))
    peer.accept_release()


@pytest.mark.parametrize(
    ("size", "per_pdu", "length"),
    [(1, 1, 3000), (1, 500, 20_000), (7, 3, 9000), (16370, 8, 100_000), (131066, 1, 100_000), (60_000, 2, 100_000)],
)
def test_fragments_of_any_size_give_identical_data(scripted_peer: Factory, size: int, per_pdu: int, length: int):
    message = store_rq(3, CT, "1.2.3.4", DATA[:length])
    peer = scripted_peer(lambda peer: stores(peer, lambda: peer.send(message, size=size, per_pdu=per_pdu)))
    handler = MemoryHandler()
    fetch(server_at(peer.address), KEYS, handler, storage(CT))
    assert handler.data() == {"1.2.3.4": DATA[:length]}
    assert handler.instances["1.2.3.4"].fragments == -(-length // size)
    peer.finish()


def test_empty_fragments_change_nothing(scripted_peer: Factory):
    values = [part for value in pdvs(STORE, 30_000) for part in (kit.Pdv(3, b"", value.is_command, False), value)]
    data = b"".join(kit.p_data(value) for value in values)
    handler = MemoryHandler()
    fetch(server_at(scripted_peer(lambda p: stores(p, lambda: p.send(data))).address), KEYS, handler, storage(CT))
    assert handler.data() == {"1.2.3.4": DATA}


def test_a_slow_transfer_is_not_cut_while_bytes_flow(scripted_peer: Factory, fault_proxy: Proxies):
    message = store_rq(3, CT, "1.2.3.4", DATA[:30_000])
    peer = scripted_peer(lambda peer: stores(peer, lambda: peer.send(message)))
    proxy = fault_proxy(peer.address, to_client=[Throttle(after=1000, bytes_per_second=16_000)])
    handler = MemoryHandler()
    fetch(server_at(proxy.address, timeout=0.5), KEYS, handler, storage(CT))  # takes almost 2 s
    assert handler.data() == {"1.2.3.4": DATA[:30_000]}


def test_a_stall_within_a_pdu_ends_in_time_and_is_told_to_the_peer(scripted_peer: Factory):
    def send(peer: Conversation) -> None:
        peer.receive_message()
        peer.send_half(STORE)
        assert peer.wait_for_abort() == BY_USER

    peer, handler = scripted_peer(answering(send)), MemoryHandler()
    with at_most(0.5 + 1), pytest.raises(PeerStalled, match=r"sent no data for 0\.5 seconds"):
        fetch(server_at(peer.address, timeout=0.5), KEYS, handler, storage(CT))
    assert handler.discarded == ["1.2.3.4"]
    peer.finish()


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
def test_a_stall_on_the_way_ends_in_time(scripted_peer: Factory, fault_proxy: Proxies, direction: str):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send(STORE)
        peer.wait_for_hangup()

    # the association is made; then the instance, or our request for it, gets stuck
    after = 1000 if direction == "to_client" else 400
    proxy = fault_proxy(scripted_peer(script).address, **{direction: [Stall(after=after)]})
    with at_most(1.0 + 1), pytest.raises(PeerStalled):
        fetch(server_at(proxy.address, timeout=0.5), KEYS, MemoryHandler(), storage(CT))
    assert proxy.happened.is_set()


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("after", [3000, 50_000])
def test_a_cut_within_a_pdu_is_a_lost_connection(scripted_peer: Factory, fault_proxy: Proxies, reset: bool, after: int):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        until_hangup(peer, lambda: STORE)

    proxy = fault_proxy(scripted_peer(script).address, to_client=[Cut(after=after, reset=reset)])
    handler = MemoryHandler()
    with at_most(3.0), pytest.raises(ConnectionLost) as caught:
        fetch(server_at(proxy.address), KEYS, handler, storage(CT))
    assert caught.value.retryable
    assert (handler.data(), handler.discarded) == ({}, ["1.2.3.4"])


def test_an_abort_in_the_middle_is_a_lost_connection(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.send(kit.p_data(*pdvs(STORE)[:2]))
        peer.send(kit.abort(2, 0))
        assert peer.wait_for_hangup() == []

    peer, handler = scripted_peer(script), MemoryHandler()
    with pytest.raises(ConnectionLost, match="aborted"):
        fetch(server_at(peer.address), KEYS, handler, storage(CT))
    assert handler.discarded == ["1.2.3.4"]
    peer.finish()


def test_a_release_in_the_middle_is_confirmed_and_a_lost_connection(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.send(kit.release_rq())
        assert peer.wait_for_hangup() == [kit.ReleaseReply()]

    peer = scripted_peer(script)
    with pytest.raises(ConnectionLost, match="ended the association"):
        fetch(server_at(peer.address), KEYS, MemoryHandler(), storage(CT))
    peer.finish()


ECHO_RSP = {"CommandField": 0x8030, "MessageIDBeingRespondedTo": 1, "CommandDataSetType": 0x0101, "Status": 0}
ANNOUNCED = {**ECHO_RSP, "CommandDataSetType": 1}
COMMAND = encode_command(ECHO_RSP)
VIOLATIONS = {
    "unknown context id": (encode_message(Message(ECHO_RSP, None, 77)), "not agreed on"),
    "context id that was proposed but refused": (encode_message(Message(ECHO_RSP, None, 3)), "not agreed on"),
    "data instead of a command": (kit.p_data(kit.Pdv(1, COMMAND, False, True)), "mixed up"),
    "data set announced, another message instead": (encode_message(Message(ANNOUNCED, None, 1)) * 2, "mixed up"),
    "two commands interleaved": (
        b"".join(
            kit.p_data(value)
            for value in interleave(
                fragments(1, COMMAND, is_command=True, size=20), fragments(5, COMMAND, is_command=True, size=20)
            )
        ),
        "mixed up",
    ),
    "data set in another context": (
        encode_message(Message(ANNOUNCED, None, 1)) + kit.p_data(kit.Pdv(5, b"data", False, True)),
        "mixed up",
    ),
    "empty P-DATA": (kit.pdu(4, b""), "empty"),
    "value longer than its PDU": (kit.pdu(4, b"\0\0\xff\xff\1\3"), "longer than its PDU"),
    "value of length 0": (kit.pdu(4, bytes(6)), "longer than its PDU"),
    "PDU longer than agreed": (kit.pdu(4, bytes(100), claimed_length=140_000), "more than was agreed"),
    "PDU of 4 GiB": (kit.pdu(4, bytes(100), claimed_length=0xFFFFFFFF), "more than was agreed"),
    "unknown PDU": (kit.pdu(9, b""), "unknown PDU type"),
    "another A-ASSOCIATE-AC": (kit.pdu(2, bytes(68)), "does not belong"),
    "A-RELEASE-RP without request": (kit.release_rp(), "does not belong"),
    "command without field": (encode_message(Message({"Status": 0}, None, 1)), "0000,0800"),
    "damaged command": (kit.p_data(kit.Pdv(1, COMMAND[:-1], True, True)), "damaged command"),
    "endless command": (
        kit.p_data(*fragments(1, bytes(70_000), is_command=True)),
        "endless command",
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violations_are_named_and_told_to_the_peer(scripted_peer: Factory, name: str):
    data, part = VIOLATIONS[name]

    def choose(context: kit.ProposedContext) -> tuple[int, str]:
        return (3 if context.context_id == 3 else 0), context.transfer_syntaxes[0]

    def script(peer: Conversation) -> None:
        peer.accept_association(choose)
        peer.send(data)
        assert peer.wait_for_hangup() == [INVALID_PARAMETER]

    peer = scripted_peer(script)
    wanted = proposals(VERIFICATION, CT, STUDY_ROOT_GET)
    with (
        at_most(1.0),
        pytest.raises(ProtocolViolation, match=part) as caught,
        Association.request(server_at(peer.address), wanted, CancelToken(), TIMERS) as association,
    ):
        association.receive()
    assert not caught.value.retryable
    peer.finish()


def test_a_data_set_that_was_announced_but_never_comes_is_a_stall(scripted_peer: Factory):
    peer = scripted_peer(answering(lambda peer: peer.send(Message(ANNOUNCED, None, 1))))
    with at_most(1.5), pytest.raises(PeerStalled):
        receive(peer)


def test_an_identifier_without_end_is_refused(scripted_peer: Factory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_IDENTIFIER_LENGTH", 1_000_000)
    endless = kit.p_data(kit.Pdv(1, bytes(100_000), False, False))

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send(Message(ANNOUNCED, None, 1))
        until_hangup(peer, lambda: endless)

    with at_most(2.0), pytest.raises(ProtocolViolation, match="unreasonable length"):
        receive(scripted_peer(script))


def test_bytes_are_counted(scripted_peer: Factory):
    message = encode_message(Message(ECHO_RSP, None, 1))
    peer = scripted_peer(answering(lambda peer: peer.send(message), ending=Conversation.accept_release))
    with Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS) as association:
        before = association.bytes_in
        association.receive()
        assert before + len(message) >= association.bytes_in > 0
        assert association.bytes_in > 100


def test_used_after_its_end_an_association_says_that_it_is_closed(scripted_peer: Factory):
    peer = scripted_peer(answering(lambda peer: None, ending=Conversation.accept_release))
    with Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS) as association:
        pass
    with pytest.raises(ConnectionLost):
        association.receive()
    with pytest.raises(ConnectionLost):
        association.send(1, ECHO)


ECHO = {c.COMMAND_FIELD: c.C_ECHO_RQ, c.MESSAGE_ID: 1, c.DATA_SET_TYPE: c.NO_DATA_SET}


# Ending


def test_a_release_that_is_not_answered_ends_in_time_and_is_no_error(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        assert peer.wait_for_hangup() == [kit.ReleaseRequest()]

    peer = scripted_peer(script)
    with at_most(1.5):
        associate(peer)
    peer.finish()


def test_a_flood_instead_of_the_answer_to_a_release_ends_in_time(scripted_peer: Factory):
    flood = kit.p_data(kit.Pdv(1, bytes(10_000), False, False))

    def script(peer: Conversation) -> None:
        peer.accept_association()
        until_hangup(peer, lambda: flood)

    peer = scripted_peer(script)
    with at_most(1.5):
        associate(peer)
    assert len(peer.conversations) == 1  # it was that peer, once, and the end came from our side


def test_both_releasing_at_once_confirm_each_other(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send(kit.release_rq())
        assert peer.receive_pdu() == kit.ReleaseRequest()
        assert peer.receive_pdu() == kit.ReleaseReply()
        peer.send(kit.release_rp())
        assert peer.wait_for_hangup() == []

    peer = scripted_peer(script)
    with at_most(0.4):
        associate(peer)
    peer.finish()


def test_after_a_refusal_the_association_is_released(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.accept_release()

    peer = scripted_peer(script)
    with (
        pytest.raises(OperationRefused),
        Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS),
    ):
        raise OperationRefused("No.", 0xC001)
    peer.finish()


def test_an_error_of_our_own_aborts_the_association(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        assert peer.wait_for_hangup() == [BY_USER]

    peer = scripted_peer(script)
    with (
        pytest.raises(ZeroDivisionError),
        Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS),
    ):
        1 / 0  # noqa: B018
    peer.finish()


def test_an_abandoned_association_is_aborted_once_and_not_released(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        assert peer.wait_for_hangup() == [BY_USER]

    peer = scripted_peer(script)
    with Association.request(server_at(peer.address), proposals(), CancelToken(), TIMERS) as association:
        association.abandon()
        with pytest.raises(ConnectionLost):
            association.receive()
    peer.finish()


# Cancelling


def waits_for_the_answer(peer: Conversation, waiting: threading.Event) -> None:
    peer.receive_association()
    waiting.set()
    peer.wait_for_hangup()


def waits_within_a_pdu(peer: Conversation, waiting: threading.Event) -> None:
    peer.accept_association()
    peer.receive_message()
    peer.send_half(STORE)
    waiting.set()
    peer.wait_for_hangup()


def waits_between_messages(peer: Conversation, waiting: threading.Event) -> None:
    peer.accept_association()
    peer.receive_message()
    waiting.set()
    peer.wait_for_hangup()


def waits_while_bytes_flow(peer: Conversation, waiting: threading.Event) -> None:
    peer.accept_association()
    peer.receive_message()
    peer.send(kit.p_data(*pdvs(STORE, 60_000)[:2]))
    waiting.set()
    until_hangup(peer, lambda: kit.p_data(kit.Pdv(3, bytes(1000), False, False)))


@pytest.mark.parametrize(
    "script", [waits_for_the_answer, waits_within_a_pdu, waits_between_messages, waits_while_bytes_flow]
)
def test_cancelling_ends_any_wait_soon(scripted_peer: Factory, script: Callable[[Conversation, threading.Event], None]):
    waiting, token, handler = threading.Event(), CancelToken(), MemoryHandler()
    server = server_at(scripted_peer(lambda peer: script(peer, waiting)).address, timeout=60)
    work = Background(lambda: fetch(server, KEYS, handler, storage(CT), token=token))
    assert waiting.wait(10)
    token.cancel()
    assert isinstance(work.ended_by(2.0), Cancelled)
    assert handler.data() == {}
    assert handler.discarded == handler.opened


def test_cancelling_ends_the_wait_for_a_peer_that_stops_reading(scripted_peer: Factory):
    token, sending = CancelToken(), threading.Event()

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_pdu()
        sending.set()
        peer.stay_silent()

    server = server_at(scripted_peer(script).address)

    def work() -> None:
        with Association.request(server, proposals(), token, PATIENT) as association:
            association.send(1, {**ECHO, c.DATA_SET_TYPE: 1}, bytes(64 << 20))

    background = Background(work)
    assert sending.wait(10)
    token.cancel()
    assert isinstance(background.ended_by(2.0), Cancelled)


def test_cancelling_ends_the_wait_for_a_release_and_the_work_is_done(scripted_peer: Factory):
    token, releasing = CancelToken(), threading.Event()

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_pdu()
        releasing.set()
        peer.stay_silent()

    peer = scripted_peer(script)
    work = Background(lambda: associate(peer, PATIENT, token))
    assert releasing.wait(10)
    token.cancel()
    assert work.ended_by(1.0) is None


def test_errors_hold_nothing_of_what_the_peer_said(scripted_peer: Factory):
    secret = Message({**ECHO_RSP, "Status": 0xC001, "ErrorComment": "Secret^Name"}, None, 1)
    peer = scripted_peer(answering(lambda peer: peer.receive_message() and peer.send(secret), ending=RELEASE))
    with pytest.raises(OperationRefused) as caught:
        echo(server_at(peer.address), CancelToken())
    assert "Secret" not in "".join(map(repr, chain(caught.value)))
