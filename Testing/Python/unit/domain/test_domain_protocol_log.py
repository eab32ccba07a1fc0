from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.protocol_log import (
    MAX_LENGTH,
    MAX_LINES,
    ProtocolLog,
    carrying,
    current_log,
    note,
    note_progress,
    writing_to,
)


class Hour:
    """A time that only moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def texts(log) -> list[str]:
    return [line["text"] for line in log.to_dict()["lines"]]


def test_notes_go_to_the_log_of_the_work_and_nowhere_without_one():
    log = ProtocolLog(Hour())
    note("before")
    with writing_to(log):
        note("during")
        with writing_to(None):
            note("in private")
    note("after")
    assert log.to_dict() == {"lines": [{"at": 1000.0, "text": "during"}], "dropped": 0}


def test_the_newest_lines_are_kept_and_the_others_counted():
    log = ProtocolLog()
    for number in range(MAX_LINES + 7):
        log.note(str(number))
    assert texts(log) == [str(number) for number in range(7, MAX_LINES + 7)]
    assert log.to_dict()["dropped"] == 7


def test_a_line_is_one_line_and_not_endless():
    log = ProtocolLog()
    log.note("one\ntwo\r\n" + 1000 * "x")
    assert texts(log)[0].startswith("one two x")
    assert len(texts(log)[0]) == MAX_LENGTH


def test_how_far_something_is_is_told_now_and_then():
    hour = Hour()
    log = ProtocolLog(hour)
    with writing_to(log):
        for second in range(12):
            hour.now = 1000.0 + second
            note_progress(f"at {second}")
    assert texts(log) == ["at 0", "at 5", "at 10"]


def test_a_helper_thread_has_no_log_unless_it_carries_one():
    log = ProtocolLog()
    with writing_to(log):
        works = [lambda: note("lost"), carrying(lambda: note("kept"))]
    for work in works:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert texts(log) == ["kept"]
    assert current_log() is None


def test_a_log_goes_on_where_it_was_left():
    log, later = ProtocolLog(Hour()), ProtocolLog(Hour())
    for number in range(MAX_LINES + 1):
        log.note(str(number))
    later.restore(log.to_dict())
    assert later.to_dict() == log.to_dict()
    later.note("more")
    assert (len(texts(later)), texts(later)[-1], later.to_dict()["dropped"]) == (MAX_LINES, "more", 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["lines", "dropped", "at", "text"]), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_a_file_holds_in_place_of_a_log_is_read_or_left_out(values):
    log = ProtocolLog()
    log.restore(values)
    assert all(isinstance(line["at"], float) and isinstance(line["text"], str) for line in log.to_dict()["lines"])


@pytest.mark.parametrize("damaged", [None, [], {"lines": 3}, {"lines": [{"at": "x", "text": "y"}, 7]}])
def test_what_is_no_log_is_an_empty_one(damaged):
    log = ProtocolLog()
    log.restore(damaged)
    assert texts(log) == []
