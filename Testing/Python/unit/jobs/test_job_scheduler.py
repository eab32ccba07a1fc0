from __future__ import annotations

import logging
import threading
import time
from collections import Counter

import pytest

from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.errors import (
    BadData,
    Cancelled,
    ConnectionLost,
    InternalError,
    LocalError,
    ServerUnreachable,
    UsageError,
)
from VisualDICOMBrowserLib.domain.protocol_log import note
from VisualDICOMBrowserLib.jobs.clock import SimulatedClock
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Missing, Priority, Stamp
from VisualDICOMBrowserLib.jobs.job import MAX_MEMO, Job, Outcome
from VisualDICOMBrowserLib.jobs.lanes import Limits
from VisualDICOMBrowserLib.jobs.queue import InMemoryJobQueueStore, unfinished
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy
from VisualDICOMBrowserLib.jobs.scheduler import Scheduler
from VisualDICOMBrowserLib.jobs.states import IllegalTransition, JobState

DEADLINE_S = 10


class Stage:
    """A scheduler whose workers do what the job's ``act`` names, and everything that was heard of it."""

    def __init__(self, **options) -> None:
        self.clock = SimulatedClock()
        self.store = InMemoryJobQueueStore()
        self.changed = threading.Condition()
        self.steps = []
        self.reports = []
        self.acts = {}
        self.most = Counter()
        self.running = Counter()
        options = {"clock": self.clock, "retry": RetryStrategy(random=lambda: 0.5), **options}
        self.scheduler = Scheduler(
            dict.fromkeys(JobKind, self.work),
            listener=self.listen,
            on_progress=self.reports.append,
            store=self.store,
            **options,
        )

    def listen(self, step) -> None:
        with self.changed:
            self.steps.append(step)
            self.changed.notify_all()

    def work(self, description, context):
        keys = ("all", description.server)
        with self.changed:
            for key in keys:
                self.running[key] += 1
                self.most[key] = max(self.most[key], self.running[key])
        try:
            act = self.acts.get(description.job_id)
            return act(context) if act else None
        finally:
            with self.changed:
                self.running.subtract(keys)

    def submit(self, job_id, act=None, kind=JobKind.REMOVE, server="A", priority=Priority.USER):
        if act is not None:
            self.acts[job_id] = act
        return self.scheduler.submit(JobDescription(job_id, kind, server, priority=priority))

    def wait_for(self, job_id, state) -> None:
        def seen():
            return any(step.job.job_id == job_id and step.new is state for step in self.steps)

        with self.changed:
            assert self.changed.wait_for(seen, DEADLINE_S), f"{job_id} did not become {state.value}"

    def wait_for_steps(self, job_id, *states) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.story(job_id) == list(states), DEADLINE_S), self.story(job_id)

    def story(self, job_id):
        return [step.new for step in self.steps if step.job.job_id == job_id]


class Gate:
    """Work that goes on until it is let through."""

    def __init__(self, result=None) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.result = result

    def __call__(self, context):
        self.entered.set()
        with context.token.calling(self.open.set):
            assert self.open.wait(DEADLINE_S)
        context.token.check()
        return self.result

    def wait(self) -> None:
        assert self.entered.wait(DEADLINE_S)


class Stubborn(Gate):
    """Work that does not listen to its token."""

    def __call__(self, context):
        self.entered.set()
        assert self.open.wait(DEADLINE_S)
        return self.result


def failing(*errors):
    """Raise the given errors one try after the other, then succeed."""
    left = list(errors)

    def act(context):
        if left:
            raise left.pop(0)
        return "done"

    return act


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    assert stage.scheduler.close(DEADLINE_S)


QUEUED, RUNNING, WAITING = JobState.QUEUED, JobState.RUNNING, JobState.WAITING


def test_a_job_runs_and_gives_its_result(stage):
    handle = stage.submit("1", lambda context: 42)
    assert handle.result(DEADLINE_S) == 42
    stage.wait_for_steps("1", QUEUED, RUNNING, JobState.COMPLETED)
    assert [step.old for step in stage.steps] == [None, QUEUED, RUNNING]
    record = handle.record()
    assert (record.state, record.tries) == (JobState.COMPLETED, 1)
    assert record.started is not None
    assert record.ended is not None


def test_waiting_for_a_job_is_bounded(stage):
    handle = stage.submit("1", Gate())
    assert handle.wait(0.01) is None
    with pytest.raises(TimeoutError):
        handle.result(0.01)


def test_an_incomplete_job_keeps_its_result_and_says_what_is_missing(stage):
    handle = stage.submit("1", lambda context: context.incomplete(["1.2.3"], "One image is missing."))
    outcome = handle.wait(DEADLINE_S)
    assert outcome == Outcome(["1.2.3"], JobState.INCOMPLETE, "One image is missing.")
    assert handle.result() == ["1.2.3"]


def test_a_failed_job_raises_the_workers_error(stage):
    error = BadData("Damaged.")
    handle = stage.submit("1", failing(error))
    with pytest.raises(BadData) as caught:
        handle.result(DEADLINE_S)
    assert caught.value is error
    assert handle.record().reason == "Damaged."


@pytest.mark.expects_log("failed", "did not stop in time")
def test_a_bug_in_a_worker_is_an_internal_error_and_nothing_of_its_text_is_logged(stage, caplog):
    with caplog.at_level(logging.ERROR):
        handle = stage.submit("1", failing(ValueError("DOE^JANE")))
        with pytest.raises(InternalError) as caught:
            handle.result(DEADLINE_S)
    assert "ValueError in act" in caplog.text
    assert "DOE" not in caplog.text + str(caught.value)


@pytest.mark.expects_log("failed", "did not stop in time")
def test_a_worker_that_exits_the_thread_fails_its_job_only(stage):
    with pytest.raises(InternalError):
        stage.submit("1", failing(SystemExit())).result(DEADLINE_S)
    assert stage.submit("2", lambda context: 1).result(DEADLINE_S) == 1


def test_a_transient_failure_is_tried_again_after_1_2_and_4_seconds(stage):
    handle = stage.submit("1", failing(*[ServerUnreachable("No answer.")] * 3))
    story = [QUEUED, RUNNING, WAITING]
    for delay in (1, 2, 4):
        stage.wait_for_steps("1", *story)
        assert handle.record().retry_at.monotonic == pytest.approx(stage.clock.monotonic() + delay)
        stage.clock.advance(delay - 0.01)
        stage.submit(f"meanwhile {delay}").result(DEADLINE_S)
        assert handle.record().state is WAITING
        stage.clock.advance(0.01)
        story += [QUEUED, RUNNING, WAITING]
        if delay == 4:
            story[-1] = JobState.COMPLETED
    assert handle.result(DEADLINE_S) == "done"
    stage.wait_for_steps("1", *story)
    assert handle.record().tries == 4


def test_after_the_last_retry_the_job_fails_until_the_user_retries(stage):
    handle = stage.submit("1", failing(*[ConnectionLost("Cut.")] * 5))
    for tries in range(1, 4):
        stage.wait_for_steps("1", QUEUED, *[RUNNING, WAITING, QUEUED] * (tries - 1), RUNNING, WAITING)
        stage.clock.advance(4)
    with pytest.raises(ConnectionLost):
        handle.result(DEADLINE_S)
    assert handle.record().tries == 4
    handle.retry()
    stage.wait_for_steps(
        "1", *[QUEUED, RUNNING, WAITING] * 3, QUEUED, RUNNING, JobState.FAILED, QUEUED, RUNNING, WAITING
    )
    stage.clock.advance(1)
    assert handle.result(DEADLINE_S) == "done"


def test_an_incomplete_outcome_with_a_transient_error_is_tried_again(stage):
    outcomes = [Outcome("half", JobState.INCOMPLETE, "Half.", ConnectionLost("Cut.")), "all"]
    handle = stage.submit("1", lambda context: outcomes.pop(0))
    stage.wait_for("1", WAITING)
    stage.clock.advance(1)
    assert handle.result(DEADLINE_S) == "all"


def test_three_retries_are_all_there_are_though_each_try_brings_something(stage):
    tried = []

    def bring_one_more(context):
        tried.append(len(tried))
        context.progress(len(tried), 10, 100 * len(tried))
        return Outcome(None, JobState.INCOMPLETE, "Cut.", ConnectionLost("Cut."), Missing(10 - len(tried)))

    handle = stage.submit("1", bring_one_more, kind=JobKind.RETRIEVE)
    for delay in (1, 2, 4):
        wait_until(lambda delay=delay: handle.record().retry_at is not None)
        stage.clock.advance(delay)
        wait_until(lambda delay=delay: len(tried) == {1: 2, 2: 3, 4: 4}[delay])
    assert handle.wait(DEADLINE_S).state is JobState.INCOMPLETE
    record = handle.record()
    assert (len(tried), record.tries, record.done, record.missing) == (4, 4, 4, Missing(6))


def test_a_waiting_job_holds_up_nobody(stage):
    stage.submit("1", failing(ServerUnreachable("No answer.")))
    stage.wait_for("1", WAITING)
    results = [stage.submit(str(number), lambda context: "done").result(DEADLINE_S) for number in range(2, 6)]
    assert results == ["done"] * 4


def test_a_retry_is_due_even_while_every_thread_made_so_far_is_busy(stage):
    handle = stage.submit("1", failing(ServerUnreachable("No answer.")))
    stage.wait_for("1", WAITING)
    gate = Gate()
    stage.submit("2", gate, server="B")
    gate.wait()
    stage.clock.advance(1)
    assert handle.result(DEADLINE_S) == "done"
    gate.open.set()


def test_a_dead_server_does_not_delay_others(stage):
    dead = [Gate() for _ in range(30)]
    for number, gate in enumerate(dead):
        stage.submit(f"dead {number}", gate, server="dead", priority=Priority.VISIBLE_THUMBNAIL)
    dead[1].wait()
    for number in range(20):
        stage.submit(f"alive {number}", server="B", priority=Priority.REST).result(DEADLINE_S)
    assert stage.most["dead"] == 2
    for gate in dead:
        gate.open.set()


def test_a_search_is_answered_while_retrieves_of_the_same_server_run(stage):
    gates = [Gate(), Gate()]
    for number, gate in enumerate(gates):
        stage.submit(f"retrieve {number}", gate, kind=JobKind.RETRIEVE)
    gates[0].wait()
    stage.submit("find").result(DEADLINE_S)
    assert not gates[1].entered.is_set()
    for gate in gates:
        gate.open.set()


def test_limits_are_never_exceeded():
    stage = Stage(limits=Limits(total=3, per_server=2, servers={"B": 1}))
    with stage.scheduler:
        handles = [
            stage.submit(str(number), lambda context: context.token.wait(0.001), server="ABC"[number % 3])
            for number in range(120)
        ]
        for handle in handles:
            assert handle.wait(DEADLINE_S).state is JobState.COMPLETED
        workers = [t.name for t in threading.enumerate() if t.name.startswith("jobs-worker")]
    assert stage.most["all"] <= 3
    assert stage.most["A"] <= 2
    assert stage.most["B"] == 1
    assert len(workers) <= 3


def test_what_becomes_visible_is_promoted():
    stage = Stage(limits=Limits(total=1))
    with stage.scheduler:
        gate = Gate()
        stage.submit("first", gate)
        gate.wait()
        handles = [stage.submit(str(number), priority=Priority.REST) for number in range(3)]
        handles[2].set_priority(Priority.VISIBLE_THUMBNAIL)
        gate.open.set()
        for handle in handles:
            handle.wait(DEADLINE_S)
        started = [step.job.job_id for step in stage.steps if step.new is RUNNING]
    assert started == ["first", "2", "0", "1"]


def test_a_queued_job_is_cancelled_at_once(stage):
    gates = [Gate(), Gate()]
    for number, gate in enumerate(gates):
        stage.submit(f"gate {number}", gate)
        gate.wait()
    handle = stage.submit("1", lambda context: pytest.fail("it ran"))
    assert handle.cancel()
    assert not handle.cancel()
    with pytest.raises(Cancelled):
        handle.result(0)
    for gate in gates:
        gate.open.set()


def test_a_running_job_is_cancelled_through_its_token(stage):
    gate = Gate()
    handle = stage.submit("1", gate)
    gate.wait()
    assert handle.cancel()
    assert handle.wait(DEADLINE_S).state is JobState.CANCELLED


def test_a_waiting_job_is_cancelled_at_once_and_stays_so(stage):
    handle = stage.submit("1", failing(ServerUnreachable("No answer.")))
    stage.wait_for("1", WAITING)
    assert handle.cancel()
    assert handle.wait(0).state is JobState.CANCELLED
    stage.clock.advance(10)
    stage.submit("2").result(DEADLINE_S)
    assert handle.record().state is JobState.CANCELLED


@pytest.mark.expects_log("failed", "did not stop in time")
@pytest.mark.parametrize("broken", [ConnectionLost("The socket was shut."), OSError(9, "Bad file descriptor")])
def test_whatever_breaks_after_a_cancellation_is_the_cancellation(stage, broken):
    def act(context):
        context.token.wait(DEADLINE_S)
        raise broken

    handle = stage.submit("1", act)
    stage.wait_for("1", RUNNING)
    handle.cancel()
    assert handle.wait(DEADLINE_S).state is JobState.CANCELLED


def test_work_that_was_done_when_the_cancellation_came_is_completed(stage):
    handle = stage.submit("1", lambda context: context.token.wait(DEADLINE_S))
    stage.wait_for("1", RUNNING)
    handle.cancel()
    assert handle.wait(DEADLINE_S).state is JobState.COMPLETED


@pytest.mark.expects_log("failed", "did not stop in time")
def test_a_worker_that_does_not_let_go_is_left_behind_after_2_seconds(stage, caplog):
    stubborn = Stubborn("too late")
    handle = stage.submit("1", stubborn)
    stubborn.wait()
    handle.cancel()
    stage.clock.advance(1.9)
    assert handle.wait(0.02) is None
    stage.clock.advance(0.1)
    assert handle.wait(DEADLINE_S).state is JobState.CANCELLED
    assert "did not stop in time" in caplog.text
    stubborn.open.set()
    stage.submit("2").result(DEADLINE_S)
    assert handle.record().state is JobState.CANCELLED
    assert handle.wait(0).result is None


@pytest.mark.expects_log("failed", "did not stop in time")
def test_a_worker_left_behind_keeps_its_place_and_cannot_disturb_the_retry():
    stage = Stage(limits=Limits(per_server=1))
    with stage.scheduler:
        stubborn = Stubborn("old")
        handle = stage.submit("1", stubborn)
        stubborn.wait()
        handle.cancel()
        stage.clock.advance(2)
        handle.wait(DEADLINE_S)
        stage.acts["1"] = lambda context: "new"
        handle.retry()
        assert handle.wait(0.02) is None
        stubborn.open.set()
        assert handle.result(DEADLINE_S) == "new"
        assert stage.most["A"] == 1


def test_only_ended_jobs_that_are_not_completed_can_be_retried(stage):
    done = stage.submit("1")
    done.result(DEADLINE_S)
    with pytest.raises(IllegalTransition):
        done.retry()
    gate = Gate()
    running = stage.submit("2", gate)
    with pytest.raises(IllegalTransition):
        running.retry()
    gate.open.set()


def test_progress_is_in_the_record_and_told(stage):
    gate = Gate()

    def act(context):
        for done in range(1, 4):
            context.progress(done, 10, done * 1000)
        return gate(context)

    handle = stage.submit("1", act)
    gate.wait()
    record = handle.record()
    assert (record.done, record.total, record.bytes) == (3, 10, 3000)
    assert stage.reports[-1].done == 3
    gate.open.set()


def test_an_indexing_job_waits_for_its_rows_without_holding_a_place():
    stage = Stage(limits=Limits(total=1))
    with stage.scheduler:
        handle = stage.submit("1", lambda context: Outcome("files", JobState.INDEXING, "Files are safe."))
        stage.wait_for("1", JobState.INDEXING)
        stage.submit("2").result(DEADLINE_S)
        with pytest.raises(IllegalTransition):
            stage.scheduler.index_done("1", Outcome(state=RUNNING))
        stage.scheduler.index_done("1", Outcome("rows", JobState.COMPLETED))
        assert handle.result(DEADLINE_S) == "rows"


def test_a_worker_cannot_return_a_state_that_is_no_outcome(stage):
    with pytest.raises(InternalError, match="cannot end a job as waiting"):
        stage.submit("1", lambda context: Outcome(state=WAITING)).result(DEADLINE_S)


def test_a_listener_may_submit_and_cancel(stage):
    chained = []

    def listen(step):
        Stage.listen(stage, step)
        if step.new is JobState.COMPLETED and step.job.job_id == "1":
            chained.append(stage.submit("2", Gate()))
            stage.scheduler.cancel("2")

    stage.scheduler._listener = listen
    stage.submit("1").result(DEADLINE_S)
    stage.wait_for("2", JobState.CANCELLED)
    assert [step.at.monotonic for step in stage.steps] == sorted(step.at.monotonic for step in stage.steps)


@pytest.mark.expects_log("failed", "did not stop in time")
def test_a_listener_that_fails_harms_nobody(stage, caplog):
    def listen(step):
        raise ValueError("DOE^JANE")

    stage.scheduler._listener = listen
    assert stage.submit("1", lambda context: 1).result(DEADLINE_S) == 1
    stage.scheduler.close()
    assert "A listener of job events failed: ValueError" in caplog.text
    assert "DOE" not in caplog.text


def test_jobs_are_told_apart_and_unknown_ones_refused(stage):
    stage.submit("1").result(DEADLINE_S)
    with pytest.raises(InternalError, match="already"):
        stage.submit("1")
    with pytest.raises(UsageError):
        stage.scheduler.cancel("2")
    with pytest.raises(UsageError):
        stage.scheduler.record("2")
    assert stage.scheduler.forget("1")
    assert stage.scheduler.records() == []


def test_a_kind_that_nobody_does_is_refused():
    with Scheduler({}) as scheduler, pytest.raises(InternalError, match="Nobody"):
        scheduler.submit(JobDescription("1", JobKind.FIND))


def test_the_history_is_bounded():
    stage = Stage(history=3)
    with stage.scheduler:
        for number in range(6):
            stage.submit(str(number)).result(DEADLINE_S)
        assert [record.job_id for record in stage.scheduler.records()] == ["3", "4", "5"]


def test_the_store_holds_what_needs_attention(stage):
    stage.submit("find", kind=JobKind.FIND).result(DEADLINE_S)
    stage.submit("good", kind=JobKind.RETRIEVE).result(DEADLINE_S)
    stage.submit("bad", failing(BadData("Damaged.")), kind=JobKind.RETRIEVE).wait(DEADLINE_S)
    stage.wait_for("bad", JobState.FAILED)
    assert [record.job_id for record in stage.store.records()] == ["bad"]
    assert unfinished(stage.store) == []
    stage.scheduler.forget("bad")
    assert stage.store.records() == []


@pytest.fixture
def closed_stage():
    """A stage that was closed while jobs were running, queued, waiting, and cancelled by the user."""
    stage = Stage()
    gate = Gate()
    stage.submit("running", gate, kind=JobKind.RETRIEVE)
    gate.wait()
    stage.submit("queued", kind=JobKind.RETRIEVE)
    stage.submit("waiting", failing(ConnectionLost("Cut.")), kind=JobKind.RETRIEVE, server="B")
    stage.wait_for("waiting", WAITING)
    stage.submit("unwanted", kind=JobKind.RETRIEVE).cancel()
    assert stage.scheduler.close(DEADLINE_S)
    return stage


def test_close_cancels_everything_and_leaves_it_unfinished_in_the_store(closed_stage):
    assert {record.state for record in closed_stage.scheduler.records()} == {JobState.CANCELLED}
    states = {record.job_id: record.state for record in unfinished(closed_stage.store)}
    assert states == {"running": RUNNING, "queued": QUEUED, "waiting": WAITING}


def test_a_closed_scheduler_takes_no_more(closed_stage):
    with pytest.raises(LocalError, match="closing"):
        closed_stage.submit("late")
    with pytest.raises(LocalError, match="closing"):
        closed_stage.scheduler.retry("unwanted")


def test_unfinished_work_goes_on_in_the_next_process(closed_stage, stage):
    for record in unfinished(closed_stage.store):
        handle = stage.scheduler.restore(record)
        assert handle.wait(DEADLINE_S).state is JobState.COMPLETED
        assert handle.record().created.wall == record.created.wall
    with pytest.raises(IllegalTransition):
        stage.scheduler.restore(handle.record())


@pytest.mark.expects_log("failed", "did not stop in time")
def test_close_is_bounded_when_a_worker_hangs():
    stage = Stage()
    stubborn = Stubborn()
    handle = stage.submit("1", stubborn)
    stubborn.wait()
    start = time.monotonic()
    assert not stage.scheduler.close(0.1)
    assert time.monotonic() - start < 2
    assert handle.wait(0).state is JobState.CANCELLED
    stubborn.open.set()
    assert stage.scheduler.close(DEADLINE_S)


def test_what_only_stands_for_something_leaves_all_threads_to_the_others():
    stage = Stage(limits=Limits(total=2, local=2))
    with stage.scheduler:
        standing = [Gate() for _ in range(2)]
        for number, gate in enumerate(standing):
            stage.submit(f"stands {number}", gate, kind=JobKind.LISTENER, server=None)
            gate.wait()
        working = [Gate("done") for _ in range(2)]
        handles = [stage.submit(f"works {number}", gate, server=None) for number, gate in enumerate(working)]
        for gate in working:
            gate.wait()
            gate.open.set()
        assert [handle.result(DEADLINE_S) for handle in handles] == ["done"] * 2


# What an earlier process left


def ended_elsewhere(job_id, state=JobState.FAILED, **params):
    description = JobDescription(job_id, JobKind.RETRIEVE, "A", params)
    return JobRecord(description, state, Stamp(0, 5.0), "Refused.", missing=Missing.of(["1.2"], 3))


def test_what_ended_elsewhere_is_listed_and_retried_like_any_other(stage):
    record = ended_elsewhere("old")
    stage.store.save(record, {"lines": [{"at": 1.0, "text": "Refused."}], "dropped": 0})
    stage.scheduler.remember(record)
    assert stage.steps == []
    (listed,) = stage.scheduler.records()
    assert (listed.state, listed.reason, listed.missing) == (record.state, record.reason, record.missing)
    stage.scheduler.retry("old")
    stage.wait_for_steps("old", QUEUED, RUNNING, JobState.COMPLETED)
    lines = [line["text"] for line in stage.scheduler.log("old")["lines"]]
    assert lines == ["Refused.", "The job is queued.", "The job is running, try 1.", "The job is completed."]
    assert stage.store.records() == []


def test_the_log_of_a_try_is_saved_while_it_goes_on_if_there_is_news(stage, monkeypatch):
    saved: list[list[str]] = []
    save = stage.store.save

    def keep(record, log=None):
        save(record, log)
        saved.append([line["text"] for line in log["lines"]])

    monkeypatch.setattr(stage.store, "save", keep)
    gate, more = Gate(), threading.Event()

    def act(context):
        note("Associated.")
        gate.entered.set()
        assert more.wait(DEADLINE_S)
        note("Announced.")
        return gate(context)

    stage.submit("1", act, JobKind.RETRIEVE)
    gate.wait()
    assert len(saved) == 2  # queued, running
    stage.clock.advance(1.0)
    wait_until(lambda: len(saved) == 3, what="the log to be saved")
    assert saved[-1][-1] == "Associated."
    assert stage.store.records()[0].state is RUNNING
    for _ in range(3):
        stage.clock.advance(1.0)
    gate.entered.clear()
    more.set()
    gate.wait()
    stage.clock.advance(1.0)
    wait_until(lambda: saved[-1][-1] == "Announced.", what="the news to be saved")
    assert len(saved) == 4
    gate.open.set()
    stage.wait_for("1", JobState.COMPLETED)


def test_only_what_has_ended_is_remembered(stage):
    with pytest.raises(InternalError):
        stage.scheduler.remember(ended_elsewhere("old", RUNNING))


def test_the_history_counts_what_ended_elsewhere():
    stage = Stage(history=2)
    with stage.scheduler:
        for number in range(4):
            stage.scheduler.remember(ended_elsewhere(str(number)))
        assert [record.job_id for record in stage.scheduler.records()] == ["2", "3"]


def test_a_success_takes_earlier_failures_of_the_same_work_out_of_the_store(stage):
    for job_id, uid in (("same", "1.2"), ("other", "1.3")):
        stage.store.save(record := ended_elsewhere(job_id, uids=[uid], label="Seen before"))
        stage.scheduler.remember(record)
    stage.scheduler.submit(JobDescription("new", JobKind.RETRIEVE, "A", {"uids": ["1.2"], "label": "CT"}))
    stage.wait_for("new", JobState.COMPLETED)
    assert [record.job_id for record in stage.store.records()] == ["other"]


def test_an_incomplete_job_says_what_is_missing_until_it_is_retried(stage):
    missing = Missing.of(["1.2.3"], 2)
    gate = Gate()
    handle = stage.submit("1", lambda context: Outcome(None, JobState.INCOMPLETE, "Half.", missing=missing))
    assert handle.wait(DEADLINE_S).missing == handle.record().missing == missing
    stage.acts["1"] = gate
    handle.retry()
    gate.wait()
    assert handle.record().missing == Missing()


def test_what_a_worker_noted_for_later_tries_is_there_after_a_restart(stage):
    memos: list[list[str]] = []

    def act(context):
        memos.append(list(context.memo))
        context.memo.append(f"1.{len(memos)}")
        return Outcome(None, JobState.INCOMPLETE, "One is missing.") if len(memos) < 3 else None

    stage.submit("1", act, JobKind.RETRIEVE).wait(DEADLINE_S)
    stage.scheduler.retry("1")
    wait_until(lambda: len(memos) == 2 and stage.scheduler.record("1").state.terminal, what="the second try")
    wait_until(lambda: stage.store.log("1").get("memo") == ["1.1", "1.2"], what="the memo to be saved")
    later = Stage()
    later.store, later.acts = stage.store, {"1": act}
    with Scheduler(dict.fromkeys(JobKind, later.work), store=stage.store) as scheduler:
        scheduler.remember(stage.store.records()[0])
        scheduler.retry("1")
        assert scheduler.wait_ended("1", DEADLINE_S)
        assert scheduler.record("1").state is JobState.COMPLETED
    assert memos == [[], ["1.1"], ["1.1", "1.2"]]


@pytest.mark.parametrize("stored", [None, [], {"memo": 5}, {"memo": [7, None, {}]}])
def test_a_memo_that_is_none_is_empty(stored):
    job = Job(JobDescription("1", JobKind.RETRIEVE), QUEUED, Stamp(0, 0))
    job.restore_notes(stored)
    assert job.memo == []
    job.memo += map(str, range(MAX_MEMO + 5))
    assert len(job.notes_to_store()["memo"]) == MAX_MEMO
