"""What becomes of jobs for a server that does not answer: nobody waits for them, and they wait for it."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.errors import Cancelled, ServerUnreachable
from VisualDICOMBrowserLib.jobs.clock import SimulatedClock
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, Priority
from VisualDICOMBrowserLib.jobs.lanes import Limits
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy
from VisualDICOMBrowserLib.jobs.scheduler import Scheduler
from VisualDICOMBrowserLib.jobs.states import JobState

DEADLINE_S = 10
SILENCE = r"DEAD has not answered since .*; it is tried again at "


class Network:
    """Servers that answer, or do not; a scheduler whose jobs ask them."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.dead = {"DEAD"}
        self.asked = Counter()
        self.most = Counter()
        self.busy = Counter()
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()
        self.reports = []
        self.scheduler = Scheduler(
            dict.fromkeys(JobKind, self.ask),
            Limits(proxies={"BEHIND": "PROXY"}),
            RetryStrategy(random=lambda: 0.5),
            self.clock,
            on_progress=self.reports.append,
        )

    def ask(self, description, context):
        server = description.server
        with self.lock:
            self.asked[server] += 1
            self.busy[server] += 1
            self.most[server] = max(self.most[server], self.busy[server])
        try:
            assert self.go.wait(DEADLINE_S)
            if server in self.dead:
                raise ServerUnreachable(f"The server {server} cannot be reached.")
            return "here"
        finally:
            with self.lock:
                self.busy[server] -= 1

    def submit(self, job_id, kind=JobKind.RETRIEVE, server="DEAD", priority=Priority.USER):
        return self.scheduler.submit(JobDescription(job_id, kind, server, priority=priority))

    def lose(self) -> None:
        """Let a job find out that the server is out of reach."""
        self.exhaust(self.submit("first"))
        assert self.asked["DEAD"] == 4

    def exhaust(self, handle) -> None:
        """Let a job fail as often as it tries."""
        for tries, delay in enumerate((1, 2, 4), 1):
            wait_until(lambda tries=tries: self.waits(handle, tries))
            self.clock.advance(delay)
        assert handle.wait(DEADLINE_S).state is JobState.FAILED

    def waits(self, handle, tries):
        record = handle.record()
        return (record.state, record.tries) == (JobState.WAITING, tries)

    def settle(self) -> None:
        """Wait until whatever may run has run: a job of another server has had its turn after it."""
        for number in range(2):
            self.submit(f"settle {self.asked.total()} {number}", JobKind.REMOVE, "WELL").result(DEADLINE_S)

    def states(self, *handles):
        return [handle.record().state for handle in handles]


@pytest.fixture
def network():
    network = Network()
    yield network
    assert network.scheduler.close(DEADLINE_S)


@pytest.fixture
def lost(network):
    network.lose()
    return network


def test_a_search_is_answered_at_once_and_nobody_tries(lost):
    with pytest.raises(ServerUnreachable, match=SILENCE):
        lost.submit("find", JobKind.FIND).result(DEADLINE_S)
    with pytest.raises(ServerUnreachable, match=SILENCE):
        lost.submit("picture", JobKind.THUMBNAIL, priority=Priority.VISIBLE_THUMBNAIL).result(DEADLINE_S)
    assert lost.asked["DEAD"] == 4


def test_a_search_some_seconds_later_tries(lost):
    lost.clock.advance(5)
    with pytest.raises(ServerUnreachable, match="cannot be reached"):
        lost.submit("find", JobKind.FIND).result(DEADLINE_S)
    assert lost.asked["DEAD"] == 5


def test_retrieves_wait_with_the_reason_and_one_tries_at_a_time(lost):
    handles = [lost.submit(f"r{number}", priority=Priority.REST) for number in range(5)]
    lost.settle()
    assert lost.states(*handles) == [JobState.QUEUED] * 5
    assert all(handle.record().reason.startswith("DEAD has not answered since ") for handle in handles)
    assert all(handle.record().tries == 0 for handle in handles)
    lost.clock.advance(5)
    wait_until(lambda: handles[0].record().state is JobState.WAITING)
    assert (lost.asked["DEAD"], lost.most["DEAD"]) == (5, 1)
    assert lost.states(*handles[1:]) == [JobState.QUEUED] * 4
    record = handles[0].record()
    assert record.retry_at.monotonic == lost.clock.monotonic() + 10
    assert record.reason.startswith("DEAD has not answered since ")
    assert record.tries == 1


def test_when_it_answers_everything_goes_on(lost):
    handles = [lost.submit(f"r{number}", priority=Priority.REST) for number in range(5)]
    lost.clock.advance(5)
    wait_until(lambda: handles[0].record().state is JobState.WAITING)
    lost.dead.clear()
    lost.clock.advance(10)
    assert [handle.result(DEADLINE_S) for handle in handles] == ["here"] * 5
    assert {handle.record().reason for handle in handles} == {""}


def test_a_test_of_the_server_that_succeeds_wakes_what_waits(lost):
    handle = lost.submit("r", priority=Priority.REST)
    lost.clock.advance(5)
    wait_until(lambda: handle.record().state is JobState.WAITING)
    lost.dead.clear()
    assert lost.submit("echo", JobKind.ECHO).result(DEADLINE_S) == "here"
    assert handle.result(DEADLINE_S) == "here"


def test_a_job_retried_by_hand_tries_within_five_seconds(lost):
    others = [lost.submit(f"r{number}", priority=Priority.REST) for number in range(2)]
    for delay in (5, 10, 20):
        before = lost.asked["DEAD"]
        lost.clock.advance(delay)
        wait_until(lambda before=before: lost.asked["DEAD"] > before and lost.busy["DEAD"] == 0)
        lost.settle()
    lost.dead.clear()
    lost.scheduler.retry("first")
    lost.clock.advance(5)
    wait_until(lambda: lost.scheduler.record("first").state is JobState.COMPLETED)
    assert [handle.result(DEADLINE_S) for handle in others] == ["here"] * 2


def test_what_waits_can_be_cancelled(lost):
    handle = lost.submit("r", priority=Priority.REST)
    assert handle.cancel()
    with pytest.raises(Cancelled):
        handle.result(DEADLINE_S)
    lost.clock.advance(60)
    lost.settle()
    assert lost.asked["DEAD"] == 4


def test_new_settings_let_it_be_tried_at_once(lost):
    handle = lost.submit("r", priority=Priority.REST)
    lost.dead.clear()
    lost.scheduler.trust_servers()
    assert handle.result(DEADLINE_S) == "here"


def test_those_who_were_queued_before_are_told_why_they_wait(network):
    network.go.clear()
    handles = [network.submit(f"r{number}", priority=Priority.REST) for number in range(2, 20)]
    network.go.set()
    wait_until(lambda: network.scheduler.is_out_of_reach("DEAD"))  # each of them tries once, one after the other
    queued = [handle for handle in handles if handle.record().state is JobState.QUEUED]
    assert len(queued) == len(handles) - network.asked["DEAD"]

    def told(handle):
        return any(r.job_id == handle.job_id and "has not answered since" in r.reason for r in network.reports)

    wait_until(lambda: all(map(told, queued)))


def test_a_dead_proxy_does_not_make_the_server_behind_it_look_dead(network):
    network.dead.add("BEHIND")  # or its proxy: the error is the same
    handle = network.submit("r", server="BEHIND")
    network.exhaust(handle)
    assert not network.scheduler.is_out_of_reach("BEHIND")


def test_dead_servers_never_slow_the_others(lost):
    for number in range(100):
        lost.submit(f"r{number}", priority=Priority.VISIBLE_THUMBNAIL)
    for number in range(20):
        assert lost.submit(f"w{number}", JobKind.FIND, "WELL").result(DEADLINE_S) == "here"
    assert lost.asked["DEAD"] == 4
