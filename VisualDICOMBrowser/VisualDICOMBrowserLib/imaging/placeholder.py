"""Tiles that stand for objects without a picture."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from ..domain.errors import StorageError
from .fonts import system_typesetter

#: Length of a thumbnail's longer side, in pixels.
THUMBNAIL_SIZE = 256

NOT_SHOWN = "Not shown yet"
DAMAGED = "Damaged file"
NO_PICTURE = "No picture"

#: What an object is, by its modality (0008,0060), where that is not a picture.
KINDS = {
    "ANN": "Annotations",
    "AU": "Audio",
    "DOC": "Document",
    "ECG": "Waveform",
    "EEG": "Waveform",
    "EMG": "Waveform",
    "EPS": "Waveform",
    "FID": "Fiducials",
    "HD": "Waveform",
    "KO": "Key images",
    "M3D": "3D model",
    "PLAN": "Plan",
    "PR": "Presentation state",
    "REG": "Registration",
    "RESP": "Waveform",
    "RTDOSE": "Dose",
    "RTPLAN": "Treatment plan",
    "RTRECORD": "Treatment record",
    "RTSTRUCT": "Contours",
    "RWV": "Value mapping",
    "SEG": "Segmentation",
    "SR": "Structured report",
}

_FILL = (58, 66, 80, 255)
_EDGE = (104, 116, 136, 255)
_BAR = (122, 162, 212, 255)
_TITLE = (240, 243, 248, 255)
_SUBTITLE = (182, 192, 207, 255)
_OVERSAMPLING = 2


@dataclass(frozen=True)
class ThumbnailOutcome:
    """What was written.

    :ivar placeholder: whether it is a tile instead of the picture.
    :ivar reason: a sentence why, empty for a picture.
    :ivar width: in pixels.
    :ivar height: in pixels.
    """

    placeholder: bool
    reason: str
    width: int
    height: int


def draw_placeholder(
    modality: str, destination: Path, subtitle: str = "", *, reason: str = "", size: int = THUMBNAIL_SIZE
) -> ThumbnailOutcome:
    """Write a tile with the modality and a short word below it as PNG; it suits light and dark backgrounds.

    :param subtitle: by default what the modality stands for.
    :raises StorageError: the file cannot be written.
    """
    tile = _tile(_short(modality) or "?", subtitle or KINDS.get(modality, NO_PICTURE), size)
    write_png(tile, destination)
    return ThumbnailOutcome(True, reason, size, size)


def write_png(picture: Image.Image, destination: Path) -> None:
    """Write a PNG so that ``destination`` is either the old file or the complete new one.

    :raises StorageError: it cannot be written.
    """
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            picture.save(part, "PNG")
            os.replace(part, destination)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"The picture cannot be written: {error.strerror or 'unknown reason'}.") from error


def _short(modality: str) -> str:
    """Return what a modality looks like in print: it comes from a file, and may be anything."""
    return "".join(character for character in modality if character.isascii() and character.isprintable())[:12].strip()


def _tile(title: str, subtitle: str, size: int) -> Image.Image:
    large = size * _OVERSAMPLING
    tile = Image.new("RGBA", (large, large), (0, 0, 0, 0))
    canvas = ImageDraw.Draw(tile)
    inset = large // 32
    canvas.rounded_rectangle(
        (inset, inset, large - 1 - inset, large - 1 - inset), large // 12, _FILL, _EDGE, max(1, large // 128)
    )
    _centred(canvas, title, large, large * 0.52, large // 4, _TITLE)
    bar = large // 10
    canvas.rounded_rectangle(
        (large / 2 - bar, large * 0.595, large / 2 + bar, large * 0.612), large // 100, _BAR
    )
    _centred(canvas, subtitle, large, large * 0.73, large // 11, _SUBTITLE)
    return tile.resize((size, size), Image.Resampling.LANCZOS)


def _centred(
    canvas: ImageDraw.ImageDraw, text: str, width: int, baseline: float, font_size: int, colour: tuple[int, ...]
) -> None:
    """Draw a line in the middle, smaller than ``font_size`` if it would not fit otherwise."""
    pen = system_typesetter()
    room = width * 0.8
    length = pen.width(text, font_size)
    if length > room:
        font_size = max(8, int(font_size * room / length))
        length = pen.width(text, font_size)
    pen.draw(canvas, ((width - length) / 2, baseline), text, font_size, colour)
