"""DIMSE status codes of the services this project uses, in words.

Sources: PS3.7 annex C (general), PS3.4 B.2.3 (C-STORE), C.4.1.1.4 (C-FIND), C.4.2.1.5 (C-MOVE),
C.4.3.1.4 (C-GET).
"""

from __future__ import annotations

from enum import Enum

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_KEYS_IGNORED = 0xFF01
CANCEL = 0xFE00
SUB_OPERATIONS_WITH_FAILURES = 0xB000
MOVE_DESTINATION_UNKNOWN = 0xA801

#: What we answer to a C-STORE.
STORE_OUT_OF_RESOURCES = 0xA700
STORE_DATA_SET_MISMATCH = 0xA900
STORE_CANNOT_UNDERSTAND = 0xC000
NOT_AUTHORIZED = 0x0124
DUPLICATE_SOP_INSTANCE = 0x0111


class StatusCategory(Enum):
    """What a status code means for the operation."""

    SUCCESS = "success"
    PENDING = "pending"
    WARNING = "warning"
    CANCEL = "cancel"
    FAILURE = "failure"


_WORDS = {
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0110: "processing failure",
    DUPLICATE_SOP_INSTANCE: "another object with this SOP Instance UID is there",
    0x0112: "no such SOP instance",
    0x0115: "invalid argument value",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance do not fit together",
    0x0120: "missing attribute",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xA700: "out of resources",
    0xA701: "out of resources, cannot count the matches",
    0xA702: "out of resources, cannot perform the sub-operations",
    MOVE_DESTINATION_UNKNOWN: "the move destination is unknown to the server",
    0xA900: "the identifier does not match the SOP class",
    0xB000: "sub-operations complete, with failures",
    0xFE00: "cancelled",
}


# What differs in a C-STORE response (PS3.4, table B.2-1).
_STORE_WORDS = {
    0xA900: "the data set does not match the SOP class",
    0xB000: "the server changed values of elements",
    0xB006: "the server left elements out",
    0xB007: "the data set does not match the SOP class",
}


def category(status: int) -> StatusCategory:
    """Sort a 16 bit DIMSE status code into its category (PS3.7 C.1–C.5)."""
    if status == SUCCESS:
        return StatusCategory.SUCCESS
    if status in (PENDING, PENDING_KEYS_IGNORED):
        return StatusCategory.PENDING
    if status == CANCEL:
        return StatusCategory.CANCEL
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return StatusCategory.WARNING
    return StatusCategory.FAILURE


def is_transient(status: int) -> bool:
    """Tell whether the same request may succeed later: the peer only lacked resources."""
    return 0xA700 <= status <= 0xA7FF or status == 0x0213


def is_unable(status: int) -> bool:
    """Tell whether the peer gave up on a retrieve as such, not on sub-operations (PS3.4, C.4.2.1.5 and C.4.3.1.4)."""
    return 0xC000 <= status <= 0xCFFF


def store_in_words(status: int) -> str:
    """Describe the status of a C-STORE response for people, always with the code itself."""
    words = _STORE_WORDS.get(status)
    if words is None and 0xC000 <= status <= 0xCFFF:
        words = "the server cannot understand the data set"
    return f"{words} (status 0x{status:04X})" if words else in_words(status)


def unknown_destination(server: str, destination: str) -> str:
    """Describe 0xA801 for people: it is something to be mended.

    :param destination: AE title that the server was asked to send to.
    """
    return (
        f"{server} does not know the destination {destination}: its administrator has to register it with address"
        f" and port (status 0x{MOVE_DESTINATION_UNKNOWN:04X})"
    )


def in_words(status: int) -> str:
    """Describe a status code for people, always with the code itself."""
    words = _WORDS.get(status)
    if words is None:
        if 0xA700 <= status <= 0xA7FF:
            words = _WORDS[0xA700]
        elif 0xA900 <= status <= 0xA9FF:
            words = "the data set does not match the SOP class"
        elif 0xC000 <= status <= 0xCFFF:
            words = "the server is unable to process the request"
        else:
            words = category(status).value
    return f"{words} (status 0x{status:04X})"
