"""When a server counts as out of reach, who may try it then, and what the others hear."""

from __future__ import annotations

import re

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from VisualDICOMBrowserLib.domain.errors import (
    AssociationRejected,
    BadData,
    ConnectionLost,
    InternalError,
    OperationRefused,
    PeerStalled,
    ServerUnreachable,
    StorageError,
)
from VisualDICOMBrowserLib.jobs.clock import SimulatedClock
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind
from VisualDICOMBrowserLib.jobs.job import Outcome
from VisualDICOMBrowserLib.jobs.reach import Reach, ReachPolicy
from VisualDICOMBrowserLib.jobs.states import JobState

SILENT = ServerUnreachable("No answer.")


def job(job_id="1", kind=JobKind.RETRIEVE, server="PACS"):
    return JobDescription(job_id, kind, server)


def failed(error):
    return Outcome(state=JobState.FAILED, error=error)


DONE = Outcome()


@pytest.fixture
def clock():
    return SimulatedClock()


@pytest.fixture
def reach(clock):
    return Reach(clock)


@pytest.fixture
def lost(reach):
    """One whose server has just gone out of reach."""
    for _ in range(4):
        assert reach.begin(job()) is None
        reach.end(job(), failed(SILENT))
    assert reach.is_lost("PACS")
    return reach


def try_again(reach, clock, seconds) -> None:
    clock.advance(seconds)
    assert reach.lets(job())
    assert reach.begin(job()) is None
    reach.end(job(), failed(SILENT))


@pytest.mark.parametrize("error", [SILENT, PeerStalled("No word.")])
def test_four_failures_in_a_row_are_out_of_reach_and_three_are_not(reach, error):
    for _ in range(3):
        assert not reach.end(job(), failed(error))
    assert (reach.is_doubtful("PACS"), reach.is_lost("PACS"), reach.sentence("PACS")) == (True, False, "")
    assert reach.end(job(), failed(error))
    assert reach.is_lost("PACS")


@pytest.mark.parametrize(
    "answer",
    [
        DONE,
        failed(AssociationRejected("Not you.")),
        failed(OperationRefused("No.", 0xA900)),
        failed(ConnectionLost("Cut.")),
        failed(BadData("Nonsense.")),
        Outcome(state=JobState.INCOMPLETE),
    ],
)
def test_any_answer_shows_that_the_server_is_there(lost, answer):
    assert lost.end(job("other"), answer)
    assert not lost.is_doubtful("PACS")


@pytest.mark.parametrize(
    "nothing", [failed(StorageError("Full.")), failed(InternalError("Bug.")), Outcome(state=JobState.CANCELLED)]
)
def test_what_is_not_the_servers_doing_says_nothing(lost, nothing):
    assert not lost.end(job("other"), nothing)
    assert lost.is_lost("PACS")


def test_the_times_between_tries_double_up_to_a_minute(lost, clock):
    for seconds in (5, 10, 20, 40, 60, 60):
        clock.advance(seconds - 0.01)
        assert not lost.lets(job())
        try_again(lost, clock, 0.01)


def test_only_one_job_tries_at_a_time(lost, clock):
    clock.advance(5)
    assert lost.begin(job("1")) is None
    assert not lost.lets(job("2"))
    lost.end(job("1"), Outcome(state=JobState.CANCELLED))
    assert lost.lets(job("2"))


def test_whoever_is_awaited_is_told_at_once_and_tries_when_the_last_try_is_some_seconds_old(lost, clock):
    find = job("find", JobKind.FIND)
    try_again(lost, clock, 5)  # the next one in 10 s
    assert lost.lets(find)
    refusal = lost.begin(find)
    assert re.fullmatch(
        r"PACS has not answered since \d\d:\d\d:\d\d; it is tried again at \d\d:\d\d:\d\d\.", str(refusal)
    )
    assert not refusal.retryable
    clock.advance(5)
    assert lost.begin(find) is None
    assert lost.begin(job("thumbnail", JobKind.THUMBNAIL)) is not None


def test_a_test_of_the_server_is_always_made_and_heard(lost):
    echo = job("echo", JobKind.ECHO)
    assert lost.lets(echo)
    assert lost.begin(echo) is None
    assert lost.end(echo, DONE)
    assert lost.lets(job())


def test_what_the_user_asks_for_need_not_wait_long(lost, clock):
    for seconds in (5, 10, 20):
        try_again(lost, clock, seconds)
    assert lost.hurry("PACS")
    assert not lost.hurry("PACS")
    clock.advance(4.99)
    assert not lost.lets(job())
    clock.advance(0.01)
    assert lost.lets(job())


def test_others_are_not_concerned(lost):
    assert lost.lets(job(server="OTHER"))
    assert lost.lets(job(server=None))
    assert not lost.end(job(server=None), failed(SILENT))
    assert lost.sentence("OTHER") == ""


def test_new_settings_are_a_new_chance(lost):
    lost.forgive()
    assert lost.lets(job())


def test_those_that_were_under_way_when_it_was_lost_do_not_prolong_it(lost):
    before = lost.next_try("PACS")
    assert not lost.end(job("late"), failed(SILENT))
    assert lost.next_try("PACS") == before


class ReachMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order: at most one job tries a lost server, and sooner or later one may."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SimulatedClock()
        self.reach = Reach(self.clock)
        self.trying = {}

    @rule(kind=st.sampled_from([JobKind.FIND, JobKind.RETRIEVE, JobKind.ECHO]), number=st.integers(0, 5))
    def begin(self, kind, number):
        taken = job(str(number), kind)
        if taken.job_id not in self.trying and self.reach.lets(taken) and self.reach.begin(taken) is None:
            self.trying[taken.job_id] = (taken, self.reach.is_lost("PACS"))

    @rule(data=st.data(), outcome=st.sampled_from([DONE, failed(SILENT), Outcome(state=JobState.CANCELLED)]))
    def end(self, data, outcome):
        if self.trying:
            taken, _ = self.trying.pop(data.draw(st.sampled_from(sorted(self.trying))))
            self.reach.end(taken, outcome)

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def hurry(self):
        self.reach.hurry("PACS")

    @invariant()
    def one_tries_a_lost_server(self):
        if self.reach.is_lost("PACS"):
            assert sum(lost and taken.kind is not JobKind.ECHO for taken, lost in self.trying.values()) <= 1

    def teardown(self):
        for taken, _ in self.trying.values():
            self.reach.end(taken, Outcome(state=JobState.CANCELLED))
        self.clock.advance(ReachPolicy().delays[-1])
        assert self.reach.lets(job("after"))


TestReach = ReachMachine.TestCase
TestReach.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
