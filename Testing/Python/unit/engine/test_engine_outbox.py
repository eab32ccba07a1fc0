from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from VisualDICOMBrowserLib.engine.messages import Event, MessageError, Response, decode
from VisualDICOMBrowserLib.engine.outbox import LOST_NAME, LOST_SUBJECT, Outbox
from VisualDICOMBrowserLib.jobs.clock import SimulatedClock

DEADLINE_S = 10


class Pipe:
    """Collects messages; does not accept any while shut."""

    def __init__(self) -> None:
        self.messages = []
        self.failures = []
        self.changed = threading.Condition()
        self.open = threading.Event()
        self.open.set()
        self.error = None

    def write(self, line: bytes) -> None:
        if not self.open.wait(DEADLINE_S) or self.error is not None:
            raise self.error or TimeoutError
        with self.changed:
            self.messages.append(decode(line))
            self.changed.notify_all()

    def wait_for_count(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.messages) >= count, DEADLINE_S)


@pytest.fixture
def pipe():
    return Pipe()


@pytest.fixture
def clock():
    return SimulatedClock()


@pytest.fixture
def outbox(pipe, clock):
    box = Outbox(pipe.write, pipe.failures.append, clock=clock)
    yield box
    pipe.open.set()
    box.close(DEADLINE_S)


def settle(outbox: Outbox, pipe: Pipe) -> None:
    """Wait until what is due is written: replies go before events, so a second one proves it."""
    for _ in range(2):
        count = len(pipe.messages)
        outbox.reply(Response(0, "settled"))
        pipe.wait_for_count(count + 1)


def events(pipe: Pipe) -> list[Event]:
    return [message for message in pipe.messages if isinstance(message, Event)]


def test_the_first_event_goes_at_once_the_next_in_a_tenth_of_a_second(outbox, pipe, clock):
    outbox.post(Event("job 1", "progress", 1))
    pipe.wait_for_count(1)
    for done in range(2, 100):
        outbox.post(Event("job 1", "progress", done))
    settle(outbox, pipe)
    assert [event.data for event in events(pipe)] == [1]
    clock.advance(0.1)
    pipe.wait_for_count(4)
    assert [event.data for event in events(pipe)] == [1, 99]


def test_a_subject_is_heard_ten_times_a_second_whatever_the_names(outbox, pipe, clock):
    for name in ("progress", "state", "rate"):
        outbox.post(Event("job 1", name, name))
    pipe.wait_for_count(1)
    assert [event.name for event in events(pipe)] == ["progress"]
    clock.advance(0.1)
    pipe.wait_for_count(2)
    clock.advance(0.1)
    pipe.wait_for_count(3)
    assert [event.name for event in events(pipe)] == ["progress", "state", "rate"]


def test_progress_that_came_before_an_end_is_heard_before_it(outbox, pipe, clock):
    outbox.post(Event("job 1", "job", "queued"))
    pipe.wait_for_count(1)
    for name, data in (("job", "running"), ("progress", "running"), ("job", "completed")):
        outbox.post(Event("job 1", name, data))
    for count in (2, 3):
        clock.advance(0.1)
        pipe.wait_for_count(count)
    assert [event.data for event in events(pipe)] == ["queued", "running", "completed"]


def test_subjects_do_not_slow_each_other(outbox, pipe):
    for number in range(50):
        outbox.post(Event(f"series {number}", "changed"))
    pipe.wait_for_count(50)
    assert {event.subject for event in events(pipe)} == {f"series {number}" for number in range(50)}


def test_replies_keep_their_order_and_are_never_dropped_while_nobody_reads(outbox, pipe):
    pipe.open.clear()
    for number in range(500):
        outbox.reply(Response(number, "x" * 100))
        outbox.post(Event("job 1", "progress", number))
    assert outbox.replies_waiting >= 499
    pipe.open.set()
    assert outbox.flush(DEADLINE_S)
    assert [message.id for message in pipe.messages if isinstance(message, Response)] == list(range(500))
    assert events(pipe)[-1].data == 499


def test_memory_stays_bounded_while_nobody_reads_and_the_loss_is_told(pipe):
    outbox = Outbox(pipe.write, pipe.failures.append, max_event_bytes=100_000)
    pipe.open.clear()
    for number in range(2000):
        outbox.post(Event(f"series {number}", "changed", "x" * 500))
        assert outbox.event_bytes <= 100_000
    pipe.open.set()
    assert outbox.close(DEADLINE_S)
    lost = [event for event in events(pipe) if event.subject == LOST_SUBJECT]
    rest = [event for event in events(pipe) if event.subject != LOST_SUBJECT]
    assert {event.name for event in lost} == {LOST_NAME}
    assert sum(event.data["count"] for event in lost) + len(rest) == 2000
    assert rest[-1].subject == "series 1999"


def test_what_is_heard_no_more_is_forgotten(outbox, pipe, clock):
    for number in range(20):
        outbox.post(Event(f"series {number}", "changed"))
    pipe.wait_for_count(20)
    clock.advance(1)
    settle(outbox, pipe)
    assert not outbox._subjects
    assert not outbox._due


def test_close_writes_what_waits_without_regard_to_the_rate(outbox, pipe):
    for name in "abc":
        outbox.post(Event("job 1", name))
    assert outbox.close(DEADLINE_S, Response(9, "last"))
    outbox.post(Event("job 1", "too late"))
    outbox.reply(Response(10))
    assert [event.name for event in events(pipe)] == ["a", "b", "c"]
    assert pipe.messages[-1] == Response(9, "last")


def test_flush_and_close_are_bounded_while_nobody_reads(outbox, pipe):
    pipe.open.clear()
    outbox.post(Event("job 1", "progress"))
    assert not outbox.flush(0.05)
    assert not outbox.close(0.05)


def test_a_broken_pipe_is_reported_once(outbox, pipe):
    pipe.error = BrokenPipeError()
    outbox.reply(Response(1))
    outbox.reply(Response(2))
    outbox.post(Event("job 1", "progress"))
    assert not outbox.flush(DEADLINE_S)
    assert not outbox.close(DEADLINE_S)
    outbox.reply(Response(3))
    assert pipe.failures == [pipe.error]


def test_what_cannot_be_a_line_is_refused_where_it_is_posted(outbox):
    with pytest.raises(MessageError):
        outbox.post(Event("job 1", "picture", b"pixels"))
    with pytest.raises(MessageError):
        outbox.reply(Response(1, object()))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("xy"), st.sampled_from([0, 0.05, 0.2])), max_size=40))
def test_the_newest_of_each_subject_and_name_always_arrives_and_never_out_of_order(steps):
    pipe, clock = Pipe(), SimulatedClock()
    outbox = Outbox(pipe.write, pipe.failures.append, clock=clock)
    for number, (subject, name, pause) in enumerate(steps):
        outbox.post(Event(subject, name, number))
        clock.advance(pause)
    assert outbox.close(DEADLINE_S)
    newest = {(subject, name): number for number, (subject, name, _) in enumerate(steps)}
    heard = [((event.subject, event.name), event.data) for event in events(pipe)]
    assert dict(heard) == newest
    for key in newest:
        numbers = [data for heard_key, data in heard if heard_key == key]
        assert numbers == sorted(set(numbers))
