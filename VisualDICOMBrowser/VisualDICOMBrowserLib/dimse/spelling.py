"""Character sets for the keys of a query (PS3.3, C.12.1.1.2; PS3.5, 6.1).

Keys beyond ASCII go out as UTF-8. A server that compares bytes, or does not know UTF-8, finds nothing then, though it
has what is asked for in a set of its own. So the same keys may be asked for once more in the sets that the script of
the text suggests. That never widens a query: each encodes exactly the same characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

#: The set of every key that is not plain ASCII, at first.
UTF8 = "ISO_IR 192"
#: In how many other sets the same is asked for at most.
MAX_MORE = 3


@dataclass(frozen=True)
class CharacterSet:
    """One way to write text.

    :ivar terms: value of Specific Character Set (0008,0005).
    :ivar codec: Python's name of the encoding.
    :ivar escape: what has to precede each stretch beyond ASCII, if the codec does not write it (PS3.5, 6.1.2.5).
    """

    terms: str
    codec: str
    escape: bytes = b""

    def encode(self, text: str) -> bytes:
        """Encode a value.

        :raises UnicodeEncodeError: it has characters that are not in the set.
        """
        text = _composed(text)
        if not self.escape:
            return text.encode(self.codec)
        # The escape sequence holds up to the next delimiter, which returns to the default repertoire.
        parts = _DELIMITED.split(text)
        return b"".join(part.encode() if part.isascii() else _escaped(part, self) for part in parts)


_DELIMITED = re.compile(r"([\\^=])")


def _composed(text: str) -> str:
    """Compose letters and their marks, as archives have them, and leave all else as it is (NFC changes ideographs)."""
    composed = unicodedata.normalize("NFC", text)
    return composed if len(composed) < len(text) else text


def _escaped(part: str, character_set: CharacterSet) -> bytes:
    plain = next(index for index, character in enumerate(part) if not character.isascii())
    return part[:plain].encode() + character_set.escape + part[plain:].encode(character_set.codec)


#: The likely ones for each script first: a set is tried if all of the text can be written in it.
_SETS = (
    CharacterSet("ISO_IR 100", "latin_1"),
    CharacterSet("ISO_IR 101", "iso8859_2"),
    CharacterSet("ISO_IR 148", "iso8859_9"),
    CharacterSet("ISO_IR 109", "iso8859_3"),
    CharacterSet("ISO_IR 110", "iso8859_4"),
    CharacterSet("ISO_IR 203", "iso8859_15"),
    CharacterSet("ISO_IR 144", "iso8859_5"),
    CharacterSet("ISO_IR 126", "iso8859_7"),
    CharacterSet("ISO_IR 138", "iso8859_8"),
    CharacterSet("ISO_IR 127", "iso8859_6"),
    CharacterSet("ISO_IR 166", "tis_620"),
    CharacterSet("\\ISO 2022 IR 87", "iso2022_jp"),
    CharacterSet("\\ISO 2022 IR 149", "euc_kr", b"\x1b$)C"),
    CharacterSet("GB18030", "gb18030"),
    CharacterSet("\\ISO 2022 IR 58", "gb2312", b"\x1b$)A"),
)
_BY_TERMS = {one.terms: one for one in _SETS}
_KNOWN = {re.sub("[^A-Z0-9]", "", one.terms.replace("2022 ", "")): one for one in _SETS}
#: Sets that have letters of other scripts too, and the characters that suggest them.
_HAN_OR_KANA = "\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_FAR_EAST = {
    "\\ISO 2022 IR 87": re.compile(f"[{_HAN_OR_KANA}]"),
    "\\ISO 2022 IR 149": re.compile(f"[{_HAN_OR_KANA}\u3130-\u318f\uac00-\ud7af]"),
    "GB18030": re.compile(f"[{_HAN_OR_KANA}]"),
    "\\ISO 2022 IR 58": re.compile(f"[{_HAN_OR_KANA}]"),
}


def encode_text(text: str, terms: str) -> bytes:
    """Encode a value in a set of :func:`other_sets`, or in UTF-8.

    :raises UnicodeEncodeError: it has characters that are not in the set.
    """
    if terms in _BY_TERMS:
        return _BY_TERMS[terms].encode(text)
    return _composed(text).encode("utf-8", "replace")  # what is no character becomes "?"


def set_of(terms: str) -> str:
    """Return the value that :func:`other_sets` has for a Specific Character Set from a server; empty if it has none.

    With several values, the one that says something counts: the first may be empty, or no more than ASCII.
    """
    for term in terms.split("\\"):
        known = _KNOWN.get(re.sub("[^A-Z0-9]", "", term.upper().replace("2022 ", "")))
        if known is not None:
            return known.terms
    return ""


def other_sets(texts: Iterable[str], answered: Iterable[str] = ()) -> list[str]:
    """Return the sets in which texts may be asked for, if UTF-8 is not understood; those that write alike once.

    :param answered: what the server answered in so far (see :func:`set_of`), which comes first.
    """
    wanted = list(texts)
    if all(map(str.isascii, wanted)):
        return []
    bytes_of: dict[bytes, str] = {}
    for terms in dict.fromkeys((*filter(None, answered), *_BY_TERMS)):
        suggests = _FAR_EAST.get(terms)
        if suggests is not None and terms not in answered and not any(map(suggests.search, wanted)):
            continue
        try:
            written = b"\0".join(encode_text(text, terms) for text in wanted)
        except UnicodeEncodeError:
            continue
        bytes_of.setdefault(written, terms)
    return list(bytes_of.values())[:MAX_MORE]
