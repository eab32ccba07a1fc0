"""What a compressed stream says of itself, read before any decoder sees it.

JPEG (ISO/IEC 10918-1, annex B), JPEG-LS (ISO/IEC 14495-1, annex C), JPEG 2000 and HTJ2K (ISO/IEC 15444-1, annex A,
also within a JP2 file, annex I).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from ..domain.errors import BadData
from .layout import NotShowable


class Coding(Enum):
    """How pixels are coded. The value is what users call it."""

    JPEG = "JPEG"
    JPEG_12 = "12-bit JPEG"
    JPEG_LOSSLESS = "Lossless JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


@dataclass(frozen=True)
class StreamHeader:
    """The head of a stream.

    :ivar precision: bits a sample.
    :ivar signed: whether samples are; only JPEG 2000 knows.
    :ivar lossless: whether decoded values are those that were encoded.
    :ivar ybr: whether the stream itself says that it holds YBR (True) or RGB (False); None if it does not.
    :ivar begin: where the stream begins in the data: a JP2 file has boxes before it.
    :ivar colour_marks: where segments lie that tell the colour space, as (start, stop).
    """

    coding: Coding
    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False
    lossless: bool = False
    ybr: bool | None = None
    begin: int = 0
    colour_marks: tuple[tuple[int, int], ...] = ()


def read_stream_header(data: bytes) -> StreamHeader:
    """Tell what kind of stream this is, and read its head.

    :raises BadData: none that is known, or damaged.
    :raises NotShowable: sound, but of a process that is not supported.
    """
    try:
        if data.startswith(b"\xff\xd8"):
            return _read_jpeg(data)
        if data.startswith(b"\xff\x4f\xff\x51"):
            return _read_jpeg_2000(data, 0)
        if data.startswith(b"\x00\x00\x00\x0cjP  "):
            return _read_jpeg_2000(data, _find_codestream(data))
    except (struct.error, IndexError) as error:
        raise BadData("The compressed picture is damaged: it ends within its header.") from error
    raise BadData("The compressed picture is damaged: it is no JPEG of any kind.")


# --- JPEG and JPEG-LS -------------------------------------------------------------------------------------------

_SOF_LS = 0xF7
_SOF_HUFFMAN = (0xC0, 0xC1, 0xC2)
_SOF_LOSSLESS = 0xC3
#: Those and the differential and arithmetic processes, which nobody decodes.
_FRAME_HEADERS = (*_SOF_HUFFMAN, _SOF_LOSSLESS, _SOF_LS, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_SOS = 0xDA
_EOI = 0xD9
_APP0 = 0xE0
_APP14 = 0xEE


def _read_jpeg(data: bytes) -> StreamHeader:
    found: dict[int, bytes] = {}  # bodies by marker
    marks: list[tuple[int, int]] = []
    for marker, start, stop in _segments(data):
        body = data[start:stop]
        if _tells_colour(marker, body):
            marks.append((start - 4, stop))
        if marker in found and marker in _FRAME_HEADERS:
            raise BadData("The compressed picture is damaged: it has several frame headers.")
        found[marker] = body
        if marker == _SOS:
            break
    frames = [marker for marker in found if marker in _FRAME_HEADERS]
    if len(frames) != 1:
        raise BadData("The compressed picture is damaged: it has not one frame header.")
    (frame,) = frames
    precision, rows, columns, components = struct.unpack_from(">BHHB", found[frame])
    return StreamHeader(
        coding=_coding(frame, precision),
        rows=rows,
        columns=columns,
        components=components,
        precision=precision,
        lossless=frame == _SOF_LOSSLESS or (frame == _SOF_LS and not _near(found[_SOS])),
        ybr=_jpeg_ybr([data[start + 4 : stop] for start, stop in marks], frame, found[frame]),
        colour_marks=tuple(marks),
    )


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker of each segment and where its body starts and stops."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise BadData("The compressed picture is damaged: a marker is missing.")
        while data[position] == 0xFF:  # any number of fill bytes may stand before a marker (B.1.1.2)
            position += 1
        marker = data[position]
        (length,) = struct.unpack_from(">H", data, position + 1)
        stop = position + 1 + length
        if marker == _EOI or length < 2 or stop > len(data):
            raise BadData("The compressed picture is damaged: it ends within its header.")
        yield marker, position + 3, stop
        position = stop


def _coding(frame: int, precision: int) -> Coding:
    if frame == _SOF_LS:
        return Coding.JPEG_LS
    if frame == _SOF_LOSSLESS:
        return Coding.JPEG_LOSSLESS
    if frame in _SOF_HUFFMAN and precision in (8, 12):
        return Coding.JPEG if precision == 8 else Coding.JPEG_12
    raise NotShowable("Pictures of this JPEG process cannot be shown.")


def _near(scan: bytes) -> int:
    """Return how far values may be off: the parameter NEAR of a JPEG-LS scan."""
    return scan[1 + 2 * scan[0]]


def _tells_colour(marker: int, body: bytes) -> bool:
    return (marker == _APP0 and body.startswith(b"JFIF\0")) or (marker == _APP14 and body.startswith(b"Adobe"))


def _jpeg_ybr(marks: list[bytes], process: int, frame: bytes) -> bool | None:
    """Tell whether the samples are YBR by the Adobe segment, the components' names, subsampling, or the JFIF segment.

    An Adobe segment too short to hold its transform says nothing, nor does anything in a lossless stream.
    """
    if process not in _SOF_HUFFMAN:
        return None
    adobe = next((mark for mark in marks if mark.startswith(b"Adobe") and len(mark) >= 12), None)
    if adobe is not None:
        return adobe[11] != 0
    if frame[6::3][:3] == b"RGB":
        return False
    subsampled = len(set(frame[7::3][:3])) > 1
    return True if subsampled or any(mark.startswith(b"JFIF") for mark in marks) else None


# --- JPEG 2000 --------------------------------------------------------------------------------------------------

_SIZ = 0xFF51
_COD = 0xFF52
_SOT = 0xFF90
#: The most tiles a stream can number: Isot has 16 bits (A.4.2).
_MAX_TILES = 65535


def _find_codestream(data: bytes) -> int:
    """Return where the codestream begins in a JP2 file (I.4)."""
    position = 0
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", data, position + 8), 16
        if kind == b"jp2c":
            return position + head
        if not head <= length <= len(data) - position:
            raise BadData("The compressed picture is damaged: it holds no codestream.")
        position += length


def _read_jpeg_2000(data: bytes, begin: int) -> StreamHeader:
    if data[begin : begin + 4] != b"\xff\x4f\xff\x51":
        raise BadData("The compressed picture is damaged: it holds no codestream.")
    coding = _coding_style(data, begin + 2)
    multiple, reversible = coding[4] == 1, coding[9] == 1
    return replace(
        _sizes(data, begin + 8),
        lossless=reversible,
        ybr=False if multiple else None,  # the inverse transform is the decoder's work; what it gives is RGB
        begin=begin,
    )


def _sizes(data: bytes, position: int) -> StreamHeader:
    """Read the SIZ segment from its image size on (A.5.1)."""
    (right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components) = struct.unpack_from(
        ">8IH", data, position
    )
    first = position + 34
    parts = {data[at] for at in range(first, first + 3 * components, 3)}
    if len(parts) != 1 or not (left < right and top < bottom and tile_width and tile_height):
        raise BadData("The compressed picture is damaged: its sizes do not fit each other.")
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if not 0 < tiles <= _MAX_TILES:
        raise BadData("The compressed picture is damaged: it has too many tiles.")
    (depth,) = parts
    return StreamHeader(
        Coding.JPEG_2000, bottom - top, right - left, components, (depth & 0x7F) + 1, signed=bool(depth & 0x80)
    )


def _coding_style(data: bytes, position: int) -> bytes:
    """Return the body of the main header's COD segment (A.6.1)."""
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _COD and length >= 12 and position + 2 + length <= len(data):
            return data[position + 4 : position + 2 + length]
        if marker == _SOT or marker < 0xFF00 or length < 2:
            raise BadData("The compressed picture is damaged: it does not say how it is coded.")
        position += 2 + length
