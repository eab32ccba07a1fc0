"""A folder that cannot be written keeps back what belongs there, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import Background, at_most
from support.waiting import wait_until
from unit.store.store_kit import Moved, Sample, assert_at_rest, keep_safe, local_uids, part_files, receive, samples
from VisualDICOMBrowserLib.domain.errors import DiskFull, FolderUnusable, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import safekeeping as store_safekeeping
from VisualDICOMBrowserLib.store import writer as store_writer
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore

pytestmark = pytest.mark.expects_log("wait for their folder", "wait for their rows")

BAD, GOOD = samples(3), samples(3, study=2)


def folder_of(folder: DatabaseFolder, sample: Sample) -> Path:
    return folder.instance_path(sample.study_uid, sample.series_uid, sample.sop_uid).parent


def spoil(folder: DatabaseFolder, sample: Sample, above: int = 0) -> Path:
    """Put a file where the folder of a series has to be, or one above it."""
    path = [folder_of(folder, sample), *folder_of(folder, sample).parents][above]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.fixture
def patient(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """A store that tries again only when it is asked to."""
    monkeypatch.setattr(store.safekeeping, "_retry_delays", (60.0,))
    return store


@pytest.mark.parametrize("above", [0, 1], ids=["of the series", "of the study"])
def test_what_belongs_elsewhere_goes_on_being_confirmed_and_stored(patient: LocalStore, above: int):
    in_the_way = spoil(patient.folder, BAD[0], above)
    keep_safe(patient, BAD[:1])
    patient.safekeeping.settle()
    assert keep_safe(patient, GOOD).failed == []
    with pytest.raises(FolderUnusable, match=r"Could not create the folder: .* its series waits"):
        keep_safe(patient, BAD[1:])
    patient.safekeeping.settle()
    assert local_uids(patient) == {sample.sop_uid for sample in GOOD}
    assert [path.name.endswith(".safe.part") for path in part_files(patient.folder)] == [True]
    assert patient.safekeeping.problem.startswith("What came of one series cannot be put in its folder yet")
    in_the_way.unlink()
    patient.safekeeping.settle()
    assert patient.safekeeping.problem == ""
    assert keep_safe(patient, BAD).duplicates == [BAD[0].sop_uid]
    assert patient.verify().ok
    assert local_uids(patient) == {sample.sop_uid for sample in (*BAD, *GOOD)}


def test_what_comes_with_it_in_one_group_has_its_rows(patient: LocalStore):
    spoil(patient.folder, BAD[0])
    with patient._change:
        keep_safe(patient, [*BAD, *GOOD])
    patient.safekeeping.settle()
    assert local_uids(patient) == {sample.sop_uid for sample in GOOD}
    assert len(part_files(patient.folder)) == 3


def test_it_is_tried_again_by_itself_and_seldom(store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    tries: list[float] = []
    commit: Callable[[store_safekeeping.SafeFile], Path] = store_safekeeping.SafeFile.commit
    monkeypatch.setattr(store.safekeeping, "_retry_delays", (0.02, 0.05))
    monkeypatch.setattr(
        store_safekeeping.SafeFile,
        "commit",
        lambda file: (tries.append(store.safekeeping._stuck_until), commit(file))[1],
    )
    in_the_way = spoil(store.folder, BAD[0])
    keep_safe(store, BAD[:1])
    wait_until(lambda: len(tries) >= 4, what="more attempts")
    assert len(set(tries)) == len(tries)  # each at a time of its own
    in_the_way.unlink()
    wait_until(lambda: store.safekeeping.problem == "", what="the rows")
    assert local_uids(store) == {BAD[0].sop_uid}
    assert part_files(store.folder) == []


def test_a_folder_that_cannot_be_synced_concerns_what_lies_there(patient: LocalStore, monkeypatch: pytest.MonkeyPatch):
    sync = store_writer.fsync_folder

    def fail(path: Path) -> None:
        if path == folder_of(patient.folder, BAD[0]):
            raise StorageError("Could not write the folder: Input/output error.")
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(store_writer, "fsync_folder", fail)
        with patient._change:
            keep_safe(patient, [*BAD, *GOOD])
        patient.safekeeping.settle()
        assert local_uids(patient) == {sample.sop_uid for sample in GOOD}
        assert "Input/output error" in patient.safekeeping.problem
        fetched = receive(patient, samples(2, series=2))
        assert [str(error) for _, error in receive(patient, samples(1, series=1, patient_id="1")).failed] == [
            "Could not write the folder: Input/output error."
        ]
    assert len(fetched.stored) == 2
    patient.safekeeping.settle()
    assert patient.verify().rows == 8


def test_a_full_disk_concerns_everything_even_there(patient: LocalStore, monkeypatch: pytest.MonkeyPatch):
    def fail(_: Path) -> None:
        raise DiskFull

    with monkeypatch.context() as patch:
        patch.setattr(store_safekeeping, "make_folder", fail)
        keep_safe(patient, BAD[:1])
        patient.safekeeping.settle()
        with pytest.raises(DiskFull, match="entered in the database yet: The disk is full"):
            keep_safe(patient, GOOD)
    patient.safekeeping.settle()
    assert keep_safe(patient, GOOD).failed == []


def test_the_next_start_tries_again_and_goes_on_without_it(folder: DatabaseFolder, monkeypatch: pytest.MonkeyPatch):
    in_the_way = spoil(folder, BAD[0])
    with LocalStore.open(folder.root) as store:
        keep_safe(store, BAD[:1])
        store.safekeeping.settle()
    for _ in range(2):
        with LocalStore.open(folder.root) as store, at_most(5.0):
            assert store.safekeeping.problem
            assert keep_safe(store, GOOD).failed == []
            assert store.remove(Target(Level.STUDY, (GOOD[0].study_uid,))).instances == 3
            assert len(part_files(folder)) == 1
    in_the_way.unlink()
    assert assert_at_rest(folder) == {BAD[0].sop_uid}


def test_the_same_instance_of_another_series_is_refused_and_not_kept_waiting(patient: LocalStore):
    spoil(patient.folder, BAD[0])
    keep_safe(patient, BAD[:1])
    patient.safekeeping.settle()
    again = Background(lambda: keep_safe(patient, [Moved()]))
    assert isinstance(again.ended_by(5.0), FolderUnusable)


def test_too_many_of_them_are_a_failure_of_the_whole(patient: LocalStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_safekeeping, "_MOST_OWED", 4)
    first, second = spoil(patient.folder, BAD[0], 1), spoil(patient.folder, GOOD[0], 1)
    with patient._change:
        keep_safe(patient, BAD)
    patient.safekeeping.settle()
    keep_safe(patient, GOOD[:1])
    patient.safekeeping.settle()
    assert keep_safe(patient, samples(1, study=3)).failed == []
    with patient._change:
        in_the_way = spoil(patient.folder, Sample(study=4), 1)
        keep_safe(patient, samples(2, study=4))
    patient.safekeeping.settle()
    assert "entered in the database" in patient.safekeeping.problem
    with pytest.raises(StorageError, match="entered in the database"):
        keep_safe(patient, samples(1, study=5))
    for path in (first, second, in_the_way):
        path.unlink()
    patient.safekeeping.settle()
    wait_until(lambda: patient.safekeeping.problem == "", what="the rows")
    patient.safekeeping.settle()
    assert patient.verify().rows == 7
    assert part_files(patient.folder) == []


@pytest.mark.expects_log("cannot get its rows, and waits for the next start: Somebody took the file away.")
def test_a_promised_file_that_somebody_took_away_holds_up_nobody(patient: LocalStore):
    with patient._change:
        keep_safe(patient, BAD)
        part_files(patient.folder)[0].unlink()
    patient.safekeeping.settle()
    wait_until(lambda: len(local_uids(patient)) == 2, what="the others")
    assert patient.safekeeping.problem == ""
    assert len(keep_safe(patient, BAD).duplicates) == 2
    assert patient.verify().rows == 3


def test_with_nothing_to_settle_what_comes_next_is_still_gathered(patient: LocalStore):
    patient.safekeeping.settle()
    assert not patient.safekeeping._urged
