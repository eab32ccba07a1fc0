"""A DICOM file read level by level: the elements of one data set or item at a time, without their values.

For those who compare: they want the elements of a level by tag, whatever their order and however sequences are
delimited. The bytes are hostile: nothing is read behind the end of what surrounds it, and steps and depth are bounded.
Values that enclose no others stay where they are.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ..domain.errors import BadData
from .dictionary import describe
from .encoding import (
    DEFLATED,
    ITEM,
    ITEM_END,
    MAX_PADDING,
    META_CODING,
    PIXEL_DATA,
    SEQUENCE_END,
    SHORT_VRS,
    TRANSFER_SYNTAX,
    UNDEFINED_LENGTH,
    UNKNOWN_CODING,
    Coding,
    Data,
    begin_of,
    coding_of,
    is_long,
)

#: Bounds: heads of elements and items that are read of one file, and sequences within each other.
MAX_STEPS = 2_000_000
MAX_DEPTH = 64
#: Largest deflated data set that is inflated, in bytes.
MAX_INFLATED = 512 << 20

_CUT_OFF = "The file is cut off, or lies about its sizes."
_META_GROUP = b"\x02\0"
_ITEM_HEAD = b"\xfe\xff\0\xe0"
#: Groups that no data set has at its top level: of commands, and of file meta information.
_NO_DATA = frozenset((0x0000, 0x0002))
_TRAILING_PADDING = 0xFFFCFFFC


class Level(NamedTuple):
    """A data set, or an item: where its elements begin, and where they end at the latest."""

    start: int
    end: int
    coding: Coding
    depth: int = 0
    undefined: bool = False


class Element(NamedTuple):
    """An element.

    :ivar vr: empty where the file does not state it.
    :ivar start: of its value; ``stop`` is where that ends, without a delimiter.
    :ivar undefined: whether its length is: then the value is items or fragments, up to a delimiter.
    :ivar known: the VR by the dictionary.
    """

    tag: int
    vr: bytes
    start: int
    stop: int
    undefined: bool
    level: Level
    known: str

    @property
    def length(self) -> int:
        """Bytes of the value."""
        return self.stop - self.start

    @property
    def has_fragments(self) -> bool:
        """Whether the value is encapsulated (PS3.5, A.4)."""
        return self.undefined and (self.tag in PIXEL_DATA or self.vr in (b"OB", b"OW"))


class LeveledFile:
    """A file in memory.

    :raises BadData: from all methods: the file is damaged, or beyond the bounds.
    """

    def __init__(self, data: Data) -> None:
        self.data = data
        self.transfer_syntax = ""
        self._steps = 0
        start = self._after_meta(begin_of(data))
        if self.transfer_syntax in DEFLATED:
            self.data, start = _inflated(data[start:]), 0
        coding = coding_of(self.transfer_syntax, self.data[start : start + 12])
        self.top = Level(start, len(self.data), coding)

    def elements(self, level: Level) -> dict[int, Element]:
        """Return the elements of a level by tag, without group lengths and padding."""
        return self._read(level)[0]

    def is_sequence(self, element: Element) -> bool:
        """Tell whether a value is items, also where the VR was lost on the way (PS3.5, 6.2.2)."""
        if element.vr == b"SQ" or element.undefined:
            return not element.has_fragments
        if element.vr not in (b"", b"UN"):
            return False
        begins = self.data[element.start : min(element.start + 4, element.stop)] == _ITEM_HEAD
        return element.known == "SQ" or (element.known == "UN" and begins)

    def items(self, element: Element) -> Iterator[dict[int, Element]]:
        """Yield the elements of each item of a sequence; see :meth:`elements`."""
        for item, found, _ in self._items(element.start, element.stop, self._inside(element)._replace(undefined=False)):
            yield self.elements(item) if found is None else found

    def fragments(self, element: Element) -> Iterator[tuple[int, int]]:
        """Yield where the fragments of an encapsulated value lie, the first being the Basic Offset Table."""
        position = element.start
        while position < element.stop:
            _, _, start, length = self._head(position, element.stop, element.level.coding)
            position = start + length
            yield start, position

    # Reading

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise BadData("The file has too many elements to be compared.")

    def _after_meta(self, position: int) -> int:
        while self.data[position : position + 2] == _META_GROUP:
            self._step()
            tag, _, start, length = self._head(position, len(self.data), META_CODING)
            position = start + length
            if tag == TRANSFER_SYNTAX:
                self.transfer_syntax = (
                    bytes(self.data[start : min(position, start + 70)]).strip(b"\0 ").decode("latin-1")
                )
        return position

    def _head(self, position: int, end: int, coding: Coding) -> tuple[int, bytes, int, int]:
        """Return tag, VR, where the value begins, and its length as stated."""
        head = self.data[position : min(position + 12, end)]
        if len(head) < 8:
            raise BadData(_CUT_OFF)
        group, element, length = struct.unpack_from(coding.order + "HHL", head)
        tag, vr = group << 16 | element, b""
        if not coding.explicit or group == 0xFFFE:
            return tag, b"", position + 8, length
        vr = head[4:6]
        if vr in SHORT_VRS:
            return tag, vr, position + 8, struct.unpack_from(coding.order + "H", head, 6)[0]
        at = 8 if is_long(vr) else 4
        if len(head) < at + 4:
            raise BadData(_CUT_OFF)
        return tag, vr if at == 8 else b"", position + at + 4, struct.unpack_from(coding.order + "L", head, at)[0]

    def _read(self, level: Level) -> tuple[dict[int, Element], int]:
        """Return the elements of a level, and where it ends."""
        found: dict[int, Element] = {}
        creators: dict[int, str] = {}
        position = level.start
        while position < level.end and not self._is_padding(position, level):
            self._step()
            tag, vr, start, length = self._head(position, level.end, level.coding)
            if tag == ITEM_END and level.undefined:
                return found, start
            known = describe(tag, creators.get(tag >> 8)).vr
            element = Element(tag, vr, start, start, length == UNDEFINED_LENGTH, level, known)
            position, stop = self._after(element, length)
            if _counts(tag, level):
                if tag in found:
                    raise BadData("The file states one element twice.")
                found[tag] = element._replace(stop=stop)
            if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
                creators[tag >> 16 << 8 | tag & 0xFF] = _creator(self.data[start : min(stop, start + 64)])
        if level.undefined:
            raise BadData(_CUT_OFF)
        return found, level.end

    def _after(self, element: Element, length: int) -> tuple[int, int]:
        """Return where the next element begins, and where the value of this one ends."""
        end = element.level.end
        if not element.undefined:
            if length > end - element.start:
                raise BadData(_CUT_OFF)
            return element.start + length, element.start + length
        if element.has_fragments:
            return self._after_fragments(element.start, end, element.level.coding)
        position = element.start
        for _, _, behind in self._items(element.start, end, self._inside(element)):
            position = behind
        if end - position < 8:
            raise BadData(_CUT_OFF)
        return position + 8, position

    def _inside(self, element: Element) -> Level:
        coding = UNKNOWN_CODING if element.vr == b"UN" else element.level.coding
        return element.level._replace(coding=coding, depth=element.level.depth + 1, undefined=element.undefined)

    def _items(
        self, position: int, end: int, sequence: Level
    ) -> Iterator[tuple[Level, dict[int, Element] | None, int]]:
        """Yield items, what was read of them to find their ends, and the positions behind them."""
        if sequence.depth > MAX_DEPTH:
            raise BadData("The sequences in the file are nested beyond all measure.")
        while position < end:
            self._step()
            tag, _, start, length = self._head(position, end, sequence.coding)
            if tag == SEQUENCE_END and sequence.undefined:
                return
            item = self._item(tag, start, length, sequence._replace(end=end))
            found, position = self._read(item) if item.undefined else (None, item.end)
            yield item, found, position

    def _item(self, tag: int, start: int, length: int, sequence: Level) -> Level:
        undefined = length == UNDEFINED_LENGTH
        if tag != ITEM:
            raise BadData("A sequence in the file is damaged.")
        if not undefined and length > sequence.end - start:
            raise BadData(_CUT_OFF)
        end = sequence.end if undefined else start + length
        coding = sequence.coding.as_found(self.data[start : min(start + 12, end)])
        return Level(start, end, coding, sequence.depth, undefined)

    def _after_fragments(self, position: int, end: int, coding: Coding) -> tuple[int, int]:
        """Return where the next element begins, and where the fragments end."""
        while True:
            self._step()
            tag, _, start, length = self._head(position, end, coding)
            if tag == SEQUENCE_END:
                return start, position
            if tag != ITEM or length > end - start:
                raise BadData("The compressed pixel data is damaged.")
            position = start + length

    def _is_padding(self, position: int, level: Level) -> bool:
        """Tell whether nothing but zeros follows, as tapes and some archives leave them."""
        if level.undefined or self.data[position : min(position + 8, level.end)].strip(b"\0"):
            return False
        rest = self.data[position : min(level.end, position + MAX_PADDING + 1)]
        if len(rest) > MAX_PADDING or rest.strip(b"\0"):
            raise BadData(_CUT_OFF)
        return True


def _counts(tag: int, level: Level) -> bool:
    """Tell whether an element is content: not a group length, nor padding, nor of a group that has no place here."""
    return bool(tag & 0xFFFF) and tag != _TRAILING_PADDING and (level.depth > 0 or tag >> 16 not in _NO_DATA)


def _creator(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise BadData("The deflated data set is damaged.") from error
    if not inflater.eof:
        raise BadData("The deflated data set is cut off, or too large to be compared.")
    return inflated
