"""Replacing instances whose rows another program keeps, which removes whole series and deletes their files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from support.waiting import wait_until
from unit.store.hosted_kit import SlicerHost, Stage
from unit.store.store_kit import (
    Moved,
    Sample,
    assert_at_rest,
    bring_in,
    change,
    dicom_files,
    keep_safe,
    local_uids,
    part_files,
    receive,
    rows,
    samples,
    swap,
    write_files,
)
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import host_swaps, safekeeping
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.host_removal import HostRemoval
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

ONE = Sample()
OTHER = replace(ONE, name="Roe^Mary", pixels=b"others")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(host_swaps, "_GATHER_S", 0.0)
    monkeypatch.setattr(host_swaps, "_RETRY_DELAYS_S", (0.0,))


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path / "database", SlicerHost)
    yield stage
    stage.store.close()


def contents(stage: Stage) -> list[bytes]:
    return sorted(path.read_bytes() for path in dicom_files(stage.store.folder) if path.suffix == ".dcm")


def files(items) -> list[bytes]:
    return sorted(item.file for item in items)


def uids(items) -> list[str]:
    return [item.sop_uid for item in items]


def come_in(stage: Stage, items) -> None:
    receive(stage.store, items)
    stage.settle(uids(items))


def at_rest(stage: Stage) -> set[str]:
    """Close the store, and look at the folder as the stand-alone program finds it."""
    stage.store.close()
    local = assert_at_rest(stage.store.folder)
    assert not stage.store.folder.trash_folder.exists()
    return local


def names_in_rows(stage: Stage) -> set[str]:
    folder = stage.store.folder
    names = rows(folder.ctk_database, "SELECT PatientsName FROM Patients")
    return {str(n) for (n,) in names + rows(folder.ctk_tag_cache, "SELECT Value FROM TagCache WHERE Tag='0010,0010'")}


def test_an_instance_is_replaced_and_the_others_of_its_series_stay(stage):
    come_in(stage, samples(3))
    stage.store.catalogue.set_thumbnail("1.2.1.1", ONE.sop_uid, "thumbs/a/b/c.png", False, "")
    before = {path.name: path.stat().st_ino for path in dicom_files(stage.store.folder)}
    batch = swap(stage.store, [OTHER])
    assert (batch.replaced, batch.stored, batch.conflicts, batch.failed) == ([ONE.sop_uid], [], [], [])
    assert stage.store.unseen([ONE.sop_uid]) == {ONE.sop_uid} == stage.store.readable([ONE.sop_uid])
    stage.settle(uids(samples(3)))
    assert stage.host.removed == ["1.2.1.1"]
    assert contents(stage) == files([OTHER, *samples(3)[1:]])
    after = {path.name: path.stat().st_ino for path in dicom_files(stage.store.folder)}
    assert len(before.items() & after.items()) == 2
    assert stage.store.unseen(uids(samples(3))) == stage.intents() == stage.intents("swap") == set()
    assert stage.store.catalogue.thumbnail("1.2.1.1") is None
    assert stage.store.verify().ok
    assert at_rest(stage) == {*uids(samples(3))}


def test_a_whole_series_gives_way_at_once_with_all_that_was_known_of_it(stage):
    come_in(stage, samples(4))
    swap(stage.store, [replace(item, name="Roe^Mary") for item in samples(4)])
    stage.settle(uids(samples(4)))
    assert len(stage.host.removed) <= 2  # the writer may have had them in two groups
    assert names_in_rows(stage) == {"Roe^Mary"}
    (study,) = stage.store.catalogue.local_studies()
    assert study.patient.name == "Roe^Mary"
    assert len(at_rest(stage)) == 4


def test_an_instance_that_moved_to_another_series_leaves_the_old_one(stage):
    come_in(stage, samples(2))
    swap(stage.store, [Moved()])
    stage.settle(uids(samples(2)))
    assert stage.store.catalogue.local_counts(["1.2.1.1", "1.2.99.1"]) == {"1.2.1.1": 1, "1.2.99.1": 1}
    assert contents(stage) == files([Moved(), Sample(number=2)])
    assert len(at_rest(stage)) == 2


def test_linked_files_are_never_deleted(stage, tmp_path):
    linked = write_files(tmp_path / "elsewhere", samples(3))
    bring_in(stage.store, linked, link=True)
    stage.settle(uids(samples(3)))
    swap(stage.store, [OTHER])
    stage.settle(uids(samples(3)))
    assert [path.read_bytes() for path in linked] == [item.file for item in samples(3)]
    assert contents(stage) == [OTHER.file]
    assert stage.store.readable(uids(samples(3))) == {*uids(samples(3))}
    assert len(at_rest(stage)) == 3


@pytest.mark.expects_log("Images are not replaced yet")
def test_a_linked_file_beside_that_cannot_be_read_keeps_its_row(stage, tmp_path):
    come_in(stage, [ONE])
    (beside,) = write_files(tmp_path / "elsewhere", [Sample(number=2)])
    bring_in(stage.store, [beside], link=True)
    stage.settle(uids(samples(2)))
    away = beside.rename(beside.with_suffix(".away"))
    swap(stage.store, [OTHER])
    stage.settle([ONE.sop_uid])
    with pytest.raises(StorageError, match="linked image"):
        stage.store.remove(Target(Level.IMAGE, (ONE.sop_uid,)))
    assert local_uids(stage.store) == {*uids(samples(2))}
    assert contents(stage) == [ONE.file]
    away.rename(beside)
    stage.restart()
    swap(stage.store, [OTHER])
    stage.settle(uids(samples(2)))
    assert contents(stage) == [OTHER.file]
    assert len(at_rest(stage)) == 2


@pytest.mark.parametrize("link", [False, True])
def test_an_import_replaces_on_purpose_only(stage, tmp_path, link):
    come_in(stage, samples(2))
    (path,) = write_files(tmp_path / "new", [OTHER])
    refused = bring_in(stage.store, [path], link=link)
    assert [conflict.source for conflict in refused.conflicts] == [str(path)]
    result = bring_in(stage.store, [path], link=link, replace=True)
    assert (result.imported, result.duplicates, result.replaced, result.conflicts) == (0, 0, 1, ())
    stage.settle(uids(samples(2)))
    assert contents(stage) == files([Sample(number=2)] if link else [OTHER, Sample(number=2)])
    assert path.read_bytes() == OTHER.file
    assert stage.store.readable(uids(samples(2))) == {*uids(samples(2))}
    assert len(at_rest(stage)) == 2


def test_what_is_to_be_replaced_and_has_no_row_yet_needs_no_removal(stage):
    receive(stage.store, [ONE])
    swap(stage.store, [OTHER])
    wait_until(lambda: stage.store.host.queue.wish()[0])
    wait_until(lambda: not stage.store.host.queue.expected([ONE.sop_uid]))
    stage.settle([ONE.sop_uid])
    assert stage.host.removed == []
    assert contents(stage) == [OTHER.file]
    assert at_rest(stage) == {ONE.sop_uid}


def test_what_is_asked_for_twice_is_replaced_by_the_last(stage):
    come_in(stage, [ONE])
    last = replace(OTHER, name="Poe^Edgar")
    swap(stage.store, [OTHER])
    wait_until(lambda: stage.series_to_remove()["series"])  # the first is under way
    swap(stage.store, [replace(OTHER, name="Doe^John")])
    swap(stage.store, [last])
    wait_until(lambda: (stage.settle([ONE.sop_uid]), contents(stage) == [last.file])[1])
    assert part_files(stage.store.folder) == []
    assert names_in_rows(stage) == {"Poe^Edgar"}
    assert at_rest(stage) == {ONE.sop_uid}


@pytest.mark.expects_log("Images are not replaced yet")
def test_if_the_rows_stay_so_do_the_old_files_and_the_next_start_tries_again(stage):
    come_in(stage, samples(2))
    stage.host.lets_go = False
    swap(stage.store, [OTHER])
    stage.settle(uids(samples(2)))
    assert stage.store.refused([ONE.sop_uid]) == {ONE.sop_uid} == stage.intents("swap")
    assert contents(stage) == files(samples(2))
    assert local_uids(stage.store) == {*uids(samples(2))} == stage.store.readable(uids(samples(2)))
    assert stage.store.verify().ok
    stage.host.lets_go = True
    stage.restart()
    stage.settle(uids(samples(2)))
    assert contents(stage) == files([OTHER, Sample(number=2)])
    assert len(at_rest(stage)) == 2


@pytest.mark.expects_log("Images are not replaced yet")
def test_a_failure_on_the_way_has_the_swap_done_again(stage, monkeypatch):
    come_in(stage, samples(2))
    original, failing = HostRemoval.ask, [StorageError("The disk is away."), ValueError("a fault")]

    def fail_twice(*args):
        if failing:
            raise failing.pop()
        original(*args)

    monkeypatch.setattr(HostRemoval, "ask", fail_twice)
    swap(stage.store, [OTHER])
    stage.settle(uids(samples(2)))
    assert failing == []
    assert contents(stage) == files([OTHER, Sample(number=2)])
    assert len(at_rest(stage)) == 2


def test_what_is_closed_before_the_program_acts_goes_on_at_the_next_start(stage):
    come_in(stage, samples(2))
    swap(stage.store, [OTHER])
    wait_until(lambda: stage.series_to_remove()["series"])
    stage.restart()
    assert stage.store.readable(uids(samples(2))) == {*uids(samples(2))}
    stage.settle(uids(samples(2)))
    assert contents(stage) == files([OTHER, Sample(number=2)])
    assert len(at_rest(stage)) == 2


@pytest.mark.parametrize("link", [False, True])
def test_the_program_alone_does_what_was_left_to_do(stage, tmp_path, link):
    come_in(stage, samples(2))
    bring_in(stage.store, write_files(tmp_path / "new", [OTHER]), link=link, replace=True)
    wait_until(lambda: stage.series_to_remove()["series"])
    assert len(at_rest(stage)) == 2
    assert contents(stage) == files([Sample(number=2)] if link else [OTHER, Sample(number=2)])
    assert part_files(stage.store.folder) == []


def test_an_indexer_that_refuses_the_new_file_loses_nothing(stage, monkeypatch):
    come_in(stage, samples(2))
    stage.host.refuses = lambda _: True
    swap(stage.store, [OTHER])
    stage.settle(uids(samples(2)))
    assert stage.store.refused(uids(samples(2))) == {*uids(samples(2))} == stage.intents()
    assert contents(stage) == files([OTHER, Sample(number=2)])
    stage.host.refuses = lambda _: False
    stage.restart()
    stage.settle(uids(samples(2)))
    assert len(at_rest(stage)) == 2


@pytest.mark.expects_log("Images are not replaced yet")
def test_what_is_removed_is_not_replaced_any_more(stage):
    come_in(stage, samples(2))
    stage.host.lets_go = False
    swap(stage.store, [OTHER])
    stage.settle([ONE.sop_uid])
    stage.host.lets_go = True
    assert stage.remove(Target(Level.SERIES, ("1.2.1.1",))).instances == 2
    assert contents(stage) == []
    assert part_files(stage.store.folder) == []
    assert stage.intents("swap") == stage.store.refused([ONE.sop_uid]) == set()
    stage.restart()
    assert stage.store.unseen([ONE.sop_uid]) == set()
    assert at_rest(stage) == set()


def test_a_removal_that_was_cut_off_comes_first(stage):
    come_in(stage, samples(3))
    stage.store.catalogue.add_intents("remove", [(Sample(number=3).sop_uid, "dicom/none.dcm", "")])
    swap(stage.store, [OTHER])
    stage.settle(uids(samples(3)))
    wait_until(lambda: not stage.store.has_open_removals)
    assert stage.store.catalogue.local_counts(["1.2.1.1"]) == {"1.2.1.1": 2}
    assert OTHER.file in contents(stage)


def test_what_was_confirmed_takes_the_place_of_what_somebody_else_stored_meanwhile(stage, monkeypatch):
    monkeypatch.setattr(safekeeping, "_GATHER_S", 60.0)
    keep_safe(stage.store, [OTHER])
    receive(stage.store, [ONE])
    stage.store.safekeeping.settle()
    stage.settle([ONE.sop_uid])
    assert contents(stage) == [OTHER.file]
    assert stage.store.safekeeping.problem == ""
    assert part_files(stage.store.folder) == []
    assert len(at_rest(stage)) == 1


def test_what_cannot_be_kept_beside_leaves_everything_as_it_was(stage, monkeypatch):
    come_in(stage, samples(2))

    def fail(_path: Path) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(host_swaps, "fsync_folder", fail)
    batch = swap(stage.store, [OTHER])
    assert [str(error) for _, error in batch.failed] == ["The disk is full."]
    assert stage.intents("swap") == stage.store.unseen([ONE.sop_uid]) == set()
    assert contents(stage) == files(samples(2))
    assert part_files(stage.store.folder) == []


def _copied(sample: DatabaseFolder, source_files: list[Path], _tmp_path: Path) -> list[Path]:
    headers = [read_header(path) for path in source_files]
    targets = [sample.instance_path(h.study_uid, h.series_uid, h.sop_uid) for h in headers]
    for path, target in zip(source_files, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return targets


def _linked(sample: DatabaseFolder, source_files: list[Path], tmp_path: Path) -> list[Path]:
    folder = tmp_path / "linked here"
    folder.mkdir()
    change(sample.ctk_database, "UPDATE Images SET Filename = replace(Filename, '/data/ct/source', ?)", str(folder))
    return [Path(shutil.copy(path, folder)) for path in source_files]


def test_a_second_wish_that_cannot_be_kept_leaves_the_first(stage, monkeypatch):
    come_in(stage, [ONE])
    swap(stage.store, [OTHER])
    wait_until(lambda: stage.series_to_remove()["series"])

    def fail(_path: Path) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(host_swaps, "fsync_folder", fail)
        assert len(swap(stage.store, [replace(OTHER, name="Doe^John")]).failed) == 1
    assert stage.intents("swap") == {ONE.sop_uid}
    stage.restart()
    stage.settle([ONE.sop_uid])
    assert contents(stage) == [OTHER.file]
    assert at_rest(stage) == {ONE.sop_uid}


@pytest.mark.expects_log("cannot be read now")
def test_what_is_to_replace_and_cannot_be_read_at_a_start_waits_for_the_next(stage):
    come_in(stage, [ONE])
    swap(stage.store, [OTHER])
    wait_until(lambda: stage.series_to_remove()["series"])
    stage.store.close()
    (kept,) = (path for path in part_files(stage.store.folder) if path.name.endswith(".swap.part"))
    whole = kept.read_bytes()
    kept.write_bytes(b"")
    stage.store = stage.open()
    assert kept.exists()
    assert stage.store.readable([ONE.sop_uid]) == {ONE.sop_uid}
    kept.write_bytes(whole)
    stage.restart()
    stage.settle([ONE.sop_uid])
    assert contents(stage) == [OTHER.file]
    assert at_rest(stage) == {ONE.sop_uid}


@pytest.mark.parametrize(("name", "place"), [("copied", _copied), ("linked", _linked)])
def test_images_of_databases_that_slicer_wrote_are_replaced(tmp_path, ctk_sample, source_files, name, place):
    sample = ctk_sample(name)
    paths = place(sample, source_files, tmp_path)
    before = {path: path.read_bytes() for path in paths}
    dataset = pydicom.dcmread(paths[0])
    dataset.SeriesDescription = "Corrected"
    new = tmp_path / "new.dcm"
    dataset.save_as(new)
    stage = Stage(sample.root, SlicerHost)
    everything = sorted(local_uids(stage.store))
    assert bring_in(stage.store, [new], replace=True).replaced == 1
    stage.settle(everything)
    assert stage.host.removed == [dataset.SeriesInstanceUID]
    after = {path: path.read_bytes() for path in paths}
    assert after == (before if name == "linked" else {**before, paths[0]: new.read_bytes()})
    assert stage.store.readable(everything) == {*everything} == local_uids(stage.store)
    uid, series_uid = str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID)
    statement = "SELECT Value FROM TagCache WHERE SOPInstanceUID = ? AND Tag = '0008,103E'"
    assert rows(sample.ctk_tag_cache, statement, uid) == [("Corrected",)]
    statement = "SELECT SeriesDescription, DisplayedCount FROM Series WHERE SeriesInstanceUID = ?"
    assert rows(sample.ctk_database, statement, series_uid) == [("Corrected", 6)]
    assert len(at_rest(stage)) == 12
