"""The first bytes of a DICOM file: preamble and file meta information (PS3.10, 7.1)."""

from __future__ import annotations

import re
import struct

from ..domain.errors import BadData
from ..domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from ..domain.uids import is_uid

_PREAMBLE = bytes(128) + b"DICM"
# PS3.5 6.2: an AE title has 1 to 16 characters of the default repertoire without backslash, and is not blank.
_AE_TITLE = re.compile(r"(?=.*[!-~])[ -\[\]-~]{1,16}")


def file_head(sop_class: str, sop_uid: str, transfer_syntax: str, source_aet: str) -> bytes:
    """Return what precedes the data set of an instance in its file.

    :param source_aet: AE title of the sender; left out if empty or not an AE title.
    :raises BadData: one of the UIDs is none.
    """
    if not (is_uid(sop_class) and is_uid(sop_uid) and is_uid(transfer_syntax)):
        raise BadData("The instance was announced with a UID that is none.")
    elements = (
        _META_VERSION
        + _element(0x0002, b"UI", sop_class, b"\0")
        + _element(0x0003, b"UI", sop_uid, b"\0")
        + _element(0x0010, b"UI", transfer_syntax, b"\0")
        + _IMPLEMENTATION
    )
    title = source_aet.strip()
    if _AE_TITLE.fullmatch(title):
        elements += _element(0x0016, b"AE", title, b" ")
    return _PREAMBLE + struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(elements)) + elements


def _element(number: int, vr: bytes, text: str, padding: bytes) -> bytes:
    value = text.encode("ascii")
    if len(value) % 2:
        value += padding
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value


_META_VERSION = struct.pack("<HH2sHL2s", 0x0002, 0x0001, b"OB", 0, 2, b"\0\1")
_IMPLEMENTATION = _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0") + _element(
    0x0013, b"SH", IMPLEMENTATION_VERSION, b" "
)
