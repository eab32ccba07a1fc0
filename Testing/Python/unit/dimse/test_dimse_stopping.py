"""Cancelling: the server is asked to stop, what arrives whole counts, and the user is free within two seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset

from support import pdu as kit
from support.client import Background, MemoryHandler, fetch, server_at, storage, until_hangup
from support.messages import C_CANCEL, Message, find_rsp, get_rsp, store_rq
from support.pdu import EXPLICIT_LITTLE
from support.scripted_peer import Conversation, HungUp, ScriptedPeer
from VisualDICOMBrowserLib.dimse.find import Finder
from VisualDICOMBrowserLib.dimse.get import GetOutcome
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled

Factory = Callable[..., ScriptedPeer]
End = Callable[[Conversation, Message], None]
CT = "1.2.840.10008.5.1.4.1.1.2"
KEYS = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
STOPPED = 0xFE00
LARGE = bytes(50_000)


class Stopped:
    """A server that begins to answer, and at some time is told to stop.

    :param begin: what it does before ``waiting`` is set.
    :param end: what it does when it was told.
    """

    def __init__(self, begin: End, end: End) -> None:
        self.begin = begin
        self.end = end
        self.waiting = threading.Event()
        self.request: Message | None = None
        self.cancel: Message | None = None

    def __call__(self, peer: Conversation) -> None:
        peer.accept_association()
        self.request = peer.receive_message()
        self.begin(peer, self.request)
        self.waiting.set()
        self.cancel = peer.receive_message()
        self.end(peer, self.request)

    def check(self) -> None:
        """Check that what told it to stop was to the letter."""
        assert self.request is not None
        assert self.cancel is not None
        assert self.cancel.command["CommandField"] == C_CANCEL
        assert self.cancel.command["MessageIDBeingRespondedTo"] == self.request.message_id
        assert self.cancel.context_id == self.request.context_id


def instance(number: int) -> Message:
    return store_rq(3, CT, f"1.4.{number}", LARGE, message_id=number)


def stores(peer: Conversation, number: int) -> None:
    peer.send(instance(number))
    assert peer.receive_message().command["Status"] == 0


def nothing(peer: Conversation, request: Message) -> None:
    del peer, request


def one(peer: Conversation, request: Message) -> None:
    del request
    stores(peer, 1)


def half(peer: Conversation, request: Message) -> None:
    one(peer, request)
    peer.send_half(instance(2))


def hangs_up_on(peer: Conversation, *, released: bool = False) -> None:
    left = peer.wait_for_hangup()
    assert [type(found) for found in left] == [kit.ReleaseRequest if released else kit.Abort]


def stops(peer: Conversation, request: Message) -> None:
    peer.send(get_rsp(request, STOPPED))
    peer.accept_release()


def stops_after_one_more(peer: Conversation, request: Message) -> None:
    stores(peer, 2)
    stops(peer, request)


def ignores(peer: Conversation, request: Message) -> None:
    del request
    hangs_up_on(peer)


def aborts(peer: Conversation, request: Message) -> None:
    del request
    peer.abort()


def floods(peer: Conversation, request: Message) -> None:
    del request
    number = iter(range(2, 10**6))
    try:
        while True:
            stores(peer, next(number))
    except (AssertionError, HungUp, ConnectionError):
        return


def reads_no_more(peer: Conversation, request: Message) -> None:
    del request
    peer.stay_silent()


def ends_regardless(peer: Conversation, request: Message) -> None:
    peer.send(get_rsp(request))
    peer.accept_release()


@pytest.mark.parametrize(
    ("begin", "end", "kept"),
    [
        (nothing, stops, 0),
        (one, stops, 1),
        (one, stops_after_one_more, 2),
        (one, ends_regardless, 1),
        (one, ignores, 1),
        (half, ignores, 1),
        (one, aborts, 1),
        (one, floods, None),
        (one, reads_no_more, 1),
    ],
)
def test_a_get_is_stopped_and_keeps_what_came_whole(scripted_peer: Factory, begin: End, end: End, kept: int | None):
    served, token, handler, outcome = Stopped(begin, end), CancelToken(), MemoryHandler(), GetOutcome()
    peer = scripted_peer(served)
    server = server_at(peer.address, timeout=60)
    work = Background(lambda: fetch(server, KEYS, handler, storage(CT), token=token, outcome=outcome))
    assert served.waiting.wait(10)
    token.cancel()
    assert isinstance(work.ended_by(2.0), Cancelled)
    served.check()
    assert outcome.received == list(handler.instances)
    assert set(handler.opened) == set(handler.instances) | set(handler.discarded)
    assert kept is None or len(handler.instances) == kept


def tells(peer: Conversation, request: Message) -> None:
    answer = Dataset()
    answer.PatientID = "4711"
    peer.send(find_rsp(request, answer, transfer_syntax=EXPLICIT_LITTLE))


def goes_on_telling(peer: Conversation, request: Message) -> None:
    answer = Dataset()
    answer.PatientID = "4711"
    until_hangup(peer, lambda: find_rsp(request, answer, transfer_syntax=EXPLICIT_LITTLE))


def stops_telling(peer: Conversation, request: Message) -> None:
    peer.send(find_rsp(request, status=STOPPED))
    peer.accept_release()


@pytest.mark.parametrize("end", [stops_telling, ignores, aborts, goes_on_telling, reads_no_more])
def test_a_find_is_stopped(scripted_peer: Factory, end: End):
    served, token = Stopped(tells, end), CancelToken()
    peer = scripted_peer(served)

    def work() -> None:
        with Finder.connect(server_at(peer.address, timeout=60), token) as finder:
            finder.patients({}, 10**6)

    background = Background(work)
    assert served.waiting.wait(10)
    token.cancel()
    assert isinstance(background.ended_by(2.0), Cancelled)
    served.check()


def test_a_peer_that_takes_no_more_data_is_left_within_two_seconds(scripted_peer: Factory):
    """Confirmations that nobody reads fill the buffers, until ours cannot be written."""
    token, handler, full = CancelToken(), MemoryHandler(), threading.Event()

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        until_hangup(peer, lambda: store_rq(3, CT, "1.4.1", b"", message_id=1))

    peer = scripted_peer(script)
    server = server_at(peer.address, timeout=60)
    work = Background(lambda: fetch(server, KEYS, handler, storage(CT), token=token))
    full.wait(1.0)
    token.cancel()
    assert isinstance(work.ended_by(2.0), Cancelled)
