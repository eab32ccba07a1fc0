"""Compressed frames made on the spot, and pixel data to hold them."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jpeg_ls  # type: ignore[import-untyped, unused-ignore]
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import encode_array  # type: ignore[import-untyped, unused-ignore]
from PIL import Image
from pydicom import uid

Pixels = NDArray[Any]


def item(data: bytes) -> bytes:
    """Return an item of encapsulated pixel data; values have an even length."""
    data += b"\0" * (len(data) % 2)
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data


def encapsulated(frames: Sequence[Sequence[bytes]], table: bool = False) -> bytes:
    """Return pixel data of frames, each in one or more fragments (PS3.5, A.4), without the final delimiter."""
    coded = [b"".join(map(item, fragments)) for fragments in frames]
    offsets = np.cumsum([0, *map(len, coded)])[:-1]
    basic = struct.pack(f"<{len(coded)}I", *offsets) if table else b""
    return item(basic) + b"".join(coded)


def extended_tables(frames: Sequence[bytes]) -> dict[str, bytes]:
    """Return the elements of an Extended Offset Table; it tells lengths without padding."""
    offsets = np.cumsum([0, *(len(item(frame)) for frame in frames)])[:-1]
    return {
        "ExtendedOffsetTable": struct.pack(f"<{len(frames)}Q", *offsets),
        "ExtendedOffsetTableLengths": struct.pack(f"<{len(frames)}Q", *map(len, frames)),
    }


def jpeg(pixels: Pixels, **options: Any) -> bytes:
    """Compress 8-bit pixels by JPEG as Pillow does: colour as YCbCr, with a JFIF segment."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95, subsampling=0, **options)
    return out.getvalue()


def jpeg_lossless(pixels: Pixels, bits: int = 0) -> bytes:
    """Compress by JPEG Lossless, selection value 1 (ISO/IEC 10918-1, annex H); slow: for small pictures."""
    samples, bits = (pixels.shape[2] if pixels.ndim == 3 else 1), bits or pixels.dtype.itemsize * 8
    names = range(1, samples + 1)
    frame = struct.pack(">BHHB", bits, *pixels.shape[:2], samples) + b"".join(bytes([n, 0x11, 0]) for n in names)
    # one Huffman table: the 17 categories by codes of 5 bits each
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    scan = bytes([samples]) + b"".join(bytes([n, 0]) for n in names) + bytes([1, 0, 0])
    head = b"".join(segment(marker, body) for marker, body in ((0xC3, frame), (0xC4, table), (0xDA, scan)))
    return b"\xff\xd8" + head + _entropy(np.atleast_3d(pixels).astype(np.int64), bits) + b"\xff\xd9"


def _entropy(values: Pixels, bits: int) -> bytes:
    predicted = np.empty_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    differences = (values - predicted + 32767) % 65536 - 32767
    digits = "".join(map(_digits, differences.reshape(-1).tolist()))
    digits += "1" * (-len(digits) % 8)
    data = int(digits, 2).to_bytes(len(digits) // 8, "big")
    return data.replace(b"\xff", b"\xff\x00")


def _digits(difference: int) -> str:
    category = abs(difference).bit_length()
    if category in (0, 16):  # the category says it all
        return f"{category:05b}"
    rest = difference if difference > 0 else difference + (1 << category) - 1
    return f"{category:05b}{rest:0{category}b}"


def segment(marker: int, body: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_ls_stream(pixels: Pixels, near: int = 0, interleave: int = 2) -> bytes:
    """Compress by JPEG-LS.

    :param near: how far values may be off.
    :param interleave: 0 plane, 1 line, 2 pixel after the other.
    """
    options = {"interleave_mode": interleave} if pixels.ndim == 3 else {}
    return bytes(jpeg_ls.encode_array(pixels, lossy_error=near, **options))


def jpeg_2000(pixels: Pixels, bits: int = 0, **options: Any) -> bytes:
    """Compress by JPEG 2000, without loss unless the options say so."""
    return bytes(encode_array(pixels, bits_stored=bits or pixels.dtype.itemsize * 8, **options))


def rle(pixels: Pixels) -> bytes:
    """Compress by RLE Lossless, only with literal runs."""
    planes = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    big = planes.astype(planes.dtype.newbyteorder(">"))
    width = pixels.dtype.itemsize
    raw = [plane.tobytes()[byte::width] for plane in big for byte in range(width)]
    segments = [_literals(data) for data in raw]
    offsets = np.cumsum([64, *map(len, segments)])[:-1].tolist()
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def _literals(data: bytes) -> bytes:
    runs = [data[at : at + 128] for at in range(0, len(data), 128)]
    coded = b"".join(bytes([len(run) - 1]) + run for run in runs)
    return coded + b"\x80" * (len(coded) % 2)


def with_segment(stream: bytes, segment: bytes) -> bytes:
    """Put a segment behind the SOI marker of a JPEG."""
    return stream[:2] + segment + stream[2:]


def without_jfif(stream: bytes) -> bytes:
    """Take the JFIF segment out of a JPEG."""
    assert stream[2:4] == b"\xff\xe0"
    return stream[:2] + stream[4 + int.from_bytes(stream[4:6], "big") :]


def sized(stream: bytes, rows: int, columns: int) -> bytes:
    """Let a JPEG or a JPEG 2000 codestream claim another size."""
    if stream.startswith(b"\xff\x4f"):
        return stream[:8] + struct.pack(">II", columns, rows) + stream[16:]
    at = next(at for at in range(len(stream)) if stream[at] == 0xFF and stream[at + 1] in (0xC0, 0xC1, 0xC3, 0xF7))
    return stream[: at + 5] + struct.pack(">HH", rows, columns) + stream[at + 9 :]


#: By name: the transfer syntax and what compresses to it without loss.
LOSSLESS: Mapping[str, tuple[str, Callable[[Pixels], bytes]]] = {
    "RLE": (uid.RLELossless, rle),
    "JPEG lossless": (uid.JPEGLossless, jpeg_lossless),
    "JPEG lossless SV1": (uid.JPEGLosslessSV1, jpeg_lossless),
    "JPEG-LS": (uid.JPEGLSLossless, jpeg_ls_stream),
    "JPEG 2000 lossless": (uid.JPEG2000Lossless, jpeg_2000),
}

_DOWN, _ACROSS = np.mgrid[0:24, 0:20]
#: What the HTJ2K streams show.
HT_GREY = (_DOWN * 100 - _ACROSS * 130).astype(np.int16)
HT_COLOUR = np.stack([_DOWN * 10, _ACROSS * 12, (_DOWN + _ACROSS) * 5], axis=-1).astype(np.uint8)
# No package at hand writes HTJ2K; these were written by OpenJPH 0.26.
HT_GREY_LOSSLESS = base64.b64decode(
    "/0//UQApQAAAAAAUAAAAGAAAAAAAAAAAAAAAFAAAABgAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAIEBEAB/1wACiCI"
    "kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAJwAAf+TwAAu1B4/8M4H/vnCh0RDbPvYKy5y6nd88t5nRSru"
    "fuwAbui/XrjvhPdRBPMBTyMNOEJwvIMBq70AwAAV0AAFaEceOXLkkSPYL9fiC3cAwIGBgYH0DEYxgey4AMAALWgABawDAwMDAwMD"
    "AwMDAwPv+np6enpxgnoAxkaj0Wg0Go3G/1AEPYhAe/YhAey9AP/Z"
)
HT_COLOUR_LOSSLESS = base64.b64decode(
    "/0//UQAvQAAAAAAUAAAAGAAAAAAAAAAAAAAAFAAAABgAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAAA/9SAAwAAgABAQIEBEAB"
    "/1wACiBQWFhYUFBQ/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAYwAAf+TwBdK/e/iUmL9jNXB0UO6+ZogWKUwXqYi"
    "x0TQigLPlTZxnQ+AAAG8AMAXSuZ+3sfT/3zn2Jb/Mbi+Lm8PsxnF5Q7yyP4CnlF6cBxA+AJEvADAF07O9/H79vHc2ONx93F8uPy9"
    "tHf6aPam49d69E3GOyi7oFxg+GJEuwDAC1YAWlACsAAAAAAAAAAAAADgAf41/jQAfK+6AAAAAAAAAAD4GZ8gMdw1fK+6AAAAAMAH"
    "DThq/Ks4AMAKqAFS/3//f9r9fst2AJSI6PZHyey2AMAKuAFYda11rdgv1+ALdwAsY4z99ABGAAHsuADAFowBaUAXRAAySZIk+X/p"
    "6enp6dOe7msAANBgGIZzcxRLSS20ktzAAG0AAAAAAAAAAAD+Aa1rWdVVVXuqqqr3VVVV7qqqq95pppnZAcAV8AVwbdu2bfvv+Ken"
    "p6enQnoACAAAgP9RPZJ79knsugDAFoQBaAB3d3d3d3fv+Kenp6enwnoAUkRERET+/1M98nv3yey6AP/Z"
)
#: Off by 1 at most.
HT_COLOUR_LOSSY = base64.b64decode(
    "/0//UQAvQAAAAAAUAAAAGAAAAAAAAAAAAAAAFAAAABgAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAAI/9SAAwAAgABAQIEBEAA"
    "/1wAESJn5lg1WDVYeFAaUBpfv/9kABcAAU9wZW5KUEggVmVyIDAuMjYuMy7/kAAKAAAAAAG+AAH/k8AF2IBnv3q7IwWQdIlrfSjR"
    "tbOIr9csrBEp5GJpYONAHztlRCYJm1H4LPlTZxnEN4xgAbwAwAXTgIdXrbGHDeNxR1ACATf18bpX8Y1zVxM5jMlIq/4KcF6cQjB8"
    "MSKbAMAF14AL4CU1dxIv79ZTE/5NklOQBi69XfLygUb4VWViYIdIiPc5Jg7KLuhHKD4ggNacAMALYgBagJTmsCzRaWJZotPEsgB/"
    "yn//K/CPalt8AAgABz7gAw98wDgAPwAApup76jsAwAtKAFaAZ+YAMweY+QB/yn//K/z2G3sAIBgYBANxH5JTdQzoAMALWgBawH9m"
    "0/wZpmn+DNM0H/K/f8r8I95bewAqSQtwAVyABbgA/jgEPwhApup76jsAwBdBAFrgZAYRziDCGUQ4gwhnEOEM4m/ElfyV/JX8lfyV"
    "/iuLcAEAREOjaBSNolH0f7JTJKdMkpumMYztAMAVkAVI/3/v+BT09PT08noAAPz/UOuuupcAwBb8AWwAB4g4QMQBIg4QcYCIA0T8"
    "b8JK/kr+Sv5K/kr/FctwAQIIB4fhMByGw/B/xJTJKdMkpu9eteo+AP/Z"
)
