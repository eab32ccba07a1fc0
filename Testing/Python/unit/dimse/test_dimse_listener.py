"""The listener: who gets in, what is answered, and what strangers may cost."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import pdu as kit
from support.caller import (
    AET,
    CONTEXTS,
    CT,
    MemoryGuest,
    MemoryReception,
    ask,
    associated,
    calling,
    release,
    status_of,
)
from support.certificates import Authority, listener_tls
from support.client import at_most, until_hangup
from support.loopback_server import HOST
from support.messages import (
    VERIFICATION,
    Message,
    encode_command,
    encode_message,
    fragments,
    pdvs,
    store_rq,
)
from support.pdu import EXPLICIT_LITTLE
from support.scripted_peer import Conversation
from support.waiting import wait_until
from VisualDICOMBrowserLib.dimse.echo import echo
from VisualDICOMBrowserLib.dimse.listener import Listener
from VisualDICOMBrowserLib.dimse.tls import ClientTls, client_tls, listener_context
from VisualDICOMBrowserLib.dimse.transport import Connection, Timers, plain_address
from VisualDICOMBrowserLib.dimse.visits import Limits
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import (
    BadData,
    ConnectionLost,
    DataSetMismatch,
    StorageError,
    Unwanted,
    UsageError,
    VisualDicomError,
)
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.domain.tls import TlsSettings

DATA = bytes(i * 7 % 256 for i in range(50_000))
INVALID = kit.Abort(2, 6)
ECHO = Message(
    {"AffectedSOPClassUID": VERIFICATION, "CommandField": 0x30, "MessageID": 7, "CommandDataSetType": 0x0101}, None, 1
)
SHORT = Limits(first=0.5, stall=0.5, idle=0.5)


def instance(number: int = 1, data: bytes = DATA, context: int = 3, sop_class: str = CT) -> Message:
    return store_rq(context, sop_class, f"1.4.{number}", data, message_id=number)


@pytest.fixture
def reception() -> MemoryReception:
    return MemoryReception()


@pytest.fixture
def listener(reception: MemoryReception) -> Iterator[Listener]:
    with Listener(AET, HOST, 0, reception) as made:
        yield made


@pytest.fixture
def hasty(reception: MemoryReception) -> Iterator[Listener]:
    """A listener with no patience."""
    with Listener(AET, HOST, 0, reception, SHORT) as made:
        yield made


def callers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "vdb-caller"]


def alone() -> None:
    """Wait until nobody is connected any more."""
    wait_until(lambda: not callers(), what="the connections to end")


# The ordinary course


def test_our_own_echo_is_answered(listener: Listener):
    assert echo(Server("us", HOST, listener.port, AET, "CALLER"), CancelToken()) is None  # else it raises


def test_instances_are_kept_and_confirmed(listener: Listener, reception: MemoryReception):
    with associated(listener) as peer:
        assert [status_of(peer, instance(n)) for n in (1, 2, 3)] == [0, 0, 0]
        assert status_of(peer, ECHO) == 0
        release(peer)
    alone()
    assert reception.data() == {f"1.4.{n}": DATA for n in (1, 2, 3)}
    assert reception.guests[0].reasons == [""]
    assert (reception.callers[0].address, reception.callers[0].calling_aet) == (HOST, "CALLER")


def test_the_answer_names_the_instance(listener: Listener):
    with associated(listener) as peer:
        peer.send(instance(5))
        answer = peer.receive_message()
    assert (answer.command["AffectedSOPClassUID"], answer.command["AffectedSOPInstanceUID"]) == (CT, "1.4.5")
    assert (answer.command["CommandField"], answer.context_id, answer.data) == (0x8001, 3, None)


@pytest.mark.parametrize(("size", "per_pdu"), [(1, 1000), (2, 7), (16000, 1), (100_000, 1)])
def test_fragments_of_any_size_make_the_same_instance(
    listener: Listener, reception: MemoryReception, size: int, per_pdu: int
):
    message = instance(1, DATA[:3000])
    with associated(listener) as peer:
        peer.send(message, size=size, per_pdu=per_pdu)
        assert peer.receive_message().command["Status"] == 0
    assert reception.data() == {"1.4.1": DATA[:3000]}


def test_command_and_data_set_may_share_a_pdu_with_the_next_message(listener: Listener, reception: MemoryReception):
    with associated(listener) as peer:
        peer.send(kit.p_data(*pdvs(instance(1, DATA[:100])), *pdvs(instance(2, DATA[:50])), *pdvs(ECHO)))
        answered = [peer.receive_message().command["MessageIDBeingRespondedTo"] for _ in range(3)]
    assert answered == [1, 2, 7]
    assert sorted(reception.data()) == ["1.4.1", "1.4.2"]


def test_several_send_at_once(listener: Listener, reception: MemoryReception):
    def send(number: int) -> None:
        with associated(listener) as peer:
            for step in range(10):
                assert status_of(peer, instance(number * 100 + step)) == 0
            release(peer)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reception.data()) == 80
    alone()


def test_a_cancel_is_passed_over(listener: Listener):
    cancel = Message({"CommandField": 0x0FFF, "MessageIDBeingRespondedTo": 1, "CommandDataSetType": 0x0101}, None, 3)
    with associated(listener) as peer:
        peer.send(cancel)
        assert status_of(peer, ECHO) == 0


@pytest.mark.parametrize("address", ["::1", "::"])
def test_ipv6_is_listened_at(reception: MemoryReception, address: str):
    try:
        made = Listener(AET, address, 0, reception)
    except UsageError:
        pytest.skip("This system has no IPv6.")
    with made, calling(made.port, "::1") as peer:
        assert isinstance(ask(peer), kit.AssociateAccept)
    assert reception.callers[0].address == "::1"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [("::ffff:10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1"), ("10.0.0.1", "10.0.0.1"), ("0:0::1", "::1")],
)
def test_addresses_are_compared_in_one_form(raw: str, plain: str):
    assert plain_address(raw) == plain


# Who gets in


def test_another_called_title_is_refused(listener: Listener, reception: MemoryReception):
    with calling(listener.port) as peer:
        assert ask(peer, called="SOMEBODY") == kit.AssociateReject(1, 1, 7)
    assert reception.callers == []
    ((caller, reason),) = reception.turned
    assert (caller.address, reason) == (HOST, f"It called SOMEBODY, and we are {AET}.")


def test_whom_the_reception_does_not_know_is_refused():
    reception = MemoryReception(allowed=["FRIEND"])
    with Listener(AET, HOST, 0, reception) as made:
        with calling(made.port) as peer:
            assert ask(peer, title="STRANGER") == kit.AssociateReject(1, 1, 3)
        assert [caller.calling_aet for caller, _ in reception.turned] == ["STRANGER"]
        with associated(made, title="FRIEND") as peer:
            assert status_of(peer, ECHO) == 0


def test_more_than_the_limit_are_refused_for_the_moment(reception: MemoryReception):
    with Listener(AET, HOST, 0, reception, Limits(associations=2)) as made, ExitStack() as stack:
        first = stack.enter_context(associated(made))
        stack.enter_context(associated(made))
        with calling(made.port) as peer:
            assert ask(peer) == kit.AssociateReject(2, 3, 2)
        assert len(reception.guests) == 2
        assert [reason for _, reason in reception.turned] == [
            "As many associations as this program bears were open already."
        ]
        release(first)
        wait_until(lambda: any(guest.reasons == [""] for guest in reception.guests), what="a place")
        wait_until(lambda: len(callers()) == 1, what="a place")
        with associated(made) as peer:
            assert status_of(peer, ECHO) == 0


def test_a_service_we_do_not_offer_is_refused_and_the_rest_works(listener: Listener):
    find = kit.ProposedContext(5, "1.2.840.10008.5.1.4.1.2.2.1", (EXPLICIT_LITTLE,))
    with calling(listener.port) as peer:
        answer = ask(peer, [*CONTEXTS, find])
        assert isinstance(answer, kit.AssociateAccept)
        assert [answer.accepts(n) for n in (1, 3, 5)] == [True, True, False]
        assert status_of(peer, ECHO) == 0


@pytest.mark.expects_log("Serving a connection failed")
def test_a_fault_in_the_reception_costs_only_that_association(listener: Listener, reception: MemoryReception):
    reception.template = MemoryGuest({"write": ZeroDivisionError()})  # type: ignore[dict-item]
    with associated(listener) as peer:
        peer.send(instance())
        assert peer.wait_for_abort() == kit.Abort(0, 0)
    reception.template = MemoryGuest()
    with associated(listener) as peer:
        assert status_of(peer, instance()) == 0


# What is not kept


@pytest.mark.parametrize("where", ["open", "write", "finish"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("The disk is full."), 0xA700),
        (DataSetMismatch("Another."), 0xA900),
        (BadData("Not DICOM."), 0xC000),
        (Unwanted("Nobody asked."), 0x0124),
    ],
)
def test_each_reason_has_its_status_and_the_next_instance_is_taken(
    listener: Listener, reception: MemoryReception, where: str, error: VisualDicomError, status: int
):
    failures = {where: error}
    reception.template = MemoryGuest(failures)
    with associated(listener) as peer:
        assert status_of(peer, instance(1)) == status
        failures.clear()
        assert status_of(peer, instance(2)) == 0
    assert list(reception.data()) == ["1.4.2"]
    assert reception.guests[0].discarded == (["1.4.1"] if where == "write" else [])


@pytest.mark.parametrize("uid", ["", "../../../../evil", "/etc/x", "1.2.3;DROP TABLE", "1" * 65, "1.2 .3", "CON"])
def test_hostile_uids_are_refused(listener: Listener, reception: MemoryReception, uid: str):
    with associated(listener) as peer:
        assert status_of(peer, store_rq(3, CT, uid, DATA)) == 0xC000
        assert status_of(peer, instance(2)) == 0
    assert reception.guests[0].opened == ["1.4.2"]


def test_an_instance_of_another_class_than_its_context_is_refused(listener: Listener, reception: MemoryReception):
    with associated(listener) as peer:
        assert status_of(peer, instance(1, sop_class="1.2.840.10008.5.1.4.1.1.4")) == 0xA900
        assert status_of(peer, instance(2, context=1)) == 0xA900
    assert reception.guests[0].opened == []


def test_an_instance_without_data_set_is_refused(listener: Listener):
    empty = store_rq(3, CT, "1.4", b"", more={"CommandDataSetType": 0x0101})
    with associated(listener) as peer:
        assert status_of(peer, Message(empty.command, None, 3)) == 0xC000
        assert status_of(peer, ECHO) == 0


# When the conversation breaks


def test_half_an_instance_is_dropped(listener: Listener, reception: MemoryReception):
    with associated(listener) as peer:
        assert status_of(peer, instance(1)) == 0
        peer.send_half(instance(2))
        peer.reset()
    wait_until(lambda: reception.guests[0].reasons != [], what="the end")
    assert list(reception.data()) == ["1.4.1"]
    assert reception.guests[0].discarded == ["1.4.2"]
    assert reception.guests[0].reasons[0].startswith("The caller ")


def test_an_abort_ends_it(listener: Listener, reception: MemoryReception):
    with associated(listener) as peer:
        peer.send_half(instance(1))
        peer.send(b"")
        peer.close()
    wait_until(lambda: reception.guests[0].discarded == ["1.4.1"], what="the instance to be dropped")
    with associated(listener) as peer:
        peer.send(kit.abort())
        assert peer.wait_for_hangup() == []
    alone()


@pytest.mark.parametrize("half", [encode_message(instance(1))[:30_000], encode_message(ECHO)[:9]])
def test_whoever_stops_in_the_middle_is_ended_in_time(hasty: Listener, reception: MemoryReception, half: bytes):
    with at_most(3.0), associated(hasty) as peer:
        peer.send(half)
        assert peer.wait_for_abort() == kit.Abort(0, 0)
    alone()
    assert reception.data() == {}
    assert "0.5 seconds" in reception.guests[0].reasons[0]


def test_whoever_asks_nothing_is_ended_in_time(hasty: Listener, reception: MemoryReception):
    with at_most(3.0), associated(hasty) as peer:
        assert status_of(peer, ECHO) == 0
        assert peer.wait_for_abort() == kit.Abort(0, 0)
    alone()


def test_slow_but_alive_is_not_ended(reception: MemoryReception):
    message = encode_message(instance(1, DATA[:1000]), size=100)
    step = len(message) // 8
    with Listener(AET, HOST, 0, reception, Limits(stall=0.4, idle=0.4)) as made, associated(made) as peer:
        for start in range(0, len(message), step):
            peer.send(message[start : start + step])
            threading.Event().wait(0.2)
        assert peer.receive_message().command["Status"] == 0


HOSTILE = {
    "empty P-DATA": kit.pdu(4, b""),
    "PDV longer than its PDU": kit.pdu(4, struct.pack(">IBB", 100, 3, 3) + b"x"),
    "PDV without header": kit.pdu(4, b"\0\0\0"),
    "PDV of length 1": kit.pdu(4, struct.pack(">IB", 1, 3)),
    "context that was not agreed on": kit.p_data(kit.Pdv(77, encode_command(ECHO.command), True, True)),
    "data set without command": kit.p_data(kit.Pdv(3, DATA[:100], False, True)),
    "half a command set": kit.p_data(kit.Pdv(3, encode_command(ECHO.command)[:-3], True, True)),
    "command set without field": kit.p_data(kit.Pdv(3, encode_command({"MessageID": 1}), True, True)),
    "command set without id": kit.p_data(
        kit.Pdv(1, encode_command({"CommandField": 0x30, "CommandDataSetType": 0x0101}), True, True)
    ),
    "endless command set": b"".join(kit.p_data(p) for p in fragments(1, bytes(70_000), is_command=True)),
    "data set of another context": kit.p_data(pdvs(instance())[0], kit.Pdv(1, DATA[:10], False, True)),
    "longer than agreed": kit.pdu(4, b"", claimed_length=0xFFFFFFFF),
    "unknown PDU": kit.pdu(0x42, b"abc"),
    "second request": kit.associate_rq(AET, "CALLER", CONTEXTS),
    "answer to nothing": kit.release_rp(),
    "C-FIND": encode_message(Message({**ECHO.command, "CommandField": 0x20}, None, 1)),
    "C-FIND with data set": encode_message(
        Message({**ECHO.command, "CommandField": 0x20, "CommandDataSetType": 1}, b"1234", 1)
    ),
    "response instead of request": encode_message(Message({**ECHO.command, "CommandField": 0x8030}, None, 1)),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_violations_are_aborted(listener: Listener, reception: MemoryReception, data: bytes):
    with at_most(5.0), associated(listener) as peer:
        peer.send(data)
        assert peer.wait_for_abort() == INVALID
    alone()
    assert reception.data() == {}
    with associated(listener) as peer:
        assert status_of(peer, ECHO) == 0


STRANGE = {
    "not DICOM": b"GET / HTTP/1.1\r\n\r\n",
    "length of 4 GB": kit.pdu(1, b"", claimed_length=0xFFFFFFFF),
    "more than 1 MiB": kit.pdu(1, b"", claimed_length=1024 * 1024 + 1),
    "data first": kit.p_data(kit.Pdv(1, b"ab", True, True)),
    "release first": kit.release_rq(),
    "too short": kit.pdu(1, bytes(20)),
    "takes PDUs of 5 bytes": kit.associate_rq(AET, "CALLER", CONTEXTS, max_length=5),
}


@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE.keys())
def test_strange_requests_are_aborted(listener: Listener, reception: MemoryReception, data: bytes):
    with at_most(5.0), calling(listener.port) as peer:
        peer.send(data)
        assert peer.wait_for_abort() == INVALID
    alone()


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_conversations_never_kill_the_listener(listener: Listener, data: st.DataObject):
    good = bytearray(kit.associate_rq(AET, "CALLER", CONTEXTS) + encode_message(instance(1, DATA[:200]), size=90))
    for _ in range(data.draw(st.integers(1, 5))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with calling(listener.port) as peer, suppress(ConnectionError):
        peer.send(bytes(good[: data.draw(st.integers(1, len(good)))]))
    with associated(listener) as peer:
        assert status_of(peer, ECHO) == 0


# What strangers may cost


def mute(stack: ExitStack, port: int, count: int) -> list[socket.socket]:
    return [stack.enter_context(socket.create_connection((HOST, port), timeout=5)) for _ in range(count)]


def test_mute_connections_are_few_and_keep_nobody_out(listener: Listener):
    with ExitStack() as stack:
        mute(stack, listener.port, 30)
        with at_most(2.0), associated(listener) as peer:
            assert status_of(peer, instance()) == 0
        assert len(callers()) <= 12
        mute(stack, listener.port, 300)
        with at_most(2.0), associated(listener) as peer:
            assert status_of(peer, instance()) == 0
    alone()


def test_mute_connections_end_in_time(hasty: Listener):
    with at_most(2.0), calling(hasty.port) as peer:
        left = peer.wait_for_hangup()
        assert left in ([], [kit.Abort(0, 0)])
    alone()


def test_a_request_that_trickles_is_given_up_in_time(hasty: Listener):
    with at_most(3.0), calling(hasty.port) as peer:
        peer.send(kit.pdu(1, b"", claimed_length=100_000))
        until_hangup(peer, lambda: b"x", pause=0.02)
    alone()
    assert not callers()


# TLS


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secured(reception: MemoryReception, ours: Authority) -> Iterator[Listener]:
    """A listener with TLS and little patience: a handshake takes its time on a busy computer."""
    with Listener(
        AET,
        HOST,
        0,
        reception,
        Limits(first=1.5, stall=1.5, idle=1.5),
        tls=listener_context(listener_tls(ours.issue())),
    ) as made:
        yield made


def over_tls(listener: Listener, ours: Authority) -> Server:
    return Server("us", HOST, listener.port, AET, "CALLER", tls=TlsSettings(ca_file=str(ours.file)))


def test_whoever_speaks_tls_is_known_to_be_secured(secured: Listener, reception: MemoryReception, ours: Authority):
    assert echo(over_tls(secured, ours), CancelToken()) is None  # else it raises
    assert [caller.secured for caller in reception.callers] == [True]


def test_whoever_speaks_none_is_known_not_to_be(listener: Listener, reception: MemoryReception):
    with associated(listener) as peer:
        release(peer)
    assert [caller.secured for caller in reception.callers] == [False]


def test_mute_tls_clients_keep_nobody_out_and_have_no_longer_than_others(secured: Listener, ours: Authority):
    with ExitStack() as stack:
        mute = [stack.enter_context(calling(secured.port)) for _ in range(5)]
        with at_most(1.4):
            assert echo(over_tls(secured, ours), CancelToken()) is None
        with at_most(4.0):
            for peer in mute:
                peer.wait_for_hangup()
    alone()


def test_half_a_handshake_has_no_longer_than_none(secured: Listener):
    with at_most(4.0), calling(secured.port) as peer:
        peer.send(bytes.fromhex("160301020001"))
        peer.wait_for_hangup()
    alone()
    assert callers() == []


def test_a_caller_in_the_clear_is_hung_up_on(secured: Listener, reception: MemoryReception):
    with at_most(1.4), calling(secured.port) as peer:
        peer.send(kit.associate_rq(AET, "CALLER", CONTEXTS))
        peer.wait_for_hangup()
    assert reception.callers == []


def test_closing_ends_a_handshake_that_is_under_way(reception: MemoryReception, ours: Authority):
    made = Listener(AET, HOST, 0, reception, tls=listener_context(listener_tls(ours.issue())))
    with calling(made.port) as peer:
        wait_until(lambda: len(callers()) == 1, what="the connection")
        with at_most(1.0):
            made.close()
        peer.wait_for_hangup()
    alone()
    assert callers() == []


def test_closing_ends_associations_over_tls_at_once(reception: MemoryReception, ours: Authority):
    made = Listener(AET, HOST, 0, reception, tls=listener_context(listener_tls(ours.issue())))
    with closing(Connection.open(HOST, made.port, Timers(), CancelToken(), _client(ours))) as connection:
        connection.write(kit.associate_rq(AET, "CALLER", CONTEXTS))
        assert _read_pdu(connection)[0] == 2  # A-ASSOCIATE-AC
        with at_most(1.5):
            made.close()
        with pytest.raises(ConnectionLost):
            _read_pdu(connection)
    assert [guest.reasons for guest in reception.guests] == [["Cancelled."]]


def _client(ours: Authority) -> ClientTls:
    return client_tls(TlsSettings(ca_file=str(ours.file)), HOST)


def _read_pdu(connection: Connection) -> bytes:
    """Read what comes at once."""
    data = bytearray(10_000)
    return bytes(data[: connection.read_into(memoryview(data))])


# Beginning and end


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
def test_descriptors_and_threads_are_given_back(reception: MemoryReception):
    before, threads = descriptors(), threading.active_count()
    made = Listener(AET, HOST, 0, reception)
    with ExitStack() as stack:
        mute(stack, made.port, 15)
        peers = [stack.enter_context(associated(made)) for _ in range(3)]
        peers[0].send_half(instance())
        with at_most(2.0):
            made.close()
        assert threading.active_count() == threads
        for peer in peers:
            assert peer.wait_for_abort() == kit.Abort(0, 0)
    assert descriptors() == before
    made.close()


def test_closing_is_bounded_though_a_peer_takes_no_data_and_a_sink_blocks(reception: MemoryReception):
    gate = threading.Event()

    class Slow(MemoryGuest):
        def open(self, incoming: object) -> None:  # type: ignore[override]
            gate.wait(10)
            raise Unwanted("late")

    reception.admit = lambda caller: Slow()  # type: ignore[method-assign, assignment, return-value]
    made = Listener(AET, HOST, 0, reception)
    with associated(made) as peer:
        peer.send(instance())
        wait_until(lambda: bool(callers()), what="the connection")
        with at_most(2.5):
            made.close()
        gate.set()
        alone()
    assert not callers()


def test_after_closing_nobody_gets_in(reception: MemoryReception):
    made = Listener(AET, HOST, 0, reception)
    made.close()
    with pytest.raises(ConnectionRefusedError), calling(made.port):
        pass


def test_the_port_can_be_had_again_at_once(reception: MemoryReception):
    with Listener(AET, HOST, 0, reception) as made, associated(made) as peer:
        port = made.port
        assert status_of(peer, ECHO) == 0
    with Listener(AET, HOST, port, reception) as made, associated(made) as peer:
        assert status_of(peer, ECHO) == 0


def test_a_port_that_is_taken_is_named(listener: Listener, reception: MemoryReception):
    with pytest.raises(UsageError, match=f"port {listener.port}: another program listens there"):
        Listener(AET, HOST, listener.port, reception)


def test_an_address_that_is_not_ours_is_named(reception: MemoryReception):
    with pytest.raises(UsageError, match=r"192\.0\.2\.1, port 0: this computer has no such address"):
        Listener(AET, "192.0.2.1", 0, reception)


def test_it_waits_without_working(listener: Listener):
    with associated(listener) as peer:
        assert status_of(peer, ECHO) == 0
        before = os.times()
        started = time.monotonic()
        threading.Event().wait(0.5)
        after = os.times()
        assert time.monotonic() - started >= 0.5
        assert (after.user + after.system) - (before.user + before.system) < 0.2


def test_it_speaks_while_another_conversation_stands_still(listener: Listener):
    def talk(peer: Conversation) -> None:
        assert status_of(peer, ECHO) == 0

    with associated(listener) as silent, associated(listener) as peer:
        silent.send_half(instance())
        talk(peer)
        talk(peer)
