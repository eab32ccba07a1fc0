from __future__ import annotations

import threading
import time

import pytest

from support.waiting import join_all
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled


def test_a_fresh_token_lets_work_go_on():
    token = CancelToken()
    token.check()
    assert not token.cancelled
    assert not token.wait(0)


def test_a_cancelled_token_stops_it_for_ever():
    token = CancelToken()
    token.cancel()
    token.cancel()
    assert token.cancelled
    assert token.wait(60)
    with pytest.raises(Cancelled):
        token.check()


def test_waiting_ends_with_the_cancellation():
    token = CancelToken()
    outcome: list[bool] = []
    waiter = threading.Thread(target=lambda: outcome.append(token.wait(60)))
    waiter.start()
    token.cancel()
    join_all([waiter])
    assert outcome == [True]


def test_callbacks_run_once_and_only_while_their_block_is_active():
    token = CancelToken()
    calls: list[str] = []
    with token.calling(lambda: calls.append("left")):
        pass
    with token.calling(lambda: calls.append("outer")), token.calling(lambda: calls.append("inner")):
        token.cancel()
        token.cancel()
        assert calls == ["outer", "inner"]


def test_a_callback_of_a_cancelled_token_runs_at_once():
    token = CancelToken()
    token.cancel()
    calls: list[int] = []
    with token.calling(lambda: calls.append(1)):
        assert calls == [1]
    assert calls == [1]


def test_one_callback_may_be_given_twice():
    token = CancelToken()
    calls: list[int] = []

    def callback() -> None:
        calls.append(1)

    with token.calling(callback):
        with token.calling(callback):
            pass
        token.cancel()
    assert calls == [1]


def test_a_failing_callback_does_not_keep_the_others_from_being_called():
    token = CancelToken()
    calls: list[int] = []

    def fail() -> None:
        raise ValueError("broken")

    with (
        token.calling(fail),
        token.calling(lambda: calls.append(1)),
        pytest.raises(ValueError, match="broken"),
    ):
        token.cancel()
    assert calls == [1]
    assert token.cancelled


def test_a_callback_may_use_the_token():
    token = CancelToken()
    seen: list[bool] = []

    def callback() -> None:
        token.cancel()
        with token.calling(lambda: seen.append(token.cancelled)):
            pass

    with token.calling(callback):
        token.cancel()
    assert seen == [True]


def test_an_exception_in_the_block_ends_the_callback_too():
    token = CancelToken()
    calls: list[int] = []
    with pytest.raises(KeyError), token.calling(lambda: calls.append(1)):
        raise KeyError
    token.cancel()
    assert calls == []


def test_whoever_enters_while_another_cancels_is_called_exactly_once():
    for _ in range(100):
        token, start, calls = CancelToken(), threading.Barrier(5), []

        def enter(token: CancelToken = token, start: threading.Barrier = start, calls: list[int] = calls) -> None:
            start.wait(10)
            with token.calling(lambda: calls.append(1)):
                assert token.wait(10)
                deadline = time.monotonic() + 10
                while len(calls) < 3 and time.monotonic() < deadline:
                    time.sleep(0)

        def cancel(token: CancelToken = token, start: threading.Barrier = start) -> None:
            start.wait(10)
            token.cancel()

        threads = [threading.Thread(target=target) for target in (enter, enter, enter, cancel, cancel)]
        for thread in threads:
            thread.start()
        join_all(threads)
        assert calls == [1, 1, 1]
