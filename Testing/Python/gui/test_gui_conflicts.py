"""What the window says of images that came with other content than what is here, and what can be done about it."""

from __future__ import annotations

from typing import Any

import pytest

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.listener import CallRecord
from VisualDICOMBrowserLib.domain.results import Conflict
from VisualDICOMBrowserLib.gui.conflict_notes import ConflictNotes
from VisualDICOMBrowserLib.gui.messages import Tone
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState


class Stage:
    def __init__(self, session: FakeSession) -> None:
        self.session = session
        self.jobs_shown: list[str] = []
        self.notes = ConflictNotes(session, self.jobs_shown.append)

    def note(self, number: int, state: JobState, conflicts: int = 0, **options: Any) -> None:
        params = {"level": "series", "uids": [f"1.{number}"], "label": f"Doe, Jane · CT {number}"}
        kind = options.pop("kind", JobKind.RETRIEVE)
        description = JobDescription(f"job-{number}", kind, "PACS", {**params, **options})
        record = JobRecord(description, state, Stamp(0.0, float(number)), conflicts=conflicts)
        self.session.jobs.note(record.to_dict())

    def run(self, number: int, conflicts: int, **options: Any) -> None:
        self.note(number, JobState.RUNNING, **options)
        self.note(number, JobState.COMPLETED, conflicts, **options)

    def press(self, label: str) -> None:
        (remedy,) = (remedy for remedy in self.session.messages[-1].remedies if remedy.label == label)
        remedy.act()


@pytest.fixture
def stage(session: FakeSession) -> Stage:
    return Stage(session)


def test_a_fetch_that_brought_other_content_says_so_and_can_be_done_again_on_purpose(stage, session):
    stage.run(1, 2)
    (message,) = session.messages
    assert message.text == "Doe, Jane · CT 1: 2 images came with other content than what is here, which was kept."
    assert message.tone is Tone.WARNING
    stage.press("Details")
    assert stage.jobs_shown == ["job-1"]
    stage.press("Fetch again and replace")
    assert [ask.params for ask in session.asked("fetch")] == [{"series_uids": ["1.1"], "force": True}]


def test_fetches_of_one_round_share_a_message_and_the_next_round_has_its_own(stage, session):
    for number in (1, 2, 3):
        stage.note(number, JobState.QUEUED)
    stage.note(1, JobState.COMPLETED, 1)
    stage.note(2, JobState.COMPLETED)
    stage.note(3, JobState.INCOMPLETE, 9_999)
    message = session.messages[-1]
    assert message.text == "Of 2 fetches, 10,000 images came with other content than what is here, which was kept."
    assert message.details == ("Doe, Jane · CT 1: 1 image", "Doe, Jane · CT 3: 9,999 images")
    assert {one.about for one in session.messages} == {"conflicts"}
    stage.press("Fetch again and replace")
    assert session.asked("fetch")[0].params["series_uids"] == ["1.1", "1.3"]
    stage.run(4, 1)
    assert session.messages[-1].text.startswith("Doe, Jane · CT 4: 1 image came")


def test_however_many_fetches_there_are_the_lines_are_bounded(stage, session):
    for number in range(500):
        stage.note(number, JobState.QUEUED)
    for number in range(500):
        stage.note(number, JobState.COMPLETED, 1)
    assert "Of 500 fetches, 500 images" in session.messages[-1].text
    assert len(session.messages[-1].details) == 200


def test_what_ended_before_and_what_is_no_fetch_is_not_told(stage, session):
    stage.note(1, JobState.INCOMPLETE, 3)
    stage.run(2, 0)
    stage.run(3, 4, kind=JobKind.IMPORT)
    session.jobs.replace([])
    assert session.messages == []


def test_a_fetch_whose_end_was_overheard_is_told_when_everything_is_read_again(stage, session):
    stage.note(1, JobState.RUNNING)
    stage.note(2, JobState.RUNNING)
    ended = JobRecord(session.jobs.get("job-1").description, JobState.COMPLETED, Stamp(0.0, 1.0), conflicts=1)
    session.jobs.replace([ended.to_dict()])
    assert len(session.messages) == 1
    stage.run(3, 1)  # of job-2 nothing is known any more: this is another round
    assert session.messages[-1].text.startswith("Doe, Jane · CT 3: 1 image")


def test_only_series_are_offered_to_be_replaced(stage, session):
    stage.run(1, 1, level="patient")
    assert [remedy.label for remedy in session.messages[-1].remedies] == ["Details"]


def call(**values: Any) -> dict[str, Any]:
    record = CallRecord(1, "CT1", "192.0.2.7", over=True, **values)
    for number in range(250):
        record.add_conflict(Conflict(f"1.9.{number}", "It differs.", ("(0010,0010) PatientName",), "CT1"))
    return record.to_dict()


def test_what_others_sent_with_other_content_is_told_when_they_have_left(stage, session):
    session.calls.note({**call(), "over": False})
    assert session.messages == []
    session.calls.note(call())
    (message,) = session.messages
    assert message.text == (
        "CT1 sent 250 images with other content than what is here, which was kept."
        " To have them instead, remove what is here first, and have them sent again."
    )
    assert message.details[0] == "1.9.0: It differs. Different: (0010,0010) PatientName."
    assert len(message.details) == 100


def test_of_what_a_server_was_asked_to_send_the_fetch_tells(stage, session):
    session.calls.note(call(stored=3, asked_for=3))
    assert session.messages == []


def test_once_closed_nothing_is_told(stage, session):
    stage.note(1, JobState.RUNNING)
    stage.notes.close()
    stage.note(1, JobState.COMPLETED, 1)
    session.calls.note(call())
    assert session.messages == []
