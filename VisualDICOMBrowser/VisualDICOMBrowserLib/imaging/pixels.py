"""One frame of a DICOM file as a numpy array: only its own bytes are read, and only after they are known to exist."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset

from ..domain.errors import BadData
from .codecs import STREAM_SYNTAXES, decode_stream
from .layout import NoPicture, NotShowable, PixelLayout, read_layout, whole
from .luts import palette_tables
from .rle import decode_rle
from .samples import MAX_FRAME, FrameDecoder, stored_values
from .source import UNDEFINED_LENGTH, DicomImage, distrust, open_image

_YBR_TO_RGB = np.array([[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]], np.float32)

# Value of black in 8 bits, and what stretches luminance and chrominance to the full range: studio levels, 16 to 235
# and 16 to 240, in the retired YBR_PARTIAL_422.
_FULL, _PARTIAL = (0, 1.0, 1.0), (16, 255 / 219, 255 / 224)
_YBR_SCALES = {
    "YBR_FULL": _FULL,
    "YBR_FULL_422": _FULL,
    "YBR_PARTIAL_422": _PARTIAL,
}
# The last two describe JPEG 2000 streams; uncompressed, they are a label that a decoder forgot to change.
_SHOWN_AS_RGB = frozenset({"RGB", "YBR_ICT", "YBR_RCT"})


@dataclass(frozen=True)
class Frame:
    """A frame and what is needed to show it.

    :ivar pixels: monochrome: stored values, shape (rows, columns), integer or float. Colour: RGB, shape
        (rows, columns, 3), unsigned of ``layout.bits_stored`` bits, palette colour as ``uint8``.
    :ivar index: of the frame, from 0.
    """

    pixels: NDArray[Any]
    layout: PixelLayout
    header: Dataset
    index: int
    big_endian: bool

    @property
    def coloured(self) -> bool:
        """Whether ``pixels`` is RGB."""
        return self.pixels.ndim == 3

    def group(self, keyword: str) -> Dataset:
        """Return the functional group item that holds for this frame (PS3.3, C.7.6.16), else the header itself."""
        for sequence, position in (
            ("PerFrameFunctionalGroupsSequence", self.index),
            ("SharedFunctionalGroupsSequence", 0),
        ):
            items = self.header.get(sequence) or []
            macro = items[position].get(keyword) if position < len(items) else None
            if macro:
                found: Dataset = macro[0]
                return found
        return self.header


def read_frame(path: Path, index: int | None = None, *, max_pixels: int | None = None) -> Frame:
    """Read one frame of a file.

    :param index: of the frame, from 0; None for the one that represents the file: its Representative Frame
        Number (0028,6010), else the middle frame.
    :param max_pixels: a larger frame is thinned by whole rows and columns until it has about so many pixels.
    :raises BadData: the file is damaged, or has no such frame.
    :raises NotShowable: it is sound, but not of a kind that can be shown; also when it has no pixels.
    :raises StorageError: it cannot be read.
    """
    with open_image(path) as image:
        return decode_frame(image, index, max_pixels=max_pixels)


def decode_frame(image: DicomImage, index: int | None = None, *, max_pixels: int | None = None) -> Frame:
    """Read one frame of an open file; see :func:`read_frame`."""
    if image.element is None:
        raise NoPicture("The object holds no picture.")
    decoder = DECODERS.get(image.transfer_syntax)
    if decoder is None:
        raise NotShowable(f"This transfer syntax cannot be shown yet: {_syntax_name(image.transfer_syntax)}.")
    layout = read_layout(image)
    with distrust("The picture is damaged."):
        chosen = representative_frame(image.header, layout.frames) if index is None else index
        if not 0 <= chosen < layout.frames:
            raise BadData("The file has no such frame.")
        step = math.ceil(math.sqrt(layout.rows * layout.columns / (max_pixels or math.inf))) or 1
        stored, layout = decoder(image, layout, chosen)
        pixels = _to_rgb(stored[::step, ::step], layout, image)
    return Frame(pixels, layout, image.header, chosen, image.big_endian)


def representative_frame(header: Dataset, frames: int) -> int:
    """Return the index, from 0, of the frame that stands for all."""
    number = whole(header, "RepresentativeFrameNumber", 0)
    return number - 1 if 1 <= number <= frames else frames // 2


def _syntax_name(syntax: str) -> str:
    known = uid.UID(syntax, validation_mode=0)
    return known.name if known in uid.AllTransferSyntaxes else "an unknown one"


def decode_native(image: DicomImage, layout: PixelLayout, index: int) -> tuple[NDArray[Any], PixelLayout]:
    """Read a frame of an uncompressed syntax (PS3.5, 8.1.1 and annex D); a :data:`FrameDecoder`."""
    if image.element is None or image.element.length == UNDEFINED_LENGTH:
        raise BadData("The pixel data is compressed, though the file says it is not.")
    if layout.subsampled and (layout.bits_allocated != 8 or layout.rows * layout.columns % 2):
        raise BadData("The picture's description is damaged: its colours do not fit its size.")
    first_bit = index * layout.frame_bits
    raw = _read_bits(image, layout, first_bit, first_bit + layout.frame_bits)
    if layout.bits_allocated == 1:
        bits: NDArray[np.uint8] = np.unpackbits(raw, bitorder="little")[first_bit % 8 :]
        return _shaped(bits[: layout.frame_bits], layout), layout
    values = raw.view(_sample_type(layout, image.big_endian))
    return stored_values(_shaped(values, layout), layout), layout


def _read_bits(image: DicomImage, layout: PixelLayout, first: int, end: int) -> NDArray[np.uint8]:
    """Read the bytes that hold bits ``first`` to ``end`` of the pixel data."""
    start, stop = first // 8, (end + 7) // 8
    if stop > image.available:
        raise BadData("The file ends before the picture does.")
    if stop - start > MAX_FRAME:
        raise NotShowable(f"A frame of more than {MAX_FRAME >> 20} MiB cannot be shown.")
    if layout.bits_allocated == 8 and image.big_endian and image.element and image.element.vr == "OW":
        return _read_swapped(image, start, stop)
    return np.frombuffer(image.read_value(start, stop), np.uint8)


def _read_swapped(image: DicomImage, start: int, stop: int) -> NDArray[np.uint8]:
    """Read bytes that big endian stores as 16-bit words: each pair is the other way round."""
    begin, end = start // 2 * 2, min((stop + 1) // 2 * 2, image.available)
    data = image.read_value(begin, end) + b"\0" * ((end - begin) % 2)
    swapped: NDArray[np.uint8] = np.frombuffer(data, np.uint16).byteswap().view(np.uint8)
    return swapped[start - begin : stop - begin]


def _sample_type(layout: PixelLayout, big_endian: bool) -> np.dtype[Any]:
    kind = "f" if layout.floating else "i" if layout.signed else "u"
    return np.dtype(f"{'>' if big_endian else '<'}{kind}{layout.bits_allocated // 8}")


def _shaped(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    if layout.samples == 1:
        return values.reshape(layout.rows, layout.columns)
    if layout.subsampled:
        # Y1 Y2 Cb Cr stands for the pixels (Y1 Cb Cr) (Y2 Cb Cr)
        values = np.take(values.reshape(-1, 4), [0, 2, 3, 1, 2, 3], axis=1)
    elif layout.planar:
        return np.moveaxis(values.reshape(3, layout.rows, layout.columns), 0, -1)
    return values.reshape(layout.rows, layout.columns, 3)


def _to_rgb(pixels: NDArray[Any], layout: PixelLayout, image: DicomImage) -> NDArray[Any]:
    """Turn palette colour and YBR into RGB; leave monochrome and RGB as they are (PS3.3, C.7.6.3.1.2)."""
    if layout.samples == 1:
        return _from_palette(pixels, layout, image) if layout.photometric == "PALETTE COLOR" else pixels
    if layout.photometric in _SHOWN_AS_RGB:
        return pixels
    if layout.photometric in _YBR_SCALES and pixels.dtype.kind == "u":
        return ybr_to_rgb(pixels, layout.bits_stored, layout.photometric)
    raise NotShowable("Pictures in this colour space cannot be shown yet.")


def _from_palette(pixels: NDArray[Any], layout: PixelLayout, image: DicomImage) -> NDArray[np.uint8]:
    tables = palette_tables(image.header, layout.signed, image.big_endian)
    # Entries of 16 bits may all the same hold values of 8.
    shift = 8 if max(int(np.max(table.entries)) for table in tables) > 0xFF else 0
    return np.stack([(table.apply(pixels) >> shift).astype(np.uint8) for table in tables], axis=-1)


def ybr_to_rgb(pixels: NDArray[Any], bits: int = 8, photometric: str = "YBR_FULL") -> NDArray[Any]:
    """Convert YBR of ``bits`` bits, shape (…, 3), to RGB of the same type (PS3.3, C.7.6.3.1.2)."""
    largest = (1 << bits) - 1
    black, luminance, chrominance = _YBR_SCALES[photometric]
    offsets = np.array([black << (bits - 8) if bits > 8 else black >> (8 - bits), 1 << (bits - 1), 1 << (bits - 1)])
    matrix = _YBR_TO_RGB * np.array([[luminance], [chrominance], [chrominance]], np.float32)
    centred = pixels.astype(np.float32) - offsets.astype(np.float32)
    rounded: NDArray[Any] = np.clip(np.floor(centred @ matrix + 0.5), 0, largest).astype(pixels.dtype)
    return rounded


#: Who reads which transfer syntax. The stream of a deflated file is already inflated.
DECODERS: Mapping[str, FrameDecoder] = {
    **{
        str(syntax): decode_native
        for syntax in (
            uid.ImplicitVRLittleEndian,
            uid.ExplicitVRLittleEndian,
            uid.ExplicitVRBigEndian,
            uid.DeflatedExplicitVRLittleEndian,
        )
    },
    str(uid.RLELossless): decode_rle,
    **dict.fromkeys(STREAM_SYNTAXES, decode_stream),
}
