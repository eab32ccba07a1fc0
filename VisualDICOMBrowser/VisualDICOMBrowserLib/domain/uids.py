"""DICOM unique identifiers (PS3.5, clause 9)."""

from __future__ import annotations

import re

#: Longest UID the standard allows (PS3.5, 9.1).
MAX_UID_LENGTH = 64

# Real objects carry components with leading zeros, which PS3.5 9.1 forbids. They identify just as
# well, so only the alphabet and the length are enforced.
_UID = re.compile(rf"[0-9.]{{1,{MAX_UID_LENGTH}}}")


def is_uid(text: str) -> bool:
    """Tell whether ``text`` may serve as a UID: 1 to 64 characters, digits and dots only."""
    return _UID.fullmatch(text) is not None


_STRICT_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")


def is_standard_uid(text: str) -> bool:
    """Tell whether ``text`` is a UID by the letter of PS3.5, 9.1: no empty components, no leading zeros."""
    return is_uid(text) and _STRICT_UID.fullmatch(text) is not None


def clean_uid(raw: str | bytes) -> str:
    """Return a UID without its padding (NUL by PS3.5 6.2, blanks in the wild), not validated."""
    text = raw.decode("ascii", "replace") if isinstance(raw, bytes) else raw
    return text.strip("\0 \r\n\t")
