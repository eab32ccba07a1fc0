"""From the bytes of the network to rows: what is kept, what is refused, and what failures leave behind (nothing)."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.waiting import join_all, wait_until
from unit.store.dicom_bytes import IMPLICIT_LITTLE, element
from unit.store.store_kit import (
    AET,
    Sample,
    assert_at_rest,
    bring_in,
    child,
    dicom_files,
    local_uids,
    part_files,
    receive,
    rows,
    samples,
    write_files,
)
from VisualDICOMBrowserLib.domain.errors import BadData, InternalError, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import files as store_files
from VisualDICOMBrowserLib.store import sqlite as store_sqlite
from VisualDICOMBrowserLib.store import writer as store_writer
from VisualDICOMBrowserLib.store.file_meta import file_head
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.receive import ReceivedFile, Receiver
from VisualDICOMBrowserLib.store.writer import Batch

ONE = Sample()
#: Longer than what is kept in memory until it is whole.
LONG = Sample(pixels=bytes(70_000))
PIXELS = ("(7FE0,0010) PixelData",)


def _receiver(store: LocalStore, batch: Batch | None = None) -> Receiver:
    return Receiver(store.folder, store.writer, batch or Batch(), AET)


def _assert_nothing_is_here(store: LocalStore) -> None:
    assert part_files(store.folder) == []
    assert dicom_files(store.folder) == []
    assert local_uids(store) == set()
    assert store.catalogue.local_totals() == (0, 0, 0, 0)
    assert store.catalogue.intents("receive") == []


@given(cuts=st.lists(st.integers(0, 600), max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_file_is_the_head_and_exactly_the_bytes_that_came(store, cuts):
    batch = Batch()
    receiver = _receiver(store, batch)
    file = receiver.open(ONE)
    data = memoryview(ONE.dataset)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        file.write(data[start:end])
    file.finish()
    batch.wait()
    try:
        assert batch.stored == [ONE.sop_uid]
        assert receiver.bytes == len(data)
        (path,) = dicom_files(store.folder)
        assert path == store.folder.instance_path(ONE.study_uid, ONE.series_uid, ONE.sop_uid)
        assert path.read_bytes() == file_head(ONE.sop_class, ONE.sop_uid, ONE.transfer_syntax, AET) + ONE.dataset
        assert store.readable([ONE.sop_uid]) == {ONE.sop_uid}
    finally:
        _remove_all(store)


def _remove_all(store: LocalStore) -> None:
    store.remove(Target(Level.STUDY, (ONE.study_uid,)))


@pytest.mark.parametrize(
    "announced",
    [
        Sample(number=2),
        Sample(sop_class="1.2.840.10008.5.1.4.1.1.4"),
        Sample(transfer_syntax=IMPLICIT_LITTLE, pixels=b"\0" * 7),
    ],
)
def test_what_is_not_what_was_announced_is_refused_and_nothing_is_left(store, announced):
    dataset = ONE.dataset if announced.transfer_syntax == ONE.transfer_syntax else b"\1" + ONE.dataset
    file = _receiver(store).open(announced)
    file.write(memoryview(dataset))
    with pytest.raises(BadData):
        file.finish()
    _assert_nothing_is_here(store)


@pytest.mark.parametrize("uid", ["", "1.2.x", "../../etc", "1" * 65, "1.2\0"])
@pytest.mark.parametrize("field", ["sop_uid", "sop_class", "transfer_syntax"])
def test_what_is_announced_with_no_uid_is_refused(store, field, uid):
    class Announced:
        sop_uid, sop_class, transfer_syntax = ONE.sop_uid, ONE.sop_class, ONE.transfer_syntax

    setattr(Announced, field, uid)
    with pytest.raises(BadData):
        _receiver(store).open(Announced())
    _assert_nothing_is_here(store)


@pytest.mark.parametrize(
    "dataset",
    [
        b"",
        ONE.dataset[:-1],
        ONE.dataset[:200],
        ONE.dataset[:5],
        ONE.dataset + b"\1",
        ONE.dataset.replace(b"OW\0\0" + (100).to_bytes(4, "little"), b"OW\0\0" + (0x7FFFFFFF).to_bytes(4, "little")),
        element(0x00080018, "UI", b"1.2.1.1.1\0"),
        b"\xff" * 1000,
        bytes(1000),
    ],
)
def test_a_data_set_that_is_cut_off_or_lies_is_refused_and_nothing_is_left(store, dataset):
    assert dataset != ONE.dataset
    file = _receiver(store).open(ONE)
    file.write(memoryview(dataset))
    with pytest.raises(BadData):
        file.finish()
    _assert_nothing_is_here(store)


@pytest.mark.parametrize(("item", "parts"), [(ONE, 0), (LONG, 1)], ids=["in memory", "in a file"])
def test_what_is_discarded_leaves_nothing(store, item, parts):
    file = _receiver(store).open(item)
    file.write(memoryview(item.dataset))
    assert len(part_files(store.folder)) == parts
    file.discard()
    file.discard()
    _assert_nothing_is_here(store)


def test_of_one_instance_that_comes_twice_the_first_is_kept(store):
    first, second = Sample(pixels=bytes(70_000) + b"first!"), Sample(pixels=bytes(70_000) + b"second")
    batch = Batch()
    receivers = [_receiver(store, batch), _receiver(store, batch)]
    files = [receiver.open(item) for receiver, item in zip(receivers, (first, second), strict=True)]
    for file, item in zip(files, (first, second), strict=True):
        file.write(memoryview(item.dataset))
    assert len(part_files(store.folder)) == 2
    for file in files:
        file.finish()
    batch.wait()
    assert (batch.stored, batch.duplicates, batch.failed) == ([ONE.sop_uid], [], [])
    assert [(c.sop_uid, c.tags, c.source) for c in batch.conflicts] == [(ONE.sop_uid, PIXELS, AET)]
    later = receive(store, [second, first])
    assert (later.stored, later.duplicates, len(later.conflicts)) == ([], [ONE.sop_uid], 1)
    assert [path.read_bytes() for path in dicom_files(store.folder)] == [first.file]
    assert part_files(store.folder) == []


def _put_in_one_group(store: LocalStore, *items: Sample) -> list[Batch]:
    """Receive each for a job of its own, all while the writer is busy with something else."""
    batches = [Batch() for _ in items]
    with store.writer._commit_lock:
        _put(store, Sample(number=9), Batch())
        wait_until(lambda: not store.writer._waiting, what="the writer to be busy")
        for item, batch in zip(items, batches, strict=True):
            _put(store, item, batch)
    for batch in batches:
        batch.wait()
    return batches


def _put(store: LocalStore, item: Sample, batch: Batch) -> None:
    file = _receiver(store, batch).open(item)
    file.write(memoryview(item.dataset))
    file.finish()


def test_who_brings_the_same_in_one_group_is_told_when_it_is_stored(store, monkeypatch):
    settled, take_in = [], store.writer._keeper.take_in
    real = Batch._settle
    monkeypatch.setattr(Batch, "_settle", lambda *told: (settled.append(told[2]), real(*told))[1])
    monkeypatch.setattr(store.writer._keeper, "take_in", lambda items: (settled.append("rows"), take_in(items))[1])
    first, second = _put_in_one_group(store, ONE, ONE)

    assert (first.stored, second.stored, second.duplicates) == ([ONE.sop_uid], [], [ONE.sop_uid])
    assert settled == ["rows", "stored", "rows", "stored", "duplicate"]


def test_who_brings_the_same_in_one_group_is_told_that_it_was_not_stored(store, monkeypatch):
    monkeypatch.setattr(store.catalogue, "add_intents", _raise(StorageError("The disk is full.")))
    for batch in _put_in_one_group(store, ONE, ONE):
        assert (batch.stored, batch.duplicates) == ([], [])
        assert [str(error) for _, error in batch.failed] == ["The disk is full."]
    assert part_files(store.folder) == []


@pytest.mark.parametrize("damage", ["truncated", "exchanged", "gone"])
def test_a_local_file_that_is_of_no_use_is_replaced(store, damage):
    receive(store, [ONE])
    (path,) = dicom_files(store.folder)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(ONE.file[:-10] if damage == "truncated" else Sample(number=9).file)
    assert store.readable([ONE.sop_uid]) == set()
    assert receive(store, [ONE]).stored == [ONE.sop_uid]
    assert path.read_bytes() == ONE.file
    assert store.verify().ok
    assert store.readable([ONE.sop_uid]) == {ONE.sop_uid}


def test_a_link_that_leads_nowhere_is_replaced_by_what_comes(store, tmp_path):
    (linked,) = write_files(tmp_path / "elsewhere", [ONE])
    assert bring_in(store, [linked], link=True).imported == 1
    linked.unlink()
    assert receive(store, [ONE]).stored == [ONE.sop_uid]
    assert store.verify().ok
    assert not store.refresh()
    store.close()
    assert assert_at_rest(store.folder) == {ONE.sop_uid}


def test_what_comes_is_told_by_series(store):
    told: list[frozenset[str]] = []
    store.on_stored = told.append
    items = [*samples(3), *samples(2, series=2)]
    batch = receive(store, items)
    wait_until(lambda: set().union(*told) == {"1.2.1.1", "1.2.1.2"})
    assert sorted(batch.stored) == sorted(item.sop_uid for item in items)
    assert store.catalogue.local_totals() == (1, 1, 2, 5)
    receive(store, items)
    assert frozenset() not in told


@pytest.mark.expects_log("Whoever is told of stored instances failed: ZeroDivisionError")
def test_a_listener_that_fails_costs_nothing(store):
    def fail(_series: frozenset[str]) -> None:
        raise ZeroDivisionError

    store.on_stored = fail
    for item in samples(3):
        assert receive(store, [item]).stored == [item.sop_uid]
    assert store.verify().ok


def test_many_threads_may_wait_for_a_batch_and_many_may_fill_it(store):
    batch = Batch()
    waited: list[int] = []

    def fill(series: int) -> None:
        receiver = _receiver(store, batch)
        for item in samples(40, series=series):
            file = receiver.open(item)
            file.write(memoryview(item.dataset))
            file.finish()

    def wait() -> None:
        batch.wait()
        waited.append(len(batch.stored))

    fillers = [threading.Thread(target=fill, args=(series,)) for series in range(1, 5)]
    for thread in fillers:
        thread.start()
    join_all(fillers, 60)
    waiters = [threading.Thread(target=wait) for _ in range(4)]
    for thread in waiters:
        thread.start()
    join_all(waiters, 60)
    assert waited == [160] * 4
    assert store.catalogue.local_totals() == (1, 1, 4, 160)
    assert store.verify().ok


def test_whoever_brings_too_much_waits_and_no_descriptors_are_kept(store, monkeypatch):
    monkeypatch.setattr(store_writer, "_QUEUE_LENGTH", 8)
    monkeypatch.setattr(store_writer, "_GROUP_LENGTH", 4)
    batch, progress = Batch(), []

    def bring() -> None:
        receiver = _receiver(store, batch)
        for item in samples(40):
            file = receiver.open(item)
            file.write(memoryview(item.dataset))
            file.finish()
            progress.append(item)

    with store._change:  # the writer stands still
        before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
        thread = threading.Thread(target=bring)
        thread.start()
        wait_until(lambda: len(store.writer._waiting) == 8)
        thread.join(0.1)
        assert len(store.writer._waiting) == 8
        assert 8 < len(progress) <= 12  # and what the writer took already
        if before:
            assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    join_all([thread], 30)
    batch.wait()
    assert len(batch.stored) == 40


def test_hundreds_may_wait_where_a_process_may_open_few_files(store):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    batch = Batch()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, hard))
        with store._change:
            receiver = _receiver(store, batch)
            for item in samples(300):
                file = receiver.open(item)
                file.write(memoryview(item.dataset))
                file.finish()
        batch.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(batch.stored) == 300
    assert batch.failed == []


def test_closing_stores_what_waits_and_turns_away_what_comes_later(folder, monkeypatch):
    monkeypatch.setattr(store_writer, "_QUEUE_LENGTH", 8)
    monkeypatch.setattr(store_writer, "_GROUP_LENGTH", 4)
    store = LocalStore.open(folder.root)
    batch, errors, brought = Batch(), [], []

    def bring(series: int) -> None:
        receiver = _receiver(store, batch)
        for item in samples(30, series=series):
            file = receiver.open(item)
            file.write(memoryview(item.dataset))
            try:
                file.finish()
                brought.append(item.sop_uid)
            except StorageError as error:
                errors.append(str(error))
                return

    threads = [threading.Thread(target=bring, args=(series,)) for series in (1, 2, 3)]
    with store._change:
        for thread in threads:
            thread.start()
        wait_until(lambda: len(store.writer._waiting) == 8)
        closer = threading.Thread(target=store.close)
        closer.start()
        wait_until(lambda: store.writer._closing)
    join_all([*threads, closer], 30)
    batch.wait()
    assert errors == ["The database folder was closed meanwhile."] * 3
    assert sorted(batch.stored) == sorted(brought)
    assert part_files(folder) == []
    assert assert_at_rest(folder) == set(brought)


# Failures


def _fail(number: int, times: int = 1):
    """Return what to put in place of a function of the system: it fails, then works as before."""
    left = [times]

    def wrapped(original):
        def call(*args, **options):
            if left[0] > 0:
                left[0] -= 1
                raise OSError(number, os.strerror(number))
            return original(*args, **options)

        return call

    return wrapped


def test_a_disk_that_is_full_while_bytes_come_is_said_and_nothing_is_left(store, monkeypatch):
    file = _receiver(store).open(LONG)
    file.write(memoryview(LONG.dataset))
    monkeypatch.setattr(store_files.os, "write", _fail(errno.ENOSPC)(os.write))
    with pytest.raises(StorageError, match="The disk is full"):
        file.write(memoryview(LONG.dataset))
    file.discard()
    _assert_nothing_is_here(store)
    assert receive(store, [ONE]).stored == [ONE.sop_uid]


@pytest.mark.parametrize("item", [ONE, LONG], ids=["in memory", "in a file"])
def test_a_disk_that_is_full_at_the_head_leaves_nothing(store, monkeypatch, item):
    monkeypatch.setattr(store_files.os, "write", _fail(errno.ENOSPC)(os.write))
    file = _receiver(store).open(item)
    with pytest.raises(StorageError, match="The disk is full"):
        _take_whole(file, item)
    file.discard()
    _assert_nothing_is_here(store)


def _take_whole(file: ReceivedFile, item: Sample) -> None:
    file.write(memoryview(item.dataset))
    file.finish()


@pytest.mark.parametrize("lengths", [(64 * 1024, 64 * 1024 + 2), (10, 64 * 1024), (64 * 1024,), (10,) * 30])
def test_what_comes_in_fragments_is_whole_in_its_file(store, lengths):
    item, batch, start = Sample(pixels=bytes(n % 251 for n in range(70_000 if sum(lengths) > 300 else 20))), Batch(), 0
    file = _receiver(store, batch).open(item)
    for length in (*lengths, len(item.dataset)):
        file.write(memoryview(item.dataset[start : start + length]))
        start += length
    file.finish()
    batch.wait()
    assert batch.stored == [item.sop_uid]
    assert [path.read_bytes() for path in dicom_files(store.folder)] == [item.file]


def test_a_file_that_cannot_be_synced_fails_alone(store, monkeypatch):
    monkeypatch.setattr(store_files.os, "fsync", _fail(errno.EIO)(os.fsync))
    batch = receive(store, samples(1))
    assert [(uid, type(error)) for uid, error in batch.failed] == [(ONE.sop_uid, StorageError)]
    _assert_nothing_is_here(store)
    assert receive(store, samples(3)).failed == []
    assert store.verify().ok


def test_a_file_that_cannot_be_renamed_fails_alone(store, monkeypatch):
    items = samples(6)
    original = store_files.replace_with_retry

    def replace(source: Path, target: Path) -> None:
        if target == store.folder.instance_path("1.2.1", "1.2.1.1", items[2].sop_uid):
            raise StorageError("Could not rename the file.")
        original(source, target)

    monkeypatch.setattr(store_files, "replace_with_retry", replace)
    batch = receive(store, items)
    assert [uid for uid, _ in batch.failed] == [items[2].sop_uid]
    assert len(batch.stored) == 5
    assert store.catalogue.intents("receive") == []
    assert store.verify().ok
    monkeypatch.undo()
    assert receive(store, items).stored == [items[2].sop_uid]


@pytest.mark.parametrize("database", ["_main", "_tags"])
def test_a_database_that_is_full_undoes_the_group(store, database):
    receive(store, samples(1, series=9))
    before = {path: path.read_bytes() for path in dicom_files(store.folder)}
    connection = getattr(store._rows, database)
    pages = connection.execute("PRAGMA page_count").fetchall()[0][0]
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    items = [Sample(number=n, name="Long^" + "Name" * 10, pixels=b"ab") for n in range(1, 200)]
    batch = receive(store, items)
    assert {str(error) for _, error in batch.failed} == {"The disk is full."}
    failed = {uid for uid, _ in batch.failed}
    assert failed
    assert store.catalogue.intents("receive") == []
    assert store.verify().ok
    assert len(dicom_files(store.folder)) == len(before) + len(batch.stored)
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    again = receive(store, items)
    assert (set(again.stored), again.failed) == (failed, [])
    store.close()
    assert len(assert_at_rest(store.folder)) == 200


def test_a_catalogue_that_is_full_before_anything_was_done_leaves_nothing(store, monkeypatch):
    monkeypatch.setattr(store.catalogue, "add_intents", _raise(StorageError("The disk is full.")))
    batch = receive(store, samples(3))
    assert len(batch.failed) == 3
    _assert_nothing_is_here(store)
    monkeypatch.undo()
    assert len(receive(store, samples(3)).stored) == 3


def test_a_catalogue_that_fails_last_loses_nothing(store, monkeypatch):
    monkeypatch.setattr(store.catalogue, "add_local", _raise(StorageError("The disk is full.")))
    batch = receive(store, samples(3))
    assert len(batch.failed) == 3
    monkeypatch.undo()
    assert store.verify().ok
    assert len(local_uids(store)) == 3
    assert store.catalogue.local_totals() == (1, 1, 1, 3)
    assert store.catalogue.intents("receive") == []
    assert len(receive(store, samples(3)).duplicates) == 3


def _raise(error: BaseException):
    def call(*_args: object, **_options: object) -> None:
        raise error

    return call


@pytest.mark.expects_log("The store writer failed: ZeroDivisionError")
def test_a_fault_of_the_program_is_said_and_the_rest_goes_on(store, monkeypatch):
    monkeypatch.setattr(store._rows, "insert", _raise(ZeroDivisionError("Doe^Jane")))
    batch = receive(store, samples(3))
    assert {type(error) for _, error in batch.failed} == {InternalError}
    assert "Doe" not in str(batch.failed[0][1])
    monkeypatch.undo()
    _assert_nothing_is_here(store)
    assert len(receive(store, samples(3)).stored) == 3
    assert store.verify().ok


def test_a_fault_is_logged_without_its_text(store, monkeypatch, caplog):
    caplog.set_level("CRITICAL", "VisualDICOMBrowserLib")
    logged: list[str] = []
    monkeypatch.setattr(store_writer._log, "error", lambda text, *args: logged.append(text % args))
    monkeypatch.setattr(store._rows, "insert", _raise(ZeroDivisionError("Doe^Jane")))
    receive(store, samples(1))
    assert len(logged) == 1
    assert "_add_rows" in logged[0]
    assert "Doe" not in logged[0]


def test_one_that_fails_and_then_its_group_is_settled_once(store, monkeypatch):
    monkeypatch.setattr(
        store_files, "replace_with_retry", _fail_once(StorageError("No."), store_files.replace_with_retry)
    )
    monkeypatch.setattr(store._rows, "insert", _raise(StorageError("The disk is full.")))
    batch = Batch()
    with store._change:
        receiver = _receiver(store, batch)
        for item in samples(10):
            file = receiver.open(item)
            file.write(memoryview(item.dataset))
            file.finish()
    batch.wait()
    assert sorted(uid for uid, _ in batch.failed) == sorted(item.sop_uid for item in samples(10))
    assert batch._open == 0
    monkeypatch.undo()
    assert store.verify().ok


def _fail_once(error: Exception, original):
    errors = [error]

    def call(*args: object) -> None:
        if errors:
            raise errors.pop()
        original(*args)

    return call


_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("database", ["ctk_database", "ctk_tag_cache", "catalogue"])
def test_a_database_that_another_program_locks_for_long_fails_the_group_and_may_be_tried_again(
    folder, monkeypatch, database
):
    monkeypatch.setattr(store_sqlite, "BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr("VisualDICOMBrowserLib.store.catalogue_connection.BUSY_TIMEOUT_S", 0.2)
    with LocalStore.open(folder.root) as store:
        receive(store, samples(2, series=9))
        with child(_HOLD, getattr(folder, database)) as holder:
            assert holder.stdout.readline() == b"held\n"
            batch = receive(store, samples(3))
            assert len(batch.failed) == 3
            assert all(error.retryable and "locked" in str(error) for _, error in batch.failed)
        assert store.verify().ok
        assert len(receive(store, samples(3)).failed) == 0
    assert len(assert_at_rest(folder)) == 5


def test_while_another_program_reads_nothing_fails(folder):
    with LocalStore.open(folder.root) as store:
        receive(store, samples(1))
        code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM Images').fetchall();"
        with child(code + "print('read', flush=True); sys.stdin.read()", folder.ctk_database) as reader:
            assert reader.stdout.readline() == b"read\n"
            assert receive(store, samples(3)).failed == []


def test_rows_are_synced_although_ctk_itself_does_not(store):
    # CTK sets synchronous = OFF. A killed process harms no database even so, but a power cut may.
    for connection in (store._rows._main, store._rows._tags):
        assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


def test_the_folder_is_synced_up_to_its_top_before_rows_are_written(store, monkeypatch):
    steps: list[object] = []
    monkeypatch.setattr(store_writer, "fsync_folder", steps.append)
    original = store._rows.insert
    monkeypatch.setattr(store._rows, "insert", lambda *a, **o: (steps.append("rows"), original(*a, **o))[1])
    receive(store, [ONE])
    path = store.folder.instance_path(ONE.study_uid, ONE.series_uid, ONE.sop_uid)
    assert steps[-1] == "rows"
    assert set(steps[:-1]) == {path.parent, path.parent.parent, store.folder.dicom_folder}


def test_one_series_in_two_studies_is_kept_and_removed_all_the_same(store):
    class Other(Sample):
        study_uid = "1.2.77"

    items = [Sample(number=1), Other(number=2)]
    assert len(receive(store, items).stored) == 2
    assert store.verify().ok
    assert len(store.catalogue.local_files(Level.SERIES, ["1.2.1.1"])) == 2
    store.close()
    with LocalStore.open(store.folder.root) as again:
        assert len(again.catalogue.local_files(Level.SERIES, ["1.2.1.1"])) == 2


def test_the_stamp_follows_our_own_commits_but_hides_no_others(store):
    receive(store, samples(1))
    assert not store.refresh()
    original = store._rows.insert

    def insert(*args: object, **options: object) -> int:
        with sqlite3.connect(store.folder.ctk_database) as other:  # SQLite's own connections share their locks
            other.execute("UPDATE Patients SET PatientsName = 'Changed^Name'")
        other.close()
        return original(*args, **options)

    store._rows.insert = insert
    receive(store, samples(2))
    store._rows.insert = original
    assert store.refresh()
    assert [study.patient.name for study in store.catalogue.local_studies()] == ["Changed^Name"]
    assert not store.refresh()
    assert rows(store.folder.ctk_database, "SELECT count(*) FROM Images") == [(2,)]
