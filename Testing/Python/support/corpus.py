"""Real files of many vendors: those that come with pydicom and with the package pydicom-data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import data_store  # type: ignore[import-untyped, unused-ignore]
import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

IDENTITY = ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID")

#: What pydicom says of a data set that contradicts its transfer syntax.
WRONG_ENCODING = "found implicit VR"


@dataclass(frozen=True)
class CorpusFile:
    """A part-10 file with a complete identity. Its name is in ``path``, everything else is from the data set."""

    path: Path
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    study_uid: str
    series_uid: str


@dataclass(frozen=True)
class LeftOut:
    """A file that the corpus does not hold, or that a server did not take, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Corpus:
    """The usable files, each SOP Instance UID once, and the others with the reason."""

    files: tuple[CorpusFile, ...]
    left_out: tuple[LeftOut, ...]

    def by_uid(self) -> dict[str, CorpusFile]:
        """Return the files by SOP Instance UID."""
        return {file.sop_uid: file for file in self.files}

    @property
    def paths(self) -> list[Path]:
        """The paths of the usable files."""
        return [file.path for file in self.files]


def folders() -> list[Path]:
    """Return the folders that hold the files."""
    pydicom_data = Path(pydicom.__file__).parent / "data"
    return [
        pydicom_data / "test_files",
        pydicom_data / "charset_files",
        Path(data_store.__file__).parent / "data",
    ]


@lru_cache(maxsize=1)
def corpus() -> Corpus:
    """Read the heads of all files, once for a test session."""
    files: dict[str, CorpusFile] = {}
    left_out: list[LeftOut] = []
    for path in (path for folder in folders() for path in sorted(folder.rglob("*")) if path.is_file()):
        found = examine(path)
        if isinstance(found, LeftOut):
            left_out.append(found)
        elif found.sop_uid in files:
            left_out.append(LeftOut(path, f"same SOP Instance UID as {files[found.sop_uid].path.name}"))
        else:
            files[found.sop_uid] = found
    return Corpus(tuple(files.values()), tuple(left_out))


def examine(path: Path) -> CorpusFile | LeftOut:
    """Read the identity of one file."""
    try:
        with warnings.catch_warnings(record=True) as complaints:
            warnings.simplefilter("always")  # odd values are what these files are for
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            found = _identity(path, dataset)
    except InvalidDicomError:
        return LeftOut(path, "no part-10 head")
    if any(WRONG_ENCODING in str(complaint.message) for complaint in complaints):
        # Orthanc takes 1.2 GB and seconds over such a file of 4 KB, then refuses it
        return LeftOut(path, "not encoded as its transfer syntax says: implicit VR instead of explicit")
    return found


def _identity(path: Path, dataset: FileDataset) -> CorpusFile | LeftOut:
    values = {keyword: str(dataset.get(keyword, "")) for keyword in IDENTITY}
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    missing = [keyword for keyword, value in {**values, "TransferSyntaxUID": syntax}.items() if not value]
    if missing:
        return LeftOut(path, "no " + ", ".join(missing))
    sop_uid, sop_class, study_uid, series_uid = values.values()
    return CorpusFile(path, sop_uid, sop_class, syntax, study_uid, series_uid)
