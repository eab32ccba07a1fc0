"""Lookup tables: modality and VOI (PS3.3, C.11.1, C.11.2) and palette colour, plain and segmented (C.7.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ..domain.errors import BadData

#: The most entries a table can have: a descriptor says 0 for that many.
MAX_ENTRIES = 1 << 16
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True)
class LookupTable:
    """A table and the input value that its first entry belongs to."""

    first: int
    entries: NDArray[np.uint16]

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Look values up; those below or above the table get its first or last entry."""
        # int64: stored values of 32 bits less a negative first value overflow anything smaller
        positions = np.clip(values.astype(np.int64) - self.first, 0, len(self.entries) - 1)
        found: NDArray[np.uint16] = self.entries[positions]
        return found


def sequence_table(item: Dataset, signed: bool, big_endian: bool) -> LookupTable:
    """Read the table of a Modality LUT or VOI LUT sequence item.

    :param signed: whether the table's input values are signed.
    :raises BadData: no usable table.
    """
    size, first = _descriptor(item.LUTDescriptor, signed)
    data = item.LUTData
    if not isinstance(data, bytes):
        return _table(first, np.array(list(data), dtype=np.int64) & 0xFFFF, size)
    return _table(first, _words(data, size, big_endian), size)


def palette_tables(header: Dataset, signed: bool, big_endian: bool) -> list[LookupTable]:
    """Read the red, green and blue tables.

    :raises BadData: no usable tables.
    """
    return [_palette_table(header, colour, signed, big_endian) for colour in ("Red", "Green", "Blue")]


def _palette_table(header: Dataset, colour: str, signed: bool, big_endian: bool) -> LookupTable:
    descriptor = header[f"{colour}PaletteColorLookupTableDescriptor"].value
    size, first = _descriptor(descriptor, signed)
    plain = header.get(f"{colour}PaletteColorLookupTableData")
    if plain:
        return _table(first, _words(plain, size, big_endian), size)
    segmented = header[f"Segmented{colour}PaletteColorLookupTableData"].value
    wide = int(descriptor[2]) > 8
    words = np.frombuffer(_even(segmented, wide), dtype=_word_type(wide, big_endian)).tolist()
    return _table(first, np.array(expand_segments(words, size, wide), dtype=np.int64), size)


def _descriptor(values: Sequence[int], signed: bool) -> tuple[int, int]:
    """Return the number of entries and the first input value."""
    size = int(values[0]) & 0xFFFF or MAX_ENTRIES
    first = int(values[1])
    return size, first - 0x10000 if signed and first > 0x7FFF else first


def _words(data: bytes, size: int, big_endian: bool) -> NDArray[Any]:
    """Read entries of 16 bits, or of 8 where the data is too short for that."""
    wide = len(data) >= 2 * size
    words = np.frombuffer(_even(data, wide), dtype=_word_type(wide, big_endian))
    if not wide and big_endian:  # 8-bit entries travel as words there too
        words = np.frombuffer(_even(data, True), dtype=np.uint16).byteswap().view(np.uint8)
    return words


def _even(data: bytes, wide: bool) -> bytes:
    return data[: len(data) // 2 * 2] if wide else data


def _word_type(wide: bool, big_endian: bool) -> np.dtype[Any]:
    return np.dtype((">u2" if big_endian else "<u2") if wide else "u1")


def _table(first: int, entries: NDArray[Any], size: int) -> LookupTable:
    if not len(entries):
        raise BadData("The picture's lookup table is empty.")
    return LookupTable(first, entries[:size].astype(np.uint16))


def expand_segments(words: Sequence[int], limit: int, wide: bool) -> list[int]:
    """Expand a segmented palette (PS3.3, C.7.9.2) to at most ``limit`` entries.

    :param words: the segments' words, of 16 bits if ``wide``, else of 8.
    :raises BadData: segments that cannot be.
    """
    entries: list[int] = []
    position = 0
    while position + 1 < len(words) and len(entries) < limit:
        if words[position] == _INDIRECT:
            position = _copy_segments(words, position, entries, limit, wide)
        else:
            position = _expand_one(words, position, entries)
    return entries[:limit]


def _expand_one(words: Sequence[int], position: int, entries: list[int]) -> int:
    """Expand the discrete or linear segment at ``position``; return where the next one begins."""
    kind, length = words[position], words[position + 1]
    if kind == _DISCRETE:
        entries.extend(words[position + 2 : position + 2 + length])
        return position + 2 + length
    if kind != _LINEAR or not entries or position + 2 >= len(words):
        raise BadData("The picture's segmented palette is damaged.")
    steps = np.linspace(entries[-1], words[position + 2], length + 1)[1:]
    entries.extend(int(value) for value in np.around(steps))
    return position + 3


def _copy_segments(words: Sequence[int], position: int, entries: list[int], limit: int, wide: bool) -> int:
    """Expand the segments an indirect segment points at, by byte offset; those may not point on (C.7.9.2.3)."""
    width, shift = (2, 16) if wide else (4, 8)
    parts = words[position + 2 : position + 2 + width]
    source = sum(part << (shift * index) for index, part in enumerate(parts)) // (2 if wide else 1)
    for _ in range(words[position + 1]):
        if source + 1 >= len(words) or len(entries) >= limit:
            break
        source = _expand_one(words, source, entries)
    return position + 2 + width
