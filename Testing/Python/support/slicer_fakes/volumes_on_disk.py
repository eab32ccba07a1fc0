"""Series of volumes with known geometry and voxels, written as DICOM files for tests of loading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from VisualDICOMBrowserLib.demo.compression import compress

#: PS3.5, B.2: under 2.25 stands a random number; these collide with nobody's.
UID_ROOT = "2.25.318290461827364019283746501928374650192"
ROWS, COLUMNS = 36, 48  # the encoder of JPEG 2000 wants 32 at least
SPACING = (0.7, 0.9)  # between rows, between columns
INTERCEPT = -1024


@dataclass(frozen=True)
class Geometry:
    """Where the slices lie: directions of a row and a column, position of the first slice, distance of the slices."""

    row: Sequence[float]
    column: Sequence[float]
    origin: Sequence[float]
    distance: float

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.row, self.column)

    def position(self, place: float) -> np.ndarray:
        return np.array(self.origin) + place * self.distance * self.normal


def oblique(angle: float = 15.0, distance: float = 2.5) -> Geometry:
    """Turn slices about two axes of the patient."""
    turn = np.deg2rad(angle)
    cosine, sine = np.cos(turn), np.sin(turn)
    about_x = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    about_z = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    axes = about_z @ about_x
    return Geometry(axes[:, 0], axes[:, 1], (-31.5, 42.25, 117.0), distance)


def texts(numbers: Sequence[float]) -> list[str]:
    """Write decimal strings as precisely as 16 characters allow."""
    return [f"{number:.13g}"[:16] for number in numbers]


def pixels(seed: int, shape: tuple[int, ...], dtype: Any = np.uint16) -> np.ndarray:
    """Make voxels of which no two slices are alike."""
    most = 4096 if dtype == np.uint16 else 256
    return np.random.default_rng(seed).integers(0, most, shape).astype(dtype)


def new_instance(series: int, number: int, sop_class: str = CTImageStorage, modality: str = "CT") -> FileDataset:
    """Begin an instance of a series."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = f"{UID_ROOT}.{series}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = UID_ROOT, series_uid(series)
    made.FrameOfReferenceUID = f"{UID_ROOT}.0"
    made.PatientName, made.PatientID, made.Modality = "Loader^Lou", "LOAD-1", modality
    made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber = "20240101", "120000", "1", "1"
    made.SeriesNumber, made.InstanceNumber, made.SeriesDescription = series, number, f"Series {series}"
    return made


def series_uid(series: int) -> str:
    """Return the Series Instance UID that goes with a number."""
    return f"{UID_ROOT}.{series}"


def set_pixels(made: Dataset, values: np.ndarray, *, color: bool = False) -> None:
    """Put uncompressed pixels in."""
    shape = values.shape[-3:-1] if color else values.shape[-2:]
    bits = 8 * values.dtype.itemsize
    made.Rows, made.Columns = shape
    made.SamplesPerPixel = 3 if color else 1
    made.PhotometricInterpretation = "RGB" if color else "MONOCHROME2"
    if color:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit, made.PixelRepresentation = bits - 1, 0
    made.add_new("PixelData", "OB" if bits == 8 else "OW", values.tobytes())


def write_slices(
    folder: Path,
    series: int,
    geometry: Geometry,
    places: Sequence[int] = range(8),
    *,
    shuffled: bool = False,
    compression: str = "",
) -> list[Path]:
    """Write one file for each slice; ``places`` tells which of the slices there are."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(5).permutation(len(places)) if shuffled else range(len(places))
    paths = []
    for number, at in enumerate(order, start=1):
        made = new_instance(series, number)
        made.ImageOrientationPatient = texts([*geometry.row, *geometry.column])
        made.ImagePositionPatient = texts(geometry.position(places[at]))
        made.PixelSpacing, made.SliceThickness = texts(SPACING), str(geometry.distance)
        made.RescaleIntercept, made.RescaleSlope = str(INTERCEPT), "1"
        set_pixels(made, pixels(100 * series + places[at], (ROWS, COLUMNS)))
        if compression:
            compress(made, UID(compression))
            made.file_meta.TransferSyntaxUID = compression
        paths.append(_save(made, folder / f"{number:03}.dcm"))
    return paths


def write_frames(folder: Path, series: int, geometry: Geometry, frames: int = 6) -> Path:
    """Write one enhanced CT with a frame for each slice (PS3.3, C.7.6.16)."""
    made = new_instance(series, 1, EnhancedCTImageStorage)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = texts(SPACING), str(geometry.distance)
    orientation.ImageOrientationPatient = texts([*geometry.row, *geometry.column])
    rescale = Dataset()
    rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType = str(INTERCEPT), "1", "HU"
    shared.PixelMeasuresSequence = DicomSequence([measures])
    shared.PlaneOrientationSequence = DicomSequence([orientation])
    shared.PixelValueTransformationSequence = DicomSequence([rescale])
    made.SharedFunctionalGroupsSequence = DicomSequence([shared])
    made.PerFrameFunctionalGroupsSequence = DicomSequence([_frame(geometry, at) for at in range(frames)])
    made.NumberOfFrames = frames
    set_pixels(made, pixels(100 * series, (frames, ROWS, COLUMNS)))
    folder.mkdir(parents=True, exist_ok=True)
    return _save(made, folder / "frames.dcm")


def _frame(geometry: Geometry, at: int) -> Dataset:
    position, content, group = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = texts(geometry.position(at))
    content.DimensionIndexValues, content.InStackPositionNumber, content.StackID = [1, at + 1], at + 1, "1"
    group.PlanePositionSequence = DicomSequence([position])
    group.FrameContentSequence = DicomSequence([content])
    return group


def write_color(folder: Path, series: int) -> Path:
    """Write a photograph."""
    made = new_instance(series, 1, SecondaryCaptureImageStorage, "OT")
    set_pixels(made, pixels(100 * series, (ROWS, COLUMNS, 3), np.uint8), color=True)
    folder.mkdir(parents=True, exist_ok=True)
    return _save(made, folder / "color.dcm")


def write_reference(folder: Path, series: int, to: Sequence[str]) -> Path:
    """Write something that is no image and refers to instances."""
    made = new_instance(series, 1, "1.2.840.10008.5.1.4.1.1.66.4", "SEG")
    items = []
    for uid in to:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
        items.append(item)
    made.ReferencedInstanceSequence = DicomSequence(items)
    folder.mkdir(parents=True, exist_ok=True)
    return _save(made, folder / "reference.dcm")


def _save(made: FileDataset, path: Path) -> Path:
    made.save_as(path, enforce_file_format=True)
    return path
