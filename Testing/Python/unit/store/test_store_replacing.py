"""Instances that take the place of others on purpose: rows and files follow, and no crash costs both."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.waiting import wait_until
from unit.store.store_kit import (
    AET,
    Moved,
    Sample,
    assert_at_rest,
    bring_in,
    change,
    dicom_files,
    environment,
    keep_safe,
    part_files,
    receive,
    rows,
    samples,
    swap,
    write_files,
)
from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import files as store_files
from VisualDICOMBrowserLib.store import safekeeping
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.receive import Receiver
from VisualDICOMBrowserLib.store.writer import Batch

ONE = Sample()


def contents(folder: DatabaseFolder) -> list[bytes]:
    return [path.read_bytes() for path in dicom_files(folder)]


def names_in(folder: DatabaseFolder) -> set[str]:
    found = {str(name) for (name,) in rows(folder.ctk_database, "SELECT PatientsName FROM Patients")}
    found |= {str(name) for (name,) in rows(folder.ctk_tag_cache, "SELECT Value FROM TagCache WHERE Tag = '0010,0010'")}
    return found | {str(name) for (name,) in rows(folder.catalogue, "SELECT name FROM patients")}


# Without replacing


def test_what_comes_again_with_other_content_is_named_and_the_first_is_kept(store):
    receive(store, [ONE])
    other = replace(ONE, name="Roe^Mary")
    batch = receive(store, [other, ONE])
    assert (batch.stored, batch.duplicates, batch.failed) == ([], [ONE.sop_uid], [])
    (conflict,) = batch.conflicts
    assert conflict.to_dict() == {
        "sop_uid": ONE.sop_uid,
        "reason": "It has other content than what is here, which was kept.",
        "tags": ["(0010,0010) PatientName"],
        "source": AET,
    }
    assert contents(store.folder) == [ONE.file]
    assert part_files(store.folder) == []


def test_of_many_conflicts_all_are_counted_and_the_first_are_named(store, tmp_path):
    store.duplicates.compare = lambda *_: ["(0010,0010) PatientName"]
    bring_in(store, write_files(tmp_path / "first", samples(103)))
    result = bring_in(store, write_files(tmp_path / "other", samples(103, name="Roe^Mary")))
    document = result.to_dict()
    assert (document["conflicting"], len(document["conflicts"]), document["imported"]) == (103, 100, 0)
    assert [conflict.tags for conflict in result.conflicts[99:]] == [("(0010,0010) PatientName",), (), (), ()]


def test_what_cannot_be_compared_is_said_to_be_so(store):
    def fail(_first: Path, _second: Path) -> list[str]:
        raise BadData("There is no decoder.")

    receive(store, [ONE])
    store.duplicates.compare = fail
    (conflict,) = receive(store, [replace(ONE, pixels=b"others")]).conflicts
    assert conflict.reason.endswith("whether this has the same content: There is no decoder.")
    assert conflict.tags == ()
    assert receive(store, [ONE]).duplicates == [ONE.sop_uid]  # equal byte by byte


def test_a_slow_comparison_holds_up_nobody_else(store):
    asked = []

    def ask_nobody(first: Path, second: Path) -> list[str]:
        asked.append((first, second))
        assert receive(store, samples(20, series=2)).failed == []  # in the middle of it, the store works on
        return ["(7FE0,0010) PixelData"]

    receive(store, [ONE])
    store.duplicates.compare = ask_nobody
    assert len(receive(store, [replace(ONE, pixels=b"others")]).conflicts) == 1
    assert len(asked) == 1
    assert len(dicom_files(store.folder)) == 21


def test_what_is_removed_before_it_is_compared_is_stored(store):
    receive(store, [ONE])
    batch, other = Batch(), replace(ONE, pixels=b"others")
    receiver = Receiver(store.folder, store.writer, batch, AET)
    file = receiver.open(other)
    file.write(memoryview(other.dataset))
    file.finish()
    wait_until(lambda: len(batch._returned) == 1)
    store.remove(Target(Level.IMAGE, (ONE.sop_uid,)))
    batch.wait()
    assert batch.stored == [ONE.sop_uid]
    assert contents(store.folder) == [other.file]


def test_of_one_that_comes_twice_at_once_the_second_is_stored_if_the_first_fails(store, monkeypatch):
    original, failing = store_files.replace_with_retry, [True]

    def fail_once(source: Path, target: Path) -> None:
        if failing:
            failing.clear()
            raise StorageError("Could not rename the file.")
        original(source, target)

    monkeypatch.setattr(store_files, "replace_with_retry", fail_once)
    batch = Batch()
    with store._change:  # the writer stands still, and finds both in one group
        receiver = Receiver(store.folder, store.writer, batch, AET)
        for item in (ONE, ONE):
            file = receiver.open(item)
            file.write(memoryview(item.dataset))
            file.finish()
    batch.wait()
    assert (batch.stored, [uid for uid, _ in batch.failed]) == ([ONE.sop_uid], [ONE.sop_uid])
    assert contents(store.folder) == [ONE.file]


def test_what_was_confirmed_before_its_rows_came_is_kept_whoever_stores_other_content_meanwhile(store, monkeypatch):
    monkeypatch.setattr(safekeeping, "_GATHER_S", 60.0)
    keep_safe(store, samples(1, series=2))
    wait_until(lambda: len(contents(store.folder)) == 1)  # the first after a start is not kept waiting
    keep_safe(store, samples(2))
    assert receive(store, [replace(ONE, pixels=b"others")]).stored == [ONE.sop_uid]
    final = store.folder.instance_path(ONE.study_uid, ONE.series_uid, ONE.sop_uid)
    seen = final.stat().st_mtime_ns
    store.safekeeping.settle()
    assert final.stat().st_mtime_ns > seen  # a picture of the other content is out of date
    assert sorted(contents(store.folder)) == sorted(item.file for item in [*samples(2), *samples(1, series=2)])
    assert part_files(store.folder) == []
    assert store.verify().ok


# Replacing


def test_an_instance_is_replaced_with_all_that_is_known_of_it(store):
    receive(store, [ONE])
    before = dicom_files(store.folder)[0].stat()
    other = replace(ONE, name="Roe^Mary", patient_id="4712", pixels=b"others")
    batch = swap(store, [other])
    assert (batch.replaced, batch.stored, batch.conflicts) == ([ONE.sop_uid], [], [])
    assert contents(store.folder) == [other.file]
    assert dicom_files(store.folder)[0].stat().st_mtime_ns > before.st_mtime_ns
    assert names_in(store.folder) == {"Roe^Mary"}
    (study,) = store.catalogue.local_studies()
    assert (study.patient.name, study.patient.patient_id) == ("Roe^Mary", "4712")
    assert not store.refresh()
    store.close()
    assert assert_at_rest(store.folder) == {ONE.sop_uid}
    assert names_in(store.folder) == {"Roe^Mary"}


def test_the_picture_of_a_replaced_instance_is_forgotten_and_others_are_kept(store):
    receive(store, [*samples(2), *samples(1, series=2)])
    for series, number in ((1, 1), (2, 1)):
        store.catalogue.set_thumbnail(f"1.2.1.{series}", f"1.2.1.{series}.{number}", "thumbs/a/b/c.png", False, "")
    swap(store, [Sample(number=2, pixels=b"others")])
    assert store.catalogue.thumbnail("1.2.1.1") is not None
    swap(store, [Sample(number=1, pixels=b"others")])
    assert store.catalogue.thumbnail("1.2.1.1") is None
    assert store.catalogue.thumbnail("1.2.1.2") is not None


def test_the_last_instance_replaced_says_whose_study_it_is_though_others_stay(store):
    receive(store, samples(3))
    swap(store, [replace(ONE, name="Roe^Mary")])
    assert store.catalogue.local_totals() == (1, 1, 1, 3)
    assert [s.patient.name for s in store.catalogue.local_studies()] == ["Roe^Mary"]
    assert rows(store.folder.ctk_database, "SELECT PatientsName, DisplayedNumberOfStudies FROM Patients") == [
        ("Roe^Mary", 1)
    ]
    assert store.verify().ok


@pytest.mark.parametrize("count", [1, 3])
def test_an_instance_that_moved_to_another_study_leaves_nothing_behind(store, count):
    told: list[frozenset[str]] = []
    receive(store, samples(count))
    store.on_stored = told.append
    old = dicom_files(store.folder)[0]
    moved = [Moved(number=number) for number in range(1, count + 1)]
    assert len(swap(store, moved).replaced) == count
    assert not old.exists()
    assert not old.parent.exists()
    assert contents(store.folder) == [item.file for item in sorted(moved, key=_place(store))]
    assert store.catalogue.local_totals() == (1, 1, 1, count)
    assert [study.study_uid for study in store.catalogue.local_studies()] == ["1.2.99"]
    assert rows(store.folder.ctk_database, "SELECT StudyInstanceUID FROM Studies") == [("1.2.99",)]
    counts = "SELECT SeriesInstanceUID, DisplayedCount FROM Series"
    assert rows(store.folder.ctk_database, counts) == [("1.2.99.1", count)]
    wait_until(lambda: set().union(*told) == {"1.2.1.1", "1.2.99.1"})
    store.close()
    assert len(assert_at_rest(store.folder)) == count


def _place(store: LocalStore):
    return lambda item: store.folder.instance_path(item.study_uid, item.series_uid, item.sop_uid)


def test_some_of_a_series_move_and_the_others_stay(store):
    receive(store, samples(3))
    swap(store, [Moved(number=2)])
    assert store.catalogue.local_counts(["1.2.1.1", "1.2.99.1"]) == {"1.2.1.1": 2, "1.2.99.1": 1}
    counts = "SELECT SeriesInstanceUID, DisplayedCount FROM Series ORDER BY 1"
    assert rows(store.folder.ctk_database, counts) == [("1.2.1.1", 2), ("1.2.99.1", 1)]
    store.close()
    assert len(assert_at_rest(store.folder)) == 3


def test_a_linked_file_is_never_overwritten(store, tmp_path):
    (linked,) = write_files(tmp_path / "elsewhere", [ONE])
    bring_in(store, [linked], link=True)
    other = replace(ONE, pixels=b"others")
    assert swap(store, [other]).replaced == [ONE.sop_uid]
    assert linked.read_bytes() == ONE.file
    assert contents(store.folder) == [other.file]
    store.close()
    assert_at_rest(store.folder)


def test_a_file_that_belongs_to_another_instance_by_now_stays(store):
    receive(store, [ONE, Sample(number=2)])
    shared = store.folder.stored_name(_place(store)(Sample(number=2)))
    change(store.folder.ctk_database, "UPDATE Images SET Filename = ? WHERE SOPInstanceUID = ?", shared, ONE.sop_uid)
    store.refresh()
    assert swap(store, [ONE]).replaced == [ONE.sop_uid]
    assert store.readable([ONE.sop_uid, Sample(number=2).sop_uid]) == {ONE.sop_uid, Sample(number=2).sop_uid}
    assert store.verify().ok


@pytest.mark.parametrize("link", [False, True])
def test_an_import_replaces_on_purpose_only(store, tmp_path, link):
    receive(store, [ONE])
    (path,) = write_files(tmp_path / "new", [replace(ONE, name="Roe^Mary")])
    refused = bring_in(store, [path], link=link)
    assert (refused.imported, refused.duplicates, refused.replaced) == (0, 0, 0)
    assert [conflict.source for conflict in refused.conflicts] == [str(path)]
    result = bring_in(store, [path], link=link, replace=True)
    assert (result.imported, result.duplicates, result.replaced, result.conflicts) == (0, 0, 1, ())
    assert contents(store.folder) == ([] if link else [path.read_bytes()])
    assert names_in(store.folder) == {"Roe^Mary"}
    again = bring_in(store, [path], link=True, replace=True)
    assert (again.duplicates, again.replaced) == ((1, 0) if link else (0, 1))
    store.close()
    assert_at_rest(store.folder)


def test_what_is_here_to_the_last_byte_needs_no_replacing(store, tmp_path):
    items = [replace(item, name="Roe^Mary") for item in samples(3)]
    paths = write_files(tmp_path / "new", items)
    receive(store, samples(3))
    bring_in(store, paths[:2], replace=True)  # as far as an import came that was cut off
    before = [path.stat().st_ino for path in dicom_files(store.folder)]
    result = bring_in(store, paths, replace=True)
    assert (result.duplicates, result.replaced, result.conflicts) == (2, 1, ())
    assert len({path.stat().st_ino for path in dicom_files(store.folder)} & set(before)) == 2
    assert names_in(store.folder) == {"Roe^Mary"}


def test_a_copy_takes_the_place_of_a_link_to_the_same_bytes(store, tmp_path):
    (linked,), (other,) = write_files(tmp_path / "1", [ONE]), write_files(tmp_path / "2", [ONE])
    bring_in(store, [linked], link=True)
    assert bring_in(store, [other], replace=True).replaced == 1
    assert len(dicom_files(store.folder)) == 1


def test_of_two_files_of_one_instance_the_last_stays(store, tmp_path):
    (old,), (new,) = write_files(tmp_path / "2", [ONE]), write_files(tmp_path / "1", [replace(ONE, name="Roe^Mary")])
    receive(store, [ONE])
    assert bring_in(store, [new, old], replace=True).replaced == 2
    assert names_in(store.folder) == {"Doe^Jane"}


def test_the_files_of_the_database_itself_replace_nothing(store):
    receive(store, samples(3))
    result = bring_in(store, [store.folder.dicom_folder], replace=True)
    assert (result.files, result.duplicates, result.replaced) == (3, 3, 0)
    assert len(contents(store.folder)) == 3


@pytest.mark.parametrize("other", [replace(ONE, name="Roe^Mary"), Moved(name="Roe^Mary")], ids=["there", "elsewhere"])
def test_rows_that_cannot_be_written_leave_old_or_new_and_the_next_start_ends_it(store, monkeypatch, other):
    receive(store, [ONE])

    def fail(*_args: object, **_options: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(store._rows, "insert", fail)
    assert [str(error) for _, error in swap(store, [other]).failed] == ["The disk is full."]
    monkeypatch.undo()
    assert store.readable([ONE.sop_uid]) == {ONE.sop_uid}
    store.close()
    assert assert_at_rest(store.folder) == {ONE.sop_uid}
    assert contents(store.folder) == [other.file]
    assert names_in(store.folder) == {"Roe^Mary"}


def test_a_file_that_cannot_be_renamed_leaves_the_old_one(store, monkeypatch):
    receive(store, [ONE])

    def fail(_source: Path, _target: Path) -> None:
        raise StorageError("Could not rename the file.")

    monkeypatch.setattr(store_files, "replace_with_retry", fail)
    assert len(swap(store, [Moved(name="Roe^Mary")]).failed) == 1
    assert contents(store.folder) == [ONE.file]
    assert names_in(store.folder) == {"Doe^Jane"}
    assert store.catalogue.intents("receive") == store.catalogue.intents("replace") == []
    assert part_files(store.folder) == []


_SWAP = """
import os, signal, sys
from pathlib import Path
from unit.store.store_kit import Sample, receive, samples
from unit.store.store_kit import Moved, swap
from VisualDICOMBrowserLib.store import catalogue, ctk_database, local, recovery, writer
from VisualDICOMBrowserLib.store.files import PartFile

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

owner, name, when, kind = sys.argv[2:]
owner, kind = eval(owner), eval(kind)
with local.LocalStore.open(Path(sys.argv[1])) as store:
    receive(store, samples(3))
    original = getattr(owner, name)
    def then_die(*args, **options):
        original(*args, **options)
        die()
    setattr(owner, name, die if when == "before" else then_die)
    swap(store, [kind(number=n, name="Roe^Mary", pixels=b"other!") for n in (1, 2, 3)])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("kind", "when", "owner", "name"),
    [
        ("Sample", "before", "PartFile", "commit"),
        ("Sample", "after", "PartFile", "commit"),
        ("Sample", "after", "ctk_database", "add_instances"),
        ("Sample", "after", "ctk_database.CtkDatabase", "insert"),
        ("Sample", "after", "catalogue.Catalogue", "add_local"),
        ("Moved", "after", "catalogue.Catalogue", "add_intents"),
        ("Moved", "after", "PartFile", "commit"),
        ("Moved", "after", "ctk_database", "add_instances"),
        ("Moved", "after", "ctk_database.CtkDatabase", "insert"),
        ("Moved", "before", "recovery", "unlink_with_retry"),
        ("Moved", "after", "recovery", "unlink_with_retry"),
        ("Moved", "before", "catalogue.Catalogue", "clear_intents"),
    ],
)
def test_after_a_crash_in_a_swap_there_is_the_old_or_the_new_and_never_none(folder, owner, name, when, kind):
    command = [sys.executable, "-c", _SWAP, str(folder.root), owner, name, when, kind]
    assert subprocess.run(command, env=environment(), timeout=60, check=False).returncode == -signal.SIGKILL
    _assert_readable_as_it_is(folder)
    assert len(assert_at_rest(folder)) == 3
    headers = [read_header(path) for path in dicom_files(folder)]
    assert len({header.sop_uid for header in headers}) == len(headers) == 3
    assert names_in(folder) <= {header.patient_name for header in headers}
    begun = (when, name) not in (("before", "commit"), ("after", "add_intents"))
    assert ("Roe^Mary" in names_in(folder)) is begun


def _assert_readable_as_it_is(folder: DatabaseFolder) -> None:
    """Look before anybody mends anything: each row has a file that is the instance it says."""
    for uid, file in rows(folder.ctk_database, "SELECT SOPInstanceUID, Filename FROM Images"):
        assert read_header(folder.absolute(str(file))).sop_uid == uid
