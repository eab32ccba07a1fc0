"""What is confirmed before it has its rows: nothing of it is ever lost, whatever fails afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from support.client import Background, at_most
from support.host_of_rows import HostOfRows, StoreAsEngine
from support.waiting import wait_until
from unit.store import crash_child
from unit.store.store_kit import (
    Sample,
    assert_at_rest,
    dicom_files,
    environment,
    keep_safe,
    local_uids,
    part_files,
    receive,
    samples,
)
from VisualDICOMBrowserLib.domain.errors import BadData, DiskFull, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import safekeeping as store_safekeeping
from VisualDICOMBrowserLib.store.ctk_rows import StoredInstance
from VisualDICOMBrowserLib.store.host_link import HostPlan
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore

ONE = Sample()


class Rows:
    """Stands in the way of the rows of a store.

    :ivar error: raised instead of writing them; None lets them be written.
    :ivar poison: the instance that cannot be written at all, because of ``harm``.
    :ivar groups: how many instances came together, each time.
    """

    def __init__(self, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.poison = ""
        self.harm: Exception = BadData("A text of no kind.")
        self.groups: list[int] = []
        self._take_in: Callable[[Sequence[StoredInstance]], None] = store._keeper.take_in
        monkeypatch.setattr(store._keeper, "take_in", self.take_in)
        monkeypatch.setattr(store.safekeeping, "_retry_delays", (60.0,))

    def take_in(self, items: Sequence[StoredInstance]) -> None:
        self.groups.append(len(items))
        if self.error is not None:
            raise self.error
        if self.poison in {item.header.sop_uid for item in items}:
            raise self.harm
        self._take_in(items)


@pytest.fixture
def in_the_way(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Rows:
    return Rows(store, monkeypatch)


def names(folder: DatabaseFolder) -> list[str]:
    return sorted(path.name for path in folder.incoming_folder.iterdir())


def test_what_is_confirmed_is_safe_before_its_rows_and_has_them_soon(store: LocalStore):
    told = threading.Event()
    with store._change:
        keep_safe(store, [ONE], told.set)
        assert [name.endswith(".safe.part") for name in names(store.folder)] == [True]
        assert store.catalogue.local_files(Level.IMAGE, [ONE.sop_uid]) == []
        assert not told.is_set()
    store.safekeeping.settle()
    assert told.is_set()
    assert store.readable([ONE.sop_uid]) == {ONE.sop_uid}
    assert part_files(store.folder) == []


def test_rows_of_many_are_written_together(store: LocalStore, in_the_way: Rows):
    with store._change:
        keep_safe(store, samples(40))
    store.safekeeping.settle()
    assert sum(in_the_way.groups) == 40
    assert len(in_the_way.groups) <= 8  # on a slow computer what is gathered comes in more than one part
    assert store.verify().rows == 40


def test_the_same_once_more_waits_until_it_can_be_compared(store: LocalStore):
    with store._change:
        keep_safe(store, [ONE])
        duplicates: list[str] = []
        again = Background(lambda: duplicates.extend(keep_safe(store, [ONE]).duplicates))
        wait_until(lambda: len(names(store.folder)) == 2, what="the second file")
        assert duplicates == []
    assert again.ended_by(5.0) is None
    assert duplicates == [ONE.sop_uid]
    assert keep_safe(store, [ONE]).duplicates == [ONE.sop_uid]
    assert store.verify().rows == 1
    assert part_files(store.folder) == []


def test_waiting_for_rows_can_be_bounded(store: LocalStore):
    with store._change, at_most(1.0):
        keep_safe(store, [ONE])
        store.safekeeping.settle(0.05)
    store.safekeeping.settle()
    assert local_uids(store) == {ONE.sop_uid}


def test_what_came_another_way_meanwhile_is_kept_once(store: LocalStore):
    with store._change:
        keep_safe(store, [ONE])
        fetching = Background(lambda: receive(store, [ONE]))
    assert fetching.ended_by(5.0) is None
    store.safekeeping.settle()
    assert len(dicom_files(store.folder)) == 1
    assert store.verify().ok


@pytest.mark.expects_log("wait for their rows")
def test_while_rows_cannot_be_written_the_files_stay_and_nothing_more_is_confirmed(store: LocalStore, in_the_way: Rows):
    in_the_way.error = StorageError("The database is locked by another program.")
    keep_safe(store, [ONE])
    store.safekeeping.settle()
    with pytest.raises(StorageError, match="cannot be entered in the database yet: The database is locked"):
        keep_safe(store, [Sample(number=2)])
    wait_until(lambda: len(names(store.folder)) == 1, what="the file to be back")
    wait_until(lambda: store.catalogue.intents("receive") == [], what="the end of another attempt")
    assert store.verify().ok
    in_the_way.error = None
    store.safekeeping.settle()
    assert keep_safe(store, [Sample(number=2)]).failed == []
    assert store.verify().rows == 2
    assert part_files(store.folder) == []


@pytest.mark.expects_log("wait for their rows")
def test_that_the_disk_is_full_is_told_as_that(store: LocalStore, in_the_way: Rows):
    in_the_way.error = DiskFull()
    keep_safe(store, [ONE])
    store.safekeeping.settle()
    with pytest.raises(DiskFull, match="cannot be entered in the database yet: The disk is full"):
        keep_safe(store, [Sample(number=2)])


@pytest.mark.expects_log("wait for their rows")
def test_it_is_tried_again_by_itself(store: LocalStore, in_the_way: Rows, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store.safekeeping, "_retry_delays", (0.02, 0.04))
    in_the_way.error = StorageError("The disk is full.")
    keep_safe(store, [ONE])
    wait_until(lambda: len(in_the_way.groups) >= 3, what="more attempts")
    in_the_way.error = None
    wait_until(lambda: local_uids(store) == {ONE.sop_uid}, what="the rows")
    assert part_files(store.folder) == []


@pytest.mark.expects_log("wait for their rows")
def test_what_has_no_rows_at_the_end_has_them_at_the_next_start(
    folder: DatabaseFolder, monkeypatch: pytest.MonkeyPatch
):
    with LocalStore.open(folder.root) as store:
        Rows(store, monkeypatch).error = StorageError("The disk is full.")
        with store._change:
            keep_safe(store, samples(3))
        store.safekeeping.settle()
        with at_most(2.0):
            store.close()
    with LocalStore.open(folder.root) as store:
        assert local_uids(store) == {sample.sop_uid for sample in samples(3)}
    assert_at_rest(folder)


@pytest.mark.expects_log("wait for their rows")
def test_a_file_that_cannot_be_taken_back_is_found_where_it_lies(
    store: LocalStore, in_the_way: Rows, monkeypatch: pytest.MonkeyPatch
):
    def fail(_: object) -> None:
        raise StorageError("No permission to rename the file.")

    in_the_way.error = StorageError("The database is locked by another program.")
    monkeypatch.setattr(store_safekeeping.SafeFile, "take_back", fail)
    keep_safe(store, [ONE])
    store.safekeeping.settle()
    wait_until(lambda: names(store.folder) == [], what="the file to have its name")
    in_the_way.error = None
    store.safekeeping.settle()
    assert store.verify().ok
    assert local_uids(store) == {ONE.sop_uid}


@pytest.mark.expects_log("wait for their rows")
def test_rows_that_turn_out_to_be_there_end_the_waiting(store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise StorageError("The database is locked by another program.")

    with monkeypatch.context() as patch:
        patch.setattr(store.catalogue, "add_local", fail)
        keep_safe(store, [ONE])
        store.safekeeping.settle()
        assert names(store.folder) == []
        assert store.safekeeping.problem
    store.refresh()
    store.safekeeping.settle()
    assert store.safekeeping.problem == ""
    assert keep_safe(store, [ONE, Sample(number=2)]).duplicates == [ONE.sop_uid]
    assert store.verify().ok
    assert local_uids(store) == {ONE.sop_uid, Sample(number=2).sop_uid}


@pytest.mark.expects_log("Received files wait for their rows: can't start new thread")
def test_a_system_without_threads_costs_nothing(store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        keep_safe(store, [ONE])
    keep_safe(store, [Sample(number=2)])
    store.safekeeping.settle()
    assert local_uids(store) == {ONE.sop_uid, Sample(number=2).sop_uid}


@pytest.mark.expects_log("cannot get its rows", "The store writer failed: KeyError")
@pytest.mark.parametrize("harm", [BadData("A text of no kind."), KeyError("a bug")], ids=["bad data", "a bug"])
def test_what_no_database_takes_holds_nobody_up(store: LocalStore, in_the_way: Rows, harm: Exception):
    in_the_way.poison, in_the_way.harm = Sample(number=3).sop_uid, harm
    with store._change:
        keep_safe(store, samples(5))
    store.safekeeping.settle()
    wait_until(lambda: len(local_uids(store)) == 4, what="the others")
    assert keep_safe(store, [Sample(number=9)]).failed == []
    wait_until(lambda: len(local_uids(store)) == 5, what="the next")
    assert len(names(store.folder)) == 1
    in_the_way.poison = ""
    store.safekeeping.take_up()
    assert store.verify().rows == 6


def test_a_file_that_cannot_be_synced_is_not_confirmed_and_goes(store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    def fail(_: Path) -> None:
        raise StorageError("Could not write the folder.")

    monkeypatch.setattr(store_safekeeping, "fsync_folder", fail)
    with pytest.raises(StorageError):
        keep_safe(store, [ONE])
    assert names(store.folder) == []
    monkeypatch.undo()
    assert keep_safe(store, [ONE]).failed == []


@pytest.mark.expects_log("Whoever waits for rows failed")
def test_whoever_is_told_may_fail(store: LocalStore):
    keep_safe(store, [ONE], lambda: 1 / 0)
    store.safekeeping.settle()
    assert local_uids(store) == {ONE.sop_uid}


def test_removing_takes_what_is_confirmed_too(store: LocalStore):
    keep_safe(store, samples(5))
    assert store.remove(Target(Level.STUDY, (ONE.study_uid,))).instances == 5
    assert store.verify().rows == 0
    assert part_files(store.folder) == []


def test_after_the_end_nothing_is_confirmed(folder: DatabaseFolder):
    with LocalStore.open(folder.root) as store:
        pass
    with pytest.raises(StorageError, match="closed"):
        keep_safe(store, [ONE])
    assert part_files(folder) == []


@pytest.mark.expects_log("cannot be read any more")
def test_a_promised_file_that_is_no_dicom_is_left_for_whoever_can_mend_it(folder: DatabaseFolder):
    with LocalStore.open(folder.root):
        pass
    folder.incoming_folder.mkdir(parents=True, exist_ok=True)
    (folder.incoming_folder / "0.safe.part").write_bytes(b"no DICOM")
    (folder.incoming_folder / "1.dcm.part").write_bytes(b"half a file")
    with LocalStore.open(folder.root) as store:
        assert names(folder) == ["0.safe.part"]
        assert store.verify().ok


class _Engine(StoreAsEngine):
    """A store, and the program that keeps its rows."""


def test_where_another_program_keeps_the_rows_files_are_handed_over(tmp_path: Path):
    host = HostOfRows(tmp_path / "database")
    with LocalStore.open(host.folder.root, host=HostPlan(lambda *_: None)) as store:
        keep_safe(store, samples(3))
        store.safekeeping.settle()
        assert {uid for uid, _, _ in store.catalogue.intents("receive")} == {item.sop_uid for item in samples(3)}
        assert store.unseen([ONE.sop_uid]) == {ONE.sop_uid}
        host.index(_Engine(store))
        assert store.catalogue.intents("receive") == []
        assert local_uids(store) == {item.sop_uid for item in samples(3)}


def _confirmed_until_killed(folder: DatabaseFolder, source: Path, turn: int, count: int) -> set[str]:
    """Run a process that confirms, kill it after so many, and return what it had confirmed."""
    command = [sys.executable, crash_child.__file__, "confirm", str(folder.root), str(source), str(turn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            told = {process.stdout.readline().decode().strip() for _ in range(count)}
        finally:
            process.kill()
        told |= {line.decode().strip() for line in process.stdout if line.endswith(b"\n")}
    assert process.returncode == -signal.SIGKILL
    return told


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_whatever_was_confirmed_before_a_crash_is_here_after_it(folder: DatabaseFolder, tmp_path: Path):
    confirmed: set[str] = set()
    for turn, count in enumerate((1, 7, 30)):
        confirmed |= _confirmed_until_killed(folder, tmp_path / "source", turn * 1000, count)
        assert assert_at_rest(folder) >= confirmed
    assert len(confirmed) >= 38
