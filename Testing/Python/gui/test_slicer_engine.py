"""A real engine whose rows Slicer's indexer and database keep: import, removal, undo, changes by others, a crash."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import qt

from support.browser_window import wait_for
from support.slicer_fakes.database import FakeIndexer, FakeSlicer, work
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.engine.client import EngineClient, engine_command, engine_environment
from VisualDICOMBrowserLib.gui.engine_process import QProcessTransport
from VisualDICOMBrowserLib.gui.session import Session
from VisualDICOMBrowserLib.host_slicer import changes
from VisualDICOMBrowserLib.host_slicer.indexing import DatabaseKeeper
from VisualDICOMBrowserLib.store.reader import CatalogueReader

COUNT = 12


class Application:
    """Slicer with this program in it.

    :ivar held: what the indexer would do next, while ``is_held``.
    """

    def __init__(self, root):
        self.folder = root / "database"
        self.is_held = False
        self.held = []
        self.slicer = FakeSlicer(self.folder, self._schedule)
        command = engine_command(sys.executable, self.folder, root / "config.json", rows_by_host=True)
        self.clients = []

        def make_client():
            self.clients.append(EngineClient(QProcessTransport(command, root / "engine.log", engine_environment())))
            return self.clients[-1]

        self.session = Session(make_client, CatalogueReader(self.folder))
        self.changes = []
        self.session.catalogue_changed.connect(lambda: self.changes.append(1))

    def start(self):
        self.keeper = DatabaseKeeper(self.session)
        self.session.start()
        self.wait_ready()

    def close(self):
        self.keeper.close()
        self.session.close()

    def wait_ready(self):
        wait_for(lambda: self.session.ready, "the engine")

    def ask(self, method, **params):
        return wait_for(self.begin(method, **params), method)[0]

    def begin(self, method, **params):
        """Call the engine; what is returned gives the result in a list when it is there."""
        results = []
        self.session.ask(method, params, results.append)
        return lambda: results

    def local(self):
        reader = self.session.reader
        rows = reader.patients(reader.patient_rows(QueryFilter(), Places()))
        return [row.patient.patient_id for row in rows]

    def jobs(self):
        return [record.state.value for record in self.session.jobs.records()]

    def _schedule(self, step):
        if self.is_held:
            self.held.append(step)
        else:
            qt.QTimer.singleShot(0, step)


@pytest.fixture
def app(qapp, tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "PAUSE_MS", 50)
    app = Application(tmp_path)
    app.slicer.install(monkeypatch)
    app.start()
    yield app
    app.close()


@pytest.fixture
def files(tmp_path):
    return make_ct_series(tmp_path / "disc", COUNT, 200, patient_id="SLICER", study=61)


def paths(files):
    return [str(file.path) for file in files]


def target(level, uid):
    return {"level": level, "uids": [uid]}


def test_imported_files_get_their_rows_by_the_indexer(app, files):
    result = app.ask("import_paths", paths=paths(files))
    assert (result["imported"], result["rejected"]) == (COUNT, [])
    database = app.slicer.database
    stored = database.filesForSeries(files[0].series_uid)
    assert len(stored) == COUNT
    assert all(path.startswith(f"{app.folder}/dicom/") for path in stored)
    assert {name for (name,) in database._rows("SELECT Filename FROM Images")} == {
        path.removeprefix(f"{app.folder}/") for path in stored
    }
    assert app.ask("verify")["ok"]
    assert app.local() == ["SLICER"]


def test_linked_files_get_their_rows_where_they_lie(app, files):
    assert app.ask("import_paths", paths=paths(files), link=True)["imported"] == COUNT
    assert sorted(app.slicer.database.filesForSeries(files[0].series_uid)) == paths(files)
    assert app.ask("verify")["ok"]


def test_a_series_is_removed_and_brought_back(app, files):
    app.ask("import_paths", paths=paths(files))
    removed = app.ask("remove", target=target("series", files[0].series_uid), undoable=True)
    assert removed["instances"] == COUNT
    assert app.slicer.database._removed == [files[0].series_uid]
    assert app.slicer.database.imagesCount() == 0
    assert app.ask("undo_remove", trash=removed["trash"])["instances"] == COUNT
    wait_for(lambda: app.slicer.database.imagesCount() == COUNT, "the rows")
    wait_for(lambda: app.ask("verify")["ok"], "the engine to see them")


def test_one_instance_is_removed_and_the_others_of_its_series_stay(app, files):
    app.ask("import_paths", paths=paths(files))
    removed = app.ask("remove", target=target("image", files[3].sop_uid), undoable=True)
    assert removed["instances"] == 1
    database = app.slicer.database
    wait_for(lambda: database.imagesCount() == COUNT - 1, "the rows of the others")
    assert files[3].sop_uid not in database.instancesForSeries(files[0].series_uid)
    wait_for(lambda: app.ask("verify")["ok"], "the engine to see them")


def test_what_slicers_own_import_brings_appears(app, files):
    importer = FakeIndexer()  # as Slicer's DICOM module has one
    importer.backgroundImportEnabled = True
    importer.setDatabase(app.slicer.database)
    importer.addListOfFiles(paths(files), False)
    app.changes.clear()
    work(importer)
    wait_for(lambda: app.changes and app.local() == ["SLICER"], "the patient")
    app.slicer.database.removeSeries(files[0].series_uid, True)
    wait_for(lambda: app.local() == [], "the patient to go")
    assert app.slicer.database.filesForSeries(files[0].series_uid) == ()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
def test_files_whose_rows_were_awaited_when_the_engine_died_get_them_from_the_next(app, files):
    app.is_held = True
    app.begin("import_paths", paths=paths(files))
    wait_for(lambda: app.held and app.jobs() == ["indexing"], "all files to be stored, and some at the indexer")
    os.kill(app.clients[-1].hello.pid, signal.SIGKILL)
    wait_for(lambda: not app.session.ready, "its end")
    app.session.start()
    app.wait_ready()
    app.is_held = False
    app.held.pop()()
    database = app.slicer.database
    wait_for(lambda: database.imagesCount() == COUNT, "all rows")
    wait_for(lambda: app.ask("verify")["ok"], "the engine to see them")
    assert len(database.filesForSeries(files[0].series_uid)) == COUNT


def test_a_job_that_waits_for_its_rows_goes_on_when_the_folder_is_open_again(app, files, tmp_path):
    app.slicer.open_folder(tmp_path / "other")
    result = app.begin("import_paths", paths=paths(files))
    wait_for(lambda: app.jobs() == ["indexing"], "the job")
    assert app.slicer.database.imagesCount() == 0
    app.slicer.open_folder(app.folder)
    assert wait_for(result, "the import")[0]["imported"] == COUNT
    assert app.slicer.database.imagesCount() == COUNT


@pytest.fixture
def corrected(tmp_path):
    """The same instances, after somebody had corrected the name."""
    folder = tmp_path / "corrected"
    return make_ct_series(folder, COUNT, 200, patient_id="SLICER", patient_name="Merged^Patient", study=61)


def assert_corrected(app, corrected):
    database = app.slicer.database
    wait_for(lambda: database.imagesCount() == COUNT and app.ask("verify")["ok"], "the rows")
    assert [database.nameForPatient(uid) for uid in database.patients()] == ["Merged^Patient"]
    stored = [Path(file).read_bytes() for file in database.filesForSeries(corrected[0].series_uid)]
    assert sorted(stored) == sorted(file.path.read_bytes() for file in corrected)


def test_files_are_replaced_on_purpose_and_their_rows_written_anew(app, files, corrected):
    app.ask("import_paths", paths=paths(files))
    result = app.ask("import_paths", paths=paths(corrected), replace=True)
    assert (result["imported"], result["replaced"], result["rejected"], result["conflicts"]) == (0, COUNT, [], [])
    assert_corrected(app, corrected)


def test_a_replacement_waits_until_the_folder_is_open_again(app, files, corrected, tmp_path):
    app.ask("import_paths", paths=paths(files))
    app.slicer.open_folder(tmp_path / "other")
    result = app.begin("import_paths", paths=paths(corrected), replace=True)
    wait_for(lambda: sorted(app.jobs()) == ["completed", "indexing"], "the job")
    app.slicer.open_folder(app.folder)
    assert app.slicer.database.imagesCount() == COUNT
    assert wait_for(result, "the import")[0]["replaced"] == COUNT
    assert_corrected(app, corrected)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
def test_a_replacement_goes_on_with_the_next_engine(app, files, corrected, tmp_path):
    app.ask("import_paths", paths=paths(files))
    app.slicer.open_folder(tmp_path / "other")
    app.begin("import_paths", paths=paths(corrected), replace=True)
    wait_for(lambda: sorted(app.jobs()) == ["completed", "indexing"], "the job")
    os.kill(app.clients[-1].hello.pid, signal.SIGKILL)
    wait_for(lambda: not app.session.ready, "its end")
    app.slicer.open_folder(app.folder)
    app.session.start()
    app.wait_ready()
    database = app.slicer.database
    wait_for(
        lambda: [database.nameForPatient(uid) for uid in database.patients()] == ["Merged^Patient"], "the new rows"
    )
    assert_corrected(app, corrected)
