"""All that is known of a job, as a text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from VisualDICOMBrowserLib.gui.activity.job_report import report_of
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Missing, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState

PARAMS = {"level": "series", "uids": ["1.2"], "label": "Doe, Jane · CT"}
RECORD = JobRecord(
    JobDescription("j1", JobKind.RETRIEVE, "PACS", PARAMS), JobState.INCOMPLETE, Stamp(0.0, 1.0), "PACS hung up.", 1, 3
)


def log(*lines: str, dropped: int = 0) -> dict[str, Any]:
    return {"lines": [{"at": 5.0, "text": line} for line in lines], "dropped": dropped}


def paragraphs(record: JobRecord, told: dict[str, Any] | None = None) -> list[list[str]]:
    return [paragraph.splitlines() for paragraph in report_of(record, told).split("\n\n")]


def test_it_begins_with_what_became_of_the_job_and_why():
    ((first, reason, facts),) = paragraphs(RECORD)
    assert (first, reason) == ("Fetch  ·  PACS  ·  Incomplete", "PACS hung up.")
    assert "Done 1 of 3" in facts
    assert "Job j1" in facts


def test_it_names_no_patient():
    assert "Doe" not in report_of(RECORD, log("Association requested."))


def test_the_log_follows_with_times():
    _, lines = paragraphs(RECORD, log("Association requested.", "Association lost.", dropped=7))
    assert lines[0] == "7 older lines dropped."
    assert [line.split("  ", 1)[1] for line in lines[1:]] == ["Association requested.", "Association lost."]


def test_what_is_missing_is_named_and_the_rest_counted():
    many = replace(RECORD, missing=Missing(120, ("1.9.1", "1.9.2")))
    assert paragraphs(many)[-1] == ["120 instances are missing:", "1.9.1", "1.9.2", "and 118 more"]
    one = replace(RECORD, missing=Missing(1, ("1.9.1",)))
    assert paragraphs(one)[-1] == ["1 instance is missing:", "1.9.1"]


def test_what_was_not_sent_is_told_as_such():
    send = replace(RECORD, description=JobDescription("j1", JobKind.SEND, "PACS"), missing=Missing(2, ("1.1", "1.2")))
    assert paragraphs(send)[-1][0] == "2 instances are not sent:"


def test_files_without_a_name_are_counted():
    files = replace(RECORD, description=JobDescription("j1", JobKind.IMPORT), missing=Missing(3))
    assert paragraphs(files)[-1] == ["3 files are missing."]
