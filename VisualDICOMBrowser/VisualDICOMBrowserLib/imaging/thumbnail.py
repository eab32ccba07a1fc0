"""Thumbnails: a file in, a PNG out; a drawn tile where there is no picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from ..domain.errors import BadData
from .layout import NotShowable, first_value
from .pixels import Frame, decode_frame
from .placeholder import (
    DAMAGED,
    KINDS,
    NO_PICTURE,
    NOT_SHOWN,
    THUMBNAIL_SIZE,
    ThumbnailOutcome,
    draw_placeholder,
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
    try:
        with open_image(source) as image:
            modality = _modality(image.header) or modality
            picture = _picture(image, modality, size)
    except NotShowable as error:
        subtitle = KINDS.get(modality) or NOT_SHOWN
        return draw_placeholder(modality, destination, subtitle, reason=str(error), size=size)
    except BadData as error:
        return draw_placeholder(modality, destination, DAMAGED, reason=str(error), size=size)
    write_png(picture, destination)
    return ThumbnailOutcome(False, "", *picture.size)


def _modality(header: Dataset) -> str:
    with distrust("The file is damaged."):
        return str(first_value(header, "Modality") or "").strip()


def _picture(image: DicomImage, modality: str, size: int) -> Image.Image:
    if modality in _NEVER_RENDERED:
        raise NotShowable("Segmentations have no thumbnail.")
    frame = thinned(decode_frame(image))
    shown = colour_picture(frame) if frame.coloured else grey_picture(frame, modality)
    return fit(shown, pixel_aspect(frame), size)
