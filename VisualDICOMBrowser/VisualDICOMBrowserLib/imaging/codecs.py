"""JPEG of all kinds through the libraries that know them, none of which is believed.

What a stream is, its own head says: a transfer syntax that names another kind of JPEG is overruled. The head is
held against the Image Pixel module before a decoder sees the stream. The libraries are written in C and C++, so
that a malicious stream may still crash one; that is what the child processes are for (:mod:`.children`).

The libraries are imported when first needed: where one is absent, the other pictures are shown all the same.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid

from ..domain.errors import BadData
from .codestream import Coding, StreamHeader, read_stream_header
from .fragments import read_compressed
from .layout import NotShowable, PixelLayout
from .libraries import CHARLS, GDCM, LIBRARIES, OPENJPEG, Library, lack_of
from .samples import extend_sign, stored_values
from .source import DicomImage, distrust

#: A compressed frame of more pixels is not decoded.
MAX_PIXELS = 128 << 20

#: Transfer syntaxes of which every frame is a stream by itself that one of the libraries reads.
STREAM_SYNTAXES: tuple[str, ...] = (
    *map(str, uid.JPEGTransferSyntaxes),
    "1.2.840.10008.1.2.4.53",  # spectral selection and full progression, both retired
    "1.2.840.10008.1.2.4.55",
    *map(str, uid.JPEGLSTransferSyntaxes),
    *map(str, (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)),
)


def preload() -> None:
    """Import the libraries that are here, so that the first picture does not wait for it."""
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library.module)


def decode_stream(image: DicomImage, layout: PixelLayout, index: int) -> tuple[NDArray[Any], PixelLayout]:
    """Read a frame of JPEG, JPEG-LS, JPEG 2000 or HTJ2K; a :data:`.FrameDecoder`."""
    data = read_compressed(image, layout.frames, index)
    head = read_stream_header(data)
    _check(head, layout)
    with distrust(f"The {head.coding.value} compressed picture is damaged."):
        cells = _CODECS[head.coding](data, head, _is_ybr(head, layout))
        shape = (head.rows, head.columns, 3) if head.components == 3 else (head.rows, head.columns)
        values = _as_declared(cells.reshape(shape), head, layout)
    bits = min(head.precision, layout.bits_stored)
    return values, replace(layout, bits_stored=bits, high_bit=bits - 1, photometric=_photometric(head, layout))


def _check(head: StreamHeader, layout: PixelLayout) -> None:
    if layout.floating:
        raise BadData("The file holds compressed floating-point pixels, which cannot be.")
    if (head.rows, head.columns) != (layout.rows, layout.columns):
        raise BadData("The compressed picture has another size than the file says.")
    if head.components != layout.samples:
        raise BadData("The compressed picture has another number of samples a pixel than the file says.")
    if not 0 < head.precision <= 32 or (head.precision > 16 and head.coding is not Coding.JPEG_2000):
        raise NotShowable(f"Compressed pictures of {head.precision} bits a sample cannot be shown.")
    if head.rows * head.columns > MAX_PIXELS:
        raise NotShowable(f"A compressed picture of more than {MAX_PIXELS >> 20} million pixels cannot be shown.")


def _as_declared(cells: NDArray[Any], head: StreamHeader, layout: PixelLayout) -> NDArray[Any]:
    """Read decoded integers as the Image Pixel module says.

    Streams other than JPEG 2000 know no sign: negative values were encoded as the bits that stand for them. Bits
    above those stored are cut away where they are exactly what was encoded; lossy values may run over a little.
    """
    signed = layout.signed and head.components == 1  # colours never are
    if signed and not head.signed:
        return extend_sign(cells, min(head.precision, layout.bits_stored))
    if head.signed and not signed:
        cells = cells.view(f"u{cells.dtype.itemsize}")
    if head.lossless and layout.bits_stored < head.precision and cells.dtype.itemsize * 8 == layout.bits_allocated:
        return stored_values(cells, layout)
    return cells


def _photometric(head: StreamHeader, layout: PixelLayout) -> str:
    """Return the colour space of what the decoder gives."""
    if head.components == 1:
        return layout.photometric
    if head.coding is Coding.JPEG or head.ybr is False:
        return "RGB"
    return "YBR_FULL" if _is_ybr(head, layout) else "RGB"


def _is_ybr(head: StreamHeader, layout: PixelLayout) -> bool:
    """Tell whether the stream's samples are YBR: by what it says itself, else by what the file says."""
    return layout.photometric.startswith(("YBR_FULL", "YBR_PARTIAL")) if head.ybr is None else head.ybr


# --- the libraries ----------------------------------------------------------------------------------------------


def _load(library: Library, coding: Coding) -> Any:
    try:
        return importlib.import_module(library.module)
    except ImportError as error:
        raise NotShowable(lack_of(library, coding.value)) from error


def _cells(data: bytes | bytearray, head: StreamHeader) -> NDArray[Any]:
    """Return what a library gave as unsigned or signed integers, as wide as the precision asks for."""
    width = 1 if head.precision <= 8 else 2 if head.precision <= 16 else 4
    if len(data) != head.rows * head.columns * head.components * width:
        raise BadData(f"The {head.coding.value} compressed picture ends too early.")
    return np.frombuffer(data, f"<{'i' if head.signed else 'u'}{width}")


def _decode_jpeg(data: bytes, head: StreamHeader, ybr: bool) -> NDArray[Any]:
    """Decode 8-bit JPEG, colour to RGB, by the libjpeg-turbo within Pillow."""
    if head.components == 3:
        data = _with_adobe_segment(data, head, ybr)
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        if picture.size != (head.columns, head.rows) or picture.mode not in ("L", "RGB"):
            raise BadData("The JPEG compressed picture is damaged.")
        return np.asarray(picture).reshape(-1)


def _with_adobe_segment(data: bytes, head: StreamHeader, ybr: bool) -> bytes:
    """Replace all that tells libjpeg the colour space, so that it does what was decided here, and does it once."""
    segment = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([ybr])
    kept, position = [b"\xff\xd8", segment], 2
    for start, stop in head.colour_marks:
        kept.append(data[position:start])
        position = stop
    return b"".join([*kept, data[position:]])


def _decode_gdcm(data: bytes, head: StreamHeader, _ybr: bool) -> NDArray[Any]:
    """Decode 12-bit and lossless JPEG without any conversion of colours: GDCM leaves alone what is called RGB."""
    gdcm = _load(GDCM, head.coding)
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(data)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    picture = gdcm.Image()
    picture.SetNumberOfDimensions(2)
    picture.SetDimensions((head.columns, head.rows, 1))
    picture.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType("RGB" if head.components == 3 else "MONOCHROME2")
    picture.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    picture.SetPlanarConfiguration(0)
    syntax = uid.JPEGLossless if head.coding is Coding.JPEG_LOSSLESS else uid.JPEGExtended12Bit
    picture.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    bits = 8 if head.precision <= 8 else 16  # all of them stored: GDCM aborts over fewer than 8
    picture.SetPixelFormat(gdcm.PixelFormat(head.components, bits, bits, bits - 1, 0))
    text = picture.GetBuffer()  # SWIG makes text of char*
    if text is None:
        raise BadData(f"The {head.coding.value} compressed picture is damaged.")
    return _cells(text.encode("utf-8", "surrogateescape"), head)


def _decode_charls(data: bytes, head: StreamHeader, _ybr: bool) -> NDArray[Any]:
    pixels, info = _load(CHARLS, head.coding).decode_pixel_data(data)
    cells = _cells(pixels, head)
    if head.components == 3 and info["interleave_mode"] == 0:  # plane after plane
        cells = cells.reshape(3, -1).T
    return cells


def _decode_openjpeg(data: bytes, head: StreamHeader, _ybr: bool) -> NDArray[Any]:
    pixels = _load(OPENJPEG, head.coding).decode_pixel_data(data[head.begin :], version=2)
    return _cells(pixels, head)


_CODECS: Mapping[Coding, Callable[[bytes, StreamHeader, bool], NDArray[Any]]] = {
    Coding.JPEG: _decode_jpeg,
    Coding.JPEG_12: _decode_gdcm,
    Coding.JPEG_LOSSLESS: _decode_gdcm,
    Coding.JPEG_LS: _decode_charls,
    Coding.JPEG_2000: _decode_openjpeg,
}
