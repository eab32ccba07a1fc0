"""Which elements of two DICOM files of one SOP Instance UID differ.

Not compared, since it is no content: file meta information, group lengths, padding of values and of the data set, the
order of elements, value representations, explicit or implicit VR, byte order, how sequences are delimited, offset
tables and how compressed pixel data is cut into fragments. Values are compared as they are written: ``1.0`` is not
``1.00``.

Pixel data that is encoded differently can only be compared decoded, which is not done here
(:attr:`Differences.pixels_open`). Then these elements may differ as well, because they go with the encoding
(PS3.5, 8.2, and PS3.3, C.7.6.3.1 and C.7.6.1.1.5):

* Planar Configuration (0028,0006);
* Photometric Interpretation (0028,0004), from one colour space to another, as in ``YBR_RCT`` and ``RGB``;
* Lossy Image Compression (0028,2110) where only one of both states it, its ratio (0028,2112) and its method
  (0028,2114);
* Derivation Description (0008,2111), in which encoders note what they did;
* Icon Image Sequence (0088,0200), which is compressed, or left out, with the picture that it shows.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from .dictionary import describe
from .encoding import PIXEL_DATA, Data
from .levels import Element, LeveledFile

#: Most elements that are named; the comparison ends there.
MAX_NAMED = 20

_CHUNK = 1 << 20
_SMALL = 64 * 1024
_TEXT = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
#: Bytes that big endian turns around together (PS3.5, 7.3).
_WORDS = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}
_WORDS |= {"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8}
_CODES = {2: "H", 4: "I", 8: "Q"}

_PHOTOMETRIC, _PLANAR = 0x00280004, 0x00280006
_LOSSY, _LOSSY_RATIO, _LOSSY_METHOD = 0x00282110, 0x00282112, 0x00282114
_DERIVATION, _ICON = 0x00082111, 0x00880200
_WITH_PIXELS = frozenset((_PHOTOMETRIC, _PLANAR, _LOSSY, _LOSSY_RATIO, _LOSSY_METHOD, _DERIVATION, _ICON))
_OFFSET_TABLES = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00003))


@dataclass(frozen=True)
class Differences:
    """What differs.

    :ivar tags: ``(GGGG,EEEE) Keyword``, within sequences behind ``(GGGG,EEEE)[item].``, items from 1; at most
        :data:`MAX_NAMED`.
    :ivar pixels_open: nothing else differs, but the pixel data, which has to be compared decoded.
    """

    tags: tuple[str, ...]
    pixels_open: bool = False


def differences(first: Data, second: Data, check: Callable[[], None] = lambda: None) -> Differences:
    """Compare two files.

    :param check: called again and again; raises to end it.
    :raises BadData: one of them is damaged, or has more in it than can be compared.
    """
    return _Comparison(LeveledFile(first), LeveledFile(second), check).run()


class _Enough(Exception):
    """So many elements differ that the rest does not matter."""


class _Comparison:
    def __init__(self, first: LeveledFile, second: LeveledFile, check: Callable[[], None]) -> None:
        self._first = first
        self._second = second
        self._check = check
        self._tags: list[str] = []
        self._with_pixels: list[int] = []
        self._pixels_open = False

    def run(self) -> Differences:
        first, second = self._first.elements(self._first.top), self._second.elements(self._second.top)
        try:
            self._compare(first, second, "")
        except _Enough:
            pass
        else:
            for tag in self._with_pixels:
                if not (self._pixels_open and self._goes_with_encoding(first.get(tag), second.get(tag))):
                    self._note(tag, "")
        tags = tuple(self._tags[:MAX_NAMED])
        return Differences(tags, self._pixels_open and not tags)

    def _note(self, tag: int, where: str) -> None:
        keyword = describe(tag).keyword
        self._tags.append(f"{where}{_shown(tag)}{' ' if keyword else ''}{keyword}")
        if len(self._tags) >= MAX_NAMED:
            raise _Enough

    def _compare(self, first: dict[int, Element], second: dict[int, Element], where: str) -> None:
        for tag in sorted(first.keys() | second.keys()):
            self._check()
            one, other = first.get(tag), second.get(tag)
            if tag in _OFFSET_TABLES:
                continue
            if one is None or other is None:
                self._differ(tag, where)
            elif not where and tag in PIXEL_DATA:
                self._compare_pixels(one, other)
            elif not where and tag == _ICON:
                self._compare_icon(one, other)
            else:
                self._compare_element(one, other, where)

    def _differ(self, tag: int, where: str) -> None:
        """Take it that an element differs; of some it depends on the pixel data whether that counts."""
        if not where and tag in _WITH_PIXELS:
            self._with_pixels.append(tag)
        else:
            self._note(tag, where)

    def _compare_element(self, one: Element, other: Element, where: str) -> None:
        if one.has_fragments and other.has_fragments:
            same = self._same_fragments(one, other)
        elif one.has_fragments or other.has_fragments:
            same = False
        elif self._first.is_sequence(one) or self._second.is_sequence(other):
            self._compare_items(one, other, where)
            return
        else:
            same = self._same_value(one, other)
        if not same:
            self._differ(one.tag, where)

    def _compare_icon(self, one: Element, other: Element) -> None:
        apart = _Comparison(self._first, self._second, self._check)
        with suppress(_Enough):
            apart._compare_element(one, other, "")
        if apart._tags or apart._with_pixels:
            self._differ(_ICON, "")

    def _compare_items(self, one: Element, other: Element, where: str) -> None:
        if not (_may_be_sequence(self._first, one) and _may_be_sequence(self._second, other)):
            self._differ(one.tag, where)
            return
        ours, theirs = self._first.items(one), self._second.items(other)
        number = 1
        while True:
            item, counterpart = next(ours, None), next(theirs, None)
            if item is None or counterpart is None:
                break
            self._compare(item, counterpart, f"{where}{_shown(one.tag)}[{number}].")
            number += 1
        if item is not counterpart:
            self._differ(one.tag, where)

    # Values

    def _same_value(self, one: Element, other: Element) -> bool:
        """Tell whether two values are the same but for padding and byte order."""
        width = 1
        if one.level.coding.order != other.level.coding.order:
            width = _WORDS.get(_vr(one, other), 1)
        if max(one.length, other.length) > _SMALL:
            return self._same_long_value(one, other, width)
        ours = self._first.data[one.start : one.stop]
        theirs = _swapped(self._second.data[other.start : other.stop], width)
        if ours == theirs:
            return True
        if _is_text(one, other):
            return ours.rstrip(b"\0 ") == theirs.rstrip(b"\0 ")
        return _same_but_for_a_zero(ours, theirs)

    def _same_long_value(self, one: Element, other: Element, width: int) -> bool:
        if abs(one.length - other.length) > 1:
            return False
        common = min(one.length, other.length)
        tail = self._first.data[one.start + common : one.stop] or self._second.data[other.start + common : other.stop]
        if tail.strip(b"\0 "):
            return False
        ours = self._pieces(self._first.data, [(one.start, one.start + common)])
        theirs = self._pieces(self._second.data, [(other.start, other.start + common)])
        return all(a == _swapped(b, width) for a, b in zip(ours, theirs, strict=True))

    # Pixel data

    def _compare_pixels(self, one: Element, other: Element) -> None:
        if one.has_fragments and other.has_fragments:
            same = self._same_fragments(one, other)
        else:
            same = not one.has_fragments and not other.has_fragments and self._same_value(one, other)
        if same:
            return
        if one.has_fragments or other.has_fragments or self._first.transfer_syntax != self._second.transfer_syntax:
            self._pixels_open = True
        else:
            self._note(one.tag, "")

    def _same_fragments(self, one: Element, other: Element) -> bool:
        """Compare what is in the fragments, wherever it is cut; the first is the offset table."""
        ours = list(self._first.fragments(one))[1:]
        theirs = list(self._second.fragments(other))[1:]
        sizes = [sum(stop - start for start, stop in spans) for spans in (ours, theirs)]
        if abs(sizes[0] - sizes[1]) > 1:
            return False
        return _same_streams(self._pieces(self._first.data, ours), self._pieces(self._second.data, theirs))

    def _pieces(self, data: Data, spans: list[tuple[int, int]]) -> Iterator[bytes]:
        for start, stop in spans:
            for position in range(start, stop, _CHUNK):
                self._check()
                yield data[position : min(position + _CHUNK, stop)]

    def _goes_with_encoding(self, one: Element | None, other: Element | None) -> bool:
        ours = _read(self._first, one)
        theirs = _read(self._second, other)
        tag = one.tag if one is not None else other.tag if other is not None else 0
        if tag == _PHOTOMETRIC:
            return _is_colour(ours) and _is_colour(theirs)
        return tag != _LOSSY or not ours or not theirs


def _may_be_sequence(file: LeveledFile, element: Element) -> bool:
    return file.is_sequence(element) or not element.length


def _shown(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _vr(one: Element, other: Element) -> str:
    """Return the VR of a value, of which big endian, always explicit, states the one that counts."""
    big = one if one.level.coding.order == ">" else other
    return big.vr.decode("latin-1")


def _is_text(one: Element, other: Element) -> bool:
    return not _TEXT.isdisjoint((one.vr, other.vr, one.known.encode()))


def _same_but_for_a_zero(ours: bytes, theirs: bytes) -> bool:
    longer, shorter = (ours, theirs) if len(ours) > len(theirs) else (theirs, ours)
    return longer == shorter + b"\0"


def _swapped(data: bytes, width: int) -> bytes:
    if width == 1 or len(data) % width:
        return data
    words = array(_CODES[width], data)
    words.byteswap()
    return words.tobytes()


def _read(file: LeveledFile, element: Element | None) -> bytes:
    if element is None or element.length > _SMALL:
        return b""
    return bytes(file.data[element.start : element.stop]).strip(b"\0 ")


def _is_colour(photometric: bytes) -> bool:
    return photometric == b"RGB" or photometric.startswith(b"YBR_")


def _same_streams(first: Iterator[bytes], second: Iterator[bytes]) -> bool:
    """Compare what is cut in different places; one may be padded by a zero."""
    ours = theirs = b""
    while True:
        ours, theirs = ours or next(first, b""), theirs or next(second, b"")
        common = min(len(ours), len(theirs))
        if not common:
            return not (ours + theirs).strip(b"\0")
        if ours[:common] != theirs[:common]:
            return False
        ours, theirs = ours[common:], theirs[common:]
