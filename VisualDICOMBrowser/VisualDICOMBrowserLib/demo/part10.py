"""Writing many similar objects in the DICOM file format (PS3.10) quickly."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

from .compression import compress

#: Attributes that are not kept in memory.
BULK = ("PixelData", "EncapsulatedDocument")


@dataclass(frozen=True)
class Held:
    """An object on disk: its attributes without the bulk data, where it lies and how it is encoded."""

    header: Dataset
    path: Path
    syntax: UID


class SeriesWriter:
    """Writes the objects of one series; the elements that they share are encoded only once.

    Most of the time that pydicom needs for a slice goes into the seventy elements that are the same in all
    slices. They are the same ``DataElement`` here too, which nobody may change between two objects.
    """

    def __init__(self, syntax: UID) -> None:
        self._syntax = syntax
        self._known: dict[int, tuple[DataElement, bytes]] = {}

    def write(self, dataset: Dataset, path: Path) -> Held:
        """Write one object, compressed if the syntax wants it; afterwards ``dataset`` has lost its bulk data."""
        if self._syntax.is_encapsulated and not dataset["PixelData"].is_undefined_length:
            compress(dataset, self._syntax)
        encodings = convert_encodings(dataset.get("SpecificCharacterSet"))
        encoded = b"".join(self._encoded(element, encodings) for element in dataset)
        with path.open("wb") as file:
            file.write(b"\0" * 128 + b"DICM" + _meta(dataset, self._syntax))
            file.write(_deflated(encoded) if self._syntax.is_deflated else encoded)
        for keyword in BULK:
            if keyword in dataset:
                delattr(dataset, keyword)
        return Held(dataset, path, self._syntax)

    def _encoded(self, element: DataElement, encodings: list[str]) -> bytes:
        known = self._known.get(id(element))
        if known is not None:
            return known[1]
        buffer = DicomBytesIO()
        buffer.is_implicit_VR, buffer.is_little_endian = self._syntax.is_implicit_VR, True
        write_data_element(buffer, element, encodings)
        data = buffer.getvalue()
        if element.keyword not in BULK:
            self._known[id(element)] = (element, data)  # holding the element keeps its id from being used again
        return data


def _meta(dataset: Dataset, syntax: UID) -> bytes:
    """Return the File Meta Information of an object (PS3.10 7.1), always Explicit VR Little Endian."""
    version = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\0\1")
    uids = {2: dataset.SOPClassUID, 3: dataset.SOPInstanceUID, 0x10: syntax, 0x12: PYDICOM_IMPLEMENTATION_UID}
    group = version + b"".join(_ui(element, uid) for element, uid in uids.items())
    return struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


def _ui(element: int, uid: str) -> bytes:
    value = uid.encode("ascii") + b"\0" * (len(uid) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(value)) + value


def _deflated(data: bytes) -> bytes:
    """Deflate a data set, without the header of zlib (PS3.5 A.5)."""
    compressor = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    packed = compressor.compress(data) + compressor.flush()
    return packed + b"\0" * (len(packed) % 2)
