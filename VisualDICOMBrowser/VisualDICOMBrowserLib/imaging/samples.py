"""What decoders of pixels have in common: what they are, how large a frame may be, how stored bits become values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from .layout import PixelLayout
from .source import DicomImage

#: Largest frame that is read, in bytes.
MAX_FRAME = 512 << 20

#: Takes an image, its layout and a frame's index from 0. Returns stored values, shape (rows, columns) or
#: (rows, columns, 3), and their layout: decompression may change the colour space and the bits. Raises
#: :class:`BadData`.
FrameDecoder = Callable[[DicomImage, PixelLayout, int], tuple[NDArray[Any], PixelLayout]]


def stored_values(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Cut away the allocated bits that are not stored: old objects keep overlays there.

    :param values: cells of ``bits_allocated`` bits, signed if the layout is.
    """
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    if layout.floating or layout.bits_stored == layout.bits_allocated:
        return native
    up = layout.bits_allocated - 1 - layout.high_bit
    cut: NDArray[Any] = (native << up) >> (layout.bits_allocated - layout.bits_stored)
    return cut


def extend_sign(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Read the low ``bits`` of unsigned integers as signed ones."""
    shift = values.dtype.itemsize * 8 - bits
    signed: NDArray[Any] = (values << shift).view(f"i{values.dtype.itemsize}") >> shift
    return signed
