"""Any sequence of submissions, endings, cancellations, retries and time: the scheduler keeps its promises."""

from __future__ import annotations

import queue
import threading
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from VisualDICOMBrowserLib.domain.errors import BadData, ConnectionLost, ServerUnreachable
from VisualDICOMBrowserLib.jobs.clock import SimulatedClock
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, Priority
from VisualDICOMBrowserLib.jobs.lanes import Limits
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy
from VisualDICOMBrowserLib.jobs.scheduler import Scheduler
from VisualDICOMBrowserLib.jobs.states import TRANSITIONS, IllegalTransition, JobState

DEADLINE_S = 10
MOST_TRIES = 1 + len(RetryStrategy().delays)
LIMITS = Limits(total=4, per_server=2, servers={"B": 1}, local=2)
ENDINGS = {
    "completed": lambda context: None,
    "incomplete": lambda context: context.incomplete(None, "Half."),
    "refused": lambda context: fail(BadData("Damaged.")),
    "cut": lambda context: fail(ConnectionLost("Cut.")),
    "no answer": lambda context: fail(ServerUnreachable("No answer.")),
    "half and cut": lambda context: context.incomplete(None, "Half.", ConnectionLost("Cut.")),
}


def fail(error):
    raise error


class SchedulerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = SimulatedClock()
        self.lock = threading.Lock()
        self.running = Counter()
        self.faults = []
        self.last = {}
        self.endings = {}
        self.handles = []
        self.all_through = threading.Event()
        self.scheduler = Scheduler(
            dict.fromkeys(JobKind, self.work),
            LIMITS,
            RetryStrategy(random=lambda: 0.5),  # threads that use the random module disturb hypothesis
            self.clock,
            self.listen,
            cancel_grace_s=1e9,
        )

    def work(self, description, context):
        with self.lock:
            self.running[description.server] += 1
            if self.running[description.server] > LIMITS.of_server(description.server):
                self.faults.append("a server's limit was exceeded")
            if self.running.total() > LIMITS.total:
                self.faults.append("the total was exceeded")
        try:
            with context.token.calling(lambda: self.endings[description.job_id].put("completed")):
                ending = "completed" if self.all_through.is_set() else self.endings[description.job_id].get(timeout=30)
            context.token.check()
            return ENDINGS[ending](context)
        finally:
            with self.lock:
                self.running[description.server] -= 1

    def listen(self, step) -> None:
        if self.last.get(step.job.job_id) is not step.old:
            self.faults.append(f"a step from {step.old} after {self.last.get(step.job.job_id)}")
        if step.old is not None and step.new not in TRANSITIONS[step.old].values():
            self.faults.append(f"an illegal step from {step.old} to {step.new}")
        if step.job.tries > MOST_TRIES:
            self.faults.append("a job was tried too often")
        self.last[step.job.job_id] = step.new

    @rule(
        kind=st.sampled_from([JobKind.REMOVE, JobKind.RETRIEVE, JobKind.THUMBNAIL]),
        server=st.sampled_from(["A", "B", None]),
        priority=st.sampled_from(Priority),
    )
    def submit(self, kind, server, priority):
        job_id = str(len(self.handles))
        self.endings[job_id] = queue.SimpleQueue()
        self.handles.append(self.scheduler.submit(JobDescription(job_id, kind, server, priority=priority)))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), ending=st.sampled_from(sorted(ENDINGS)))
    def end(self, data, ending):
        handle = data.draw(st.sampled_from(self.handles))
        self.endings[handle.job_id].put(ending)

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def cancel(self, data):
        handle = data.draw(st.sampled_from(self.handles))
        if handle.cancel():
            assert handle.wait(DEADLINE_S) is not None

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def retry(self, data):
        handle = data.draw(st.sampled_from(self.handles))
        try:
            handle.retry()
        except IllegalTransition:
            return
        assert handle.record().tries <= 1

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), priority=st.sampled_from(Priority))
    def reprioritise(self, data, priority):
        data.draw(st.sampled_from(self.handles)).set_priority(priority)

    @rule()
    def change_settings(self):
        self.scheduler.set_limits(LIMITS)
        self.scheduler.trust_servers()

    @rule(seconds=st.sampled_from([0.5, 1, 5, 60]))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def nothing_was_broken(self):
        assert not self.faults

    def teardown(self) -> None:
        self.all_through.set()
        for ending in self.endings.values():
            for _ in range(8):
                ending.put("completed")
        try:
            for handle in self.handles:
                self.let_end(handle)
        finally:
            assert self.scheduler.close(DEADLINE_S)
        assert not self.faults
        assert all(state.terminal for state in self.last.values())
        assert +self.running == Counter()

    def let_end(self, handle) -> None:
        """Every job ends once its work does: nothing is forgotten in a queue."""
        for _ in range(200):
            self.clock.advance(5)
            if handle.wait(DEADLINE_S / 200) is not None:
                return
        raise AssertionError(f"job {handle.job_id} is still {handle.record().state}")


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_the_machine_above_covers_every_state_it_can():
    reachable = {JobState.QUEUED}
    while (wider := reachable | {new for old in reachable for new in TRANSITIONS[old].values()}) != reachable:
        reachable = wider
    assert reachable == set(JobState)
