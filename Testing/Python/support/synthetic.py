"""Files made on the spot: CT series of any size, and files that are damaged, lie, or are not DICOM."""

from __future__ import annotations

import math
import random
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from .corpus import CorpusFile

#: Root of the UIDs made here; 2.25 with a random UUID (PS3.5, B.2), so they collide with nobody's.
UID_ROOT = "2.25.129346182759301827364509182736450918273"

#: What differs between the instances of a series has one width, so that it can be replaced in the encoded head.
_NUMBER = "7777777"


def make_ct_series(
    folder: Path,
    count: int,
    size_bytes: int = 524_288,
    *,
    patient_id: str = "SYNTHETIC",
    patient_name: str = "Synthetic^Series",
    study: int = 1,
    series: int = 1,
) -> list[CorpusFile]:
    """Write ``count`` CT instances of about ``size_bytes`` pixel bytes each, quickly; explicit VR little endian.

    The same arguments give the same bytes. Another ``study`` or ``series`` number gives other UIDs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    side = max(2, round(math.sqrt(size_bytes / 2)))
    dataset = _template(side, patient_id, patient_name, study, series)
    head = _encoded(dataset)
    pixels = random.Random(study * 1000 + series).randbytes(side * side * 2)
    return [_write(folder, dataset, head, pixels, number) for number in range(1, count + 1)]


def _template(side: int, patient_id: str, patient_name: str, study: int, series: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{UID_ROOT}.{study}.{series}.{_NUMBER}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20240101", "120000", f"A{study}"
    dataset.Modality, dataset.Manufacturer = "CT", "Synthetic"
    dataset.StudyDescription, dataset.SeriesDescription = f"Study {study}", f"Series {series}"
    dataset.PatientName, dataset.PatientID = patient_name, patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{UID_ROOT}.{study}", f"{UID_ROOT}.{study}.{series}"
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = str(study), series, _NUMBER
    dataset.FrameOfReferenceUID = f"{UID_ROOT}.{study}.{series}.0"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = ["0", "0", _NUMBER], ["1", "0", "0", "0", "1", "0"]
    dataset.PixelSpacing, dataset.SliceThickness = ["1", "1"], "1"
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.add_new("PixelData", "OW", bytes(side * side * 2))
    return dataset


def _encoded(dataset: FileDataset) -> bytes:
    buffer = DicomBytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()[: -len(dataset.PixelData)]


def _write(folder: Path, dataset: FileDataset, head: bytes, pixels: bytes, number: int) -> CorpusFile:
    path = folder / f"CT{number:06d}.dcm"
    text = str(1_000_000 + number)  # as wide as the placeholder, and a UID part has no leading zeros
    turn = (number * 2) % len(pixels)
    path.write_bytes(head.replace(_NUMBER.encode(), text.encode()) + pixels[turn:] + pixels[:turn])
    return CorpusFile(
        path,
        str(dataset.SOPInstanceUID).replace(_NUMBER, text),
        str(CTImageStorage),
        str(ExplicitVRLittleEndian),
        str(dataset.StudyInstanceUID),
        str(dataset.SeriesInstanceUID),
    )


def text_folder(folder: Path) -> Path:
    """Make a folder of files that are not DICOM, among them what lies beside images in real life."""
    target = folder / "not-dicom"
    (target / "sub").mkdir(parents=True)
    (target / "README.txt").write_text("This is a text.\n", encoding="utf-8")
    (target / "table.csv").write_text("a;b\n1;2\n", encoding="utf-8")
    (target / "sub" / "page.html").write_text("<html><body>DICM</body></html>", encoding="utf-8")
    (target / "sub" / "Thumbs.db").write_bytes(bytes(range(256)) * 8)
    (target / "looks-like.dcm").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    return target


def lying_file(folder: Path) -> Path:
    """Make a part-10 file whose last element claims to be 2 GB longer than the file."""
    path = folder / "lying.dcm"
    head = _one(folder)
    path.write_bytes(head[:-4] + (0x7FFFFFFE).to_bytes(4, "little") + bytes(100))
    return path


def truncated_file(folder: Path, share: float = 0.7) -> Path:
    """Make a CT file that ends in the middle of its pixel data."""
    path = folder / "truncated.dcm"
    (file,) = make_ct_series(folder / "whole", 1, 20_000)
    data = file.path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def empty_file(folder: Path) -> Path:
    """Make a file without any byte."""
    path = folder / "empty.dcm"
    path.touch()
    return path


def _one(folder: Path) -> bytes:
    """Return the head of a CT file up to and with the length of its pixel data."""
    (file,) = make_ct_series(folder / "whole", 1, 200)
    return file.path.read_bytes()[:-200]
