"""How elements are written down (PS3.5, 7 and annex A): what all who walk through a DICOM file have to know."""

from __future__ import annotations

import mmap
from typing import NamedTuple

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from ..domain.errors import BadData

#: A file in memory.
Data = bytes | mmap.mmap

EXPLICIT_BIG = "1.2.840.10008.1.2.2"
#: The second: GE Private Implicit VR Big Endian, of which only the pixels are big endian.
IMPLICIT = ("1.2.840.10008.1.2", "1.2.840.113619.5.2")
#: The deflated syntaxes (PS3.5, A.5, A.7 and A.13).
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
TRANSFER_SYNTAX = 0x00020010
PIXEL_DATA = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
#: Zeros that may follow a data set, as tapes and some archives leave them.
MAX_PADDING = 1 << 20

#: VRs whose length takes two bytes, and all that are known.
SHORT_VRS = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_16)
KNOWN_VRS = SHORT_VRS | frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)


class Coding(NamedTuple):
    """How the elements of a data set are written down; ``order`` as in struct."""

    explicit: bool
    order: str

    def as_found(self, head: bytes) -> Coding:
        """Believe the first element where header and writer disagree about explicit and implicit."""
        if len(head) < 8:
            return self
        if self.explicit:
            return self if head[4:6].isalpha() else self._replace(explicit=False)
        return self._replace(explicit=True) if head[4:6] in KNOWN_VRS else self


#: Of group 0002 (PS3.10, 7.1), and of what is inside UN (PS3.5, 6.2.2, note 2).
META_CODING = Coding(explicit=True, order="<")
UNKNOWN_CODING = Coding(explicit=False, order="<")


def coding_of(transfer_syntax: str, head: bytes) -> Coding:
    """Return how a data set is written down.

    :param head: its first 12 bytes, which count more than what the file says.
    """
    order = ">" if transfer_syntax == EXPLICIT_BIG or looks_big(head) else "<"
    return Coding(transfer_syntax not in IMPLICIT, order).as_found(head)


def is_long(vr: bytes) -> bool:
    """Tell whether the length of such a VR takes four bytes behind two reserved ones (PS3.5, 7.1.2).

    A VR that nobody knows yet is a long one (PS3.5, 6.2); what is no VR at all comes from writers that slip into
    implicit VR.
    """
    return vr not in SHORT_VRS and (vr in KNOWN_VRS or (vr.isalpha() and vr.isupper()))


def begin_of(data: Data) -> int:
    """Return where the first element of a file stands.

    :raises BadData: nowhere.
    """
    if data[128:132] == b"DICM":
        return 132
    head = data[:12]
    explicit = head[4:6] in KNOWN_VRS
    if head[:2] in (b"\x02\0", b"\x08\0") and (explicit or head[6:8] == b"\0\0"):
        return 0
    if looks_big(head) and explicit:
        return 0
    raise BadData("This is not a DICOM file.")


def looks_big(head: bytes) -> bool:
    """Tell whether the first element, of group 0008 nearly always, is big endian."""
    return head[:2] == b"\0\x08"
