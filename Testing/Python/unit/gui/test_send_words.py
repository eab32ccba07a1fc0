"""What would be sent and what would not, and how sends end, in words."""

from __future__ import annotations

from typing import Any

import pytest

from VisualDICOMBrowserLib.domain.model import Series
from VisualDICOMBrowserLib.domain.overview import SeriesRow
from VisualDICOMBrowserLib.gui.messages import Tone
from VisualDICOMBrowserLib.gui.sending.send_plan import SendPlan
from VisualDICOMBrowserLib.gui.sending.send_words import told
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState

HERE = SeriesRow(Series("1.1", "1"), instances=4, local_instances=4)
PARTLY = SeriesRow(Series("1.2", "1"), instances=4, local_instances=3, servers=("PACS",))
REMOTE = SeriesRow(Series("1.3", "1"), instances=40, servers=("PACS",))
UNCOUNTED = SeriesRow(Series("1.4", "1"), local_instances=2, servers=("PACS",))


@pytest.mark.parametrize(
    ("rows", "title", "rest"),
    [
        ([HERE], "Send 4 images of 1 series", ""),
        ([HERE, PARTLY], "Send 7 images of 2 series", "1 image is only on servers, and not sent."),
        ([PARTLY, REMOTE], "Send 3 images of 1 series", "41 images are only on servers, and not sent."),
        ([UNCOUNTED], "Send 2 images of 1 series", "1 series may have more on servers, which is not sent."),
        (
            [REMOTE, UNCOUNTED],
            "Send 2 images of 1 series",
            "40 images are only on servers, and 1 series may have more on servers; that is not sent.",
        ),
        ([REMOTE], "Nothing of this is on this computer.", "40 images are only on servers, and not sent."),
    ],
)
def test_a_plan_counts_what_is_here_and_what_is_not(rows, title, rest):
    plan = SendPlan.of(rows)
    assert (plan.title(""), plan.rest) == (title, rest)


def test_a_plan_says_whose_images_they_are():
    assert SendPlan.of([HERE]).title("Doe, Jane") == "Send 4 images of 1 series of Doe, Jane"


def test_only_series_that_are_here_at_least_in_part_are_sent():
    assert SendPlan.of([HERE, REMOTE, PARTLY]).series == ("1.1", "1.2")


def record(state: JobState, reason: str = "", *, verify: bool = False, done: int = 0) -> JobRecord:
    description = JobDescription("j", JobKind.SEND, "PACS", {"verify": verify})
    return JobRecord(description, state, Stamp(0.0, 1.0), reason, done, 5)


def result(sent: int, verified: int | None = None, **more: Any) -> dict[str, Any]:
    return {"requested": 5, "sent": sent, "verified": verified, "failed": [], "rejected": [], "warnings": [], **more}


def failures(*reasons: str) -> list[dict[str, str]]:
    return [{"sop_uid": f"1.9.{number}", "reason": reason} for number, reason in enumerate(reasons)]


def test_all_sent_is_told_with_what_the_server_lists():
    done = JobState.COMPLETED
    assert told(record(done), result(5)).text == "PACS took all 5 images."
    message = told(record(done, verify=True), result(5, 5))
    assert message.text == "PACS took all 5 images, and lists them."
    assert message.tone is Tone.NOTE


@pytest.mark.parametrize(
    ("verified", "end"),
    [(None, "could not be asked what it lists."), (0, "lists none of them."), (3, "lists only 3.")],
)
def test_what_the_server_confirmed_and_does_not_list_is_told(verified, end):
    message = told(record(JobState.INCOMPLETE, verify=True), result(5, verified))
    assert message.text == f"PACS took all 5 images, but {end}"
    assert message.tone is Tone.WARNING


def test_the_one_reason_is_told_at_once_and_for_which_instances_in_the_details():
    failed = failures("The server refused it: too large.", "The server refused it: too large.")
    message = told(record(JobState.INCOMPLETE), result(3, failed=failed))
    assert message.text == "PACS took 3 of 5 images. The server refused it: too large."
    assert message.details == ("The server refused it: too large. 1.9.0, 1.9.1",)


def test_several_reasons_are_in_the_details():
    message = told(record(JobState.INCOMPLETE), result(3, failed=failures("No room.", "Too large."), warnings=["Odd."]))
    assert message.text == "PACS took 3 of 5 images. The reasons are in the details."
    assert message.details == ("Odd.", "No room. 1.9.0", "Too large. 1.9.1")


def test_a_send_that_failed_says_why_it_did_now():
    message = told(record(JobState.FAILED, "PACS hung up."), result(0, failed=failures("Something older.")))
    assert message.text == "PACS took none of 5 images. PACS hung up."
    assert message.tone is Tone.PROBLEM


def test_of_many_failures_some_are_named_and_the_rest_is_counted():
    alike = result(0, failed=failures(*["No room."] * 1000), requested=1000)
    (line,) = told(record(JobState.FAILED, "No room."), alike).details
    assert line == "No room. 1.9.0, 1.9.1, 1.9.2 and 997 more"
    various = result(0, failed=failures(*[f"Reason {number}." for number in range(30)]), requested=30)
    details = told(record(JobState.INCOMPLETE), various).details
    assert len(details) == 21
    assert details[-1] == "and 10 more reasons"


def test_a_warning_that_only_repeats_a_reason_is_left_out():
    twice = result(0, failed=failures("It hung up."), warnings=["PACS: It hung up."])
    assert told(record(JobState.INCOMPLETE), twice).details == ("It hung up. 1.9.0",)


def test_a_cancelled_send_says_how_far_it_came():
    message = told(record(JobState.CANCELLED, done=2), None)
    assert message.text == "Sending to PACS was cancelled after 2 of 5 images."


def test_without_an_account_of_each_instance_the_reason_of_the_job_is_told():
    message = told(record(JobState.INCOMPLETE, "2 of 5 instances were not sent."), None)
    assert message.text == "Not all was sent to PACS. 2 of 5 instances were not sent."
    assert told(record(JobState.COMPLETED), None).text == "All was sent to PACS."
