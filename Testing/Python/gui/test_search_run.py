"""Searches replace each other, and say what came of them."""

from __future__ import annotations

import pytest

from VisualDICOMBrowserLib.domain.errors import Cancelled, StorageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.gui.messages import Tone
from VisualDICOMBrowserLib.gui.search.search_run import SearchRun

DOE = QueryFilter(text="doe")


def found(errors=(), warnings=(), complete=True, servers_asked=2):
    return {
        "complete": complete,
        "warnings": list(warnings),
        "errors": [{"server": server, "reason": reason} for server, reason in errors],
        "servers_asked": servers_asked,
    }


@pytest.fixture
def run(session):
    run = SearchRun(session)
    run.states = []
    run.running_changed.connect(run.states.append)
    yield run
    run.close()


def test_a_search_asks_the_engine_and_tells_when_it_runs(run, session):
    run.start(DOE, ("A", "B"))
    ask = session.asked("search")[0]
    assert ask.params == {"filter": {"text": "doe", "limit": 1000}, "servers": ["A", "B"]}
    assert run.running
    ask.answer(found())
    assert not run.running
    assert run.states == [True, False]
    assert session.messages == []


def test_all_servers_are_null(run, session):
    run.start(DOE, None)
    assert session.asked("search")[0].params["servers"] is None


def test_a_new_search_stops_the_one_before_and_its_late_answer_says_nothing(run, session):
    run.start(DOE, None)
    run.start(QueryFilter(text="roe"), None)
    old, new = session.asked("search")
    assert old.stopped
    old.answer(found(errors=[("A", "late")], complete=False))
    assert session.messages == []
    assert run.running
    new.answer(found())
    assert run.states[-1] is False


def test_stop_ends_it_quietly(run, session):
    run.start(DOE, None)
    run.stop()
    assert session.asked("search")[0].stopped
    assert run.states == [True, False]
    session.asked("search")[0].fail(Cancelled())
    assert session.messages == []


def test_no_place_ticked_asks_nobody(run, session):
    run.start(DOE, ())
    assert session.asked("search") == []
    assert not run.running


def test_a_server_that_failed_is_told_with_a_retry_for_just_that_server(run, session):
    told = []
    run.errors_changed.connect(told.append)
    run.start(DOE, None)
    session.asked("search")[0].answer(found(errors=[("A", "No answer."), ("B", "Refused.")], complete=False))
    assert [m.about for m in session.messages] == ["server:A", "server:B"]
    assert session.messages[0].text == "A: No answer."
    assert told[-1] == [("A", "No answer."), ("B", "Refused.")]

    session.messages[0].remedies[0].act()
    assert session.asked("search")[-1].params == {"filter": {"text": "doe", "limit": 1000}, "servers": ["A"]}
    assert told[-1] == [("B", "Refused.")]
    session.asked("search")[-1].answer(found(servers_asked=1))
    assert told[-1] == [("B", "Refused.")]
    assert not run.running


def test_a_list_that_was_cut_is_told(run, session):
    run.start(DOE, None)
    session.asked("search")[0].answer(found(warnings=["A has more than 1,000 matches."], complete=False))
    assert [(m.text, m.tone, m.about) for m in session.messages] == [
        ("A has more than 1,000 matches.", Tone.WARNING, "search")
    ]


def test_several_warnings_become_one_message_with_details(run, session):
    run.start(DOE, None)
    session.asked("search")[0].answer(found(warnings=["One.", "Two."], complete=False))
    assert session.messages[0].text == "The list may not be complete. One."
    assert session.messages[0].details == ("Two.",)


def test_without_any_server_the_user_is_told_so(run, session):
    run.start(DOE, None)
    session.asked("search")[0].answer(found(servers_asked=0))
    assert session.messages[0].tone is Tone.NOTE


def test_a_search_that_fails_can_be_tried_again(run, session):
    run.start(DOE, ("A",))
    session.asked("search")[0].fail(StorageError("The disk is full."))
    assert session.messages[0].text == "The search failed. The disk is full."
    session.messages[0].remedies[0].act()
    assert len(session.asked("search")) == 2
