"""The folder of Slicer's database, and what is told when it changes."""

from __future__ import annotations

import sys

import pytest

from support.slicer_fakes.database import IN_MEMORY, FakeDatabase, FakeSlicer
from VisualDICOMBrowserLib.host_slicer.database import FolderWatch, current_folder, slicer_database


@pytest.fixture
def slicer(monkeypatch, tmp_path):
    fake = FakeSlicer(tmp_path / "first")
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def heard():
    return []


@pytest.fixture
def watch(slicer, heard):
    watch = FolderWatch(heard.append)
    yield watch
    watch.close()


def test_the_folder_is_that_of_slicers_database(slicer, tmp_path):
    assert slicer_database() is slicer.database
    assert current_folder() == tmp_path / "first"


def test_there_is_no_folder_while_the_database_is_closed(slicer):
    slicer.database.closeDatabase()
    assert current_folder() is None


def test_there_is_no_folder_before_slicer_has_a_database(monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", object())
    assert slicer_database() is None
    assert current_folder() is None
    FolderWatch(pytest.fail).close()


def test_a_database_in_memory_has_no_folder():
    database = FakeDatabase()
    assert database.openDatabase(IN_MEMORY)
    assert database.isOpen
    assert current_folder(database) is None


@pytest.mark.usefixtures("watch")
def test_opening_another_folder_is_told_at_once(slicer, heard, tmp_path):
    slicer.open_folder(tmp_path / "second")
    assert heard == [None, tmp_path / "second"]


@pytest.mark.usefixtures("watch")
def test_another_folder_without_closing_the_first_is_told_once(slicer, heard, tmp_path):
    (tmp_path / "second").mkdir()
    slicer.database.openDatabase(f"{tmp_path}/second/ctkDICOM.sql")
    assert heard == [tmp_path / "second"]


@pytest.mark.usefixtures("watch")
def test_what_changes_nothing_is_not_told(slicer, heard, tmp_path):
    slicer.database.openDatabase(f"{tmp_path}/first/ctkDICOM.sql")
    assert heard == []
    slicer.database.closeDatabase()
    slicer.database.closeDatabase()
    assert heard == [None]


@pytest.mark.usefixtures("watch")
def test_a_folder_that_cannot_be_opened_is_none(slicer, heard, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ctkDICOM.sql").write_bytes(b"no database" * 1000)
    slicer.open_folder(tmp_path / "other")
    assert heard == [None]


def test_a_closed_watch_tells_nothing(slicer, watch, heard):
    watch.close()
    watch.close()
    slicer.database.closeDatabase()
    assert heard == []
