"""Series that are not here are fetched, and loaded by themselves as soon as they are complete."""

from __future__ import annotations

import pytest

from support.slicer_fakes import volumes_on_disk as disk
from support.slicer_fakes.core_here import require_slicer_core
from VisualDICOMBrowserLib.domain.errors import ServerUnreachable, StorageError
from VisualDICOMBrowserLib.gui.host import LoadProgress
from VisualDICOMBrowserLib.gui.messages import Tone
from VisualDICOMBrowserLib.jobs.states import JobState

require_slicer_core()

from support.slicer_fakes.loading_desk import loading_desk  # noqa: E402

UID = disk.series_uid(1)
WAITING = LoadProgress("1 series is loaded when it is here.")


@pytest.fixture
def desk(tmp_path, capfd):
    with loading_desk(tmp_path) as made:
        made.know(UID, instances=3, servers=("PACS",))
        yield made
    assert capfd.readouterr().err == ""


def arrive(desk, places=range(3), number: int = 1) -> None:
    """Let slices come into both databases."""
    uid = desk.slicer.database._add(
        *disk.write_slices(desk.folder / f"{number}-{places[0]}", number, disk.oblique(), places)
    )
    desk.know_anew(uid, local_instances=len(desk.slicer.database.filesForSeries(uid)))


def names(desk) -> list[str]:
    return [node.GetName() for node in desk.slicer.volumes()]


def test_a_series_is_loaded_once_it_is_complete(desk):
    desk.load(UID)
    assert [ask.params for ask in desk.session.asked("fetch")] == [{"series_uids": [UID]}]
    assert desk.progress[-1] == WAITING
    desk.note_job(UID, JobState.RUNNING)
    arrive(desk)
    desk.session.series_changed.emit(UID)
    desk.note_job(UID, JobState.INDEXING)
    desk.run()
    assert names(desk) == []
    desk.note_job(UID, JobState.COMPLETED)
    desk.run()
    assert names(desk) == ["Series 1"]
    assert desk.message.text == "Loaded 1 volume."
    assert desk.progress[-1] is None


def test_what_is_here_does_not_wait_for_what_is_fetched(desk):
    here = desk.add(*disk.write_slices(desk.folder / "b", 2, disk.oblique(), range(3)))
    desk.load(UID, here)
    assert names(desk) == ["Series 2"]
    assert desk.progress[-1] == WAITING


def test_a_retrieve_that_is_under_way_is_waited_for(desk):
    desk.note_job(UID, JobState.RUNNING)
    desk.load(UID)
    assert desk.session.asks == []
    arrive(desk)
    desk.note_job(UID, JobState.COMPLETED)
    desk.run()
    assert names(desk) == ["Series 1"]


def test_an_earlier_failure_says_nothing_of_the_new_retrieve(desk):
    desk.note_job(UID, JobState.FAILED, "old")
    desk.load(UID)
    desk.session.jobs.changed.emit(None)
    assert desk.session.messages == []
    desk.note_job(UID, JobState.RUNNING, "new", created=2.0)
    arrive(desk)
    desk.note_job(UID, JobState.COMPLETED, "new", created=2.0)
    desk.run()
    assert names(desk) == ["Series 1"]


def test_a_failure_is_told_with_its_reason(desk):
    desk.load(UID)
    desk.note_job(UID, JobState.FAILED, reason="PACS does not answer.")
    desk.run()
    assert desk.message.text == "“1: Series 1” is not loaded: it could not be fetched. PACS does not answer."
    assert desk.message.tone is Tone.PROBLEM
    assert desk.message.remedies == ()
    assert desk.progress[-1] is None


def test_what_came_of_an_incomplete_series_can_be_loaded(desk):
    desk.load(UID)
    arrive(desk, range(2))
    desk.note_job(UID, JobState.INCOMPLETE, reason="1 instances are missing.")
    desk.run()
    assert names(desk) == []
    assert desk.message.text == "“1: Series 1” is not loaded: it was not fetched wholly. 1 instances are missing."
    (remedy,) = desk.message.remedies
    remedy.act()
    desk.run()
    assert names(desk) == ["Series 1"]
    assert desk.message.text == "Loaded 1 volume. “1: Series 1”: only 2 of 3 images are here."
    assert desk.message.tone is Tone.WARNING


def test_a_catalogue_that_cannot_be_read_is_told(desk, monkeypatch):
    def fail(_):
        raise StorageError("The catalogue is locked.", retryable=True)

    monkeypatch.setattr(desk.session.reader, "series_by_uid", fail)
    desk.load(UID)
    assert desk.message.text == "Nothing is loaded. The catalogue is locked."
    assert desk.session.asks == []


def test_another_server_is_waited_for(desk):
    desk.load(UID)
    desk.note_job(UID, JobState.RUNNING, "first")
    desk.note_job(UID, JobState.QUEUED, "second", created=2.0)
    desk.note_job(UID, JobState.INCOMPLETE, "first")
    assert desk.session.messages == []
    arrive(desk)
    desk.note_job(UID, JobState.COMPLETED, "second", created=2.0)
    desk.run()
    assert names(desk) == ["Series 1"]


def test_a_cancelled_retrieve_ends_the_wish(desk):
    desk.load(UID)
    desk.note_job(UID, JobState.CANCELLED)
    assert desk.message.text == "“1: Series 1” is not loaded: fetching was cancelled."
    arrive(desk)
    desk.session.series_changed.emit(UID)
    desk.run()
    assert names(desk) == []


def test_a_cancel_ends_the_wish(desk):
    desk.load(UID)
    desk.loader.cancel()
    assert desk.progress[-1] is None
    arrive(desk)
    desk.note_job(UID, JobState.COMPLETED)
    desk.run()
    assert names(desk) == []


def test_an_engine_that_refuses_is_told(desk):
    desk.load(UID)
    desk.session.asked("fetch")[0].fail(ServerUnreachable("PACS cannot be reached."))
    assert desk.message.text == "“1: Series 1” is not loaded: it could not be fetched. PACS cannot be reached."
    assert desk.progress[-1] is None


def test_completed_without_rows_is_told(desk):
    desk.load(UID)
    desk.note_job(UID, JobState.COMPLETED)
    text = "“1: Series 1” is not loaded: it was fetched, but Slicer's database does not list it."
    assert desk.message.text == text


def test_a_series_of_unknown_size_is_loaded_when_its_retrieve_is_completed(desk):
    desk.know(UID, instances=None, servers=("PACS",))
    desk.load(UID)
    arrive(desk)
    desk.session.series_changed.emit(UID)
    desk.run()
    assert names(desk) == []
    desk.note_job(UID, JobState.COMPLETED)
    desk.run()
    assert names(desk) == ["Series 1"]


def test_asking_again_while_it_waits_is_one_wish_which_remembers_the_choice(desk):
    desk.load(UID)
    desk.load(UID, choose=True)
    assert len(desk.session.asked("fetch")) == 1
    arrive(desk)
    desk.note_job(UID, JobState.COMPLETED)
    desk.run()
    assert [option.name for option in desk.options[-1]] == ["Series 1"]
    desk.loader.choose([0])
    desk.run()
    assert names(desk) == ["Series 1"]


def test_a_series_that_came_some_other_way_is_loaded(desk):
    desk.load(UID)
    arrive(desk)
    desk.session.catalogue_changed.emit()
    desk.run()
    assert names(desk) == ["Series 1"]
