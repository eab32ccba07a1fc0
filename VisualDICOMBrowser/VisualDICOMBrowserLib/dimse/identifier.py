"""Identifiers: the data sets of C-FIND, C-GET and C-MOVE (PS3.4, C.4)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from io import BytesIO

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from ..dicom.values import encodings_of, to_text
from ..domain.errors import ProtocolViolation

_UTF8 = "ISO_IR 192"

Keys = dict[str, "str | Sequence[str]"]


def encode_identifier(keys: Keys, transfer_syntax: str) -> bytes:
    """Encode keys given by DICOM keyword; text beyond ASCII goes out as UTF-8, and says so."""
    data_set = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wildcards are no valid values of most VRs, and yet valid keys
        for keyword, value in keys.items():
            setattr(data_set, keyword, value if isinstance(value, str) else list(value))
        if not all(text.isascii() for value in keys.values() for text in value):
            data_set.SpecificCharacterSet = _UTF8
        buffer = DicomBytesIO()
        buffer.is_implicit_VR = transfer_syntax == ImplicitVRLittleEndian
        buffer.is_little_endian = transfer_syntax != ExplicitVRBigEndian
        write_dataset(buffer, data_set)
    return buffer.getvalue()


def decode_identifier(raw: bytes, transfer_syntax: str) -> Answer:
    """Decode an identifier from a peer.

    :raises ProtocolViolation: bytes that are no data set.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data_set = read_dataset(
                BytesIO(raw),
                is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian,
                is_little_endian=transfer_syntax != ExplicitVRBigEndian,
                bytelength=len(raw),
            )
            return Answer({keyword: data_set.get_item(tag) for tag, keyword in _KEYWORDS.items() if tag in data_set})
        except Exception as error:  # the parser raises whatever hostile bytes make it stumble over
            raise ProtocolViolation("The server sent an answer that is not a DICOM data set.") from error


class Answer:
    """An identifier from a peer: the elements this project asks for, as text.

    :param elements: raw elements by keyword.
    """

    def __init__(self, elements: dict[str, object]) -> None:
        raw = {
            keyword: value for keyword, e in elements.items() if isinstance(value := getattr(e, "value", None), bytes)
        }
        encodings = encodings_of(raw.get("SpecificCharacterSet", b""))
        self._texts = {keyword: to_text(value, _VRS[keyword], encodings) for keyword, value in raw.items()}
        self._present = frozenset(elements)

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
        return keyword in self._present


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
_KEYWORDS = {Tag(keyword): keyword for keyword in _USED}
_VRS = {keyword: dictionary_VR(Tag(keyword)) for keyword in _USED}


def failed_uids(raw: bytes, transfer_syntax: str) -> tuple[str, ...]:
    """Return the Failed SOP Instance UID List (0008,0058) of a C-GET or C-MOVE response (PS3.4, C.4.3.1.4.2)."""
    return decode_identifier(raw, transfer_syntax).texts("FailedSOPInstanceUIDList") if raw else ()
