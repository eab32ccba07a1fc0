"""The self-test for a real Slicer, gone through on fakes: that its steps are there, and that each of them can fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest
import qt

from support.slicer_fakes.application import FakeSlicer
from support.slicer_fakes.window_parts import StartableSession, WindowKit, dicom_lib
from VisualDICOMBrowserLib.domain.errors import LocalError


class FakeVolume:
    def __init__(self, size: tuple[int, ...], spacing: tuple[float, ...]) -> None:
        self._size, self._spacing = size, spacing

    def IsA(self, name: str) -> bool:
        return name == "vtkMRMLScalarVolumeNode"

    def GetImageData(self) -> Any:
        return SimpleNamespace(GetDimensions=lambda: self._size)

    def GetSpacing(self) -> tuple[float, ...]:
        return self._spacing


class WorkingKit(WindowKit):
    """Slicer's database and the browser know the same files; loading reads the geometry out of them."""

    def __init__(self, slicer: FakeSlicer) -> None:
        super().__init__(slicer)
        self.make_session = self._working_session
        self.load = self._add_volume
        self.refuses_removal = False
        sys.modules.update(dicom_lib(self, self._import))
        vars(sys.modules["VisualDICOMBrowserLib.host_slicer.window"])["slicer_parts"] = self.parts

    def _working_session(self, folder: Path) -> Any:
        session = StartableSession(folder, self.log)
        session.start = lambda: qt.QTimer.singleShot(0, session.come_up)
        session.reader.series_by_uid = self._rows
        ask = session.ask

        def answer(method: str, params: Any, done: Any = None, failed: Any = None) -> Any:
            made = ask(method, params, done, failed)
            assert (method, params["undoable"]) == ("remove", False)
            qt.QTimer.singleShot(0, lambda: self._remove(made))
            return made

        session.ask = answer
        return session

    def _rows(self, uids: list[str]) -> dict[str, Any]:
        files = self.database._files
        return {uid: SimpleNamespace(local_instances=len(files[uid])) for uid in uids if uid in files}

    def _import(self, folder: str) -> None:
        for path in sorted(Path(folder).iterdir()):
            uid = str(pydicom.dcmread(path).SeriesInstanceUID)
            self.database._files[uid] = (*self.database.filesForSeries(uid), str(path))

    def _add_volume(self, uid: str) -> None:
        images = [pydicom.dcmread(path) for path in self.database.filesForSeries(uid)]
        assert all((image.pixel_array[0] == image.pixel_array[-1]).all() for image in images)
        rows, columns = (float(one) for one in images[0].PixelSpacing)
        positions = sorted(float(image.ImagePositionPatient[2]) for image in images)
        size = (images[0].Columns, images[0].Rows, len(images))
        self.slicer.nodes.append(FakeVolume(size, (columns, rows, positions[1] - positions[0])))

    def _remove(self, ask: Any) -> None:
        if self.refuses_removal:
            ask.fail(LocalError("The folder is read-only."))
            return
        for uid in ask.params["target"]["uids"]:
            del self.database._files[uid]
        ask.answer({})


@pytest.fixture
def kit(qapp, tmp_path: Path, monkeypatch) -> Iterator[WorkingKit]:
    with FakeSlicer(tmp_path).installed() as slicer:
        from VisualDICOMBrowserLib.host_slicer import self_test, window  # noqa: PLC0415 - it needs the fake Slicer

        monkeypatch.setattr(self_test, "_PATIENCE_S", 0.3)
        kit = WorkingKit(slicer)
        slicer.load()
        vars(slicer.modules.visualdicombrowser)["name"] = "VisualDICOMBrowser"
        yield kit
        window.close_browser()


def run_self_test() -> None:
    sys.modules["VisualDICOMBrowser"].VisualDICOMBrowserTest().runTest()


def test_all_steps_are_gone_through(kit):
    run_self_test()
    assert kit.slicer.steps == [
        "The module is there",
        "The window opens and the engine starts",
        "A series that Slicer imports appears",
        "It is loaded as a volume",
        "It is removed",
    ]
    assert kit.slicer.nodes == []
    assert not kit.database.isOpen
    assert kit.log[-1] == "end database"


def test_a_browser_that_was_open_stays_and_goes_back_to_its_database(kit):
    from VisualDICOMBrowserLib.host_slicer import window  # noqa: PLC0415

    folder = kit.open_database("mine")
    opened = window.open_browser()
    run_self_test()
    assert window.browser_window() is opened
    assert kit.current_folder() == opened.status.folder == folder
    assert [line for line in kit.log if line.startswith("end")] == ["end mine", "end database"]


def test_a_series_that_does_not_appear_is_told(kit):
    kit._rows = lambda uids: {}
    with pytest.raises(AssertionError, match="in vain for the series in the browser: it has 0"):
        run_self_test()


def test_an_import_that_falls_short_is_told(kit):
    sys.modules["DICOMLib"].DICOMUtils.importDicom = lambda folder: None
    with pytest.raises(AssertionError, match="Slicer's database has 0 of 5 images"):
        run_self_test()


def test_a_load_that_gives_nothing_is_told(kit):
    kit.load = lambda uid: None
    with pytest.raises(AssertionError, match="in vain for a volume"):
        run_self_test()


@pytest.mark.parametrize(
    ("size", "spacing", "sentence"),
    [((24, 32, 5), (0.9, 0.7, 2.5), "voxels"), ((32, 24, 5), (0.7, 0.9, 2.5), "spacing")],
)
def test_a_wrong_geometry_is_told(kit, size, spacing, sentence):
    kit.load = lambda uid: kit.slicer.nodes.append(FakeVolume(size, spacing))
    with pytest.raises(AssertionError, match=sentence):
        run_self_test()


def test_a_refused_removal_is_told(kit):
    kit.refuses_removal = True
    with pytest.raises(AssertionError, match="The folder is read-only"):
        run_self_test()
    assert not kit.database.isOpen
