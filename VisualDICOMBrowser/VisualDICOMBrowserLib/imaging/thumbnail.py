"""Thumbnails: a file in, a PNG out; a drawn tile where there is no picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from ..domain.errors import BadData
from .layout import NoPicture, NotShowable, first_value
from .pixels import Frame, decode_frame
from .placeholder import (
    DAMAGED,
    NO_PICTURE,
    NOT_SHOWN,
    THUMBNAIL_SIZE,
    ThumbnailOutcome,
    draw_placeholder,
    kind_of,
    write_png,
)
from .source import DicomImage, distrust, open_image
from .window import colour_picture, grey_picture

#: Frames of more pixels are thinned by whole rows and columns before anything is computed.
MAX_PIXELS = 16 << 20
#: Pixels more oblong than this are taken for damaged data.
_MAX_ASPECT = 16.0
#: These have pixels, but not such that anybody knows the object by them.
_NEVER_RENDERED = frozenset({"SEG"})
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def render_thumbnail(
    source: Path, destination: Path, *, size: int = THUMBNAIL_SIZE, modality: str = ""
) -> ThumbnailOutcome:
    """Write the thumbnail of a DICOM file as PNG, its longer side ``size`` pixels long.

    Objects without pixels and objects that cannot be shown get a placeholder, with the reason in the outcome.

    :param modality: for the placeholder of a file that cannot even say what it is.
    :raises StorageError: the source cannot be read or the destination not written.
    """
    kind = ""
    try:
        with open_image(source) as image:
            with distrust("The file is damaged."):
                modality = _text(image.header, "Modality") or modality
                kind = kind_of(modality, _text(image.header, "SOPClassUID"))
            picture = _picture(image, modality, size)
    except NotShowable as error:
        subtitle = kind or (NO_PICTURE if isinstance(error, NoPicture) else NOT_SHOWN)
        return draw_placeholder(modality, destination, subtitle, reason=str(error), size=size)
    except BadData as error:
        return draw_placeholder(modality, destination, DAMAGED, reason=str(error), size=size)
    write_png(picture, destination)
    return ThumbnailOutcome(False, "", *picture.size)


def _text(header: Dataset, keyword: str) -> str:
    return str(first_value(header, keyword) or "").strip()


def _picture(image: DicomImage, modality: str, size: int) -> Image.Image:
    if modality in _NEVER_RENDERED:
        raise NoPicture("Segmentations have no thumbnail.")
    frame = decode_frame(image, max_pixels=MAX_PIXELS)
    shown = colour_picture(frame) if frame.coloured else grey_picture(frame, modality)
    return fit(shown, pixel_aspect(frame), size)


def pixel_aspect(frame: Frame) -> float:
    """Return how many times higher than wide a pixel is; 1 where nobody says, or nothing sensible.

    All the elements give the distance between rows first, then that between columns (PS3.3, 10.7.1.3).
    """
    with distrust("The picture's pixel spacing is damaged."):
        item = frame.group("PixelMeasuresSequence")
        for keyword in _SPACINGS:
            pair = item.get(keyword)
            if isinstance(pair, MultiValue | list) and len(pair) == 2:
                return _sane_aspect(float(pair[0]), float(pair[1]))
    return 1.0


def _sane_aspect(height: float, width: float) -> float:
    if not (0 < height < math.inf and 0 < width < math.inf):
        return 1.0
    return height / width if 1 / _MAX_ASPECT <= height / width <= _MAX_ASPECT else 1.0


def fit(shown: NDArray[np.uint8], aspect: float, size: int) -> Image.Image:
    """Scale a picture so that its longer side is ``size`` pixels long.

    :param shown: shape (rows, columns) or (rows, columns, 3).
    :param aspect: height of a pixel over its width.
    """
    rows, columns = shown.shape[:2]
    height, width = rows * aspect, float(columns)
    scale = size / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    smaller = target[0] < columns or target[1] < rows
    method = Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC
    # The gap makes Pillow average whole blocks first where a picture is much too large: faster, as good.
    return Image.fromarray(np.ascontiguousarray(shown)).resize(target, method, reducing_gap=3.0)
