"""C-MOVE: what is asked for, what the server says about it, how long it is waited for, and how it is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import Dataset

from support import pdu as kit
from support.client import Background, at_most, farewell, server_at
from support.messages import Message, encode_dataset, get_rsp
from support.pdu import EXPLICIT_LITTLE
from support.scripted_peer import Conversation, Script, ScriptedPeer
from support.waiting import wait_until
from VisualDICOMBrowserLib.dimse.move import MoveOutcome, Mover
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import (
    Cancelled,
    ConnectionLost,
    NoCommonContext,
    OperationRefused,
    PeerStalled,
    ProtocolViolation,
)
from VisualDICOMBrowserLib.domain.model import Level

Factory = Callable[..., ScriptedPeer]
PATIENT_MOVE, STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.2.2"
KEYS = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
SUCCESS, SOME_FAILED, UNKNOWN, CANCEL, PENDING = 0x0000, 0xB000, 0xA801, 0xFE00, 0xFF00


def answer(request: Message, status: int = SUCCESS, named: tuple[str, ...] = (), **counts: int) -> Message:
    """Return a C-MOVE response; ``named`` are the instances that it names."""
    identifier = Dataset()
    identifier.FailedSOPInstanceUIDList = list(named)
    return get_rsp(request, status, identifier=encode_dataset(identifier, EXPLICIT_LITTLE) if named else None, **counts)


class Moving:
    """A C-MOVE service that answers as it is told to, and notes the request."""

    def __init__(self, *ends: Callable[[Message], Message]) -> None:
        self.ends = ends
        self.request: Message | None = None

    def __call__(self, peer: Conversation) -> None:
        peer.accept_association()
        self.request = peer.receive_message()
        for end in self.ends:
            peer.send(end(self.request))
        farewell(peer)


def move(address: tuple[str, int], outcome: MoveOutcome | None = None, **options: Any) -> MoveOutcome:
    outcome = outcome or MoveOutcome()
    token = options.pop("token", None) or CancelToken()
    level, timeout = options.pop("level", Level.SERIES), options.pop("timeout", 1.0)
    with Mover.connect(server_at(address, timeout=timeout), token) as mover:
        mover.move(level, KEYS, "DESTINATION", outcome, **options)
    return outcome


def move_from(served: Script, peers: Factory, **options: Any) -> MoveOutcome:
    peer = peers(served)
    try:
        return move(peer.address, **options)
    finally:
        peer.finish()


def test_the_request_names_destination_level_and_keys(scripted_peer: Factory):
    served = Moving(answer)
    move_from(served, scripted_peer, level=Level.IMAGE)

    assert served.request is not None
    command = served.request.command
    assert (command["AffectedSOPClassUID"], command["MoveDestination"]) == (STUDY_MOVE, "DESTINATION")
    identifier = served.request.dataset(EXPLICIT_LITTLE)
    assert (identifier.QueryRetrieveLevel, identifier.SeriesInstanceUID) == ("IMAGE", "1.3")


def test_counts_and_the_final_status_are_passed_on(scripted_peer: Factory):
    outcome = move_from(
        Moving(
            lambda r: answer(r, PENDING, remaining=2, completed=1),
            lambda r: answer(r, PENDING, remaining=1, completed=2),
            lambda r: answer(r, SOME_FAILED, ("1.4.3",), completed=2, failed=1),
        ),
        scripted_peer,
    )
    assert (outcome.status, outcome.failed_uids) == (SOME_FAILED, ("1.4.3",))
    assert (outcome.announced, outcome.completed, outcome.received) == (3, 2, [])


def test_several_moves_go_over_one_association(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        for _ in range(2):
            peer.send(answer(peer.receive_message(), completed=1))
        farewell(peer)

    peer = scripted_peer(script)
    first, second = MoveOutcome(), MoveOutcome()
    with Mover.connect(server_at(peer.address), CancelToken()) as mover:
        mover.move(Level.SERIES, KEYS, "DESTINATION", first)
        mover.move(Level.SERIES, KEYS, "DESTINATION", second)
    peer.finish()
    assert (first.completed, second.completed) == (1, 1)


def test_an_unknown_destination_says_who_has_to_mend_it(scripted_peer: Factory):
    with pytest.raises(OperationRefused) as caught:
        move_from(Moving(lambda r: answer(r, UNKNOWN)), scripted_peer)
    assert "peer does not know the destination DESTINATION: its administrator has to register it" in str(caught.value)
    assert (caught.value.status, caught.value.retryable) == (UNKNOWN, False)


def test_a_server_without_c_move_is_told_by_name(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(kit.accept_none())
        farewell(peer)

    with pytest.raises(NoCommonContext, match="peer does not offer C-MOVE"):
        move_from(script, scripted_peer)


def test_another_answer_is_a_violation(scripted_peer: Factory):
    def wrong(request: Message) -> Message:
        found = answer(request)
        return Message({**found.command, "CommandField": 0x8010}, None, found.context_id)

    with pytest.raises(ProtocolViolation):
        move_from(Moving(wrong), scripted_peer)


# How long it is waited for


def test_a_mute_server_is_waited_for_while_instances_arrive_elsewhere(scripted_peer: Factory):
    arrivals = 3.0
    started = time.monotonic()

    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        wait_until(lambda: time.monotonic() - started > arrivals, what="the arrivals")
        peer.send(answer(request))
        farewell(peer)

    outcome = move_from(script, scripted_peer, timeout=0.5, alive=lambda: min(time.monotonic(), started + arrivals))
    assert outcome.status == SUCCESS


def test_a_mute_server_is_given_up_when_nothing_arrives_any_more(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.wait_for_abort()

    started = time.monotonic()
    with pytest.raises(PeerStalled, match=r"0\.5 seconds"), at_most(3.0):
        move_from(script, scripted_peer, timeout=0.5, alive=lambda: min(time.monotonic(), started + 1.0))
    assert time.monotonic() - started > 1.4


def test_a_word_now_and_then_is_enough(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        for remaining in range(6, 0, -1):
            peer.send(answer(request, PENDING, remaining=remaining))
            threading.Event().wait(0.3)
        peer.send(answer(request))
        farewell(peer)

    assert move_from(script, scripted_peer, timeout=0.5).status == SUCCESS


def test_a_response_that_stops_in_the_middle_is_a_stall(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.send_half(answer(peer.receive_message()))
        peer.wait_for_hangup()

    with pytest.raises(PeerStalled), at_most(3.0):
        move_from(script, scripted_peer, timeout=0.5)


def test_a_connection_that_ends_is_told_as_such(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(answer(request, PENDING, remaining=1, completed=4))
        peer.close()

    outcome = MoveOutcome()
    with pytest.raises(ConnectionLost):
        move_from(script, scripted_peer, outcome=outcome)
    assert (outcome.announced, outcome.completed) == (5, 4)


# Cancelling


def cancelled(script: Script, peers: Factory) -> BaseException | None:
    """Cancel a move while it runs, and return how it ended; within two seconds."""
    peer, token, running = peers(script), CancelToken(), threading.Event()

    def alive() -> float:
        running.set()
        return time.monotonic()

    with at_most(20):
        work = Background(lambda: move(peer.address, token=token, alive=alive))
        assert running.wait(5)
        with at_most(2.0):
            token.cancel()
            error = work.ended_by(5)
    peer.finish()
    return error


def test_a_cancel_is_polite_first(scripted_peer: Factory):
    asked: list[Message] = []

    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        asked.append(peer.receive_message())
        assert asked[0].command["MessageIDBeingRespondedTo"] == request.command["MessageID"]
        peer.send(answer(request, CANCEL, remaining=3))
        farewell(peer)

    assert isinstance(cancelled(script, scripted_peer), Cancelled)
    assert asked[0].field == 0x0FFF


def test_a_server_that_ignores_a_cancel_is_aborted(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.receive_message()
        peer.wait_for_abort()

    assert isinstance(cancelled(script, scripted_peer), Cancelled)


def test_a_server_may_answer_a_cancel_by_an_abort(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.receive_message()
        peer.abort()

    assert isinstance(cancelled(script, scripted_peer), Cancelled)


def test_a_cancel_while_connecting_ends_it_at_once(scripted_peer: Factory):
    connected = threading.Event()

    def script(peer: Conversation) -> None:
        peer.receive_association()
        connected.set()
        peer.wait_for_hangup()

    peer, token = scripted_peer(script), CancelToken()
    work = Background(lambda: move(peer.address, token=token, timeout=20.0))
    assert connected.wait(5)
    with at_most(2.0):
        token.cancel()
        assert isinstance(work.ended_by(5), Cancelled)
    peer.finish()
