"""Which pictures the engine is asked for, and when."""

from __future__ import annotations

import pytest

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.errors import Cancelled, PeerError
from VisualDICOMBrowserLib.gui.studies.thumbnail_requests import (
    MAX_FROM_ONE,
    MAX_LEFT,
    MAX_OPEN,
    PATIENCE,
    RETRY_AFTER,
    ThumbnailRequests,
)

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


def going_on(fake: FakeSession) -> list[str]:
    return [ask.params["series_uid"] for ask in fake.asked("thumbnail") if not ask.settled and not ask.stopped]


def end_stopped(fake: FakeSession) -> None:
    for ask in fake.asked("thumbnail"):
        if ask.stopped and not ask.settled:
            ask.fail(Cancelled("stopped"))


def told(fake: FakeSession) -> list[list[str]]:
    return [ask.params["series_uids"] for ask in fake.asked("show")]


def of(*uids: object, source: tuple[str, ...] = ("PACS",)) -> dict[str, tuple[str, ...]]:
    return {str(uid): source for uid in uids}


def test_so_many_of_one_server_are_open_and_the_first_ones_are_asked_first(fake, requests):
    requests.want(of(*range(20)))
    assert asked(fake) == [str(n) for n in range(MAX_FROM_ONE)]
    fake.asked("thumbnail")[0].answer(ANSWER)
    assert asked(fake)[-1] == str(MAX_FROM_ONE)
    assert len(going_on(fake)) == MAX_FROM_ONE


def test_a_server_that_does_not_answer_leaves_room_for_others_and_for_what_is_here(fake, requests):
    requests.want({**of(*range(20), source=("DEAD",)), **of("x", "y", source=("B", "DEAD")), **of("here", source=())})
    assert asked(fake)[MAX_FROM_ONE:] == ["x", "y", "here"]


def test_however_many_servers_there_are_the_number_of_requests_is_bounded(fake, requests):
    requests.want({str(n): (str(n),) for n in range(200)})
    assert len(asked(fake)) == MAX_OPEN
    for first in range(200, 4_000, 50):
        requests.want({str(n): (str(n),) for n in range(first, first + 50)})
        assert sum(not ask.settled for ask in fake.asked("thumbnail")) <= MAX_OPEN
        end_stopped(fake)


def test_nothing_is_asked_twice(fake, requests):
    requests.want(of("a", "b"))
    requests.want(of("b", "a"))
    for ask in fake.asked("thumbnail"):
        ask.answer(ANSWER)
    requests.want(of("a", "b"))
    assert asked(fake) == ["a", "b"]
    assert requests.thumbnail("a").path == "/p.png"


def test_a_picture_of_what_was_replaced_is_asked_for_again_and_shown_until_then(fake, requests):
    requests.want(of("a"))
    requests.outdate("a")  # nothing was told yet
    fake.asked("thumbnail")[0].answer(ANSWER)
    requests.want(of("a"))
    assert asked(fake) == ["a"]
    requests.outdate("a")
    assert requests.thumbnail("a").path == "/p.png"
    requests.want(of("a"))
    requests.want(of("a"))
    assert asked(fake) == ["a", "a"]


def test_what_left_the_screen_stays_asked_for_and_the_engine_is_told_what_is_seen(fake, requests):
    requests.want(of("a", "b"), ["a", "b", "pictured"])
    requests.want(of("c"), ["c"])
    assert told(fake) == [["a", "b", "pictured"]]  # the next once this has arrived
    requests.want(of("d"), ["d"])
    fake.asked("show")[0].answer()
    assert told(fake)[1:] == [["d"]]
    requests.want(of("d"), ["d"])
    fake.asked("show")[1].answer()
    assert len(told(fake)) == 2
    assert going_on(fake) == ["a", "b", "c", "d"]
    assert requests.lingers
    for ask in fake.asked("thumbnail"):
        ask.answer(ANSWER)
    assert not requests.lingers
    assert requests.thumbnail("a").path == "/p.png"


def test_while_all_pictures_are_there_the_engine_is_told_nothing(fake, requests):
    requests.want({}, ["a", "b"])
    assert fake.asks == []


def test_studies_that_are_not_whole_here_are_told_even_so_and_again_when_they_may_have_grown(fake, requests):
    requests.want({}, ["a"], ["study"])
    assert [ask.params["study_uids"] for ask in fake.asks] == [["study"]]
    fake.asks[0].answer()
    requests.want({}, ["a"], ["study"])
    assert len(fake.asks) == 1
    requests.tell_again()
    requests.want({}, ["a"], ["study"])
    fake.asks[1].answer()
    requests.want({}, ["b"])  # another patient, all of whom is here
    assert [ask.params for ask in fake.asks[1:]] == [
        {"series_uids": ["a"], "study_uids": ["study"]},
        {"series_uids": ["b"], "study_uids": []},
    ]
    fake.asks[2].answer()
    requests.want({}, ["c"])
    assert len(fake.asks) == 3


def test_of_what_left_the_screen_so_much_stays_and_the_rest_is_given_up(fake, requests):
    for screen in range(10):
        requests.want(of(*range(6 * screen, 6 * screen + 6)))
        end_stopped(fake)
    assert going_on(fake) == [str(n) for n in (*range(MAX_LEFT), *range(54, 60))]


def test_what_left_long_ago_is_given_up_while_something_seen_waits(fake, requests, clock):
    requests.want(of("a"))
    requests.want({})
    clock.now = PATIENCE
    requests.want({})
    assert going_on(fake) == ["a"]  # it is in nobody's way
    requests.want(of("b"))
    requests.want(of("b"))
    assert going_on(fake) == ["b"]


def test_what_was_given_up_is_asked_again_when_it_is_back(fake, requests, clock):
    requests.want(of("a", "b"))
    requests.want(of("b"))
    clock.now = PATIENCE
    requests.want(of("b"))
    assert [ask.stopped for ask in fake.asked("thumbnail")] == [True, False]
    requests.want(of("a", "b"))
    fake.asked("thumbnail")[0].fail(Cancelled("stopped"))
    assert requests.failure("a") == ""
    requests.want(of("a", "b"))
    assert asked(fake) == ["a", "b", "a"]


def test_a_failure_is_remembered_for_a_minute(fake, requests, clock):
    requests.want(of("a"))
    fake.asked("thumbnail")[0].fail(PeerError("The server is gone."))
    assert requests.failure("a") == "The server is gone."
    clock.now = RETRY_AFTER - 1
    requests.want(of("a"))
    assert len(asked(fake)) == 1
    clock.now = RETRY_AFTER
    requests.want(of("a"))
    assert len(asked(fake)) == 2


def test_the_user_can_have_it_tried_again_at_once(fake, requests):
    requests.want(of("a"))
    fake.asked("thumbnail")[0].fail(PeerError("no"))
    requests.forgive()
    requests.want(of("a"))
    assert len(asked(fake)) == 2


def test_without_an_engine_nothing_is_asked_until_it_is_there(fake, requests):
    fake.ready = False
    requests.want(of("a"))
    assert fake.asks == []
    fake.ready = True
    fake.ready_changed.emit(True, "")
    assert asked(fake) == ["a"]


def test_what_an_engine_that_went_away_failed_is_asked_of_the_next_one(fake, requests):
    requests.answered.connect(lambda _: requests.want(of("a", "b")))
    requests.want(of("a", "b"))
    fake.ready = False
    for ask in fake.asked("thumbnail"):
        ask.fail(PeerError("The engine is gone."))
    assert len(asked(fake)) == 2
    fake.ready = True
    fake.ready_changed.emit(True, "")
    assert asked(fake) == ["a", "b", "a", "b"]


def test_after_close_everything_open_is_stopped(fake, requests):
    requests.want(of("a"))
    requests.close()
    fake.ready_changed.emit(True, "")
    assert [ask.stopped for ask in fake.asked("thumbnail")] == [True]


def test_another_engine_is_told_anew_what_is_seen(fake, requests):
    requests.want(of("a"), ["a"])
    fake.ready = False
    for ask in list(fake.asks):
        ask.fail(PeerError("The engine is gone."))
    requests.want(of("a"), ["a"])
    fake.ready = True
    fake.ready_changed.emit(True, "")
    assert told(fake) == [["a"], ["a"]]
    assert asked(fake) == ["a", "a"]


def test_who_wants_no_pictures_stops_them(fake, requests):
    requests.want(of(*range(10)))
    requests.give_up()
    fake.asked("thumbnail")[0].fail(Cancelled("stopped"))
    assert going_on(fake) == []
    assert len(asked(fake)) == MAX_FROM_ONE
