"""Finds the top-level elements of a DICOM data set (PS3.5, 7) without decoding their values.

Values are skipped by their lengths, so that pixel data is never read; sequences of undefined length are walked
with an explicit stack. Every length is checked against the real end of the data: the walk must end exactly
there, but for zero padding. What is not a well-formed DICOM file raises ``BadData``, never anything else.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..domain.errors import BadData, StorageError
from ..domain.uids import clean_uid
from .files import storage_error
from .sources import FileSource, InflatingSource, Source

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
# Deflated Explicit VR Little Endian, and the two JPIP syntaxes that deflate the data set (PS3.5, A.5, A.7, A.13).
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
# GE Private Implicit VR Big Endian: only the pixels are big endian.
_IMPLICIT = (IMPLICIT_LITTLE, "1.2.840.113619.5.2")

MAX_VALUE = 64 * 1024
MAX_DEPTH = 64
# Far above an enhanced multi-frame object of ten thousand frames; keeps hostile files from costing minutes.
MAX_ELEMENTS = 5_000_000
_MAX_PADDING = 1 << 20

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010
_GROUP_LENGTH, _TRANSFER_SYNTAX = 0x00020000, 0x00020010
_MAX_META_ELEMENTS = 1000

# PS3.5, 7.1.2: these have a length of two bytes, all others two reserved bytes and a length of four.
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_KNOWN = _SHORT | _LONG
_META_HEAD = struct.Struct("<H2sH")

_NO_DATA = frozenset((0x0000, 0xFFFE))  # groups that no data set has at its top level
_ITEMS, _FRAGMENTS, _ELEMENTS = "items", "fragments", "elements"

_CUT_OFF = "The file is cut off, or lies about its sizes."
_TOO_MANY = "The file has more elements than any DICOM object."


class RawElement(NamedTuple):
    """A value as it stands in the file; ``vr`` is empty where the transfer syntax does not state it."""

    vr: str
    value: bytes


@dataclass(frozen=True)
class Elements:
    """What the scanner found.

    :ivar transfer_syntax: as stated, or as recognised where the file states none.
    :ivar dataset_offset: where the data set begins in the file.
    :ivar size: bytes of the file, or of the data set if only that was given.
    :ivar little_endian: byte order of binary values in ``values``.
    :ivar explicit: whether the data set states value representations; files that lie about their syntax occur.
    :ivar values: the wanted elements that are there, by tag ``0xGGGGEEEE``.
    """

    transfer_syntax: str
    dataset_offset: int
    size: int
    little_endian: bool
    explicit: bool
    values: Mapping[int, RawElement]


def scan_file(path: Path, wanted: Collection[int]) -> Elements:
    """Scan a DICOM file (PS3.10, 7).

    :param wanted: tags ``0xGGGGEEEE`` whose values are returned, group 0002 included.
    :raises BadData: not a whole DICOM file.
    :raises StorageError: the file cannot be read.
    """
    if "\0" in str(path):
        raise StorageError("Could not read the file: there is none of this name.")
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise StorageError("Could not read the file: it is not a regular file.")
        with path.open("rb", buffering=0) as stream:
            return _scan(FileSource(stream, os.fstat(stream.fileno()).st_size), wanted)
    except OSError as error:
        raise storage_error(error, "read the file") from error


def scan_bytes(data: bytes, wanted: Collection[int]) -> Elements:
    """Scan the bytes of a whole DICOM file; see :func:`scan_file`."""
    return _scan(Source(data), wanted)


def scan_dataset(dataset: bytes, transfer_syntax: str, wanted: Collection[int]) -> Elements:
    """Scan a data set without file meta information.

    :raises BadData: not a whole data set in this transfer syntax.
    """
    return _scan_dataset(Source(dataset), 0, transfer_syntax, {}, wanted)


def _scan(source: Source, wanted: Collection[int]) -> Elements:
    start = 132 if source.data[128:132] == b"DICM" else 0
    meta: dict[int, RawElement] = {}
    offset = _read_meta(source, start, meta, wanted)
    transfer_syntax = _stated_syntax(meta) or _recognised(_peek(source, offset))
    values = {tag: value for tag, value in meta.items() if tag in wanted}
    return _scan_dataset(source, offset, transfer_syntax, values, wanted)


def _stated_syntax(meta: Mapping[int, RawElement]) -> str:
    return clean_uid(meta[_TRANSFER_SYNTAX].value) if _TRANSFER_SYNTAX in meta else ""


def _peek(source: Source, position: int) -> bytes:
    """Return the next 12 bytes, the longest head of an element, or what is left."""
    source.fill(position, 12)
    start = position - source.base
    return source.data[start : start + 12]


def _recognised(head: bytes) -> str:
    """Tell the transfer syntax by the first element, which must be of group 0008 to be sure."""
    explicit = head[4:6] in _KNOWN
    if head[:2] == b"\x08\0" and (explicit or head[6:8] == b"\0\0"):
        return EXPLICIT_LITTLE if explicit else IMPLICIT_LITTLE
    if head[:2] == b"\0\x08" and explicit:
        return EXPLICIT_BIG
    raise BadData("This is not a DICOM file.")


def _read_meta(source: Source, position: int, values: dict[int, RawElement], wanted: Collection[int]) -> int:
    """Read group 0002, always Explicit VR Little Endian (PS3.10, 7.1), and return where it ends.

    It ends with the group. The group length, often wrong, counts only before a deflated data set, whose first
    bytes may look like anything.
    """
    declared_end = -1
    for _ in range(_MAX_META_ELEMENTS):
        head = _peek(source, position)
        is_end = position == declared_end and _stated_syntax(values) in DEFLATED
        if head[:2] != b"\x02\0" or len(head) < 8 or is_end:
            return position
        element, vr, length = _META_HEAD.unpack_from(head, 2)
        start = position + 8
        if vr not in _SHORT:
            start, length = _other_length(source, position, vr, "<")
        tag = 0x00020000 | element
        if tag == _GROUP_LENGTH:
            declared_end = start + length + int.from_bytes(_value(source, start, length)[:4], "little")
        elif tag == _TRANSFER_SYNTAX or tag in wanted:
            values[tag] = RawElement(vr.decode("latin-1"), _value(source, start, length))
        position = start + length
    raise BadData(_TOO_MANY)


class _Coding(NamedTuple):
    """How the elements of a data set are written down."""

    explicit: bool
    order: str  # "<" or ">", as in struct

    def as_found(self, head: bytes) -> _Coding:
        """Believe the first element where header and writer disagree about explicit and implicit."""
        if self.explicit:
            return self if head[4:6].isalpha() or len(head) < 8 else self._replace(explicit=False)
        return self._replace(explicit=True) if head[4:6] in _KNOWN else self


_UNKNOWN_CODING = _Coding(explicit=False, order="<")  # PS3.5, 6.2.2, note 2: inside UN of undefined length


def _scan_dataset(
    source: Source, offset: int, transfer_syntax: str, values: dict[int, RawElement], wanted: Collection[int]
) -> Elements:
    size, start = source.size, offset
    if transfer_syntax in DEFLATED:
        source, start = InflatingSource(source, offset), 0
    order = ">" if transfer_syntax == EXPLICIT_BIG else "<"
    coding = _Coding(transfer_syntax not in _IMPLICIT, order).as_found(_peek(source, start))
    _walk(source, start, coding, values, wanted)
    return Elements(transfer_syntax, offset, size, order == "<", coding.explicit, values)


def _walk(
    source: Source, position: int, coding: _Coding, values: dict[int, RawElement], wanted: Collection[int]
) -> None:
    """Go through the top-level elements. The hot loop: a CT header has 100 to 200 of them."""
    explicit, order = coding
    unpack = struct.Struct(order + ("HH2sH" if explicit else "HHL")).unpack_from
    vr = b""
    budget = iter(range(MAX_ELEMENTS))
    for _ in budget:
        if position + 12 > source.end:
            source.fill(position, 12)
            if source.end - position < 8:
                return _check_rest(source, position)
        start = position + 8
        if explicit:
            group, element, vr, length = unpack(source.data, position - source.base)
            if vr not in _SHORT:
                start, length = _other_length(source, position, vr, order)
        else:
            group, element, length = unpack(source.data, position - source.base)
        tag = group << 16 | element
        if group in _NO_DATA:
            return _check_rest(source, position)
        if length == _UNDEFINED:
            position = _skip_undefined(source, start, _container(tag, vr, coding), budget)
            continue
        if tag in wanted:
            _keep(values, tag, RawElement(vr.decode() if vr in _KNOWN else "", _value(source, start, length)))
        position = start + length
    raise BadData(_TOO_MANY)


def _other_length(source: Source, position: int, vr: bytes, order: str) -> tuple[int, int]:
    """Return where the value begins and its length, for an element whose VR is none of the short ones.

    A VR that nobody knows yet is a long one (PS3.5, 6.2); what is no VR at all comes from writers that slip
    into implicit VR.
    """
    at = 8 if vr in _LONG or (vr.isalpha() and vr.isupper()) else 4
    if source.end - position < at + 4:
        raise BadData(_CUT_OFF)
    (length,) = struct.unpack_from(order + "L", source.data, position - source.base + at)
    return position + at + 4, length


def _value(source: Source, start: int, length: int) -> bytes:
    if length > source.size - start:
        raise BadData(_CUT_OFF)
    if length > MAX_VALUE:
        raise BadData("An element that should be short is longer than 64 KiB.")
    source.fill(start, length)
    value = source.data[start - source.base : start - source.base + length]
    if len(value) != length:
        raise BadData(_CUT_OFF)
    return value


def _keep(values: dict[int, RawElement], tag: int, found: RawElement) -> None:
    if values.setdefault(tag, found).value != found.value:
        raise BadData("The file states one element twice, and differently.")


def _check_rest(source: Source, position: int) -> None:
    """Accept the exact end, or zeros up to it, as tapes and some archives leave them."""
    if position == source.size:
        return
    source.fill(position, _MAX_PADDING + 1)
    rest = source.data[position - source.base :] if position < source.end else b""
    if len(rest) != source.size - position or len(rest) > _MAX_PADDING or rest.strip(b"\0"):
        raise BadData(_CUT_OFF)


class _Container(NamedTuple):
    """Something of undefined length: the items of a sequence, fragments of pixel data, or one item's elements."""

    kind: str
    coding: _Coding


def _container(tag: int, vr: bytes, coding: _Coding) -> _Container:
    if tag == _PIXEL_DATA:
        return _Container(_FRAGMENTS, coding)
    return _Container(_ITEMS, _UNKNOWN_CODING if vr == b"UN" else coding)


def _skip_undefined(source: Source, position: int, outermost: _Container, budget: Iterator[int]) -> int:
    """Walk something of undefined length (PS3.5, 7.5.2 and A.4) and return where it ends."""
    stack = [outermost]
    for _ in budget:
        kind, coding = stack[-1]
        head = _peek(source, position)
        if len(head) < 8:
            raise BadData(_CUT_OFF)
        group, element, length = struct.unpack_from(coding.order + "HHL", head)
        tag, vr, start = group << 16 | element, b"", position + 8
        if tag == (_ITEM_END if kind == _ELEMENTS else _SEQUENCE_END):
            stack.pop()
            if not stack:
                return start
            length = 0
        elif kind == _ELEMENTS:
            vr, start, length = _nested_head(source, position, coding, head)
        elif tag != _ITEM or (kind == _FRAGMENTS and length == _UNDEFINED):
            raise BadData("A sequence in the file is damaged.")
        position = start
        if length != _UNDEFINED:
            position += length
        elif len(stack) == MAX_DEPTH:
            raise BadData("The sequences in the file are nested beyond all measure.")
        elif kind == _ELEMENTS:
            stack.append(_container(tag, vr, coding))
        else:
            stack.append(_Container(_ELEMENTS, coding.as_found(_peek(source, start))))
    raise BadData(_TOO_MANY)


def _nested_head(source: Source, position: int, coding: _Coding, head: bytes) -> tuple[bytes, int, int]:
    if not coding.explicit:
        return b"", position + 8, int(struct.unpack_from(coding.order + "L", head, 4)[0])
    vr = head[4:6]
    if vr in _SHORT:
        return vr, position + 8, int(struct.unpack_from(coding.order + "H", head, 6)[0])
    return vr, *_other_length(source, position, vr, coding.order)
