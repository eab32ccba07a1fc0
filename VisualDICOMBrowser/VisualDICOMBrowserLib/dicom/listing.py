"""All elements of a DICOM object as rows of text, nested ones below their sequence, for people to read.

The bytes are hostile. Nothing is believed that they say of themselves: the walk uses no recursion, never looks behind
the end of what surrounds an element, and is bounded in elements, depth and text. What is damaged is stated, and what
comes before it is listed, and what comes after it too where a surrounding length says where to go on.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace

from .dictionary import Entry, describe, one_vr
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
from .value_text import value_text
from .values import encodings_of, to_text

#: Bounds of a listing: rows, sequences within each other, and steps of the walk, fragments of pixel data included.
MAX_ROWS = 200_000
MAX_NESTING = 64
MAX_STEPS = 2_000_000
#: Largest deflated data set that is inflated, in bytes; of a larger one the beginning is listed.
MAX_INFLATED = 256 << 20

_CHARACTER_SET, _PIXEL_REPRESENTATION = 0x00080005, 0x00280103

_CUT_OFF = "The file is cut off, or lies about its sizes."
_DAMAGED_SEQUENCE = "A sequence in the file is damaged."
_TOO_MANY = f"The file has too many elements; the first {MAX_ROWS} are listed."


class Row:
    """One line of the listing.

    :ivar depth: 0 for the elements of the data set; an item is one deeper than its sequence, its elements two.
    :ivar tag: ``(GGGG,EEEE)`` in upper case.
    :ivar vr: as the file states it, else by the dictionary; empty for items.
    :ivar length: bytes of the value; of undefined length, as many as there are before the delimiter.
    :ivar parent: the index of the row this one stands below, -1 if there is none.
    """

    __slots__ = ("depth", "keyword", "length", "name", "parent", "tag", "value", "vr")

    def __init__(self, depth: int, tag: int, vr: str, entry: Entry, length: int, value: str, parent: int) -> None:
        self.depth = depth
        self.tag = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        self.vr = vr
        self.name = entry.name
        self.keyword = entry.keyword
        self.length = length
        self.value = value
        self.parent = parent

    def to_list(self) -> list[int | str]:
        """Return ``[depth, tag, vr, name, length, value, parent, keyword]``."""
        return [self.depth, self.tag, self.vr, self.name, self.length, self.value, self.parent, self.keyword]


@dataclass(frozen=True)
class Listing:
    """The rows, and what was wrong with the object, empty if nothing was."""

    rows: list[Row]
    warning: str


def list_elements(data: Data) -> Listing:
    """List the elements of a DICOM file (PS3.10, 7), or of a bare data set, group 0002 first.

    :raises BadData: it is not DICOM.
    """
    return _Walk(data).run()


class _Damaged(Exception):
    """The walk cannot go on from here."""


class _TooMany(Exception):
    """The walk ends here."""


@dataclass(frozen=True)
class _Head:
    """The beginning of an element: where its value starts, and how long it says it is."""

    tag: int
    vr: str
    start: int
    length: int


@dataclass
class _Open:
    """A data set, a sequence or an item that the walk is in.

    :ivar end: where it ends, at the latest if its length is undefined.
    :ivar row: of the sequence or item, -1 for the data set or if it is not listed.
    :ivar creators: private creators by the upper 24 bits of the tags they reserve.
    :ivar count: items so far.
    """

    is_sequence: bool
    start: int
    end: int
    undefined: bool
    coding: Coding
    row: int = -1
    depth: int = 0
    encodings: tuple[str, ...] = ("ascii",)
    signed: bool = False
    creators: dict[int, str] = field(default_factory=dict)
    count: int = 0


class _Walk:
    def __init__(self, data: Data) -> None:
        self._data = data
        self._position = begin_of(data)
        self._rows: list[Row] = []
        self._steps = 0
        self._nesting = 0
        self._warning = ""
        self._syntax = ""
        self._in_meta = True
        self._stack = [_Open(False, self._position, len(data), False, META_CODING)]

    def run(self) -> Listing:
        try:
            while self._stack:
                self._advance()
        except _TooMany:
            self._warn(_TOO_MANY)
        return Listing(self._rows, self._warning)

    def _advance(self) -> None:
        top = self._stack[-1]
        try:
            if self._position >= top.end:
                self._leave(top, top.end)
                if top.undefined:
                    raise _Damaged(_CUT_OFF)
            elif top.is_sequence:
                self._item(top)
            else:
                self._element(top)
        except _Damaged as problem:
            self._recover(str(problem))

    def _warn(self, sentence: str) -> None:
        self._warning = self._warning or sentence

    def _recover(self, sentence: str) -> None:
        """Go on behind the innermost sequence or item of a stated length."""
        self._warn(sentence)
        while self._stack:
            top = self._stack[-1]
            self._leave(top, min(self._position, top.end))
            if self._stack and not top.undefined:
                self._position = top.end
                return

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _TooMany

    def _peek(self, end: int) -> bytes:
        """Return the next 12 bytes, the longest head of an element, or what is left before ``end``."""
        return self._data[self._position : min(self._position + 12, end)]

    # Sequences and items

    def _item(self, sequence: _Open) -> None:
        self._step()
        head = self._peek(sequence.end)
        if len(head) < 8:
            raise _Damaged(_CUT_OFF)
        group, element, length = struct.unpack_from(sequence.coding.order + "HHL", head)
        tag, start = group << 16 | element, self._position + 8
        if tag == SEQUENCE_END and sequence.undefined:
            self._leave(sequence, self._position)
            self._position = start
            return
        if tag != ITEM:
            raise _Damaged(_DAMAGED_SEQUENCE)
        sequence.count += 1
        row = self._add(sequence, ITEM, "", Entry("", f"Item {sequence.count}", ""), length)
        self._position = start
        self._enter(sequence, replace(sequence, is_sequence=False, row=row, creators={}), length)

    def _enter(self, outer: _Open, inner: _Open, length: int) -> None:
        """Go into a sequence or an item whose value begins here."""
        inner.start, inner.depth, inner.count = self._position, outer.depth + 1, 0
        inner.undefined = length == UNDEFINED_LENGTH
        inner.end = outer.end if inner.undefined else self._position + length
        if inner.end > outer.end:
            inner.end = outer.end
            self._warn(_CUT_OFF)
        if not inner.is_sequence:
            inner.coding = inner.coding.as_found(self._peek(inner.end))
        self._nesting += inner.is_sequence
        self._stack.append(inner)

    def _leave(self, top: _Open, end: int) -> None:
        self._stack.pop()
        self._nesting -= top.is_sequence
        if top.row >= 0:
            row = self._rows[top.row]
            if top.undefined:
                row.length = max(0, end - top.start)
            if top.is_sequence:
                row.value = "1 item" if top.count == 1 else f"{top.count} items"

    # Elements

    def _element(self, top: _Open) -> None:
        self._step()
        head = self._head(top)
        if head is None:
            return
        entry = describe(head.tag, top.creators.get(head.tag >> 8))
        head = replace(head, vr=head.vr or one_vr(entry.vr, top.signed))
        self._position = head.start
        if head.length == UNDEFINED_LENGTH and (head.tag in PIXEL_DATA or head.vr in ("OB", "OW")):
            self._fragments(top, head, entry)
        elif self._holds_items(head, entry):
            self._sequence(top, head, entry)
        else:
            self._value(top, head, entry)

    def _head(self, top: _Open) -> _Head | None:
        """Read the head of the next element; None if there is none, and the walk has moved on."""
        head = self._peek(top.end)
        if len(head) < 8:
            self._finish(top)
            return None
        if self._in_meta and len(self._stack) == 1 and head[:2] != b"\x02\0":
            self._enter_dataset(top)
            return None
        coding = top.coding
        group, element, length = struct.unpack_from(coding.order + "HHL", head)
        tag, vr, start = group << 16 | element, b"", self._position + 8
        if tag == ITEM_END and top.undefined:
            self._leave(top, self._position)
            self._position = start
            return None
        if group == 0xFFFE or (group == 0 and not any(head)):
            self._finish(top)
            return None
        if coding.explicit:
            vr, start, length = self._explicit(head, coding.order)
        return _Head(tag, vr.decode("ascii"), start, length)

    def _explicit(self, head: bytes, order: str) -> tuple[bytes, int, int]:
        """Return the VR, where the value begins, and its length (PS3.5, 7.1.2)."""
        vr = head[4:6]
        if vr in SHORT_VRS:
            return vr, self._position + 8, struct.unpack_from(order + "H", head, 6)[0]
        at = 8 if is_long(vr) else 4
        if len(head) < at + 4:
            raise _Damaged(_CUT_OFF)
        return vr if at == 8 else b"", self._position + at + 4, struct.unpack_from(order + "L", head, at)[0]

    def _finish(self, top: _Open) -> None:
        """Accept zeros up to the end, as tapes and some archives leave them."""
        rest = self._data[self._position : min(top.end, self._position + MAX_PADDING + 1)]
        if top.undefined or len(rest) > MAX_PADDING or rest.strip(b"\0"):
            raise _Damaged(_CUT_OFF)
        self._position = top.end

    def _enter_dataset(self, top: _Open) -> None:
        """Leave group 0002 behind: from here on the transfer syntax holds."""
        self._in_meta = False
        if self._syntax in DEFLATED:
            self._inflate()
            top.start, top.end = 0, len(self._data)
        top.coding = coding_of(self._syntax, self._peek(top.end))

    def _inflate(self) -> None:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            self._data, self._position = inflater.decompress(self._data[self._position :], MAX_INFLATED), 0
        except zlib.error as error:
            raise _Damaged("The deflated data set is damaged.") from error
        if not inflater.eof:
            self._warn("The deflated data set is cut off, or very large; its beginning is listed.")

    def _holds_items(self, head: _Head, entry: Entry) -> bool:
        """Tell whether a value is a sequence, also one whose VR was lost on the way (PS3.5, 6.2.2)."""
        if head.vr == "SQ" or head.length == UNDEFINED_LENGTH:
            return True
        return (
            head.vr == "UN"
            and entry.vr in ("SQ", "UN")
            and self._data[head.start : head.start + 4] == b"\xfe\xff\0\xe0"
        )

    def _sequence(self, top: _Open, head: _Head, entry: Entry) -> None:
        row = self._add(top, head.tag, head.vr, entry, 0 if head.length == UNDEFINED_LENGTH else head.length)
        coding = UNKNOWN_CODING if head.vr == "UN" else top.coding
        self._enter(top, replace(top, is_sequence=True, row=row, coding=coding), head.length)

    def _fragments(self, top: _Open, head: _Head, entry: Entry) -> None:
        """Count the fragments of compressed pixel data (PS3.5, A.4), the first one being the offset table."""
        row = self._add(top, head.tag, head.vr, entry, 0)
        count, size = -1, 0
        while True:
            self._step()
            if top.end - self._position < 8:
                raise _Damaged(_CUT_OFF)
            group, element, length = struct.unpack_from(top.coding.order + "HHL", self._data, self._position)
            if group << 16 | element not in (ITEM, SEQUENCE_END):
                raise _Damaged("The compressed pixel data is damaged.")
            if group << 16 | element == SEQUENCE_END:
                break
            count, size = count + 1, size + (length if count >= 0 else 0)
            self._position += 8 + length
        if row >= 0:
            self._rows[row].length = self._position - head.start
            self._rows[row].value = f"{size} bytes in {max(0, count)} fragment{'' if count == 1 else 's'}"
        self._position += 8

    def _value(self, top: _Open, head: _Head, entry: Entry) -> None:
        available = min(head.length, top.end - head.start)
        if head.tag in PIXEL_DATA:
            text = f"{available} bytes"
        else:
            little = top.coding.order == "<"
            vr = one_vr(entry.vr, top.signed) if head.vr == "UN" else head.vr
            text = value_text(self._data, head.start, available, vr, top.encodings, little_endian=little)
        self._add(top, head.tag, head.vr, entry, head.length, text)
        if available < head.length:
            raise _Damaged(_CUT_OFF)
        self._position = head.start + head.length
        if head.length <= 1024:
            self._heed(top, head.tag, self._data[head.start : self._position])

    def _heed(self, top: _Open, tag: int, value: bytes) -> None:
        """Remember what elements say about those that follow."""
        if tag == _CHARACTER_SET:
            top.encodings = encodings_of(value)
        elif tag == _PIXEL_REPRESENTATION:
            top.signed = any(value)
        elif tag == TRANSFER_SYNTAX and self._in_meta:
            self._syntax = to_text(value, "UI", ("ascii",))
        elif tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
            top.creators[tag >> 16 << 8 | tag & 0xFF] = to_text(value, "LO", top.encodings)

    def _add(self, top: _Open, tag: int, vr: str, entry: Entry, length: int, value: str = "") -> int:
        """Add a row below ``top`` and return its index; -1 where sequences are nested too deeply to be listed."""
        if self._nesting > MAX_NESTING:
            self._warn(f"Sequences are nested more than {MAX_NESTING} deep; what is deeper is not listed.")
            return -1
        if len(self._rows) >= MAX_ROWS:
            raise _TooMany
        self._rows.append(Row(top.depth, tag, vr, entry, 0 if length == UNDEFINED_LENGTH else length, value, top.row))
        return len(self._rows) - 1
