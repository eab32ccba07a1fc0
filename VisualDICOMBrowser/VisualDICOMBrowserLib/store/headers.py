"""What the store wants to know of an instance, read from its file without its pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..dicom.values import encodings_of, to_text
from ..domain.errors import BadData
from ..domain.uids import clean_uid, is_uid
from .elements import Elements, RawElement, scan_bytes, scan_dataset, scan_file

#: What CTK keeps of each instance in its tag cache, in its order, with the VR of PS3.6.
CTK_TAGS: Mapping[str, str] = {
    "0008,0018": "UI",
    "0010,0020": "LO",
    "0010,0010": "PN",
    "0010,0030": "DA",
    "0010,0032": "TM",
    "0010,0040": "CS",
    "0010,1010": "AS",
    "0010,4000": "LT",
    "0020,000D": "UI",
    "0020,0010": "SH",
    "0008,0020": "DA",
    "0008,0030": "TM",
    "0008,0050": "SH",
    "0008,0061": "CS",
    "0008,0080": "LO",
    "0008,1050": "PN",
    "0008,0090": "PN",
    "0008,1030": "LO",
    "0020,000E": "UI",
    "0008,0021": "DA",
    "0008,0031": "TM",
    "0008,103E": "LO",
    "0008,0060": "CS",
    "0018,0015": "CS",
    "0020,0052": "UI",
    "0018,0010": "LO",
    "0018,0020": "CS",
    "0020,0011": "IS",
    "0020,0012": "IS",
    "0018,0086": "IS",
    "0020,0100": "IS",
    "0028,0010": "US",
    "0028,0011": "US",
    "300A,0003": "LO",
    "300A,0002": "SH",
    "3006,0004": "LO",
    "3006,0002": "SH",
    "3002,0003": "LO",
    "3002,0002": "SH",
    "3002,0004": "ST",
}

#: What we want to know beyond that: character set, SOP class, issuer, order and geometry, frames and their time.
OWN_TAGS: Mapping[str, str] = {
    "0008,0005": "CS",
    "0008,0016": "UI",
    "0010,0021": "LO",
    "0020,0013": "IS",
    "0020,0032": "DS",
    "0020,0037": "DS",
    "0028,0008": "IS",
    "0018,1063": "DS",
}

_VRS = {**CTK_TAGS, **OWN_TAGS}
_NUMBERS = {tag: int(tag.replace(",", ""), 16) for tag in _VRS}
_CHARACTER_SET = 0x00080005
_MEDIA_STORAGE_SOP_CLASS = 0x00020002
_WANTED = frozenset(_NUMBERS.values()) | {_MEDIA_STORAGE_SOP_CLASS}
_NO_ELEMENT = RawElement("", b"")

_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_DATE = re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}")  # the second as ACR-NEMA wrote it (PS3.5, 6.2)
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")


@dataclass(frozen=True)
class Header:
    """The header of one instance.

    :ivar tags: ``"GGGG,EEEE"`` in upper case -> text, None if the instance lacks the element. Holds every tag of
        :data:`CTK_TAGS` and :data:`OWN_TAGS`.
    :ivar size: bytes of the file, or of the data set if it was read from memory.
    :ivar offset: where in them the data set begins.
    """

    sop_uid: str
    sop_class: str
    study_uid: str
    series_uid: str
    transfer_syntax: str
    tags: Mapping[str, str | None]
    size: int
    offset: int = 0

    def text(self, tag: str) -> str:
        """Return a tag's text, empty if it is missing."""
        return self.tags.get(tag) or ""

    def integer(self, tag: str) -> int | None:
        """Return a tag's first value as an integer, None if it is missing or none."""
        first = self.text(tag).partition("\\")[0]
        return int(first) if _INTEGER.fullmatch(first) else None

    def date(self, tag: str) -> str:
        """Return a tag's date as YYYYMMDD, empty if it is missing or none."""
        text = self.text(tag)
        return text.replace(".", "") if _DATE.fullmatch(text) else ""

    @property
    def patient_id(self) -> str:
        """Patient ID."""
        return self.text("0010,0020")

    @property
    def patient_name(self) -> str:
        """Patient's Name in DICOM's form."""
        return self.text("0010,0010")

    @property
    def birth_date(self) -> str:
        """Patient's Birth Date, YYYYMMDD or empty."""
        return self.date("0010,0030")

    @property
    def sex(self) -> str:
        """Patient's Sex."""
        return self.text("0010,0040")

    @property
    def issuer(self) -> str:
        """Issuer of Patient ID."""
        return self.text("0010,0021")

    @property
    def study_date(self) -> str:
        """Study Date, YYYYMMDD or empty."""
        return self.date("0008,0020")

    @property
    def study_time(self) -> str:
        """Study Time, HHMMSS.ffffff as far as given."""
        return self.text("0008,0030")

    @property
    def study_description(self) -> str:
        """Study Description."""
        return self.text("0008,1030")

    @property
    def accession_number(self) -> str:
        """Accession Number."""
        return self.text("0008,0050")

    @property
    def study_id(self) -> str:
        """Study ID."""
        return self.text("0020,0010")

    @property
    def series_number(self) -> int | None:
        """Series Number."""
        return self.integer("0020,0011")

    @property
    def modality(self) -> str:
        """Modality."""
        return self.text("0008,0060")

    @property
    def series_description(self) -> str:
        """Series Description."""
        return self.text("0008,103E")

    @property
    def body_part(self) -> str:
        """Body Part Examined."""
        return self.text("0018,0015")

    @property
    def instance_number(self) -> int | None:
        """Instance Number."""
        return self.integer("0020,0013")

    @property
    def rows(self) -> int | None:
        """Rows, pixels."""
        return self.integer("0028,0010")

    @property
    def columns(self) -> int | None:
        """Columns, pixels."""
        return self.integer("0028,0011")

    @property
    def frames(self) -> int:
        """Number of Frames, 1 where the instance does not say."""
        return max(1, self.integer("0028,0008") or 1)

    @property
    def position(self) -> tuple[float, float, float] | None:
        """Image Position (Patient), mm."""
        numbers = _floats(self.text("0020,0032"), 3)
        return (numbers[0], numbers[1], numbers[2]) if numbers else None

    @property
    def orientation(self) -> tuple[float, float, float, float, float, float] | None:
        """Image Orientation (Patient): direction cosines of the row, then of the column."""
        numbers = _floats(self.text("0020,0037"), 6)
        return (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]) if numbers else None


def read_header(path: Path) -> Header:
    """Read the header of a DICOM file.

    :raises BadData: not a whole DICOM file of an instance with usable UIDs.
    :raises StorageError: the file cannot be read.
    """
    return _header(scan_file(path, _WANTED))


def header_of_bytes(data: bytes) -> Header:
    """Return the header in the bytes of a whole DICOM file.

    :raises BadData: as :func:`read_header`.
    """
    return _header(scan_bytes(data, _WANTED))


def read_header_bytes(dataset: bytes, transfer_syntax: str) -> Header:
    """Read the header of a data set in memory, as it comes from the network.

    :raises BadData: not a whole data set of an instance with usable UIDs.
    """
    return _header(scan_dataset(dataset, transfer_syntax, _WANTED))


def _header(found: Elements) -> Header:
    stated = clean_uid(found.values.get(_MEDIA_STORAGE_SOP_CLASS, _NO_ELEMENT).value)
    tags = _texts(found)
    if _MEDIA_DIRECTORY in (stated, tags["0008,0016"]):
        raise BadData("This is a DICOMDIR, the directory of a medium, not an image.")
    return Header(
        sop_uid=_uid(tags, "0008,0018", "SOP Instance UID"),
        sop_class=_uid(tags, "0008,0016", "SOP Class UID"),
        study_uid=_uid(tags, "0020,000D", "Study Instance UID"),
        series_uid=_uid(tags, "0020,000E", "Series Instance UID"),
        transfer_syntax=_checked(found.transfer_syntax, "Transfer Syntax UID"),
        tags=tags,
        size=found.size,
        offset=found.dataset_offset,
    )


def _texts(found: Elements) -> dict[str, str | None]:
    values = found.values
    encodings = encodings_of(values.get(_CHARACTER_SET, _NO_ELEMENT).value)
    little = found.little_endian
    texts: dict[str, str | None] = {}
    for tag, number in _NUMBERS.items():
        element = values.get(number)
        if element is None:
            texts[tag] = None
            continue
        vr = _VRS[tag] if element.vr in ("", "UN") else element.vr
        texts[tag] = to_text(element.value, vr, encodings, little_endian=little)
    return texts


def _uid(tags: Mapping[str, str | None], tag: str, name: str) -> str:
    text = tags[tag]
    if not text:
        raise BadData(f"The file has no {name}.")
    return _checked(text, name)


def _checked(uid: str, name: str) -> str:
    if not is_uid(uid):
        raise BadData(f"The {name} of the file is not a UID.")
    return uid


def _floats(text: str, count: int) -> tuple[float, ...] | None:
    parts = text.split("\\")
    if len(parts) != count:
        return None
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
