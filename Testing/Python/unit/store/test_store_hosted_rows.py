"""A folder whose rows another program keeps: handing over, waiting, crashes on the way."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from support.waiting import wait_until
from unit.store.hosted_kit import Stage
from unit.store.store_kit import bring_in, local_uids, receive, samples, write_files
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase, StoredInstance
from VisualDICOMBrowserLib.store.headers import read_header


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path / "database")
    yield stage
    stage.store.close()


def uids(items) -> set[str]:
    return {item.sop_uid for item in items}


def test_what_comes_in_can_be_looked_at_before_it_has_a_row(stage):
    items = samples(3)
    receive(stage.store, items)
    assert stage.known() == uids(items) == stage.intents()
    assert stage.store.unseen(uids(items)) == uids(items)
    assert local_uids(stage.store) == set()
    assert stage.wishes[-1] == ("index-wanted", {"files": 3, "urgent": False})


def test_a_row_that_is_seen_settles_the_intent(stage):
    items = samples(3)
    receive(stage.store, items)
    outcome = stage.index()
    assert (outcome.settled, outcome.missing) == (3, 0)
    assert stage.intents() == stage.store.unseen(uids(items)) == set()
    assert local_uids(stage.store) == uids(items)
    assert all(name.startswith("dicom/") for name in stage.host.batches[0])


def test_a_mirror_in_between_forgets_nothing(stage):
    items = samples(4)
    receive(stage.store, items)
    stage.index(limit=2)
    assert stage.store.refresh()
    assert stage.known() == uids(items)
    assert len(stage.intents()) == 2


def test_one_batch_at_a_time(stage):
    receive(stage.store, samples(5))
    first = stage.index_batch(3)
    assert (len(first.files), first.left) == (3, 2)
    assert stage.index_batch(3).files == ()
    stage.host.write_rows(list(first.files))
    assert stage.index_done(first.number).settled == 3
    assert stage.index_done(first.number).settled == 0  # told twice
    assert stage.index().settled == 2


def test_what_is_missing_is_handed_over_again_three_times(stage):
    items = samples(2)
    receive(stage.store, items)
    stage.host.refuses = lambda name: (
        name == stage.store.folder.stored_name(stage.store.folder.instance_path("1.2.1", "1.2.1.1", items[0].sop_uid))
    )
    outcomes = [stage.index() for _ in range(3)]
    assert [(o.settled, o.missing) for o in outcomes] == [(1, 1), (0, 1), (0, 1)]
    assert stage.index_batch(10).files == ()
    assert stage.store.refused(uids(items)) == {items[0].sop_uid} == stage.intents()
    stage.host.refuses = lambda _: False
    stage.restart()
    assert stage.index().settled == 1
    assert stage.intents() == set()


def test_a_file_that_came_too_late_for_its_batch_is_handed_over_as_often_as_any_other(stage):
    [item] = samples(1)
    receive(stage.store, [item])
    stage.host.refuses = lambda _: True
    stage.index()
    stage.index()
    last = stage.index_batch(1)
    stage.store.host.queue.offer([(item.sop_uid, last.files[0])])
    assert [stage.index_done(last.number).missing, stage.index().missing] == [1, 1]
    assert stage.store.refused([item.sop_uid]) == set()
    stage.host.refuses = lambda _: False
    assert stage.index().settled == 1


def test_waiting_ends_when_all_is_seen_or_refused(stage):
    items = samples(2)
    receive(stage.store, items)
    heard: list[str] = []
    stage.store.host.queue.when_seen(uids(items), lambda: heard.append("both"))
    stage.store.host.queue.when_seen(["1.9"], lambda: heard.append("none"))
    assert heard == ["none"]
    assert stage.wishes[-1] == ("index-wanted", {"files": 2, "urgent": True})
    stage.index(limit=1)
    assert heard == ["none"]
    stage.index()
    assert heard == ["none", "both"]


def test_a_start_offers_again_what_has_no_row(stage):
    items = samples(3)
    receive(stage.store, items)
    stage.index_batch(10)  # and the program dies
    stage.restart()
    assert stage.known() == uids(items)
    assert stage.index().settled == 3


def taken_in_from_elsewhere(stage, tmp_path, ours, theirs, *, link=False) -> Path:
    """Have the other program take another file of an instance in while ours is handed over; return where ours lies."""
    if link:
        bring_in(stage.store, write_files(tmp_path / "ours", [ours]), link=True)
    else:
        receive(stage.store, [ours])
    [elsewhere] = write_files(tmp_path / "elsewhere", [theirs])
    [path] = [stage.store.folder.absolute(name) for name in stage.index_batch(1).files]
    stage.host.write_rows([str(elsewhere)])
    assert stage.index_done(1).to_dict() == {"settled": 1, "missing": 0}
    stage.store.refresh()
    return path


def test_a_file_taken_in_from_elsewhere_makes_ours_superfluous(stage, tmp_path):
    [item] = samples(1)
    ours = taken_in_from_elsewhere(stage, tmp_path, item, item)
    wait_until(lambda: not stage.store.unseen([item.sop_uid]))
    assert not ours.exists()
    assert (tmp_path / "elsewhere" / f"{item.sop_uid}.dcm").exists()
    assert stage.store.readable([item.sop_uid]) == {item.sop_uid}
    assert stage.intents() == set()
    assert stage.store.take_conflicts([item.sop_uid]) == []


@pytest.mark.expects_log("took in other content")
@pytest.mark.parametrize("link", [False, True])
def test_what_was_taken_in_with_other_content_is_kept_and_so_is_ours_until_that_was_told(stage, tmp_path, link):
    [item] = samples(1)
    heard: list[str] = []
    ours = taken_in_from_elsewhere(stage, tmp_path, item, replace(item, name="Roe^Mary"), link=link)
    stage.store.host.queue.when_seen([item.sop_uid], lambda: heard.append("judged"))
    wait_until(lambda: heard)
    assert stage.store.refused([item.sop_uid]) == {item.sop_uid} == stage.intents()
    assert ours.exists()
    (conflict,) = stage.store.take_conflicts([item.sop_uid])
    assert conflict.tags == ("(0010,0010) PatientName",)
    assert ours.exists() is link
    assert stage.store.unseen([item.sop_uid]) == stage.intents() == set()
    assert stage.store.readable([item.sop_uid]) == {item.sop_uid}
    assert stage.store.verify().ok


@pytest.mark.expects_log("took in other content")
def test_a_conflict_that_nobody_was_told_of_is_found_again_at_the_next_start(stage, tmp_path):
    [item] = samples(1)
    ours = taken_in_from_elsewhere(stage, tmp_path, item, replace(item, name="Roe^Mary"))
    wait_until(lambda: stage.store.refused([item.sop_uid]))
    stage.restart()
    assert ours.exists()
    stage.index()
    wait_until(lambda: stage.store.refused([item.sop_uid]))
    assert len(stage.store.take_conflicts([item.sop_uid])) == 1


@pytest.mark.expects_log("took in other content")
def test_of_a_conflict_whose_other_file_is_gone_meanwhile_ours_is_handed_over_again(stage, tmp_path):
    [item] = samples(1)
    ours = taken_in_from_elsewhere(stage, tmp_path, item, replace(item, name="Roe^Mary"))
    wait_until(lambda: stage.store.refused([item.sop_uid]))
    stage.host.remove_series(item.series_uid)
    assert stage.store.take_conflicts([item.sop_uid]) == []
    assert ours.exists()
    stage.restart()
    stage.index()
    assert local_uids(stage.store) == {item.sop_uid} == stage.store.readable([item.sop_uid])


@pytest.mark.expects_log("Comparing two files failed")
@pytest.mark.parametrize("error", [StorageError("The disk is away."), ValueError("a fault")], ids=["disk", "fault"])
def test_what_cannot_be_compared_now_is_handed_over_again(stage, tmp_path, error):
    [item] = samples(1)

    def fail(*_: str) -> None:
        raise error

    stage.store.host.queue.superseded.judge = fail
    ours = taken_in_from_elsewhere(stage, tmp_path, item, item)
    wait_until(lambda: stage.store.host.queue.wish()[0] == 1)
    assert ours.exists()
    assert stage.intents() == {item.sop_uid}


def test_what_is_removed_while_it_is_compared_is_gone(stage, tmp_path):
    [item] = samples(1)
    go_on, done = threading.Event(), threading.Event()

    def slowly(*_: str) -> None:
        go_on.wait(30)
        threading.Timer(0, done.set).start()

    stage.store.host.queue.superseded.judge = slowly
    taken_in_from_elsewhere(stage, tmp_path, item, item)
    assert stage.remove(Target(Level.IMAGE, (item.sop_uid,))).instances == 1
    go_on.set()
    assert done.wait(30)
    assert stage.store.unseen([item.sop_uid]) == stage.known() == set()
    assert (tmp_path / "elsewhere" / f"{item.sop_uid}.dcm").exists()


def test_a_row_with_an_unreadable_file_does_not_settle_ours(stage, tmp_path):
    [item] = samples(1)
    [elsewhere] = write_files(tmp_path / "elsewhere", [item])
    stage.host.write_rows([str(elsewhere)])
    elsewhere.unlink()
    receive(stage.store, [item])
    assert stage.index_done(stage.index_batch(1).number).missing == 1
    assert stage.intents() == {item.sop_uid}


def test_linked_files_are_handed_over_by_their_own_names(stage, tmp_path):
    paths = write_files(tmp_path / "source", samples(2))
    bring_in(stage.store, paths, link=True)
    assert sorted(stage.index_batch(10).files) == sorted(path.as_posix() for path in paths)


def test_what_waits_is_not_imported_twice(stage, tmp_path):
    items = samples(2)
    receive(stage.store, items)
    result = bring_in(stage.store, write_files(tmp_path / "source", items))
    assert (result.imported, result.duplicates) == (0, 2)


def test_a_series_is_removed_and_can_be_brought_back(stage):
    items = [*samples(2), *samples(2, series=2)]
    receive(stage.store, items)
    stage.index()
    result = stage.remove(Target(Level.SERIES, ("1.2.1.1",)), undoable=True)
    assert (result.series, result.instances, result.files) == (1, 2, 2)
    assert stage.host.removed == ["1.2.1.1"]
    assert stage.known() == local_uids(stage.store) == uids(samples(2, series=2))
    assert stage.intents("remove") == stage.intents("unlink") == set()
    assert stage.store.undo_remove(result.trash).instances == 2
    assert stage.index().settled == 2
    assert stage.known() == local_uids(stage.store) == uids(items)
    assert stage.store.readable(uids(items)) == uids(items)


def test_single_instances_go_and_the_rest_of_their_series_stays(stage, tmp_path):
    items = samples(3)
    receive(stage.store, items[:2])
    bring_in(stage.store, write_files(tmp_path / "linked", items[2:]), link=True)
    stage.index()
    result = stage.remove(Target(Level.IMAGE, (items[0].sop_uid,)))
    assert (result.series, result.instances) == (0, 1)
    assert stage.known() == uids(items[1:])
    assert stage.index().settled == 2
    assert local_uids(stage.store) == uids(items[1:]) == stage.store.readable(uids(items))
    assert not stage.store.folder.trash_folder.exists()


def test_files_of_other_programs_in_the_folder_are_spared_too(stage):
    items = samples(2)
    folder = stage.host.folder.root / "DICOMweb" / "20260101"
    paths = write_files(folder, items)
    stage.host.write_rows([path.relative_to(stage.host.folder.root).as_posix() for path in paths])
    stage.store.refresh()
    stage.remove(Target(Level.IMAGE, (items[0].sop_uid,)))
    stage.index()
    assert stage.store.readable(uids(items)) == uids(items[1:])
    assert [path.exists() for path in paths] == [False, True]


def test_what_has_no_row_yet_is_removed_without_asking(stage):
    items = samples(2)
    receive(stage.store, items)
    result = stage.remove(Target(Level.SERIES, ("1.2.1.1",)))
    assert result.instances == 2
    assert stage.host.removed == []
    assert stage.index_batch(10).files == ()
    assert stage.intents() == stage.known() == set()


@pytest.mark.parametrize("all_of_them", [True, False], ids=["series", "image"])
def test_rows_that_are_being_written_go_too_and_what_stays_is_spared(stage, all_of_them):
    items = samples(3)
    receive(stage.store, items)
    batch = stage.index_batch(2)
    paths = [stage.store.folder.absolute(name) for name in batch.files]
    read = [StoredInstance(read_header(path), path) for path in paths]
    target = Target(Level.SERIES, ("1.2.1.1",)) if all_of_them else Target(Level.IMAGE, (read[0].header.sop_uid,))
    thread = threading.Thread(target=stage.store.remove, args=(target,))
    thread.start()
    wait_until(lambda: stage.series_to_remove()["series"])
    with CtkDatabase.open(stage.host.folder) as database:
        database.insert(read)
    stage.index_done(batch.number)
    stage.host.remove(stage)
    thread.join()
    stage.store.refresh()
    while stage.index().settled:
        pass
    staying = set() if all_of_them else uids(items) - {read[0].header.sop_uid}
    assert stage.known() == local_uids(stage.store) == staying == stage.store.readable(uids(items))
    assert stage.intents() == stage.intents("remove") == set()
    assert not stage.store.folder.trash_folder.exists()


def test_if_the_rows_stay_so_do_the_files(stage):
    items = samples(2)
    receive(stage.store, items)
    stage.index()
    stage.host.lets_go = False
    error = stage.remove(Target(Level.IMAGE, (items[0].sop_uid,)), undoable=True)
    assert isinstance(error, StorageError)
    assert "did not let go" in str(error)
    assert stage.store.readable(uids(items)) == stage.known() == uids(items)
    assert stage.intents("remove") == set()


@pytest.mark.parametrize("asked", [False, True], ids=["before", "after"])
def test_a_removal_that_was_cut_off_is_finished_at_the_next_start(stage, asked):
    items = samples(3)
    receive(stage.store, items)
    stage.index()
    token = CancelToken()
    target = Target(Level.IMAGE, (items[0].sop_uid,))
    thread = threading.Thread(target=_removed_in_vain, args=(stage.store, target, token))
    thread.start()
    wait_until(lambda: stage.series_to_remove()["series"])
    if asked:
        stage.host.remove_series("1.2.1.1")
    token.cancel()
    thread.join()
    stage.restart()
    assert stage.store.has_open_removals
    _while_host_removes(stage, lambda: stage.store.finish_removals(CancelToken()))
    stage.store.refresh()
    stage.index()
    assert not stage.store.has_open_removals
    assert stage.known() == uids(items[1:]) == stage.store.readable(uids(items))
    stage.restart()
    assert stage.known() == uids(items[1:])
    assert not stage.store.folder.trash_folder.exists()


def _removed_in_vain(store, target, token) -> None:
    with pytest.raises(Cancelled):
        store.remove(target, token=token)


def _while_host_removes(stage, work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        stage.host.remove(stage)
        thread.join(0.02)
