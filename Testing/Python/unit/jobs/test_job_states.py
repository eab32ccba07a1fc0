from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import InternalError
from VisualDICOMBrowserLib.jobs.states import TERMINAL, TRANSITIONS, IllegalTransition, JobEvent, JobState, transition

EVERY_STEP = [(state, event) for state in JobState for event in JobEvent]


@pytest.mark.parametrize(("state", "event"), EVERY_STEP)
def test_a_step_is_in_the_table_or_a_typed_error(state, event):
    if event in TRANSITIONS[state]:
        assert transition(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition) as caught:
            transition(state, event)
        assert (caught.value.state, caught.value.event) == (state, event)
        assert isinstance(caught.value, InternalError)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TRANSITIONS[JobState.COMPLETED] = {}  # type: ignore[index]


def test_nothing_leads_out_of_completed():
    assert not TRANSITIONS[JobState.COMPLETED]


def test_the_user_may_retry_what_ended_otherwise_and_only_that():
    retried = {state for state in JobState if JobEvent.RETRY in TRANSITIONS[state]}
    assert retried == TERMINAL - {JobState.COMPLETED}
    assert {transition(state, JobEvent.RETRY) for state in retried} == {JobState.QUEUED}


def test_whatever_is_unfinished_can_be_cancelled_and_recovered():
    for state in set(JobState) - TERMINAL:
        assert transition(state, JobEvent.CANCEL) is JobState.CANCELLED
        assert transition(state, JobEvent.RECOVER) is JobState.QUEUED


@given(st.lists(st.sampled_from(list(JobEvent))))
def test_any_sequence_of_events_ends_in_a_state_from_which_a_terminal_one_can_be_reached(events):
    state = JobState.QUEUED
    for event in events:
        before = state
        try:
            state = transition(state, event)
        except IllegalTransition:
            assert state is before
    assert state.terminal or transition(state, JobEvent.CANCEL).terminal
