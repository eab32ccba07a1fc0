"""What an engine finds in the queue at its start: some is listed, some is offered, and too much of it is dropped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.engine import left_over
from VisualDICOMBrowserLib.engine.left_over import LeftOver
from VisualDICOMBrowserLib.engine.runner import JobRunner
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Stamp
from VisualDICOMBrowserLib.jobs.lanes import Limits
from VisualDICOMBrowserLib.jobs.queue import InMemoryJobQueueStore
from VisualDICOMBrowserLib.jobs.states import JobState

LOG = {"lines": [{"at": 1.0, "text": "Refused."}], "dropped": 0}


def record(job_id: str, state: JobState, created: float = 0.0) -> JobRecord:
    return JobRecord(JobDescription(job_id, JobKind.RETRIEVE, "PACS", {"uids": [job_id]}), state, Stamp(0, created))


@pytest.fixture
def queue() -> InMemoryJobQueueStore:
    store = InMemoryJobQueueStore()
    store.save(record("failed", JobState.FAILED, 1.0), LOG)
    store.save(record("running", JobState.RUNNING, 2.0), LOG)
    store.save(record("queued", JobState.QUEUED, 3.0))
    return store


@pytest.fixture
def jobs(queue) -> Iterator[JobRunner]:
    runner = JobRunner(Limits(), None, queue, lambda _: None, lambda _: None)
    runner.learn(JobKind.RETRIEVE, lambda _: lambda _: "done")
    yield runner
    runner.close(5)


def test_what_ended_is_listed_and_what_was_under_way_is_offered(queue, jobs):
    left = LeftOver(queue, jobs, ours=True)
    assert [one.job_id for one in jobs.records()] == ["failed"]
    assert [one.job_id for one in left.records()] == ["running", "queued"]
    assert left.log("failed") == left.log("running") == LOG
    with pytest.raises(UsageError):
        left.log("unknown")


def test_single_jobs_are_taken_up_or_given_up(queue, jobs):
    left = LeftOver(queue, jobs, ours=True)
    assert left.cancel("queued")
    assert not left.cancel("queued")
    assert left.resume(["running", "queued", "unknown"]) == ["running"]
    assert left.records() == left.resume() == left.forget() == []
    states = {one.job_id: one.state for one in queue.records()}
    assert states["queued"] is JobState.CANCELLED
    assert [line["text"] for line in left.log("running")["lines"]][:2] == [
        "Refused.",
        "The job is queued: Taken up again after a restart.",
    ]


def test_what_is_another_engines_is_left_alone(queue, jobs):
    left = LeftOver(queue, jobs, ours=False)
    assert jobs.records() == left.records() == left.resume() == left.forget() == []
    assert not left.cancel("queued")
    assert len(queue.records()) == 3


def test_of_too_many_that_nobody_cleared_the_oldest_are_dropped(queue, jobs, monkeypatch):
    monkeypatch.setattr(left_over, "MAX_ENDED", 2)
    for number in range(3):
        queue.save(record(f"old {number}", JobState.FAILED, 10.0 + number))
    LeftOver(queue, jobs, ours=True)
    assert [one.job_id for one in jobs.records()] == ["old 1", "old 2"]
    assert [one.job_id for one in queue.records()] == ["running", "queued", "old 1", "old 2"]
