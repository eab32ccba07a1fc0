"""The module's self-test, in a real Slicer: a series is imported, seen, loaded and removed.

It works in a temporary database, touches nothing of the user's, and needs neither network nor data.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from .window import BrowserWindow, EngineState, browser_window, close_browser, open_browser, status

ROWS, COLUMNS, SLICES = 24, 32, 5
SPACING = (0.9, 0.7, 2.5)  # between columns, rows, slices
_UID = "2.25.220498153627480912345678901234567890123"
SERIES_UID = f"{_UID}.1"
_STEP_MS = 50
_PATIENCE_S = 60.0
_TOLERANCE_MM = 1e-5


class SelfTest:
    """See the module.

    :param say: shows a step to who watches.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._was_open = browser_window() is not None

    def run(self) -> None:
        """Go through all steps; one that fails raises AssertionError with a sentence."""
        from DICOMLib import DICOMUtils  # noqa: PLC0415 - a module of Slicer

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            database, files = Path(folder, "database"), Path(folder, "files")
            database.mkdir()
            with DICOMUtils.TemporaryDICOMDatabase(str(database)):
                try:
                    self._steps(DICOMUtils, files)
                finally:
                    if not self._was_open:
                        close_browser()
            if self._was_open:  # before the folder goes
                _wait_for(lambda: status().folder != database, lambda: "the browser to go back to its database")

    def _steps(self, dicom_utils: Any, files: Path) -> None:
        self._say("The module is there")
        _check(slicer.modules.visualdicombrowser.name == "VisualDICOMBrowser", "It has another name")
        self._say("The window opens and the engine starts")
        window = open_browser()
        _check(window.is_visible(), "The window is not visible")
        _wait_for(lambda: _runs_here(window), lambda: f"the engine: {window.status}")
        self._say("A series that Slicer imports appears")
        write_series(files)
        dicom_utils.importDicom(str(files))
        rows = len(slicer.dicomDatabase.filesForSeries(SERIES_UID))
        _check(rows == SLICES, f"Slicer's database has {rows} of {SLICES} images")
        _wait_for(lambda: _count(window) == SLICES, lambda: f"the series in the browser: it has {_count(window)}")
        self._say("It is loaded as a volume")
        self._load(window)
        self._say("It is removed")
        self._remove(window)

    def _load(self, window: BrowserWindow) -> None:
        loader = window.host.loader if window.host is not None else None
        if loader is None:
            raise AssertionError("There is no loader")
        before = set(_volumes())
        loader.load([SERIES_UID])
        _wait_for(lambda: set(_volumes()) - before, lambda: "a volume")
        (volume,) = set(_volumes()) - before
        size, spacing = tuple(volume.GetImageData().GetDimensions()), tuple(volume.GetSpacing())
        _check(size == (COLUMNS, ROWS, SLICES), f"The volume has {size} voxels")
        off = max(abs(one - wanted) for one, wanted in zip(spacing, SPACING, strict=True))
        _check(off < _TOLERANCE_MM, f"The volume's spacing is {spacing} mm")
        slicer.mrmlScene.RemoveNode(volume)

    def _remove(self, window: BrowserWindow) -> None:
        if window.session is None:
            raise AssertionError("There is no session")
        errors: list[Exception] = []
        params = {"target": {"level": "series", "uids": [SERIES_UID]}, "undoable": False}
        window.session.ask("remove", params, failed=errors.append)
        _wait_for(lambda: errors or not slicer.dicomDatabase.filesForSeries(SERIES_UID), lambda: "the rows to go")
        _check(not errors, f"It could not be removed: {errors}")
        _wait_for(lambda: _count(window) == 0, lambda: f"the series to go: the browser has {_count(window)} images")


def _runs_here(window: BrowserWindow) -> bool:
    folder = Path(slicer.dicomDatabase.databaseDirectory)
    return window.status.state is EngineState.RUNNING and window.status.folder == folder


def _volumes() -> list[Any]:
    return list(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))


def _check(holds: object, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _wait_for(condition: Callable[[], object], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        _check(time.monotonic() < deadline, f"Waited {_PATIENCE_S:.0f} s in vain for {what()}")
        wait(_STEP_MS)


def _count(window: BrowserWindow) -> int:
    """Return how many images of the series the browser knows on this computer."""
    if window.session is None:
        return 0
    row = window.session.reader.series_by_uid([SERIES_UID]).get(SERIES_UID)
    return row.local_instances if row is not None else 0


def wait(milliseconds: int) -> None:
    """Let Slicer do what it has to do for a while."""
    loop = qt.QEventLoop()
    qt.QTimer.singleShot(milliseconds, loop.quit)
    loop.exec_()


def write_series(folder: Path) -> None:
    """Write a small CT series of an invented patient, with the pydicom that Slicer has."""
    from pydicom.dataset import Dataset, FileMetaDataset  # noqa: PLC0415 - nothing heavy before it is needed
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian  # noqa: PLC0415

    folder.mkdir()
    for number in range(SLICES):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = UID(f"{SERIES_UID}.{number + 1}")
        image.StudyInstanceUID, image.SeriesInstanceUID = _UID, SERIES_UID
        image.FrameOfReferenceUID = f"{_UID}.2"
        image.PatientName, image.PatientID = "Self^Test", "SELF-TEST"
        image.PatientBirthDate, image.PatientSex = "19700101", "O"
        image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20240101", "120000", "1", "1"
        image.StudyDescription, image.SeriesDescription = "Self-test", "Ramp"
        image.Modality, image.SeriesNumber, image.InstanceNumber = "CT", 1, number + 1
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [0, 0, number * SPACING[2]]
        image.PixelSpacing, image.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.Rows, image.Columns = ROWS, COLUMNS
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        image.PixelData = b"".join((number * 100 + column).to_bytes(2, "little") for column in range(COLUMNS)) * ROWS
        image.save_as(folder / f"{number + 1}.dcm", enforce_file_format=True)
