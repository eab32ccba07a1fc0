"""The fakes of Slicer's database and indexer do what the real ones do, as far as tests rely on it."""

from __future__ import annotations

import os

import pytest

from support.slicer_fakes.database import FakeIndexer, FakeSlicer, work
from support.slicer_fakes.strict import NotInSlicer
from support.synthetic import make_ct_series, text_folder
from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

COMPLETE = "indexingComplete(int,int,int,int)"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "database"


@pytest.fixture
def database(folder):
    return FakeSlicer(folder).database


@pytest.fixture
def indexer(database):
    indexer = FakeIndexer()
    indexer.backgroundImportEnabled = True
    indexer.setDatabase(database)
    return indexer


@pytest.fixture
def files(folder):
    """Two CT series of one study in the folder."""
    first = make_ct_series(folder / "dicom" / "a", 3, 200, series=1)
    return first + make_ct_series(folder / "dicom" / "b", 2, 200, series=2)


def index(indexer, paths):
    counts = []
    slot = lambda *values: counts.append(values)  # noqa: E731
    indexer.connect(COMPLETE, slot)
    indexer.addListOfFiles([str(path) for path in paths], False)
    work(indexer)
    indexer.disconnect(COMPLETE, slot)
    return counts


def test_indexed_files_are_in_the_database(database, indexer, files, folder):
    assert index(indexer, [file.path for file in files]) == [(1, 1, 2, 5)]
    (patient,) = database.patients()
    (study,) = database.studiesForPatient(patient)
    assert database.seriesForStudy(study) == (files[0].series_uid, files[3].series_uid)
    assert database.filesForSeries(files[3].series_uid) == tuple(str(file.path) for file in files[3:])
    assert database.filesForSeries(files[3].series_uid, 1) == (str(files[3].path),)
    assert database.filesForSeries("1.2.3") == ()
    assert database.seriesForFile(str(files[0].path)) == files[0].series_uid
    assert database.fileForInstance(files[1].sop_uid) == str(files[1].path)
    assert database.nameForPatient(patient) == "Synthetic^Series"
    with CtkDatabase.open(DatabaseFolder(folder), read_only=True) as rows:
        assert len(rows.snapshot().images) == 5


def test_values_come_from_the_cache_and_from_files(database, indexer, files):
    index(indexer, [files[0].path])
    indexed, other = str(files[0].path), str(files[4].path)
    for path in (indexed, other):
        assert database.fileValue(path, "0008,0060") == "CT"
        assert database.fileValue(path, 0x0018, 0x0050) == "1"
        assert database.fileValue(path, "0020,0037") == "1\\0\\0\\0\\1\\0"
        assert not database.fileValueExists(path, "0018,9999")
    assert database.instanceValue(files[0].sop_uid, "0010,0010") == "Synthetic^Series"
    assert database.instanceValue("1.2.3", "0010,0010") == ""
    assert database.fileValue("/nowhere", "0010,0010") == ""


def test_files_that_are_known_are_skipped_and_changed_ones_are_not(indexer, files, tmp_path):
    paths = [file.path for file in files]
    index(indexer, paths)
    assert index(indexer, paths) == [(0, 0, 0, 0)]
    (other,) = make_ct_series(tmp_path / "other", 1, 200, study=2, series=3)
    paths[0].write_bytes(other.path.read_bytes())
    later = paths[0].stat().st_mtime + 1000
    os.utime(paths[0], (later, later))
    assert index(indexer, paths) == [(0, 1, 1, 1)]


def test_what_is_no_instance_is_passed_over(indexer, files, tmp_path):
    others = [path for path in text_folder(tmp_path).rglob("*") if path.is_file()]
    assert index(indexer, [*others, tmp_path / "missing.dcm", files[0].path]) == [(1, 1, 1, 1)]


def test_the_database_tells_several_times_that_it_changed(database, indexer, files):
    heard = []
    database.databaseChanged.connect(lambda: heard.append(1))
    index(indexer, [file.path for file in files])
    assert len(heard) > 1


def test_files_that_come_while_it_is_at_work_are_done_in_the_same_run(database, indexer, files):
    indexer.addListOfFiles([str(files[0].path)], False)
    assert indexer.importing
    assert index(indexer, [files[1].path]) == [(1, 1, 1, 2)]
    assert not indexer.importing
    assert database.imagesCount() == 2


def test_a_cancelled_indexer_drops_what_waits(database, indexer, files):
    indexer.addListOfFiles([str(files[0].path)], False)
    indexer.cancel()
    work(indexer)
    assert database.imagesCount() == 0


def test_a_removed_series_takes_its_files_with_it_but_linked_ones(database, indexer, files, tmp_path):
    (linked,) = make_ct_series(tmp_path / "elsewhere", 1, 200, study=9, series=9)
    index(indexer, [linked.path, *(file.path for file in files)])
    removed = []
    database.seriesRemoved.connect(removed.append)
    for uid in (files[0].series_uid, linked.series_uid):
        assert database.removeSeries(uid, True)
    assert removed == [files[0].series_uid, linked.series_uid]
    assert [file.path.exists() for file in files] == [False] * 3 + [True] * 2
    assert linked.path.exists()
    assert database.imagesCount() == 2


def test_a_closed_database_has_and_removes_nothing(database, indexer, files):
    index(indexer, [file.path for file in files])
    database.closeDatabase()
    assert database.filesForSeries(files[0].series_uid) == ()
    assert not database.removeSeries(files[0].series_uid, True)
    assert files[0].path.exists()


def test_what_slicer_would_not_bear_is_refused(indexer):
    with pytest.raises(NotInSlicer, match="relative"):
        indexer.addListOfFiles(["dicom/a.dcm"], False)
    with pytest.raises(ValueError, match="overload"):
        indexer.addListOfFiles((str(n) for n in range(3)), False)
    indexer.backgroundImportEnabled = False
    with pytest.raises(NotInSlicer, match="event loop"):
        indexer.addListOfFiles(["/a.dcm"], False)
    with pytest.raises(NotInSlicer):
        indexer.importing = True
