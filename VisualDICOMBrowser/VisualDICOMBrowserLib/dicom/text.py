"""Text of DICOM elements: from bytes to Unicode in any character set (PS3.5 6.1, PS3.3 C.12.1.1.2)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes

#: VRs that the Specific Character Set (0008,0005) applies to (PS3.5, 6.1.2.2).
TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

#: Bytes that end the effect of an ISO 2022 escape sequence (PS3.5, 6.1.2.5.3).
_CONTROL = frozenset(b"\t\n\f\r\\")
_PERSON_NAME = _CONTROL | frozenset(b"^=")

_DEFAULT = ("iso8859",)


def character_sets(values: Sequence[str]) -> tuple[str, ...]:
    """Return Python's encodings for the values of Specific Character Set; unknown sets are left out."""
    return _encodings(tuple(values))


@lru_cache(maxsize=64)
def _encodings(values: tuple[str, ...]) -> tuple[str, ...]:
    if not any(values):
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return tuple(convert_encodings(list(values)))
        except LookupError:
            return ()


def decode_text(raw: bytes, vr: str, encodings: Sequence[str]) -> str:
    r"""Decode one element's bytes; values stay joined by ``\``, padding is stripped at the ends.

    Never fails: what the stated sets cannot decode is read as UTF-8, else as Latin-1, and so is text
    beyond ASCII without a stated set, as it occurs in the wild.
    """
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii").strip("\0 ")
    if vr in TEXT_VRS and encodings and tuple(encodings) != _DEFAULT:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pydicom warns and replaces; we would rather guess
            try:
                return decode_bytes(raw, list(encodings), _delimiters(vr)).strip("\0 ")
            except (UnicodeError, LookupError, UserWarning):
                pass
    try:
        return raw.decode("utf-8").strip("\0 ")
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip("\0 ")


def _delimiters(vr: str) -> set[int]:
    return set(_PERSON_NAME if vr == "PN" else _CONTROL)
