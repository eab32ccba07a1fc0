"""The module's self-test on all real parts but Slicer itself: window, engine, indexing, browser on CTK's own files.

Loading adds a node with the geometry that the files state; Slicer's plugins are tried elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pydicom
import pytest
import qt

from support.browser_window import wait_for
from support.process_table import children
from support.slicer_fakes.application import FakeSlicer
from support.slicer_fakes.database import FakeDatabase, FakeIndexer, work
from support.slicer_fakes.process import make_python_slicer
from VisualDICOMBrowserLib.gui.host import Host
from VisualDICOMBrowserLib.gui.parts.signals import Signal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the launcher is a script")

STEPS = [
    "The module is there",
    "The window opens and the engine starts",
    "A series that Slicer imports appears",
    "It is loaded as a volume",
    "It is removed",
]


class Volume:
    """A volume node of some files."""

    def __init__(self, files: tuple[str, ...]) -> None:
        images = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
        rows, columns = (float(one) for one in images[0].PixelSpacing)
        positions = sorted(float(image.ImagePositionPatient[2]) for image in images)
        self._size = (images[0].Columns, images[0].Rows, len(images))
        self._spacing = (columns, rows, positions[1] - positions[0])

    def IsA(self, name: str) -> bool:
        return name == "vtkMRMLScalarVolumeNode"

    def GetImageData(self) -> Any:
        return SimpleNamespace(GetDimensions=lambda: self._size)

    def GetSpacing(self) -> tuple[float, ...]:
        return self._spacing


class Loader:
    def __init__(self, load: Callable[[str], None]) -> None:
        self.loaded_changed, self.progress_changed, self.choice_asked = Signal(), Signal(), Signal()
        self.loaded: frozenset[str] = frozenset()
        self._load = load

    def load(self, series_uids: list[str], *, choose: bool = False) -> None:
        for uid in series_uids:
            self._load(uid)

    def choose(self, places: list[int]) -> None:
        raise AssertionError("nothing was to be chosen")

    def cancel(self) -> None:
        return None

    def close(self) -> None:
        return None


class Whole:
    """A fake Slicer with the real parts of the window in it."""

    def __init__(self, slicer: FakeSlicer) -> None:
        self.slicer = slicer
        self.database = FakeDatabase()
        slicer.module.dicomDatabase = self.database
        sys.modules["ctk"] = SimpleNamespace(ctkDICOMIndexer=self._make_indexer)
        utils, package = ModuleType("DICOMUtils"), ModuleType("DICOMLib")
        utils.TemporaryDICOMDatabase, utils.importDicom = self._temporary_database, self._import
        package.DICOMUtils = utils
        sys.modules["DICOMLib"] = package
        self.open_database(slicer.folder / "mine")

    def open_database(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.database.openDatabase(f"{folder}/ctkDICOM.sql")

    def host(self, session: Any) -> Host:
        add = lambda uid: self.slicer.nodes.append(Volume(self.database.filesForSeries(uid)))  # noqa: E731
        return Host("Slicer", Loader(add))

    def _make_indexer(self, *parent: object) -> FakeIndexer:
        indexer = FakeIndexer(*parent)
        indexer._schedule = lambda act: qt.QTimer.singleShot(0, act)
        return indexer

    @contextmanager
    def _temporary_database(self, folder: str) -> Iterator[FakeDatabase]:
        self.open_database(Path(folder))
        try:
            yield self.database
        finally:
            self.database.closeDatabase()
            self.open_database(self.slicer.folder / "mine")

    def _import(self, folder: str) -> None:
        indexer = FakeIndexer()
        indexer.backgroundImportEnabled = True
        indexer.setDatabase(self.database)
        indexer.addListOfFiles([str(path) for path in sorted(Path(folder).iterdir())], False)
        work(indexer)


@pytest.fixture
def whole(qapp, tmp_path: Path, monkeypatch) -> Iterator[Whole]:
    monkeypatch.setenv("PATH", f"{make_python_slicer(tmp_path / 'bin').parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "ctk", None)
    with FakeSlicer(tmp_path).installed() as slicer:
        from VisualDICOMBrowserLib.host_slicer import parts, window  # noqa: PLC0415 - it needs the fake Slicer

        whole = Whole(slicer)
        parts._make_host = whole.host
        slicer.load()
        vars(slicer.modules.visualdicombrowser)["name"] = "VisualDICOMBrowser"
        yield whole
        window.close_browser()


def _window() -> Any:
    from VisualDICOMBrowserLib.host_slicer import window  # noqa: PLC0415

    return window


def _run_self_test() -> None:
    sys.modules["VisualDICOMBrowser"].VisualDICOMBrowserTest().runTest()


def test_the_self_test_passes_and_leaves_no_engine(whole):
    before = {child.pid for child in children()}
    _run_self_test()
    assert whole.slicer.steps == STEPS
    assert _window().browser_window() is None
    assert {child.pid for child in children()} == before


def test_the_self_test_passes_beside_an_open_browser(whole):
    opened = _window().open_browser()
    wait_for(lambda: opened.status.state.value == "running", "the engine")
    _run_self_test()
    assert whole.slicer.steps == STEPS
    assert opened.status.folder == whole.slicer.folder / "mine"
