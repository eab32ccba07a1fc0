"""Frames for a viewer: modality values as unsigned 16-bit numbers, or RGB, in a raw file, and how to show them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ..domain.errors import BadData, StorageError
from .layout import first_value
from .luts import sequence_table
from .pixels import Frame, decode_frame, representative_frame
from .source import DicomImage, distrust, open_image, reopen_image
from .thumbnail import pixel_aspect
from .window import Window, colour_picture, default_window, modality_values, object_window, padding_mask

#: Frames with more rows or columns are reduced by the average of whole blocks.
MAX_SIDE = 4096
GRAY16, RGB8 = "gray16", "rgb8"
# Entries of a VOI table from this share of the highest one on are dark, and bright from the other.
_DARK, _BRIGHT = 0.02, 0.98
_FULL = 0xFFFF


@dataclass(frozen=True)
class View:
    """A frame as it lies in the file, row by row, little endian, without padding, and how it is to be shown.

    :ivar format: ``gray16`` or ``rgb8``.
    :ivar slope: a modality value is the stored one times ``slope`` plus ``intercept``.
    :ivar center: of the window the object is to be seen in first, in modality values.
    :ivar width_of_window: in modality values.
    :ivar inverted: whether low values are bright: MONOCHROME1, and PET, which is read black on white.
    :ivar aspect: height of a pixel over its width.
    :ivar note: a sentence if the window only comes near what the object asks for, else empty.
    """

    width: int
    height: int
    format: str
    slope: float = 1.0
    intercept: float = 0.0
    center: float = 127.5
    width_of_window: float = 255.0
    inverted: bool = False
    aspect: float = 1.0
    note: str = ""


class FrameViewer:
    """Makes views; remembers the last file's header, so that the frames of one file come fast.

    The file itself is not kept open: on some systems it could not be removed then.
    """

    def __init__(self) -> None:
        self._key: tuple[Path, int, int] | None = None
        self._image: DicomImage | None = None
        self._window: Window | None = None

    def write(self, source: Path, index: int, destination: Path) -> View:
        """Write the pixels of a frame, counted from 0.

        :raises BadData: the file is damaged, has no such frame, or cannot be shown.
        :raises StorageError: it cannot be read, or the destination not written.
        """
        with self._opened(source) as image:
            frame = decode_frame(image, index)
            with distrust("The picture is damaged."), np.errstate(all="ignore"):
                pixels, view = self._coloured(frame) if frame.coloured else self._grey(frame, image)
        _write(pixels, destination)
        return view

    @contextmanager
    def _opened(self, source: Path) -> Iterator[DicomImage]:
        key = _identity(source)
        if key == self._key and self._image is not None:
            with reopen_image(self._image, source) as image:
                yield image
            return
        self._key = self._image = self._window = None
        with open_image(source) as image:
            self._key, self._image = key, image
            yield image

    def _coloured(self, frame: Frame) -> tuple[NDArray[Any], View]:
        pixels, stretch = _reduced(colour_picture(frame))
        height, width = pixels.shape[:2]
        return pixels, View(width, height, RGB8, aspect=pixel_aspect(frame) * stretch)

    def _grey(self, frame: Frame, image: DicomImage) -> tuple[NDArray[Any], View]:
        modality = str(first_value(frame.header, "Modality") or "").strip()
        window, note = self._window_of(frame, image, modality)
        pixels, slope, intercept = _modality_integers(frame)
        stored, scale, offset = _unsigned(pixels)
        height, width = stored.shape
        view = View(
            width,
            height,
            GRAY16,
            slope=scale * slope,
            intercept=offset * slope + intercept,
            center=window.centre,
            width_of_window=window.width,
            inverted=frame.layout.photometric == "MONOCHROME1" or modality == "PT",
            note=note,
        )
        reduced, stretch = _reduced(stored)
        height, width = reduced.shape
        return reduced, replace(view, width=width, height=height, aspect=pixel_aspect(frame) * stretch)

    def _window_of(self, frame: Frame, image: DicomImage, modality: str) -> tuple[Window, str]:
        found = object_window(frame.group("FrameVOILUTSequence"))
        if found is not None:
            return found, _SIGMOID_NOTE if found.function == "SIGMOID" else ""
        found = _table_window(frame)
        if found is not None:
            return found, _TABLE_NOTE
        if self._window is None:  # the same for all frames of a file, or a film would flicker
            typical = _typical_frame(image, frame)
            self._window = default_window(modality_values(typical), modality, padding_mask(typical))
        return self._window, ""


_SIGMOID_NOTE = "The object asks for an S-shaped curve; it is shown with a straight one."
_TABLE_NOTE = "The object brings its own grey scale table; it is shown with a straight line that comes near."


def _typical_frame(image: DicomImage, frame: Frame) -> Frame:
    """Return the frame that stands for all, whichever is asked for first: every child must come to the same window."""
    if frame.index != representative_frame(image.header, frame.layout.frames):
        with suppress(BadData):  # damaged, unlike the one that was asked for
            return decode_frame(image)
    return frame


def _identity(source: Path) -> tuple[Path, int, int]:
    try:
        found = source.stat()
    except OSError as error:
        raise StorageError(f"The file cannot be read: {error.strerror}.") from error
    return source, found.st_mtime_ns, found.st_size


def _write(pixels: NDArray[Any], destination: Path) -> None:
    kind = pixels.dtype.newbyteorder("<")
    try:
        with destination.open("wb") as file:
            file.write(np.ascontiguousarray(pixels, dtype=kind).data)
    except OSError as error:
        raise StorageError(f"The picture cannot be written: {error.strerror or 'unknown reason'}.") from error


def _modality_integers(frame: Frame) -> tuple[NDArray[Any], float, float]:
    """Return pixels, as exact as they come, and the slope and intercept to modality values (PS3.3, C.11.1)."""
    tables = frame.header.get("ModalityLUTSequence")
    if tables:
        table = sequence_table(tables[0], frame.layout.signed, frame.big_endian)
        return table.apply(frame.pixels), 1.0, 0.0
    item = frame.group("PixelValueTransformationSequence")
    return frame.pixels, _finite(item, "RescaleSlope", 1.0) or 1.0, _finite(item, "RescaleIntercept", 0.0)


def _finite(item: Dataset, keyword: str, default: float) -> float:
    value = first_value(item, keyword)
    number = default if value is None else float(value)
    return number if math.isfinite(number) else default


def _unsigned(pixels: NDArray[Any]) -> tuple[NDArray[np.uint16], float, float]:
    """Return unsigned 16-bit numbers, and the scale and offset that give the pixels back.

    Up to 16 bits they do so exactly; so do more bits if the values of the frame span no more than that.
    """
    if pixels.dtype.itemsize <= 2 and pixels.dtype.kind == "u":
        return pixels.astype(np.uint16, copy=False), 1.0, 0.0
    if pixels.dtype.itemsize <= 2 and pixels.dtype.kind == "i":
        return (pixels.astype(np.int32) + 0x8000).astype(np.uint16), 1.0, -32768.0
    finite = np.isfinite(pixels)
    values = pixels.astype(np.float64)
    low, high = (float(np.min(values[finite])), float(np.max(values[finite]))) if finite.any() else (0.0, 0.0)
    whole = pixels.dtype.kind in "iu" and high - low <= _FULL
    scale = 1.0 if whole else (high / _FULL - low / _FULL) or 1.0
    shares = np.nan_to_num((values - low) / scale, nan=0.0, posinf=_FULL, neginf=0.0)
    return np.clip(np.rint(shares), 0, _FULL).astype(np.uint16), scale, low


def _table_window(frame: Frame) -> Window | None:
    """Return the window that comes near the object's VOI LUT (PS3.3, C.11.2), None if it has none."""
    tables = frame.group("FrameVOILUTSequence").get("VOILUTSequence")
    if not tables:
        return None
    signed = frame.layout.signed or _finite(frame.header, "RescaleIntercept", 0.0) < 0
    table = sequence_table(tables[0], signed=signed, big_endian=frame.big_endian)
    top = max(1.0, float(np.max(table.entries)))
    rising = table.entries[-1] >= table.entries[0]
    shades = (table.entries if rising else table.entries[::-1]) / top
    low, high = int(np.argmax(shades >= _DARK)), int(np.argmax(shades >= _BRIGHT))
    if not rising or high <= low:
        low, high = 0, len(shades) - 1
    return Window(table.first + (low + high) / 2, float(max(1, high - low)), "LINEAR_EXACT")


def _reduced(pixels: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Average blocks of pixels until no side is too long; also return by what factor pixels became higher than wide."""
    rows, columns = pixels.shape[:2]
    step = math.ceil(max(rows, columns) / MAX_SIDE)
    if step <= 1:
        return pixels, 1.0
    down, across = min(step, rows), min(step, columns)
    height, width = rows // down, columns // across
    blocks = pixels[: height * down, : width * across].reshape(height, down, width, across, *pixels.shape[2:])
    return np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)).astype(pixels.dtype), down / across


def check_view(answer: dict[str, Any]) -> View:
    """Read a view out of what a decode child said.

    :raises BadData: it said something else.
    """
    try:
        view = View(**answer)
        numbers = (view.slope, view.intercept, view.center, view.width_of_window, view.aspect)
        sound = all(math.isfinite(number) for number in numbers) and view.format in (GRAY16, RGB8)
    except (TypeError, ValueError) as error:
        raise BadData("The file could not be read: the decoder lost its way.") from error
    if not sound:
        raise BadData("The picture's grey scale is damaged.")
    return view
