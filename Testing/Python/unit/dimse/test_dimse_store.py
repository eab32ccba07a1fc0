"""C-STORE as SCU: what is proposed, what goes over the wire, and what the peer's answers come to."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from itertools import count

import pytest

from support.client import Background, at_most, farewell, server_at
from support.fault_proxy import FaultProxy, Stall, Throttle
from support.messages import respond
from support.pdu import EXPLICIT_LITTLE, IMPLICIT_LITTLE, DataTransfer, abort, accept_all
from support.scripted_peer import Conversation, ScriptedPeer
from VisualDICOMBrowserLib.dimse import store as scu
from VisualDICOMBrowserLib.dimse.association import Association
from VisualDICOMBrowserLib.dimse.contexts import Proposal
from VisualDICOMBrowserLib.dimse.pdu import Fill
from VisualDICOMBrowserLib.dimse.store import Outgoing, StoreAnswer
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, ConnectionLost, PeerStalled, ProtocolViolation, StorageError
from VisualDICOMBrowserLib.domain.servers import Server

Factory = Callable[..., ScriptedPeer]
CT, MR, PRIVATE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.276.0.7230010.3.1.0.1"
JPEG = "1.2.840.10008.1.2.4.50"
DATA = bytes(i * 11 % 256 for i in range(700_000))


def send(
    server: Server,
    data: bytes = DATA,
    token: CancelToken | None = None,
    fill: Fill | None = None,
) -> StoreAnswer:
    """Send one CT instance over an association of its own."""
    instance = Outgoing(CT, "1.4.1", EXPLICIT_LITTLE, len(data))
    batch = next(scu.store_batches([(CT, EXPLICIT_LITTLE)]))
    with Association.request(server, batch, token or CancelToken()) as association:
        context = scu.context_as_it_is(association, instance)
        assert context is not None
        return scu.store(association, context, instance, fill or filling_from(data))


def filling_from(data: bytes) -> Fill:
    """Return what fills views with the bytes of ``data``, one after the other."""
    source = io.BytesIO(data)

    def fill(views: list[memoryview]) -> None:
        for view in views:
            assert source.readinto(view) == len(view)

    return fill


def test_each_kind_has_a_context_and_each_class_an_uncompressed_one() -> None:
    (batch,) = scu.store_batches([(CT, JPEG), (MR, EXPLICIT_LITTLE), (CT, JPEG), (PRIVATE, IMPLICIT_LITTLE)])

    assert batch == [
        Proposal(CT, (JPEG,)),
        Proposal(CT, (EXPLICIT_LITTLE, IMPLICIT_LITTLE)),
        Proposal(MR, (EXPLICIT_LITTLE,)),
        Proposal(MR, (IMPLICIT_LITTLE,)),
        Proposal(PRIVATE, (IMPLICIT_LITTLE,)),
        Proposal(PRIVATE, (EXPLICIT_LITTLE,)),
    ]


def test_what_does_not_fit_into_an_association_goes_into_the_next() -> None:
    kinds = [(f"1.2.3.{number}", EXPLICIT_LITTLE) for number in range(200)]
    kinds += [("1.2.4", f"1.2.5.{number}") for number in range(300)]

    batches = list(scu.store_batches(kinds))

    assert all(0 < len(batch) <= 128 for batch in batches)
    proposed = {(p.abstract_syntax, s) for batch in batches for p in batch for s in p.transfer_syntaxes}
    assert proposed.issuperset(kinds)
    fallbacks = {p.abstract_syntax for batch in batches for p in batch if p.transfer_syntaxes == (IMPLICIT_LITTLE,)}
    assert fallbacks == {f"1.2.3.{number}" for number in range(200)}


@pytest.mark.parametrize("max_length", [128, 16384, 131072, 0])
@pytest.mark.parametrize("size", [2, 116, 122, 244, 16378, 65536, 400_000])
def test_a_data_set_arrives_as_it_is_in_even_fragments(scripted_peer: Factory, max_length: int, size: int) -> None:
    arrived = []

    def script(peer: Conversation) -> None:
        peer.accept_association(max_length=max_length)
        arrived.append(peer.receive_message())
        peer.send(respond(arrived[0]))
        farewell(peer)

    peer = scripted_peer(script)
    assert send(server_at(peer.address), DATA[:size]).taken
    peer.finish()

    assert arrived[0].data == DATA[:size]
    assert arrived[0].command["AffectedSOPInstanceUID"] == "1.4.1"
    pdus = [p for p in peer.conversations[0].received if isinstance(p, DataTransfer)]
    longest = max(sum(6 + len(value.data) for value in p.pdvs) for p in pdus)
    assert max_length == 0 or longest <= max_length
    assert all(len(value.data) % 2 == 0 for p in pdus for value in p.pdvs)


def test_an_odd_data_set_is_padded(scripted_peer: Factory) -> None:
    arrived = []

    def script(peer: Conversation) -> None:
        peer.accept_association()
        arrived.append(peer.receive_message())
        peer.send(respond(arrived[0]))
        farewell(peer)

    peer = scripted_peer(script)
    send(server_at(peer.address), DATA[:16379])
    peer.finish()
    assert arrived[0].data == DATA[:16379] + b"\0"


@pytest.mark.parametrize(
    ("status", "taken", "warned", "transient", "words"),
    [
        (0x0000, True, False, False, "success"),
        (0xB000, True, True, False, "the server changed values of elements (status 0xB000)"),
        (0xB006, True, True, False, "the server left elements out (status 0xB006)"),
        (0xB007, True, True, False, "the data set does not match the SOP class (status 0xB007)"),
        (0xA700, False, False, True, "out of resources (status 0xA700)"),
        (0xA901, False, False, False, "the data set does not match the SOP class (status 0xA901)"),
        (0xC123, False, False, False, "the server cannot understand the data set (status 0xC123)"),
        (0x0122, False, False, False, "SOP class not supported (status 0x0122)"),
        (0xFF00, False, False, False, "pending (status 0xFF00)"),
    ],
)
def test_what_a_status_means(
    scripted_peer: Factory, status: int, taken: bool, warned: bool, transient: bool, words: str
) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send(respond(peer.receive_message(), status))
        farewell(peer)

    answer = send(server_at(scripted_peer(script).address))

    assert (answer.status, answer.taken, answer.warned, answer.is_transient) == (status, taken, warned, transient)
    assert words in answer.words


def test_another_answer_than_asked_for_is_refused(scripted_peer: Factory) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        answer = respond(peer.receive_message(), more={"MessageIDBeingRespondedTo": 4711})
        peer.send(answer)
        peer.wait_for_abort()

    with pytest.raises(ProtocolViolation):
        send(server_at(scripted_peer(script).address))


def test_an_abort_in_the_middle_is_a_lost_connection(scripted_peer: Factory) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_pdu()
        peer.send(abort(2))
        peer.close()

    with pytest.raises(ConnectionLost):
        send(server_at(scripted_peer(script).address), DATA * 40)


def test_a_peer_that_takes_no_more_bytes_stalls(scripted_peer: Factory) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.stay_silent()

    peer = scripted_peer(script)
    with at_most(4), pytest.raises(PeerStalled):
        send(server_at(peer.address, timeout=1.0), DATA * 40)


def test_a_peer_that_never_answers_stalls(scripted_peer: Factory) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.wait_for_abort()

    with at_most(4), pytest.raises(PeerStalled):
        send(server_at(scripted_peer(script).address, timeout=1.0))


@pytest.mark.parametrize("size", [1_200_000, 3_000_000])
def test_on_a_slow_line_what_still_drains_is_no_stall(
    scripted_peer: Factory, fault_proxy: Callable[..., FaultProxy], size: int
) -> None:
    """The shorter one is written at once, and answered long after; the longer one does not fit into the buffers."""

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send(respond(peer.receive_message()))
        farewell(peer)

    line = fault_proxy(scripted_peer(script).address, to_server=[Throttle(bytes_per_second=1.2e6)], buffer=16384)
    began = time.monotonic()
    assert send(server_at(line.address, timeout=0.7), bytes(size)).taken
    assert time.monotonic() - began > size / 1.2e6 - 0.1


def test_a_slow_line_that_stops_while_it_drains_is_a_stall(
    scripted_peer: Factory, fault_proxy: Callable[..., FaultProxy]
) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.wait_for_hangup()

    faults = [Throttle(bytes_per_second=1e6), Stall(after=400_000)]
    line = fault_proxy(scripted_peer(script).address, to_server=faults, buffer=16384)
    with at_most(3), pytest.raises(PeerStalled, match=r"sent no data for 0\.5 seconds"):
        send(server_at(line.address, timeout=0.5), bytes(1_000_000))


def test_cancelling_wakes_a_sender_that_is_stuck(scripted_peer: Factory) -> None:
    stuck = threading.Event()

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_pdu()
        stuck.set()
        peer.stay_silent()

    peer, token = scripted_peer(script), CancelToken()
    work = Background(lambda: send(server_at(peer.address, timeout=60), DATA * 40, token))
    assert stuck.wait(10)
    token.cancel()
    assert isinstance(work.ended_by(2), Cancelled)


def test_a_data_set_that_cannot_be_read_on_ends_the_association(scripted_peer: Factory) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.wait_for_abort()

    calls = count()

    def fill(views: list[memoryview]) -> None:
        if next(calls):
            raise StorageError("Gone.")

    peer = scripted_peer(script)
    with pytest.raises(StorageError):
        send(server_at(peer.address), fill=fill)
    peer.finish()


def test_what_the_peer_takes_is_told(scripted_peer: Factory) -> None:
    def script(peer: Conversation) -> None:
        peer.accept_association(lambda x: accept_all(x) if x.transfer_syntaxes[0] != JPEG else (4, IMPLICIT_LITTLE))
        farewell(peer)

    peer = scripted_peer(script)
    batch = next(scu.store_batches([(CT, JPEG), (MR, IMPLICIT_LITTLE)]))
    with Association.request(server_at(peer.address), batch, CancelToken()) as association:
        assert scu.context_as_it_is(association, Outgoing(CT, "1.4", JPEG, 2)) is None
        assert scu.context_as_it_is(association, Outgoing(MR, "1.4", IMPLICIT_LITTLE, 2)) is not None
        assert scu.uncompressed_syntax(association, CT) == EXPLICIT_LITTLE
        assert scu.uncompressed_syntax(association, PRIVATE) is None
        assert scu.takes_class(association, CT)
        assert not scu.takes_class(association, PRIVATE)
