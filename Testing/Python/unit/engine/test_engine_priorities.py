"""What is on the screen comes first, what left it comes last, and what the user asked for keeps its place."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from VisualDICOMBrowserLib.engine.job_targets import priority_when_shown
from VisualDICOMBrowserLib.engine.runner import JobRunner
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, Priority
from VisualDICOMBrowserLib.jobs.lanes import Limits
from VisualDICOMBrowserLib.jobs.queue import InMemoryJobQueueStore

SHOWN = frozenset({"1.2"})


def job(kind, uid, priority):
    return JobDescription("id", kind, "PACS", {"level": "series", "uids": [uid]}, priority)


@pytest.mark.parametrize("before", [Priority.VISIBLE_THUMBNAIL, Priority.VISIBLE_STUDY, Priority.REST])
@pytest.mark.parametrize(
    ("kind", "uid", "after"),
    [
        (JobKind.THUMBNAIL, "1.2", Priority.VISIBLE_THUMBNAIL),
        (JobKind.THUMBNAIL, "1.3", Priority.REST),
        (JobKind.RETRIEVE, "1.2", Priority.VISIBLE_STUDY),
        (JobKind.RETRIEVE, "1.3", Priority.REST),
    ],
)
def test_urgency_follows_the_screen(before, kind, uid, after):
    assert priority_when_shown(SHOWN, job(kind, uid, before)) is after


def test_what_the_user_asked_for_keeps_its_place():
    assert priority_when_shown(SHOWN, job(JobKind.RETRIEVE, "1.3", Priority.USER)) is Priority.USER


def test_work_without_series_is_no_exception():
    assert priority_when_shown(SHOWN, JobDescription("id", JobKind.VERIFY, priority=Priority.REST)) is Priority.REST


def test_what_enters_the_screen_overtakes_and_what_leaves_it_falls_behind():
    order: list[str] = []
    gate, entered = threading.Event(), threading.Event()
    jobs = JobRunner(Limits(total=1), None, InMemoryJobQueueStore(), lambda _: None, lambda _: None)

    def submit(kind, uid, priority):
        params = {"level": "series", "uids": [uid]}
        return jobs.submit(kind, lambda _: order.append(uid), server="PACS", params=params, priority=priority)

    def hold(_):
        entered.set()
        gate.wait(10)

    try:
        jobs.submit(JobKind.FIND, hold, server="PACS")
        assert entered.wait(10)
        handles = [submit(JobKind.THUMBNAIL, uid, Priority.VISIBLE_THUMBNAIL) for uid in ("left", "stays")]
        handles += [submit(JobKind.RETRIEVE, "asked", Priority.USER), submit(JobKind.RETRIEVE, "ahead", Priority.REST)]
        handles.append(submit(JobKind.THUMBNAIL, "entered", Priority.REST))
        jobs.prioritise(partial(priority_when_shown, frozenset({"entered", "stays", "ahead"})))
        gate.set()
        for handle in handles:
            assert handle.wait(10) is not None
    finally:
        gate.set()
        jobs.close(5)
    assert set(order[:2]) == {"stays", "entered"}
    assert order[2:] == ["asked", "ahead", "left"]
