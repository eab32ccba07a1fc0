"""Identifiers: the data sets of C-FIND, C-GET and C-MOVE (PS3.4, C.4).

A codec of its own for these flat data sets: pydicom's quotes keys and answers, which are patient data, in warnings
and in its log, and what it does about damaged ones depends on global settings that Slicer shares.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from ..dicom.values import encodings_of, to_text
from ..domain.errors import ProtocolViolation
from .spelling import UTF8, encode_text

Keys = dict[str, "str | Sequence[str]"]

# PS3.5, 7.1.2: these have a length of two bytes in explicit VR.
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_UNDEFINED = 0xFFFFFFFF
_DELIMITERS, _ITEM = 0xFFFE, 0xFFFEE000


def encode_identifier(keys: Keys, transfer_syntax: str, character_set: str = UTF8) -> bytes:
    """Encode keys given by DICOM keyword; text beyond ASCII goes out in ``character_set``, and says so.

    :param character_set: UTF-8, or one of :func:`.other_sets` for these texts.
    :raises ValueError: no such keyword, no text value, or one of 64 KiB and more: a bug of the caller.
    """
    values = {keyword: value if isinstance(value, str) else "\\".join(value) for keyword, value in keys.items()}
    if not all(map(str.isascii, values.values())):
        values["SpecificCharacterSet"] = character_set
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    tagged = sorted((tag_for_keyword(keyword) or 0, value) for keyword, value in values.items())
    explicit = transfer_syntax != ImplicitVRLittleEndian
    return b"".join(_encoded(tag, encode_text(value, character_set), order, explicit) for tag, value in tagged)


def _encoded(tag: int, raw: bytes, order: str, explicit: bool) -> bytes:
    vr = dictionary_VR(tag).encode("ascii") if tag else b""
    if vr not in _TEXTUAL:
        raise ValueError(f"({tag:08X}) is no key with a text value")
    raw += (b"\0" if vr == b"UI" else b" ") * (len(raw) % 2)
    if len(raw) > 0xFFFF:  # the length has two bytes in explicit VR
        raise ValueError(f"({tag:08X}) has a value of {len(raw)} bytes")
    if explicit:
        return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr, len(raw)) + raw
    return struct.pack(order + "HHL", tag >> 16, tag & 0xFFFF, len(raw)) + raw


_TEXTUAL = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UI".split())


def decode_identifier(raw: bytes, transfer_syntax: str) -> Answer:
    """Decode an identifier from a peer.

    :raises ProtocolViolation: bytes that are no data set.
    """
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    explicit = transfer_syntax != ImplicitVRLittleEndian
    try:
        values = _used(_top_level(raw, order, explicit))
    except ProtocolViolation:  # some peers mix up explicit and implicit; the wrong one never works out
        values = _used(_top_level(raw, order, not explicit))
    return Answer(values)


def _used(elements: Iterable[tuple[int, bytes]]) -> dict[str, bytes]:
    return {_KEYWORDS[tag]: value for tag, value in elements if tag in _KEYWORDS}


def _top_level(raw: bytes, order: str, explicit: bool) -> Iterator[tuple[int, bytes]]:
    """Yield tag and value of the elements outside of sequences, whose nesting is only counted (PS3.5, 7.5)."""
    position = depth = 0
    while position < len(raw):
        tag, position, length = _head(raw, position, order, explicit)
        if tag >> 16 == _DELIMITERS and (depth == 0 or tag != _ITEM):
            depth -= 1
            if depth < 0:
                raise _not_a_data_set()
        elif length == _UNDEFINED:
            depth += 1
        elif length > len(raw) - position:
            raise _not_a_data_set()
        else:
            if depth == 0:
                yield tag, raw[position : position + length]
            position += length
    if depth:
        raise _not_a_data_set()


def _head(raw: bytes, position: int, order: str, explicit: bool) -> tuple[int, int, int]:
    """Return tag, where the value begins, and its length."""
    try:
        group, element = struct.unpack_from(order + "HH", raw, position)
        vr = raw[position + 4 : position + 6]
        if not explicit or group == _DELIMITERS:
            at, form = 4, "L"
        else:
            at, form = (6, "H") if vr in _SHORT else (8, "L")
        (length,) = struct.unpack_from(order + form, raw, position + at)
    except struct.error:
        raise _not_a_data_set() from None
    return group << 16 | element, position + at + (4 if form == "L" else 2), length


def _not_a_data_set() -> ProtocolViolation:
    return ProtocolViolation("The server sent an answer that is not a DICOM data set.")


class Answer:
    """An identifier from a peer: the elements this project asks for, as text.

    :param values: encoded values by keyword.
    :ivar character_set: the Specific Character Set that it states, or an empty text.
    """

    def __init__(self, values: dict[str, bytes]) -> None:
        stated = values.get("SpecificCharacterSet", b"")
        self.character_set = stated.decode("ascii", "replace").strip(" \0")
        encodings = encodings_of(stated)
        self._texts = {keyword: to_text(value, _VRS[keyword], encodings) for keyword, value in values.items()}

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return all values of an element as Unicode without padding; none if absent or empty."""
        values = (value.strip(" \0") for value in self._texts.get(keyword, "").split("\\"))
        return tuple(value for value in values if value)

    def text(self, keyword: str) -> str:
        """Return the first value of an element, or an empty text."""
        return next(iter(self.texts(keyword)), "")

    def number(self, keyword: str) -> int | None:
        """Return an integer string, or None if absent or no number."""
        match = re.fullmatch(r"([+-]?\d{1,9})(?:\.0*)?", self.text(keyword))
        return int(match[1]) if match else None

    def has(self, keyword: str) -> bool:
        """Tell whether the peer returned the element, be it empty."""
        return keyword in self._texts


#: The elements that are looked at; all of text-like VRs.
_USED = (
    "SpecificCharacterSet",
    "QueryRetrieveLevel",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "RetrieveAETitle",
    "FailedSOPInstanceUIDList",
    "Modality",
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "StudyDescription",
    "SeriesDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "BodyPartExamined",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyID",
    "SeriesNumber",
    "InstanceNumber",
    "NumberOfPatientRelatedStudies",
    "NumberOfPatientRelatedSeries",
    "NumberOfPatientRelatedInstances",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "NumberOfSeriesRelatedInstances",
)
_KEYWORDS = {int(tag): keyword for keyword in _USED if (tag := tag_for_keyword(keyword)) is not None}
_VRS = {keyword: dictionary_VR(tag) for tag, keyword in _KEYWORDS.items()}


def failed_uids(raw: bytes, transfer_syntax: str) -> tuple[str, ...]:
    """Return the Failed SOP Instance UID List (0008,0058) of a C-GET or C-MOVE response (PS3.4, C.4.3.1.4.2)."""
    return decode_identifier(raw, transfer_syntax).texts("FailedSOPInstanceUIDList") if raw else ()
