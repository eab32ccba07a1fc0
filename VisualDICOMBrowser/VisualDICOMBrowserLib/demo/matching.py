"""Attribute matching of C-FIND (PS3.4 C.2.2.2), written on its own so that it can check the rest of the project."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.dataelem import DataElement

_WILDCARD_VRS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_NUMBER_VRS = {"IS", "DS", "US", "UL", "SS", "SL", "FL", "FD", "UV", "SV"}


def texts(element: DataElement | None) -> list[str]:
    """Return the values of an element as texts, without padding; an empty element has none."""
    if element is None or element.is_empty or element.VR == "SQ":
        return []
    value = element.value
    several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    words = [str(v).strip(" \0") for v in (value if several else [value])]
    return [word for word in words if word]


def matches(key: DataElement, values: Sequence[str]) -> bool:
    """Tell whether an attribute with these values matches a key; an empty key and a sequence match everything."""
    wanted = texts(key)
    if not wanted or key.VR == "SQ":
        return True
    return any(_matches_one(key.VR, word, value) for word in wanted for value in values)


def _matches_one(vr: str, wanted: str, value: str) -> bool:
    if vr in ("DA", "TM"):
        return _in_range(vr, wanted, value)
    if vr == "PN":
        return _matches_name(wanted, value)
    if vr in _NUMBER_VRS:
        return _same_number(wanted, value)
    if vr in _WILDCARD_VRS:
        return wildcard(wanted, value)
    return wanted == value


def _in_range(vr: str, wanted: str, value: str) -> bool:
    """Match a date or time, a range of them, or a range with an open end (PS3.4 C.2.2.2.5)."""
    first, dash, last = wanted.partition("-")
    last = last if dash else first
    value, first, last = (text.replace(":", "") if vr == "TM" else text for text in (value, first, last))
    low, high = _padded(first, "0"), _padded(last or "9", "9")
    return low <= _padded(value, "0") <= high


def _padded(text: str, filler: str) -> str:
    """Complete a date, or a time of less than full precision, so that texts compare as moments do."""
    return text.replace(".", "").ljust(14, filler)


def _matches_name(wanted: str, value: str) -> bool:
    """Match a person's name without regard to case, as a whole or by one of its component groups."""
    pattern = wanted.casefold()
    whole = value.casefold()
    return any(wildcard(pattern.rstrip("^="), name.rstrip("^=")) for name in (whole, *whole.split("=")))


def _same_number(wanted: str, value: str) -> bool:
    try:
        return float(wanted) == float(value)
    except ValueError:
        return False


def wildcard(pattern: str, value: str) -> bool:
    """Match ``*`` (any text) and ``?`` (one character) in time proportional to the lengths (PS3.4 C.2.2.2.4)."""
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern))
    if not rest:
        return re.fullmatch(first, value, re.DOTALL) is not None
    start = re.match(first, value, re.DOTALL)
    position = start.end() if start else -1
    for part in rest[:-1]:
        found = re.compile(part, re.DOTALL).search(value, position) if position >= 0 else None
        position = found.end() if found else -1
    if position < 0:
        return False
    length = len(re.sub(r"\\(.)", r"\1", rest[-1]))
    tail = max(position, len(value) - length)
    return re.compile(rest[-1], re.DOTALL).fullmatch(value, tail) is not None
