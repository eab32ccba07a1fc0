"""Slicer's database, asked by an engine's threads and answered on the main thread, slice by slice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from support.slicer_fakes.process import MainThreadDatabase
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.host_slicer.errands import Errands
from VisualDICOMBrowserLib.host_slicer.rows import SlicerRows
from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

SAMPLES = Path(__file__).parents[3] / "Data" / "ctk-databases"
TAGS = ("0008,0016", "0020,0013", "0008,0060", "0099,0099")


class Slicer:
    """The main thread of a Slicer on a copy of a database that CTK wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = MainThreadDatabase(folder)
        self.errands = Errands()
        self.rows = SlicerRows(folder, self.errands, lambda: self.database)
        self.slices = 0

    def answer(self, question):
        """Ask on another thread, and be the main thread meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(question)
            while not asked.done():
                if self.errands.are_waiting:
                    self.errands.run_for(0.0)
                    self.slices += 1
                else:
                    time.sleep(0.0005)
            return asked.result()

    def change(self, statement, *values):
        with closing(sqlite3.connect(self.folder / "ctkDICOM.sql")) as connection, connection:
            connection.execute(statement, values)


@pytest.fixture(params=["copied", "linked", "queried", "empty"])
def sample(request, tmp_path):
    return Path(shutil.copytree(SAMPLES / request.param, tmp_path / request.param))


@pytest.fixture
def slicer(tmp_path):
    return Slicer(Path(shutil.copytree(SAMPLES / "copied", tmp_path / "copied")))


def as_sets(content):
    return [set(content.patients), set(content.studies), set(content.series), set(content.images)]


def test_the_answers_are_those_of_the_file_itself(sample):
    slicer = Slicer(sample)
    with CtkDatabase.open(DatabaseFolder(sample), read_only=True) as own:
        content = own.snapshot()
        pages = [image for page in own.image_pages() for image in page]
        uids = [image.sop_uid for image in content.images]
        cached = own.tags_for(uids, TAGS)
    with closing(sqlite3.connect(sample / "ctkDICOM.sql")) as connection:
        every = [str(row[0]) for row in connection.execute("SELECT SOPInstanceUID FROM Images")]
    assert as_sets(slicer.answer(slicer.rows.snapshot)) == as_sets(content)
    assert set(pages) == set(content.images)
    assert {image for page in slicer.answer(lambda: [*slicer.rows.image_pages()]) for image in page} == set(pages)
    assert slicer.answer(lambda: slicer.rows.is_local([*every, "1.2.3"])) == set(uids)
    assert slicer.answer(lambda: slicer.rows.tags_for(uids, TAGS)) == cached
    assert set(slicer.answer(lambda: slicer.rows.images(sop_uids=every))) == set(content.images)
    series = [one.series_uid for one in content.series]
    assert set(slicer.answer(lambda: slicer.rows.images(series_uids=series))) == set(content.images)


def test_the_main_thread_answers_in_many_short_slices(slicer):
    content = slicer.answer(slicer.rows.snapshot)
    assert slicer.slices > len(content.images)


def test_what_has_not_changed_costs_three_queries_a_series(slicer):
    content = slicer.answer(slicer.rows.snapshot)
    first = slicer.database._asked
    assert slicer.answer(slicer.rows.snapshot) == content
    again = slicer.database._asked - first
    above = 1 + len(content.patients) * 5 + len(content.studies) * 6
    assert again <= above + 3 * len(content.series)
    assert again < first / 2


def test_a_series_that_lost_and_moved_an_image_is_read_again(slicer):
    before = slicer.answer(slicer.rows.snapshot)
    gone, moved = before.images[:2]
    slicer.change("DELETE FROM Images WHERE SOPInstanceUID = ?", gone.sop_uid)
    slicer.change("UPDATE Images SET Filename = '/elsewhere/a' WHERE SOPInstanceUID = ?", moved.sop_uid)
    after = {image.sop_uid: image.filename for image in slicer.answer(slicer.rows.snapshot).images}
    assert gone.sop_uid not in after
    assert after[moved.sop_uid] == "/elsewhere/a"
    assert len(after) == len(before.images) - 1


def test_a_series_that_was_removed_and_came_back_with_the_same_files_is_read_again(slicer):
    before = slicer.answer(slicer.rows.snapshot)
    uid = before.series[0].series_uid
    slicer.change("UPDATE Series SET SeriesDescription = 'New', InsertTimestamp = '2026-02-02' WHERE rowid = 1")
    after = slicer.answer(slicer.rows.snapshot)
    assert after.images == before.images
    assert [one.description for one in after.series if one.series_uid == uid] == ["New"]


def test_the_stamp_changes_with_the_file_and_when_it_has_come_to_rest(slicer):
    file = slicer.folder / "ctkDICOM.sql"
    os.utime(file, (time.time() - 100,) * 2)
    at_rest = slicer.answer(slicer.rows.change_stamp)
    assert slicer.rows.change_stamp() == at_rest
    os.utime(file)
    changed = slicer.rows.change_stamp()
    assert changed != at_rest
    aged = time.time() - 100
    os.utime(file, (aged, aged))
    assert slicer.rows.change_stamp()[0] != changed[0]


def test_nothing_opens_the_file(slicer, monkeypatch):
    def refuse(*_arguments, **_options):
        raise AssertionError("the file was opened")

    slicer.answer(slicer.rows.change_stamp)
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    assert len(slicer.rows.change_stamp()) == 3


@pytest.mark.parametrize("how", ["closed", "other", "none"])
def test_a_database_that_slicer_let_go_of_is_not_read(slicer, tmp_path, how):
    if how == "closed":
        slicer.database.closeDatabase()
    elif how == "other":
        slicer.database.openDatabase(str(tmp_path / "other" / "ctkDICOM.sql"))
    else:
        slicer.database = None
    with pytest.raises(StorageError, match="Slicer has"):
        slicer.answer(slicer.rows.snapshot)


def test_a_database_that_is_closed_between_two_slices_is_not_read_on(slicer):
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(slicer.rows.snapshot)
        wait_until(lambda: slicer.errands.are_waiting)
        slicer.errands.run_for(0.0)
        slicer.database.closeDatabase()
        slicer.errands.run_for(5.0)
        with pytest.raises(StorageError, match="Slicer has closed"):
            asked.result(5)


def test_closing_answers_all_who_wait_and_all_who_come(slicer):
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(slicer.rows.snapshot) for _ in range(3)]
        wait_until(lambda: len(slicer.errands._waiting) == 3)
        slicer.errands.run_for(0.0)
        slicer.rows.close()
        for one in asked:
            with pytest.raises(StorageError, match="not asked any more"):
                one.result(5)
    with pytest.raises(StorageError, match="not asked any more"):
        slicer.rows.is_local(["1.2"])
    slicer.errands.run_for(0.1)


def test_an_errand_that_closes_everything_while_it_runs_ends_well():
    errands = Errands()

    def close():
        errands.close()
        yield
        return 1

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(errands.do, close)
        wait_until(lambda: errands.are_waiting)
        errands.run_for(0.1)
        with pytest.raises(StorageError):
            asked.result(5)


def test_an_errand_that_spins_an_event_loop_is_not_entered_again():
    errands, seen = Errands(), []

    def nested():
        errands.run_for(1.0)
        seen.append("once")
        return len(seen)
        yield

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(errands.do, nested) for _ in range(2)]
        wait_until(lambda: len(errands._waiting) == 2)
        errands.run_for(1.0)
        assert [one.result(5) for one in asked] == [1, 2]


def test_the_errors_of_an_errand_are_those_of_who_asked():
    errands = Errands()

    def broken():
        yield
        raise ZeroDivisionError

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(errands.do, broken)
        wait_until(lambda: errands.are_waiting)
        errands.run_for(1.0)
        with pytest.raises(ZeroDivisionError):
            asked.result(5)
