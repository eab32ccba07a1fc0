"""RLE Lossless (PS3.5, annex G)."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domain.errors import BadData
from .fragments import read_compressed
from .layout import NotShowable, PixelLayout
from .samples import MAX_FRAME, stored_values
from .source import DicomImage

_HEADER = struct.Struct("<16I")
_DAMAGED = "The RLE compressed picture is damaged."


def decode_rle(image: DicomImage, layout: PixelLayout, index: int) -> tuple[NDArray[Any], PixelLayout]:
    """Read a frame; a :data:`.FrameDecoder`."""
    if layout.floating or layout.bits_allocated % 8:
        raise NotShowable(f"RLE compressed pictures of {layout.bits_allocated} bits a sample cannot be shown.")
    width = layout.bits_allocated // 8
    pixels = layout.rows * layout.columns
    if pixels * width * layout.samples > MAX_FRAME:
        raise NotShowable(f"A frame of more than {MAX_FRAME >> 20} MiB cannot be shown.")
    segments = split_segments(read_compressed(image, layout.frames, index), width * layout.samples)
    # one plane for each byte of each sample, the highest byte first (G.2)
    planes = np.frombuffer(b"".join(expand(segment, pixels) for segment in segments), np.uint8)
    interleaved = np.ascontiguousarray(np.moveaxis(planes.reshape(layout.samples, width, pixels), 2, 0))
    cells = interleaved.view(f">{'i' if layout.signed else 'u'}{width}")
    shape = (layout.rows, layout.columns, 3) if layout.samples == 3 else (layout.rows, layout.columns)
    return stored_values(cells.reshape(shape), layout), layout


def split_segments(data: bytes, expected: int) -> list[memoryview]:
    """Return the segments of a frame.

    :raises BadData: they are not ``expected`` ones.
    """
    if len(data) < _HEADER.size:
        raise BadData(_DAMAGED)
    count, *offsets = _HEADER.unpack_from(data)
    if count != expected or count > len(offsets):
        raise BadData("The RLE compressed picture has other samples or bits than the file says.")
    bounds = [*offsets[:count], len(data)]
    if bounds[0] < _HEADER.size or any(one > other for one, other in pairwise(bounds)):
        raise BadData(_DAMAGED)
    view = memoryview(data)
    return [view[start:stop] for start, stop in pairwise(bounds)]


def expand(segment: memoryview, size: int) -> bytes:
    """Expand a segment to ``size`` bytes; what it may hold beyond is left out (G.3.2).

    :raises BadData: it holds less.
    """
    out = bytearray()
    position = 0
    while len(out) < size and position < len(segment):
        control = segment[position]
        if control < 128:
            out += segment[position + 1 : position + 2 + control]
            position += control + 2
        else:
            if control > 128:
                out += bytes(segment[position + 1 : position + 2]) * (257 - control)
            position += 2 if control > 128 else 1
    if len(out) < size:
        raise BadData("The RLE compressed picture ends too early.")
    return bytes(out[:size])
