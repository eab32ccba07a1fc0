"""What both queues promise: the one on disk, and its twin in memory for who may not write there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import BadData, DiskFull, StorageError
from VisualDICOMBrowserLib.engine.job_queue import CatalogueJobQueue
from VisualDICOMBrowserLib.jobs.description import (
    MAX_MISSING,
    JobDescription,
    JobKind,
    JobRecord,
    Missing,
    Priority,
    Stamp,
)
from VisualDICOMBrowserLib.jobs.queue import InMemoryJobQueueStore, unfinished
from VisualDICOMBrowserLib.jobs.states import JobState
from VisualDICOMBrowserLib.store.catalogue import Catalogue

LOG = {"lines": [{"at": 1.5, "text": "Association released."}], "dropped": 3}


def record(job_id, state=JobState.QUEUED, created=0.0, **values):
    return JobRecord(
        JobDescription(job_id, JobKind.RETRIEVE, "PACS", {"uids": ["1.2"]}), state, Stamp(0, created), **values
    )


@pytest.fixture
def catalogue(tmp_path):
    with_file = Catalogue.open(tmp_path / "catalogue.sqlite")
    yield with_file
    with_file.close()


@pytest.fixture(params=["on disk", "in memory"])
def queue(request, catalogue):
    return CatalogueJobQueue(catalogue) if request.param == "on disk" else InMemoryJobQueueStore()


class TestEveryQueue:
    def test_gives_back_what_it_was_given_oldest_first(self, queue):
        ended = record("b", JobState.INCOMPLETE, 1.0, reason="Half.", done=3, total=6, missing=Missing.of(["1.2.3"], 3))
        queue.save(record("c", created=2.0))
        queue.save(ended)
        assert queue.records() == [ended, record("c", created=2.0)]

    def test_the_last_word_on_a_job_counts(self, queue):
        queue.save(record("a"), LOG)
        queue.save(record("a", JobState.FAILED, reason="Refused."))
        assert [(r.state, r.reason) for r in queue.records()] == [(JobState.FAILED, "Refused.")]
        assert queue.log("a") is None

    def test_keeps_the_log_with_the_job(self, queue):
        queue.save(record("a"), LOG)
        assert queue.log("a") == LOG
        queue.delete("a")
        assert queue.log("a") is None

    def test_knows_what_is_unfinished(self, queue):
        for number, state in enumerate([JobState.RUNNING, JobState.FAILED, JobState.QUEUED]):
            queue.save(record(str(number), state, 9.0 - number))
        assert [one.job_id for one in unfinished(queue)] == ["2", "0"]

    def test_deletes_one_and_does_not_mind_the_unknown(self, queue):
        queue.save(record("a"))
        queue.save(record("b"))
        queue.delete("a")
        queue.delete("never heard of")
        assert [one.job_id for one in queue.records()] == ["b"]

    def test_deletes_what_has_ended_and_nothing_else(self, queue):
        for state in JobState:
            queue.save(record(state.value, state))
        queue.delete_ended()
        assert {one.state for one in queue.records()} == {s for s in JobState if not s.terminal}

    def test_everything_can_be_read_at_first(self, queue):
        queue.save(record("a"))
        assert queue.unreadable() == 0

    def test_takes_the_names_of_files_that_are_no_text(self, queue):
        path = str(Path(b"/media/\xff.dcm".decode("utf-8", "surrogateescape")))
        described = JobDescription("a", JobKind.IMPORT, params={"paths": [path]})
        queue.save(JobRecord(described, JobState.QUEUED, Stamp(0, 0)))
        assert queue.records()[0].description.params["paths"] == [path]


@pytest.mark.parametrize("error", [DiskFull(), StorageError("Locked.", retryable=True)])
def test_what_cannot_be_written_for_now_is_written_with_the_next_change(catalogue, monkeypatch, error):
    queue, save, errors = CatalogueJobQueue(catalogue), catalogue.save_job, [error]

    def save_if_possible(*row):
        if errors:
            raise errors.pop()
        save(*row)

    monkeypatch.setattr(catalogue, "save_job", save_if_possible)
    queue.save(record("early"))
    assert queue.records() == []
    queue.save(record("late", created=1.0))
    assert [one.job_id for one in queue.records()] == ["early", "late"]


def test_a_queue_that_can_never_be_written_says_so(catalogue, monkeypatch):
    def refuse(*_):
        raise StorageError("Damaged.")

    monkeypatch.setattr(catalogue, "save_job", refuse)
    with pytest.raises(StorageError, match="Damaged"):
        CatalogueJobQueue(catalogue).save(record("a"))


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"job": 3}', "[" * 100_000, "\x00"])
def test_a_record_that_cannot_be_read_holds_up_nobody_and_stays(catalogue, text):
    queue = CatalogueJobQueue(catalogue)
    catalogue.save_job("odd", "queued", 0.0, text)
    queue.save(record("good", JobState.FAILED, 1.0))
    assert [one.job_id for one in queue.records()] == ["good"]
    assert (queue.unreadable(), queue.log("odd")) == (1, None)
    queue.delete_ended()
    assert catalogue.jobs() == [text]


@given(st.integers(0, 300), st.integers(0, 300))
def test_what_is_missing_is_counted_in_full_and_named_in_part(known, count):
    missing = Missing.of(map(str, range(known)), count)
    assert missing.count == max(known, count)
    assert len(missing.uids) == min(known, MAX_MISSING)
    assert Missing.from_dict(json.loads(json.dumps(missing.to_dict()))) == missing


@pytest.mark.parametrize("values", [3, [], {"count": "x", "uids": []}, {"count": 1, "uids": [7]}, {"uids": []}])
def test_what_is_missing_is_checked_when_it_is_read(values):
    with pytest.raises(BadData):
        JobRecord.from_dict({**record("a").to_dict(), "missing": values})


def test_a_record_of_an_older_release_misses_nothing():
    values = record("a").to_dict()
    del values["missing"]
    assert JobRecord.from_dict(values).missing == Missing()


def test_the_same_work_is_recognised_whatever_it_is_called():
    def job(job_id, label, uids=("1.2",), server="PACS", priority=Priority.USER):
        return JobDescription(job_id, JobKind.RETRIEVE, server, {"uids": list(uids), "label": label}, priority)

    assert job("a", "CT").is_about_the_same(job("b", "Doe · CT", priority=Priority.REST))
    assert not job("a", "CT").is_about_the_same(job("b", "CT", uids=["1.3"]))
    assert not job("a", "CT").is_about_the_same(job("b", "CT", server="OTHER"))
