"""Data sets written byte by byte, so that tests can write what no library would."""

from __future__ import annotations

import struct

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
CT = "1.2.840.10008.5.1.4.1.1.2"
UNDEFINED = 0xFFFFFFFF

_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")


def element(tag: int, vr: str, value: bytes = b"", length: int | None = None, order: str = "<") -> bytes:
    """One explicit element; ``length`` lies if it is given."""
    size = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return head + (struct.pack(order + "HL", 0, size) if vr in _LONG else struct.pack(order + "H", size)) + value


def implicit(tag: int, value: bytes = b"", length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, size) + value


def item(content: bytes, *, undefined: bool = False) -> bytes:
    if undefined:
        return implicit(0xFFFEE000, content, UNDEFINED) + implicit(0xFFFEE00D)
    return implicit(0xFFFEE000, content)


SEQUENCE_END = implicit(0xFFFEE0DD)

IDENTITY = (
    (0x00080016, "UI", CT.encode() + b"\0"),
    (0x00080018, "UI", b"1.2.3.40"),
    (0x0020000D, "UI", b"1.2.3.10"),
    (0x0020000E, "UI", b"1.2.3.20"),
)


def dataset(*more: bytes) -> bytes:
    """A minimal explicit data set with further elements behind."""
    return b"".join(element(*part) for part in IDENTITY) + b"".join(more)


def meta(transfer_syntax: str = EXPLICIT_LITTLE, *more: bytes) -> bytes:
    elements = element(0x00020010, "UI", transfer_syntax.encode() + b"\0" * (len(transfer_syntax) % 2)) + b"".join(more)
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(elements))) + elements


def file(*more: bytes) -> bytes:
    return meta() + dataset(*more)
