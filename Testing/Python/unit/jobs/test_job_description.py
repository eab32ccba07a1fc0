from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import BadData, ServerUnreachable, VisualDicomError
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Priority, Stamp
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy
from VisualDICOMBrowserLib.jobs.states import JobState

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
DESCRIPTIONS = st.builds(
    JobDescription,
    st.text(),
    st.sampled_from(JobKind),
    st.none() | st.text(),
    st.dictionaries(st.text(), JSON, max_size=3),
    st.sampled_from(Priority),
)
STAMPS = st.builds(Stamp, st.just(0.0), st.floats(0, 1e10))
RECORDS = st.builds(
    JobRecord,
    DESCRIPTIONS,
    st.sampled_from(JobState),
    STAMPS,
    st.text(),
    st.integers(0),
    st.none() | st.integers(0),
    st.integers(0),
    st.none() | STAMPS,
    st.none() | STAMPS,
    st.none() | STAMPS,
    st.integers(0),
)


@given(DESCRIPTIONS)
def test_a_description_survives_json(description):
    assert JobDescription.from_dict(json.loads(json.dumps(description.to_dict()))) == description


@given(RECORDS)
def test_a_record_survives_json_but_for_monotonic_times(record):
    assert JobRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


@given(st.dictionaries(st.sampled_from(["job_id", "kind", "server", "params", "priority"]), JSON))
def test_a_damaged_description_is_bad_data(values):
    with pytest.raises(BadData):
        JobDescription.from_dict(values)


@pytest.mark.parametrize("key", ["state", "created", "done", "tries", "job", "ended"])
def test_a_damaged_record_is_bad_data(key):
    values = JobRecord(JobDescription("1", JobKind.ECHO), JobState.QUEUED, Stamp(0, 1)).to_dict()
    with pytest.raises(BadData):
        JobRecord.from_dict({**values, key: "damaged"})


def test_params_are_a_copy_that_nobody_can_change():
    params = {"uids": ["1.2"]}
    description = JobDescription("1", JobKind.RETRIEVE, "PACS", params)
    params["uids"].append("1.3")
    assert description.params == {"uids": ["1.2"]}
    with pytest.raises(TypeError):
        description.params["more"] = 1  # type: ignore[index]


@pytest.mark.parametrize("value", [b"bytes", float("nan"), object()])
def test_params_must_be_json(value):
    with pytest.raises(BadData):
        JobDescription("1", JobKind.FIND, params={"key": value})


@given(st.integers(1, 6), st.floats(0, 1, exclude_max=True))
def test_retries_come_after_1_2_and_4_seconds_give_or_take_a_fifth(tries_done, chance):
    decision = RetryStrategy(random=lambda: chance).decide(ServerUnreachable("No answer."), tries_done)
    if tries_done > 3:
        assert decision.delay is None
        assert decision.reason == "No answer."
    else:
        middle = (1, 2, 4)[tries_done - 1]
        assert 0.8 * middle <= decision.delay <= 1.2 * middle
        assert f"try {tries_done + 1} of 4" in decision.reason


def test_only_transient_errors_are_tried_again():
    assert RetryStrategy().decide(BadData("Damaged."), 1).delay is None
    assert RetryStrategy().decide(VisualDicomError("Busy.", retryable=True), 1).delay is not None
