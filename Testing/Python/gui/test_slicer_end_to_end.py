"""From a double click on what lies on a server to a volume in Slicer's scene; fakes only for the application and ctk.

Real: Orthanc, the engine behind its launcher, the browser, the keeper of Slicer's rows, Slicer's nodes and logics.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import qt

from support.browser_window import wait_for
from support.slicer_fakes import core_here
from support.slicer_fakes import volumes_on_disk as disk
from support.slicer_fakes.database import FakeDatabase, FakeIndexer
from support.slicer_fakes.process import make_python_slicer
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.gui.browser_widget import BrowserWidget
from VisualDICOMBrowserLib.gui.host import Host
from VisualDICOMBrowserLib.gui.studies.series_state import Presence
from VisualDICOMBrowserLib.host_slicer.engine_start import make_session
from VisualDICOMBrowserLib.host_slicer.indexing import DatabaseKeeper

core_here.require_slicer_core()

import slicer  # noqa: E402 - slicer-core, which may be missing

from support.slicer_fakes import dicom_plugins, mrml  # noqa: E402
from support.slicer_fakes.expected_volume import by_position, expected_matrix, expected_voxels, matrix_of  # noqa: E402
from VisualDICOMBrowserLib.host_slicer.loading import SlicerLoader  # noqa: E402

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the launcher is a script")

SLICES = 12


@pytest.fixture(scope="module")
def slices(orthanc, tmp_path_factory):
    """An oblique, anisotropic CT, numbered in disorder, on the server."""
    paths = disk.write_slices(tmp_path_factory.mktemp("ct"), 7, disk.oblique(), range(SLICES), shuffled=True)
    assert orthanc.load(paths) == []
    return paths


@pytest.fixture
def running(tmp_path, monkeypatch):
    """Slicer's scene with its database open, and no application window."""
    make_python_slicer(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with mrml.open_slicer() as running, dicom_plugins.dicom_lib():
        running.plugins["VolumePlugin"] = dicom_plugins.VolumePlugin
        database = FakeDatabase()
        (tmp_path / "database").mkdir()
        database.openDatabase(f"{tmp_path}/database/ctkDICOM.sql")
        monkeypatch.setattr(slicer, "dicomDatabase", database)
        monkeypatch.setitem(sys.modules, "ctk", SimpleNamespace(ctkDICOMIndexer=_make_indexer))
        yield running


def _make_indexer(*parent: object) -> FakeIndexer:
    indexer = FakeIndexer(*parent)
    indexer._schedule = lambda step: qt.QTimer.singleShot(0, step)
    return indexer


@pytest.fixture
def browser(qtbot, running, orthanc, slices, tmp_path):
    config = tmp_path / "config.json"
    host, port = orthanc.address
    Configuration(config).add(Server("Archive", host, port, called_aet=orthanc.ae_title))
    session = make_session(tmp_path / "database", config)
    widget = BrowserWidget(session, None, Host("3D Slicer", loader=SlicerLoader(session)))
    qtbot.addWidget(widget)
    keeper = DatabaseKeeper(session)
    widget.resize(1200, 800)
    widget.show()
    session.start()
    wait_for(lambda: session.ready, "the engine")
    yield widget
    keeper.close()
    widget.close_session()


def test_a_double_click_on_a_series_of_a_server_makes_a_volume(browser, running, slices, tmp_path):
    first = pydicom.dcmread(slices[0], stop_before_pixels=True)
    uid = str(first.SeriesInstanceUID)
    content = browser._page.sheet.content
    browser.search()
    _choose(browser, str(first.PatientID))
    wait_for(lambda: content.find(uid) is not None, "the series")
    assert content.state(content.find(uid)).presence is Presence.REMOTE
    browser._page.opened.emit(content.find(uid))
    wait_for(lambda: len(running.volumes()) == 1, "the volume", timeout=60)

    (node,) = running.volumes()
    assert np.abs(matrix_of(node) - expected_matrix(slices)).max() < 1e-6
    assert np.array_equal(slicer.util.arrayFromVolume(node), expected_voxels(slices))
    assert node.GetAttribute("DICOM.instanceUIDs").split() == [one.SOPInstanceUID for one in by_position(slices)]
    wait_for(lambda: content.state(content.find(uid)).presence is Presence.LOADED, "the mark")
    (job,) = [one for one in browser._session.jobs.records() if one.description.kind.value == "retrieve"]
    assert job.state.value == "completed"
    files = slicer.dicomDatabase.filesForSeries(uid)
    assert len(files) == SLICES
    assert all(file.startswith(f"{tmp_path}/database/dicom/") for file in files)


def _choose(browser: BrowserWidget, patient_id: str) -> None:
    model = browser._patients._model

    def key() -> int | None:
        rows = [model.row_at(at) for at in range(len(model.keys))]
        return next((row.row for row in rows if row is not None and row.patient.patient_id == patient_id), None)

    wait_for(lambda: key() is not None, "the patient")
    browser.choose_patient(key())
