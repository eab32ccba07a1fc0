"""Whether two files of one SOP Instance UID have the same content: elements, and pixels decoded where need be.

Compressed without loss, or not compressed, a picture has the same pixels in every transfer syntax. One that was
compressed with loss has them only in copies that were made of it afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..dicom.differences import differences
from ..domain.errors import BadData
from .layout import NotShowable, PixelLayout, read_layout
from .mapped import mapped
from .pixels import DECODERS, decode_frame
from .source import DicomImage, distrust, open_image

_PIXEL_DATA = "(7FE0,0010) PixelData"


def differing_elements(first: Path, second: Path, seconds: float = math.inf) -> list[str]:
    """Name the elements that differ, see :class:`.Differences`; none if the content is the same.

    :param seconds: how long it may take, looked at between elements, pieces of long values, and frames.
    :raises BadData: it cannot be told: a file is damaged, there is no decoder for its pixels, or it takes too long.
    :raises StorageError: a file cannot be read.
    """
    deadline = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > deadline:
            raise BadData("Comparing takes too long.")

    with mapped(first) as one, mapped(second) as other:
        found = differences(one, other, check)
    if found.pixels_open and not _same_pixels(first, second, check):
        return [_PIXEL_DATA]
    return list(found.tags)


def _same_pixels(first: Path, second: Path, check: Callable[[], None]) -> bool:
    with open_image(first) as one, open_image(second) as other:
        layouts = _layout(one), _layout(other)
        if layouts[0].frames != layouts[1].frames:
            raise BadData("The files do not agree about their frames.")
        for index in range(layouts[0].frames):
            check()
            if not _same_frame(one, other, layouts, index):
                return False
        return True


def _layout(image: DicomImage) -> PixelLayout:
    if image.transfer_syntax not in DECODERS:
        raise NotShowable("There is no decoder for the transfer syntax.")
    return read_layout(image)


def _same_frame(one: DicomImage, other: DicomImage, layouts: tuple[PixelLayout, PixelLayout], index: int) -> bool:
    """Compare the values as they are stored; as RGB where the colour spaces differ."""
    with distrust("The picture is damaged."):
        ours, our_layout = DECODERS[one.transfer_syntax](one, layouts[0], index)
        theirs, their_layout = DECODERS[other.transfer_syntax](other, layouts[1], index)
        if our_layout.photometric != their_layout.photometric:
            ours, theirs = decode_frame(one, index).pixels, decode_frame(other, index).pixels
        return bool(np.array_equal(ours, theirs))
