"""Tiles that stand for objects without a picture."""

from __future__ import annotations

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

# The same by SOP class (PS3.4, B.5), for objects that carry the modality of the pictures they belong to. A UID
# here stands for all that begin with it.
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_KINDS_BY_CLASS = {
    _STORAGE + "4.2": "Spectroscopy",
    _STORAGE + "9.": "Waveform",
    _STORAGE + "11.": "Presentation state",
    _STORAGE + "66": "Raw data",
    _STORAGE + "66.1": "Registration",
    _STORAGE + "66.2": "Fiducials",
    _STORAGE + "66.3": "Registration",
    _STORAGE + "66.4": "Segmentation",
    _STORAGE + "66.5": "Surface",
    _STORAGE + "66.6": "Tractography",
    _STORAGE + "67": "Value mapping",
    _STORAGE + "88.": "Structured report",
    _STORAGE + "88.59": "Key images",
    _STORAGE + "104.1": "Document",
    _STORAGE + "104.2": "Document",
    _STORAGE + "104.3": "3D model",
    _STORAGE + "104.4": "3D model",
    _STORAGE + "104.5": "3D model",
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


def kind_of(modality: str, sop_class: str = "") -> str:
    """Return in a word or two what an object is that is not a picture; empty if it may be one."""
    prefixes = [uid for uid in _KINDS_BY_CLASS if sop_class.startswith(uid)]
    return KINDS.get(modality) or (_KINDS_BY_CLASS[max(prefixes, key=len)] if prefixes else "")


def draw_placeholder(
    modality: str, destination: Path, subtitle: str = "", *, reason: str = "", size: int = THUMBNAIL_SIZE
) -> ThumbnailOutcome:
    """Write a tile with the modality and a short word below it as PNG; it suits light and dark backgrounds.

    :param subtitle: by default what the modality stands for.
    :raises StorageError: the file cannot be written.
    """
    tile = _tile(_short(modality) or "?", subtitle or kind_of(modality) or NO_PICTURE, size)
    write_png(tile, destination)
    return ThumbnailOutcome(True, reason, size, size)


def write_png(picture: Image.Image, destination: Path, *, small: bool = False) -> None:
    """Write a PNG so that ``destination`` is either the old file or the complete new one.

    :param small: take more time for fewer bytes.
    :raises StorageError: it cannot be written.
    """
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            picture.save(part, "PNG", optimize=small)
            part.replace(destination)
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
    inset, bar = large // 32, large // 10
    canvas.rounded_rectangle(
        (inset, inset, large - 1 - inset, large - 1 - inset), large // 12, _FILL, _EDGE, max(1, large // 128)
    )
    canvas.rounded_rectangle((large / 2 - bar, large * 0.595, large / 2 + bar, large * 0.612), large // 100, _BAR)
    _centred(tile, title, (large * 0.52, large // 4), _TITLE)
    _centred(tile, subtitle, (large * 0.73, large // 11), _SUBTITLE)
    return tile.resize((size, size), Image.Resampling.LANCZOS)


def _centred(tile: Image.Image, text: str, line: tuple[float, int], colour: tuple[int, ...]) -> None:
    """Draw a line of text in the middle.

    :param line: its baseline and its size in pixels; smaller, then cut, if it would not fit otherwise.
    """
    pen = system_typesetter()
    baseline, size = line
    room = tile.width * 0.8
    if pen.width(text, size) > room:
        size = max(size // 3, int(size * room / pen.width(text, size)))
        text = pen.cut(text, size, room)
    start = (tile.width - pen.width(text, size)) / 2
    pen.draw(ImageDraw.Draw(tile), (start, baseline), text, size, colour)
