"""What a user does with chosen series, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.domain.model import Series
from VisualDICOMBrowserLib.domain.overview import SeriesRow
from VisualDICOMBrowserLib.gui.actions import Actions
from VisualDICOMBrowserLib.gui.messages import Tone
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Priority, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState

REMOTE = SeriesRow(Series("1.1", "1"), instances=4, servers=("PACS",))
PARTLY = SeriesRow(Series("1.2", "1"), instances=4, local_instances=2, servers=("PACS",))
HERE = SeriesRow(Series("1.3", "1"), instances=4, local_instances=4, servers=("PACS",))
LINKED = SeriesRow(Series("1.4", "1"), instances=2, local_instances=2)


@pytest.fixture
def actions(session):
    return Actions(session)


def note_retrieve(
    session: FakeSession, series: SeriesRow, state: JobState, job_id: str = "job", priority: Priority = Priority.USER
) -> None:
    params = {"level": "series", "uids": [series.uid]}
    description = JobDescription(job_id, JobKind.RETRIEVE, "PACS", params, priority)
    session.jobs.note(JobRecord(description, state, Stamp(0.0, 1.0)).to_dict())


def test_only_what_is_missing_and_on_a_server_is_fetched(session, actions):
    actions.fetch([REMOTE, PARTLY, HERE, LINKED])
    assert [ask.params for ask in session.asked("fetch")] == [{"series_uids": ["1.1", "1.2"]}]


def test_what_is_under_way_is_not_fetched_twice(session, actions):
    note_retrieve(session, REMOTE, JobState.RUNNING)
    actions.fetch([REMOTE])
    assert session.asks == []
    assert actions.are_under_way([REMOTE, HERE])
    assert not actions.are_under_way([HERE])


def test_what_is_fetched_ahead_is_asked_for_when_the_user_wants_it(session, actions):
    note_retrieve(session, REMOTE, JobState.QUEUED, priority=Priority.REST)
    actions.fetch([REMOTE])
    assert [ask.params for ask in session.asked("fetch")] == [{"series_uids": ["1.1"]}]


def test_cancel_reaches_the_jobs_of_the_series_and_no_others(session, actions):
    note_retrieve(session, REMOTE, JobState.RUNNING, "a")
    note_retrieve(session, PARTLY, JobState.QUEUED, "b")
    note_retrieve(session, HERE, JobState.COMPLETED, "c")
    actions.cancel([REMOTE, HERE])
    assert [ask.params for ask in session.asked("cancel_job")] == [{"job_id": "a"}]


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.INCOMPLETE, JobState.CANCELLED])
def test_a_stopped_retrieve_is_tried_again_and_the_rest_is_fetched(session, actions, state):
    note_retrieve(session, REMOTE, state)
    actions.retry([REMOTE, PARTLY])
    assert [ask.params for ask in session.asked("retry_job")] == [{"job_id": "job"}]
    assert [ask.params for ask in session.asked("fetch")] == [{"series_uids": ["1.2"]}]
    assert actions.have_failed([REMOTE])


def test_a_series_that_came_some_other_way_has_not_failed(session, actions):
    note_retrieve(session, REMOTE, JobState.FAILED)
    assert not actions.have_failed([replace(REMOTE, local_instances=4)])


def test_removal_is_of_what_is_here_and_offers_to_be_undone(session, actions):
    actions.remove([REMOTE, PARTLY, HERE])
    (ask,) = session.asked("remove")
    assert ask.params == {"target": {"level": "series", "uids": ["1.2", "1.3"]}, "undoable": True}
    ask.answer({"instances": 6, "series": 2, "trash": "t1"})
    message = session.messages[-1]
    assert message.text == "Removed 6 images of 2 series from this computer."
    (undo,) = message.remedies
    undo.act()
    (asked,) = session.asked("undo_remove")
    assert asked.params == {"trash": "t1"}
    asked.answer({"instances": 6, "failed": []})
    assert session.messages[-1].text == "6 images are back."


def test_what_could_not_be_brought_back_is_told(session, actions):
    actions.remove([HERE])
    session.asked("remove")[0].answer({"instances": 2, "series": 1, "trash": "t1"})
    session.messages[-1].remedies[0].act()
    session.asked("undo_remove")[0].answer({"instances": 1, "failed": [{"sop_uid": "1.3.1", "reason": "It is gone."}]})
    assert session.messages[-1].text == "1 image is back. 1 file had to be left out."
    assert session.messages[-1].tone is Tone.WARNING


def test_a_removal_that_failed_is_told(session, actions):
    actions.remove([HERE])
    session.asked("remove")[0].fail(StorageError("The disk is full."))
    assert session.messages[-1].text == "Nothing was removed. The disk is full."
    assert session.messages[-1].tone is Tone.PROBLEM


def test_nothing_here_cannot_be_removed_or_exported(session, actions):
    actions.remove([REMOTE])
    actions.export([REMOTE], "/somewhere")
    assert session.asks == []
    assert len(session.messages) == 2


def test_an_export_tells_where_and_what_is_missing(session, actions):
    actions.export([HERE], "/somewhere")
    (ask,) = session.asked("export")
    assert ask.params == {"target": {"level": "series", "uids": ["1.3"]}, "folder": "/somewhere"}
    ask.answer({"folder": "/somewhere", "files": 3, "failed": [{"sop_uid": "1.3.1", "reason": "It is gone."}]})
    message = session.messages[-1]
    assert message.text == "Exported 3 files to /somewhere. 1 file had to be left out."
    assert message.details == ("1.3.1: It is gone.",)
    assert message.tone is Tone.WARNING


def imported(number: int, **others: Any) -> dict[str, Any]:
    conflicts: list[Any] = others.get("conflicts", [])
    rejected: list[Any] = others.get("rejected", [])
    counts = {"duplicates": 0, "replaced": 0, "conflicting": len(conflicts), "left_out": len(rejected)}
    return {"imported": number, **counts, "rejected": rejected, "conflicts": conflicts, **others}


OTHER = {"sop_uid": "1.9", "reason": "It has other content.", "tags": ["(0010,0010) PatientName"], "source": "/a/x.dcm"}


def test_other_content_under_a_known_uid_is_told_and_replaces_what_is_here_only_on_purpose(session, actions):
    actions.import_paths(["/a"], link=True)
    session.asked("import_paths")[0].answer(imported(3, conflicts=[OTHER]))
    message = session.messages[-1]
    assert message.text == (
        "Imported 3 images. 1 file has another content than the image that is here under the same UID; that was kept."
    )
    assert message.details == ("x.dcm: It has other content. ((0010,0010) PatientName)",)
    assert message.tone is Tone.WARNING
    (replace_it,) = message.remedies
    replace_it.act()
    again = session.asked("import_paths")[1]
    assert again.params == {"paths": ["/a/x.dcm"], "link": True, "replace": True}
    again.answer(imported(0, replaced=1))
    assert session.messages[-1].text == "Imported 0 images. 1 image that had been here gave way to the files."


def test_of_more_files_than_are_named_all_are_counted(session, actions):
    actions.import_paths(["/"])
    left_out = [{"path": f"/{number}", "reason": "It is no DICOM."} for number in range(2000)]
    session.asked("import_paths")[0].answer(imported(1, rejected=left_out, left_out=300_000))
    assert session.messages[-1].text == "Imported 1 image. 300,000 files had to be left out."
    assert len(session.messages[-1].details) == 200


def test_of_more_than_are_named_all_can_be_replaced(session, actions):
    actions.import_paths(["/a"])
    session.asked("import_paths")[0].answer(imported(0, conflicts=[OTHER], conflicting=2000))
    assert "2,000 files have another content" in session.messages[-1].text
    session.messages[-1].remedies[0].act()
    assert session.asked("import_paths")[1].params == {"paths": ["/a"], "link": False, "replace": True}


def test_only_what_is_here_and_on_a_server_is_fetched_again(session, actions):
    actions.fetch_again([REMOTE, PARTLY, HERE, LINKED])
    assert [ask.params for ask in session.asked("fetch")] == [{"series_uids": ["1.2", "1.3"], "force": True}]


def test_what_is_under_way_is_not_fetched_again(session, actions):
    note_retrieve(session, HERE, JobState.RUNNING)
    actions.fetch_again([HERE])
    assert session.asks == []


def test_an_import_tells_what_is_new_what_was_here_and_what_was_refused(session, actions):
    actions.import_paths(["/a", "/b"])
    (ask,) = session.asked("import_paths")
    assert ask.params == {"paths": ["/a", "/b"], "link": False, "replace": False}
    ask.answer(imported(1, duplicates=2, rejected=[{"path": "/a/x.txt", "reason": "It is no DICOM."}]))
    assert session.messages[-1].text == "Imported 1 image; 2 were here already. 1 file had to be left out."
    assert session.messages[-1].details == ("x.txt: It is no DICOM.",)


def test_all_files_here_already_is_no_failure(session, actions):
    actions.import_paths(["/a"])
    session.asked("import_paths")[0].answer(imported(0, duplicates=5))
    assert session.messages[-1].tone is Tone.NOTE
