"""Turns raw element values into text (PS3.5, 6.1 and 6.2). Nothing here raises or warns, whatever the bytes."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

_ASCII = "ascii"
_ESCAPE = b"\x1b"
_FRAGMENTS = re.compile(rb"[^\x1b]+|\x1b[^\x1b]*")
# Code extensions end at these (PS3.5, 6.1.2.5.3), and at the separators of values and of name components.
_RESETS_TEXT = re.compile(rb"[\t\n\f\r\\]")
_RESETS_NAME = re.compile(rb"[\t\n\f\r\\^=]")

# Codecs that understand escape sequences. pydicom counts GB 2312 among them, whose codec does not.
_WITH_ESCAPES = frozenset(("iso2022_jp", "iso2022_jp_2"))

_ENCODED = frozenset(("SH", "LO", "ST", "LT", "PN", "UC", "UT", ""))
_SINGLE_VALUED = frozenset(("ST", "LT", "UT"))
_SPECIAL = re.compile(rb"[\0\\\x1b]")
_BINARY = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_OF_THEIR_OWN = _SINGLE_VALUED | set(_BINARY)


def _key(term: str) -> str:
    return re.sub("[^A-Z0-9]", "", term.upper())


_ENCODINGS = {_key(term): name for term, name in python_encoding.items()}
_ENCODINGS |= dict.fromkeys(map(_key, ("", "ISO_IR 6", "ISO 2022 IR 6")), _ASCII)
_ENCODINGS |= dict.fromkeys(map(_key, ("ISO_IR 203", "ISO 2022 IR 203")), "iso8859_15")  # unknown to pydicom
_STAND_ALONE = frozenset(map(_key, STAND_ALONE_ENCODINGS))


def encodings_of(character_set: bytes) -> tuple[str, ...]:
    """Return Python's names of the encodings in a Specific Character Set (0008,0005), at least one.

    Terms that nobody knows count as ASCII. UTF-8, GBK and GB18030 allow no others beside them (PS3.3, C.12.1.1.2).
    """
    terms = [_key(term.decode("latin-1")) for term in character_set.strip(b"\0 ").split(b"\\")]
    if terms[0] in _STAND_ALONE:
        return (_ENCODINGS[terms[0]],)
    names = (_ENCODINGS.get(term, _ASCII) for term in terms if term not in _STAND_ALONE)
    return tuple(names)


def to_text(value: bytes, vr: str, encodings: Sequence[str], *, little_endian: bool = True) -> str:
    """Return a value as Unicode text without padding; several values are joined by a backslash.

    :param vr: value representation; empty if unknown, which reads as text.
    """
    plain = value.rstrip(b"\0")
    if vr not in _OF_THEIR_OWN and plain.isascii() and not _SPECIAL.search(plain):
        return plain.decode(_ASCII).strip(" ")  # nearly all there is
    if vr in _BINARY:
        return _numbers(value, _BINARY[vr], little_endian)
    text = _decoded(value, encodings if vr in _ENCODED else (_ASCII,), vr == "PN")
    if vr in _SINGLE_VALUED:
        return _clean(text).rstrip(" ")
    if "\\" in text:
        return "\\".join(_clean(part).strip(" ") for part in text.split("\\"))
    return _clean(text).strip(" ")


def _clean(text: str) -> str:
    # What follows a NUL is no text: it is padding, or would be cut off by the C programs that read the same database.
    return text.partition("\0")[0]


def _numbers(value: bytes, code: str, little_endian: bool) -> str:
    item = struct.Struct(("<" if little_endian else ">") + code)
    whole = len(value) - len(value) % item.size
    return "\\".join(str(number) for (number,) in item.iter_unpack(value[:whole]))


def _decoded(value: bytes, encodings: Sequence[str], is_name: bool) -> str:
    if _ESCAPE not in value:
        return _decode(value, _ASCII if value.isascii() else encodings[0])
    resets = _RESETS_NAME if is_name else _RESETS_TEXT
    return "".join(_decode_fragment(part, encodings, resets) for part in _FRAGMENTS.findall(value))


def _decode_fragment(fragment: bytes, encodings: Sequence[str], resets: re.Pattern[bytes]) -> str:
    """Decode one stretch between escape sequences (PS3.5, 6.1.2.5)."""
    if not fragment.startswith(_ESCAPE):
        return _decode(fragment, encodings[0])
    length = 4 if fragment[1:3] in (b"$(", b"$)") else 3
    encoding = CODES_TO_ENCODINGS.get(fragment[:length])
    if encoding is None:
        return _decode(fragment, encodings[0])
    if encoding in _WITH_ESCAPES:
        return _decode(fragment, encoding)
    reset = resets.search(fragment, length)
    end = reset.start() if reset else len(fragment)
    return _decode(fragment[length:end], encoding) + _decode(fragment[end:], encodings[0])


def _decode(value: bytes, encoding: str) -> str:
    for name in (encoding, "utf-8"):
        try:
            return value.decode(name)
        except (UnicodeError, LookupError):
            continue
    return value.decode("latin-1")
