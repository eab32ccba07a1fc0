"""The compressed bytes of one frame, out of encapsulated pixel data (PS3.5, A.4), without reading the others.

Where a frame lies is told by the Extended Offset Table (PS3.3, C.7.6.3.1.8), else by the Basic Offset Table, else
by looking at the fragments' heads. A table that points at something else than an item is not believed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from pydicom.dataset import Dataset

from ..domain.errors import BadData
from .layout import NotShowable
from .source import UNDEFINED_LENGTH, DicomImage

#: Largest compressed frame that is read, in bytes.
MAX_COMPRESSED = 256 << 20
#: A file of more fragments is not looked through.
MAX_FRAGMENTS = 1 << 20

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
_ITEM_HEAD = 8
#: How a JPEG or JPEG-LS stream, a JPEG 2000 codestream and a JP2 file begin.
_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")


class Span(NamedTuple):
    """Bytes ``start`` to ``stop`` of the pixel data."""

    start: int
    stop: int


def read_compressed(image: DicomImage, frames: int, index: int) -> bytes:
    """Return the compressed bytes of frame ``index``, counted from 0.

    :param frames: the number of frames.
    :raises BadData: the fragments are damaged, or are not those of so many frames.
    :raises NotShowable: the frame is too large.
    """
    if image.element is None or image.element.length != UNDEFINED_LENGTH:
        raise BadData("The pixel data is not compressed, though the file says it is.")
    data = _read(image, _frame_spans(image, frames, index))
    if not data:
        raise BadData("The compressed picture is empty.")
    return data


def end_of_fragments(image: DicomImage) -> int:
    """Return where encapsulated pixel data ends, counted from its begin, with its delimiter.

    :raises BadData: the fragments are damaged.
    """
    _, end = _basic_table(image)
    for span in _items(image, end):
        end = span.stop
    return min(end + _ITEM_HEAD, image.available)


def _frame_spans(image: DicomImage, frames: int, index: int) -> list[Span]:
    table, begin = _basic_table(image)
    if frames == 1:
        return list(_items(image, begin))
    return (
        _by_extended_table(image, frames, index, begin)
        or _by_basic_table(image, frames, index, begin, table)
        or _by_looking(image, frames, index, begin)
    )


def _read(image: DicomImage, spans: list[Span]) -> bytes:
    if any(span.stop > image.available for span in spans):
        raise BadData("The file ends before the picture does.")
    if sum(span.stop - span.start for span in spans) > MAX_COMPRESSED:
        raise NotShowable(f"A compressed frame of more than {MAX_COMPRESSED >> 20} MiB cannot be shown.")
    return b"".join(image.read_value(*span) for span in spans)


def _basic_table(image: DicomImage) -> tuple[tuple[int, ...], int]:
    """Return the offsets of the Basic Offset Table, often none, and where the first fragment's item begins."""
    item = _item_at(image, 0)
    if item is None:
        raise BadData("The compressed picture is damaged: it has no offset table.")
    data = image.read_value(item.start, item.start + min(item.stop - item.start, 4 * MAX_FRAGMENTS))
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]), item.stop


def _item_at(image: DicomImage, position: int) -> Span | None:
    """Return the value of the item that begins at ``position``; None if there is none."""
    if position + _ITEM_HEAD > image.available:
        return None
    head = image.read_value(position, position + _ITEM_HEAD)
    start = position + _ITEM_HEAD
    return Span(start, start + int.from_bytes(head[4:], "little")) if head[:4] == _ITEM else None


def _items(image: DicomImage, position: int, stop: int | None = None) -> Iterator[Span]:
    """Yield the items from ``position`` to ``stop``, or to the end of the sequence, or of the file."""
    for _ in range(MAX_FRAGMENTS):
        if (stop is not None and position >= stop) or position + _ITEM_HEAD > image.available:
            return
        item = _item_at(image, position)
        if item is None:
            if image.read_value(position, position + 4) == _DELIMITER:
                return
            raise BadData("The compressed picture is damaged: its fragments do not follow each other.")
        yield item
        position = item.stop
    raise NotShowable(f"Pictures of more than {MAX_FRAGMENTS} fragments cannot be shown.")


def _by_extended_table(image: DicomImage, frames: int, index: int, begin: int) -> list[Span]:
    """Return the frame's only fragment, cut to its length; nothing if there is no table that holds."""
    offsets, lengths = (_wide_numbers(image.header, f"ExtendedOffsetTable{suffix}") for suffix in ("", "Lengths"))
    if len(offsets) != frames or len(lengths) != frames:
        return []
    item = _item_at(image, begin + offsets[index])
    if item is None or item.start + lengths[index] > item.stop:
        return []
    return [Span(item.start, item.start + lengths[index])]


def _wide_numbers(header: Dataset, keyword: str) -> tuple[int, ...]:
    data = header.get(keyword)
    if not isinstance(data, bytes):
        return ()
    return struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])


def _by_basic_table(image: DicomImage, frames: int, index: int, begin: int, table: tuple[int, ...]) -> list[Span]:
    """Return the fragments from the frame's offset to the next frame's; nothing if the table does not hold.

    Offsets of 32 bits start again from 0 in a file of more than 4 GiB; such a table is not used.
    """
    if len(table) != frames or any(one >= other for one, other in pairwise(table)):
        return []
    stop = begin + table[index + 1] if index + 1 < frames else None
    if _item_at(image, begin + table[index]) is None:
        return []
    return list(_items(image, begin + table[index], stop))


def _by_looking(image: DicomImage, frames: int, index: int, begin: int) -> list[Span]:
    """Return the frame's fragments, found by their number or by what they begin with."""
    spans = list(_items(image, begin))
    if len(spans) == frames:
        return [spans[index]]
    firsts = [number for number, span in enumerate(spans) if _begins_image(image, span)]
    if len(firsts) != frames:
        raise BadData(f"The frames of the picture cannot be told apart: {frames} are declared.")
    return spans[firsts[index] : [*firsts, len(spans)][index + 1]]


def _begins_image(image: DicomImage, span: Span) -> bool:
    stop = min(span.stop, span.start + 8, image.available)
    return image.read_value(span.start, stop).startswith(_BEGINNINGS) if stop > span.start else False
