"""What elements are called, by the data dictionary (PS3.6) and by the private dictionary that pydicom keeps."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from pydicom.datadict import get_entry, private_dictionary_description, private_dictionary_VR

UNKNOWN_ELEMENT = "Unknown element"
PRIVATE_ELEMENT = "Private element"


class Entry(NamedTuple):
    """An entry of the dictionary.

    :ivar vr: one value representation (see :func:`one_vr`), ``UN`` where nobody knows.
    :ivar name: for people.
    :ivar keyword: for programs, empty where there is none.
    """

    vr: str
    name: str
    keyword: str


@lru_cache(maxsize=8192)
def describe(tag: int, creator: str | None = None) -> Entry:
    """Return what is known of an element that is none of the delimiters.

    :param tag: ``0xGGGGEEEE``.
    :param creator: whose private element it is; None if it is not private, or nobody says.
    """
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return Entry("UL", "Group Length", "")
    if group % 2:
        return _private(tag, creator)
    try:
        vr, _, name, _, keyword = get_entry(tag)
    except KeyError:
        return Entry("UN", UNKNOWN_ELEMENT, "")
    return Entry(vr, name or keyword or UNKNOWN_ELEMENT, keyword)


def _private(tag: int, creator: str | None) -> Entry:
    if 0x10 <= tag & 0xFFFF <= 0xFF:
        return Entry("LO", "Private Creator", "")
    if not creator:
        return Entry("UN", f"{PRIVATE_ELEMENT}, of nobody", "")
    try:
        vr, name = private_dictionary_VR(tag, creator), private_dictionary_description(tag, creator)
    except KeyError:
        vr, name = "UN", ""
    return Entry(vr, f"{name.strip('[]') or PRIVATE_ELEMENT} [{creator}]", "")


def one_vr(vr: str, signed: bool) -> str:
    """Choose where the dictionary leaves a choice, as in ``US or SS``.

    :param signed: whether pixels are (0028,0103), which decides about values that are compared with them.
    """
    if " " not in vr:
        return vr
    if "OW" in vr:
        return "OW"
    return "SS" if signed else "US"
