"""One element's value as a text that fits on a line of a listing."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence

from .values import to_text

#: Longer texts are cut, and say so.
MAX_TEXT = 4096
# More of a text is not decoded.
_MAX_BYTES = 64 * 1024
# Binary values up to this length are written as hexadecimal digits, longer ones as their length.
_MAX_HEX = 64
_OPAQUE = frozenset(("OB", "OW", "OF", "OD", "OL", "OV"))
_NUMBER_BYTES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "UV": 8, "SV": 8, "FD": 8, "AT": 4}


def value_text(
    data: bytes | mmap.mmap, start: int, length: int, vr: str, encodings: Sequence[str], *, little_endian: bool
) -> str:
    """Return the value as DICOM writes it, of several joined by a backslash, at most :data:`MAX_TEXT` characters.

    :param vr: value representation; of an unknown one, text is shown where it is plain ASCII.
    """
    if vr in _OPAQUE:
        return _binary(data[start : start + min(length, _MAX_HEX)], length)
    raw = data[start : start + min(length, MAX_TEXT * _NUMBER_BYTES.get(vr, _MAX_BYTES // MAX_TEXT))]
    if vr == "AT":
        text = _tags(raw, little_endian)
    elif vr == "UN" and not _is_plain(raw):
        return _binary(raw, length)
    else:
        text = to_text(
            raw if len(raw) == length or vr in _NUMBER_BYTES else _whole_characters(raw),
            vr,
            encodings,
            little_endian=little_endian,
        )
    return _cut(text, length, complete=len(raw) == length)


def _binary(value: bytes, length: int) -> str:
    return value.hex(" ").upper() if length <= _MAX_HEX else f"{length} bytes"


def _tags(value: bytes, little_endian: bool) -> str:
    pairs = struct.iter_unpack("<HH" if little_endian else ">HH", value[: len(value) // 4 * 4])
    return "\\".join(f"({group:04X},{element:04X})" for group, element in pairs)


def _is_plain(value: bytes) -> bool:
    stripped = value.rstrip(b"\0 ")
    return stripped.isascii() and all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in stripped)


def _whole_characters(value: bytes) -> bytes:
    """Drop the end up to the last blank or line end, which are no part of a character in any of DICOM's encodings."""
    end = max(value.rfind(b" "), value.rfind(b"\n"))
    return value[:end] if end > 0 else value.rstrip(bytes(range(0x80, 0x100)))


def _cut(text: str, length: int, *, complete: bool) -> str:
    if complete and len(text) <= MAX_TEXT:
        return text
    note = f"… ({length} bytes in all)"
    return text[: MAX_TEXT - len(note)] + note
