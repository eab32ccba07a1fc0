"""What is on the screen comes first, what left it comes last, and what the user asked for keeps its place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from VisualDICOMBrowserLib.engine.job_targets import priority_when_shown
from VisualDICOMBrowserLib.engine.runner import JobRunner
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, Priority
from VisualDICOMBrowserLib.jobs.job import JobHandle
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


class Queue:
    """Jobs of one server behind one that takes its time."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.handles: list[JobHandle] = []
        self._gate, entered = threading.Event(), threading.Event()
        self.jobs = JobRunner(Limits(total=1), None, InMemoryJobQueueStore(), lambda _: None, lambda _: None)

        def hold(_: object) -> None:
            entered.set()
            self._gate.wait(10)

        self.jobs.submit(JobKind.FIND, hold, server="PACS")
        assert entered.wait(10)

    def submit(self, kind: JobKind, uid: str, priority: Priority) -> None:
        params = {"level": "series", "uids": [uid]}
        work = partial(self._work, uid)
        self.handles.append(self.jobs.submit(kind, work, server="PACS", params=params, priority=priority))

    def _work(self, uid: str, _: object) -> None:
        self.order.append(uid)

    def show(self, *uids: str) -> None:
        self.jobs.prioritise(partial(priority_when_shown, frozenset(uids)))

    def run(self) -> list[str]:
        self._gate.set()
        for handle in self.handles:
            assert handle.wait(10) is not None
        return self.order

    def close(self) -> None:
        self._gate.set()
        self.jobs.close(5)


@pytest.fixture
def queue() -> Iterator[Queue]:
    made = Queue()
    yield made
    made.close()


def test_what_enters_the_screen_overtakes_and_what_leaves_it_falls_behind(queue):
    for uid in ("left", "stays"):
        queue.submit(JobKind.THUMBNAIL, uid, Priority.VISIBLE_THUMBNAIL)
    queue.submit(JobKind.RETRIEVE, "asked", Priority.USER)
    queue.submit(JobKind.RETRIEVE, "ahead", Priority.REST)
    queue.submit(JobKind.THUMBNAIL, "entered", Priority.REST)
    queue.show("entered", "stays", "ahead")
    order = queue.run()
    assert set(order[:2]) == {"stays", "entered"}
    assert order[2:] == ["asked", "ahead", "left"]


def test_what_comes_later_finds_its_place_by_what_is_shown(queue):
    queue.show("seen")
    queue.submit(JobKind.THUMBNAIL, "late", Priority.VISIBLE_THUMBNAIL)  # it left before its job was made
    queue.submit(JobKind.RETRIEVE, "asked", Priority.USER)
    queue.submit(JobKind.THUMBNAIL, "seen", Priority.VISIBLE_THUMBNAIL)
    assert queue.run() == ["seen", "asked", "late"]


def test_of_two_hundred_series_scrolled_by_those_come_first_where_the_scrolling_ends(queue):
    for first in range(0, 200, 20):
        screen = [str(n) for n in range(first, first + 20)]
        queue.show(*screen)
        for uid in screen:
            queue.submit(JobKind.THUMBNAIL, uid, Priority.VISIBLE_THUMBNAIL)
    order = queue.run()
    assert order[:20] == [str(n) for n in range(180, 200)]
    assert set(order) == {str(n) for n in range(200)}
