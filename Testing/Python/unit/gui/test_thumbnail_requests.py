"""Which pictures the engine is asked for, and when."""

from __future__ import annotations

import pytest

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.errors import Cancelled, PeerError
from VisualDICOMBrowserLib.gui.studies.thumbnail_requests import MAX_OPEN, RETRY_AFTER, ThumbnailRequests

ANSWER = {"series_uid": "x", "sop_uid": "y", "path": "/p.png", "placeholder": False, "reason": ""}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake() -> FakeSession:
    return FakeSession()


@pytest.fixture
def requests(fake, clock) -> ThumbnailRequests:
    return ThumbnailRequests(fake, clock)


def asked(fake: FakeSession) -> list[str]:
    return [ask.params["series_uid"] for ask in fake.asked("thumbnail")]


def test_at_most_six_are_open_and_the_first_ones_are_asked_first(fake, requests):
    requests.want([str(n) for n in range(20)])
    assert asked(fake) == ["0", "1", "2", "3", "4", "5"]
    fake.asks[0].answer(ANSWER)
    assert asked(fake)[-1] == "6"
    assert sum(not ask.settled for ask in fake.asks) == MAX_OPEN


def test_nothing_is_asked_twice(fake, requests):
    requests.want(["a", "b"])
    requests.want(["b", "a"])
    for ask in list(fake.asks):
        ask.answer(ANSWER)
    requests.want(["a", "b"])
    assert asked(fake) == ["a", "b"]
    assert requests.thumbnail("a").path == "/p.png"


def test_a_picture_of_what_was_replaced_is_asked_for_again_and_shown_until_then(fake, requests):
    requests.want(["a"])
    requests.outdate("a")  # nothing was told yet
    fake.asks[0].answer(ANSWER)
    requests.want(["a"])
    assert asked(fake) == ["a"]
    requests.outdate("a")
    assert requests.thumbnail("a").path == "/p.png"
    requests.want(["a"])
    requests.want(["a"])
    assert asked(fake) == ["a", "a"]


def test_what_left_the_screen_is_stopped_and_asked_again_when_it_is_back(fake, requests):
    requests.want(["a", "b"])
    requests.want(["b"])
    assert [ask.stopped for ask in fake.asks] == [True, False]
    fake.asks[0].fail(Cancelled("stopped"))
    assert requests.failure("a") == ""
    requests.want(["a", "b"])
    assert asked(fake) == ["a", "b", "a"]


def test_a_failure_is_remembered_for_a_minute(fake, requests, clock):
    requests.want(["a"])
    fake.asks[0].fail(PeerError("The server is gone."))
    assert requests.failure("a") == "The server is gone."
    clock.now = RETRY_AFTER - 1
    requests.want(["a"])
    assert len(fake.asks) == 1
    clock.now = RETRY_AFTER
    requests.want(["a"])
    assert len(fake.asks) == 2


def test_the_user_can_have_it_tried_again_at_once(fake, requests):
    requests.want(["a"])
    fake.asks[0].fail(PeerError("no"))
    requests.forgive()
    requests.want(["a"])
    assert len(fake.asks) == 2


def test_without_an_engine_nothing_is_asked_until_it_is_there(fake, requests):
    fake.ready = False
    requests.want(["a"])
    assert fake.asks == []
    fake.ready = True
    fake.ready_changed.emit(True, "")
    assert asked(fake) == ["a"]


def test_what_an_engine_that_went_away_failed_is_asked_of_the_next_one(fake, requests):
    requests.answered.connect(lambda _: requests.want(["a", "b"]))
    requests.want(["a", "b"])
    fake.ready = False
    for ask in list(fake.asks):
        ask.fail(PeerError("The engine is gone."))
    assert len(fake.asks) == 2
    fake.ready = True
    fake.ready_changed.emit(True, "")
    assert asked(fake) == ["a", "b", "a", "b"]


def test_after_close_everything_open_is_stopped(fake, requests):
    requests.want(["a"])
    requests.close()
    fake.ready_changed.emit(True, "")
    assert [ask.stopped for ask in fake.asks] == [True]
