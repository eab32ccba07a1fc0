"""DIMSE command sets (PS3.7, 6.3 and annex E): group 0000 in implicit VR little endian.

A codec of its own, since one command set comes with every instance: a dictionary of elements costs a tenth of
a pydicom data set, and its size is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ..domain.errors import ProtocolViolation
from ..domain.uids import clean_uid

#: Longest command set we read, in bytes; real ones have a few hundred.
MAX_COMMAND_LENGTH = 64 * 1024

# Element numbers in group 0000 (PS3.7, table E.1-1).
AFFECTED_SOP_CLASS = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_RESPONDED_TO = 0x0120
MOVE_DESTINATION = 0x0600
PRIORITY = 0x0700
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE = 0x1000
REMAINING = 0x1020
COMPLETED = 0x1021
FAILED = 0x1022
WARNINGS = 0x1023
#: Orthanc writes the list of failed instances (0008,0058) here instead of into the identifier: its whole tag.
MISPLACED_FAILED_UIDS = 0x00080058

_UIDS = {0x0002, 0x0003, 0x1000, 0x1001}
_SHORTS = {
    COMMAND_FIELD,
    MESSAGE_ID,
    MESSAGE_ID_RESPONDED_TO,
    PRIORITY,
    DATA_SET_TYPE,
    STATUS,
    0x0903,
    REMAINING,
    COMPLETED,
    FAILED,
    WARNINGS,
    0x1031,
}
_TEXTS = {MOVE_DESTINATION, ERROR_COMMENT, 0x1030}

# Values of the command field (PS3.7, annex E).
C_STORE_RQ = 0x0001
C_GET_RQ = 0x0010
C_FIND_RQ = 0x0020
C_MOVE_RQ = 0x0021
C_ECHO_RQ = 0x0030
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000

NO_DATA_SET = 0x0101
WITH_DATA_SET = 0x0001

#: Priority "medium" (PS3.7, 9.1): the only one that every server treats as ordinary.
MEDIUM = 0x0000

_HEADER = struct.Struct("<HHI")


@dataclass(frozen=True)
class Command:
    """A command set: element number in group 0000 (which is the tag as well) → text or number."""

    values: Mapping[int, str | int]

    @property
    def field(self) -> int:
        """What kind of message this is (0000,0100)."""
        return self.number(COMMAND_FIELD)

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows."""
        return self.number(DATA_SET_TYPE) != NO_DATA_SET

    def number(self, element: int, default: int | None = None) -> int:
        """Return a US element.

        :raises ProtocolViolation: the element is missing and there is no default.
        """
        value = self.values.get(element, default)
        if not isinstance(value, int):
            raise ProtocolViolation(f"The server sent a message without element (0000,{element:04X}).")
        return value

    def text(self, element: int) -> str:
        """Return a text or UID element, empty if missing."""
        value = self.values.get(element, "")
        return value if isinstance(value, str) else ""


def encode_command(values: Mapping[int, str | int]) -> bytes:
    """Encode a command set, with its group length."""
    body = b"".join(_encode_element(element, values[element]) for element in sorted(values))
    return _HEADER.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def _encode_element(element: int, value: str | int) -> bytes:
    if isinstance(value, int):
        raw = struct.pack("<H", value)
    else:
        raw = value.encode("ascii")
        if len(raw) % 2:
            raw += b"\0" if element in _UIDS else b" "
    return _HEADER.pack(0, element, len(raw)) + raw


def decode_command(data: bytes) -> Command:
    """Decode a command set; elements that this project does not use are skipped.

    :raises ProtocolViolation: lengths that do not fit, a number of a wrong size.
    """
    values: dict[int, str | int] = {}
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise ProtocolViolation("The server sent a command set that ends within an element.")
        group, element, length = _HEADER.unpack_from(data, position)
        position += 8
        if position + length > len(data):
            raise ProtocolViolation("The server sent a damaged command set.")
        _decode_element(values, group << 16 | element, data[position : position + length])
        position += length
    return Command(values)


def _decode_element(values: dict[int, str | int], element: int, raw: bytes) -> None:
    if element in _SHORTS:
        if len(raw) == 0:
            return
        if len(raw) != 2:
            raise ProtocolViolation(f"The server sent element (0000,{element:04X}) with a wrong length.")
        values[element] = int.from_bytes(raw, "little")
    elif element in _UIDS or element == MISPLACED_FAILED_UIDS:
        values[element] = clean_uid(raw)
    elif element in _TEXTS:
        values[element] = raw.decode("ascii", "replace").strip(" \0")
