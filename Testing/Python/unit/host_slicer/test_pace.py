"""Batches follow each other at a distance that their starts can pay for; an urgent one does not wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.host_slicer.pace import INTERVAL_S, SHARE, Pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def start(pace, clock, cost_s, error=None):
    with pace.start():
        clock.now += cost_s
        if error is not None:
            raise error


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace(clock)


@pytest.mark.parametrize("urgent", [False, True])
def test_the_first_batch_goes_at_once(pace, urgent):
    assert pace.wait_s(urgent=urgent) == 0


@pytest.mark.parametrize(
    ("cost_s", "interval_s"), [(0, 2), (0.001, 2), (0.1, 2), (0.15, 3), (0.5, 10), (2, 40)], ids=str
)
def test_the_interval_is_two_seconds_or_twenty_times_the_cost(pace, clock, cost_s, interval_s):
    start(pace, clock, cost_s)
    assert pace.wait_s(urgent=False) == pytest.approx(interval_s - cost_s)
    clock.now = 100 + interval_s - 0.01
    assert pace.wait_s(urgent=False) == pytest.approx(0.01)
    clock.now = 100 + interval_s + 0.01
    assert pace.wait_s(urgent=False) == 0


def test_an_urgent_batch_does_not_wait(pace, clock):
    start(pace, clock, 1.0)
    assert pace.wait_s(urgent=True) == 0
    assert pace.wait_s(urgent=False) > 0


def test_one_start_that_was_held_up_does_not_slow_down_the_next(pace, clock):
    for cost_s in (0.01, 0.01, 8.0):
        start(pace, clock, cost_s)
    assert pace.wait_s(urgent=False) == 0


def test_starts_that_have_become_dear_are_noticed(pace, clock):
    for cost_s in (0.01, 0.01, 1.0, 1.0, 1.0):
        start(pace, clock, cost_s)
    assert pace.wait_s(urgent=False) == pytest.approx(19)


def test_a_start_that_fails_counts(pace, clock):
    with pytest.raises(ValueError, match="no"):
        start(pace, clock, 1, ValueError("no"))
    assert pace.wait_s(urgent=False) == pytest.approx(19)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1000)), min_size=1, max_size=20))
def test_starts_take_no_more_than_their_share_and_keep_the_interval(steps):
    clock = Clock()
    pace = Pace(clock)
    cost_s = steps[0][0]
    for _, idle_s in steps:  # every start costs the same here
        began = clock.now
        start(pace, clock, cost_s)
        clock.now += min(idle_s, 1.0)
        wait_s = pace.wait_s(urgent=False)
        assert wait_s >= 0
        clock.now += wait_s
        assert clock.now - began >= max(INTERVAL_S, SHARE * cost_s) - 1e-6
        assert pace.wait_s(urgent=False) == pytest.approx(0, abs=1e-6)
