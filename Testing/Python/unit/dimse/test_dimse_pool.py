"""The pool of associations: what is used again, what never is, and that nothing stays behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from support.client import farewell, server_at
from support.messages import C_CANCEL, find_rsp
from support.pdu import ReleaseRequest, release_rp
from support.scripted_peer import Conversation, ScriptedPeer
from support.waiting import wait_until
from VisualDICOMBrowserLib.dimse.contexts import Proposal
from VisualDICOMBrowserLib.dimse.find import Finder
from VisualDICOMBrowserLib.dimse.models import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from VisualDICOMBrowserLib.dimse.pool import AssociationPool
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, ConnectionLost, OperationRefused
from VisualDICOMBrowserLib.domain.servers import Server

Factory = Callable[..., ScriptedPeer]
FIND = [Proposal(STUDY_ROOT_FIND), Proposal(PATIENT_ROOT_FIND)]


@pytest.fixture
def pool() -> Iterator[AssociationPool]:
    made = AssociationPool()
    yield made
    made.close()


def answers(peer: Conversation, status: int = 0) -> None:
    """Answer queries until the association is released."""
    peer.accept_association()
    while True:
        try:
            query = peer.receive_message()
        except AssertionError:  # it was the release
            assert isinstance(peer.received[-1], ReleaseRequest)
            peer.send(release_rp())
            peer.wait_for_hangup()
            return
        if query.field != C_CANCEL:
            peer.send(find_rsp(query, status=status))


def ask(pool: AssociationPool, server: Server, token: CancelToken | None = None) -> None:
    with Finder.connect(server, token or CancelToken(), pool.request) as finder:
        assert finder.studies({}, 5) == ([], False)


def test_one_association_serves_one_user_after_the_other(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(answers)
    for _ in range(3):
        ask(pool, server_at(peer.address))
    pool.close()
    peer.finish()
    assert len(peer.conversations) == 1
    assert sum(isinstance(found, ReleaseRequest) for found in peer.conversations[0].received) == 1


def test_the_token_of_an_earlier_user_is_nobodys_business(scripted_peer: Factory, pool: AssociationPool):
    peer, first = scripted_peer(answers), CancelToken()
    ask(pool, server_at(peer.address), first)
    first.cancel()
    ask(pool, server_at(peer.address))
    assert len(peer.conversations) == 1


def test_others_settings_or_contexts_have_associations_of_their_own(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(answers)
    server = replace(server_at(peer.address), max_associations=8)
    ask(pool, server)
    ask(pool, replace(server, calling_aet="OTHER"))
    with pool.request(server, FIND[:1], CancelToken()):
        pass
    assert len(peer.conversations) == 3


def test_two_users_at_once_have_two(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(answers)
    server = server_at(peer.address)
    with pool.request(server, FIND, CancelToken()) as one, pool.request(server, FIND, CancelToken()) as other:
        assert one is not other
    with pool.request(server, FIND, CancelToken()) as one, pool.request(server, FIND, CancelToken()) as other:
        assert one is not other
    assert len(peer.conversations) == 2


def open_ones(peer: ScriptedPeer) -> int:
    return sum(not any(isinstance(f, ReleaseRequest) for f in c.received) for c in list(peer.conversations))


def test_what_lies_idle_gives_way_within_the_servers_limit(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(answers)
    server = replace(server_at(peer.address), max_associations=2)
    for title in ("A", "B", "C", "D"):
        ask(pool, replace(server, calling_aet=title))
        assert open_ones(peer) <= 2


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_whoever_wants_one_for_himself_has_room_made_within_the_limit(
    scripted_peer: Factory, pool: AssociationPool, limit: int
):
    peer = scripted_peer(answers)
    server = replace(server_at(peer.address), max_associations=limit)
    with pool.request(server, FIND, CancelToken()), pool.request(server, FIND, CancelToken()):
        pass
    with pool.request_new(server, FIND, CancelToken()):
        assert open_ones(peer) == min(limit, 3)
        ask(pool, server)
        assert open_ones(peer) <= max(limit, 2)
    assert len(peer.conversations) >= 3


def test_one_that_was_wanted_for_oneself_is_given_to_nobody(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(answers)
    server = server_at(peer.address)
    for _ in range(2):
        with pool.request_new(server, FIND, CancelToken()) as association:
            assert not association.served
    assert open_ones(peer) == 0


def hangs_up_when_idle(peer: Conversation, gone: threading.Event) -> None:
    peer.accept_association()
    peer.send(find_rsp(peer.receive_message()))
    peer.close()
    gone.set()


def test_one_that_the_peer_closed_is_replaced_unnoticed(scripted_peer: Factory, pool: AssociationPool):
    gone = threading.Event()
    peer = scripted_peer(lambda peer: hangs_up_when_idle(peer, gone), answers)
    server = server_at(peer.address)
    ask(pool, server)
    assert gone.wait(5)
    ask(pool, server)
    assert len(peer.conversations) == 2


def hangs_up_at_the_second_query(peer: Conversation) -> None:
    peer.accept_association()
    peer.send(find_rsp(peer.receive_message()))
    peer.receive_message()
    peer.reset()


def test_one_that_breaks_at_the_next_question_is_replaced_unnoticed(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(hangs_up_at_the_second_query, answers)
    server = server_at(peer.address)
    ask(pool, server)
    ask(pool, server)
    assert len(peer.conversations) == 2


def test_a_fresh_one_that_breaks_is_an_error_and_not_tried_again(scripted_peer: Factory, pool: AssociationPool):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.reset()

    peer = scripted_peer(script)
    with pytest.raises(ConnectionLost):
        ask(pool, server_at(peer.address))
    assert len(peer.conversations) == 1


def test_after_a_refusal_it_is_not_used_again(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(lambda peer: answers(peer, 0xC001), answers)
    server = server_at(peer.address)
    with Finder.connect(server, CancelToken(), pool.request) as finder:
        for _ in range(2):  # its own user goes on
            with pytest.raises(OperationRefused):
                finder.studies({}, 5)
    ask(pool, server)
    assert len(peer.conversations) == 2


def test_after_an_error_or_a_cancellation_it_is_not_used_again(scripted_peer: Factory, pool: AssociationPool):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        farewell(peer)

    peer = scripted_peer(script, script, answers)
    server = server_at(peer.address)
    with pytest.raises(ZeroDivisionError), pool.request(server, FIND, CancelToken()):
        1 / 0  # noqa: B018
    with pytest.raises(Cancelled), pool.request(server, FIND, CancelToken()):
        raise Cancelled
    ask(pool, server)
    assert len(peer.conversations) == 3


def test_it_is_released_after_a_while_and_the_thread_ends(scripted_peer: Factory):
    pool, peer = AssociationPool(idle_s=0.2), scripted_peer(answers)
    ask(pool, server_at(peer.address))
    wait_until(lambda: open_ones(peer) == 0, what="the release")
    wait_until(lambda: not any(t.name == "vdb-associations" for t in threading.enumerate()), what="the thread's end")
    ask(pool, server_at(peer.address))
    assert len(peer.conversations) == 2
    pool.close()


def test_changed_settings_end_what_belongs_to_the_old_ones(scripted_peer: Factory, pool: AssociationPool):
    peer = scripted_peer(answers)
    old = server_at(peer.address)
    new = replace(old, calling_aet="NEW")
    ask(pool, old)
    pool.keep_only([new])
    assert open_ones(peer) == 0
    with pool.request(new, FIND, CancelToken()):
        pool.keep_only([old])
    assert open_ones(peer) == 0


def test_peers_that_answer_no_release_delay_the_end_by_a_second_at_most(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.stay_silent()

    pool, peer = AssociationPool(), scripted_peer(script)
    for number in range(6):
        with pool.request(replace(server_at(peer.address), called_aet=f"P{number}"), FIND, CancelToken()):
            pass
    began = time.monotonic()
    pool.close()
    assert time.monotonic() - began < 2.0


def test_what_is_given_back_after_the_end_is_released(scripted_peer: Factory):
    pool, peer = AssociationPool(), scripted_peer(answers)
    with pool.request(server_at(peer.address), FIND, CancelToken()):
        pool.close()
    peer.finish()
    assert open_ones(peer) == 0
