"""Data sets in another transfer syntax, for servers that do not take them as they are in their files.

The target is always one of the two uncompressed little endian syntaxes. Nothing is compressed, and no value changes
but the colour space of lossy JPEG pictures, which their decoders give as RGB. So the instance stays the one that its
SOP Instance UID names (PS3.4, B.4.1.3); what once was compressed with loss goes on saying so.

Pixels go frame by frame from file to file; values other than pixels keep their bytes wherever the encoding lets them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import correct_ambiguous_vr, write_dataset
from pydicom.tag import BaseTag

from ..domain.errors import BadData, StorageError
from .codecs import STREAM_SYNTAXES
from .codestream import read_stream_header
from .fragments import end_of_fragments, read_compressed
from .layout import NotShowable, PixelLayout, read_layout
from .pixels import DECODERS
from .source import DOUBLE_PIXEL_DATA, FLOAT_PIXEL_DATA, PIXEL_DATA, UNDEFINED_LENGTH, DicomImage, distrust, open_image

_CHUNK = 1 << 20
#: The longest pixel data an element can hold, in bytes (PS3.5, 7.1.1), without the value for undefined length.
_MAX_PIXEL_BYTES = 0xFFFFFFFE
_NATIVE = frozenset(
    map(
        str,
        (
            uid.ImplicitVRLittleEndian,
            uid.ExplicitVRLittleEndian,
            uid.ExplicitVRBigEndian,
            uid.DeflatedExplicitVRLittleEndian,
        ),
    )
)
_CHARACTER_SET = 0x00080005
_ICON = 0x00880200
_OFFSET_TABLES = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "EncapsulatedPixelDataValueTotalLength")
#: Bytes of a word, in the VRs whose words big endian turns around (PS3.5, 7.3).
_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_PIXEL_VRS = {FLOAT_PIXEL_DATA: "OF", DOUBLE_PIXEL_DATA: "OD"}
#: What is valid for uncompressed pixels, and for what a decoder gives of subsampled ones.
_FULL_COLOUR = {"YBR_FULL_422": "YBR_FULL"}


def convert(source: Path, destination: Path, syntax: str) -> int:
    """Write the data set of a file in another transfer syntax, without preamble and file meta; return its size.

    Elements that only describe the compressed form are left out: offset tables, icons that are compressed themselves.

    :param syntax: explicit or implicit VR little endian.
    :raises BadData: the file is damaged, or of a kind that cannot be decompressed.
    :raises StorageError: it cannot be read, or the destination not written.
    """
    with open_image(source) as image:
        if image.transfer_syntax not in _NATIVE and image.transfer_syntax not in DECODERS:
            raise NotShowable("There is no decoder for its transfer syntax.")
        try:
            with destination.open("wb") as file:
                _Conversion(image, file, implicit=syntax == uid.ImplicitVRLittleEndian).run()
                return file.tell()
        except OSError as error:
            raise StorageError(f"The converted file cannot be written: {error.strerror or error}.") from error


class _Conversion:
    """One conversion into an open file."""

    def __init__(self, image: DicomImage, file: BinaryIO, *, implicit: bool) -> None:
        self._image = image
        self._file = file
        self._implicit = implicit
        self._from_implicit = image.transfer_syntax == uid.ImplicitVRLittleEndian

    def run(self) -> None:
        image = self._image
        if image.element is None:
            self._write_elements(image.header)
            return
        # before the header is written, which this changes
        frames = self._native() if image.transfer_syntax in _NATIVE else self._decompressed(read_layout(image))
        after = self._elements_after()
        self._write_elements(image.header)
        self._write_pixels(image.element.tag, *frames)
        self._write_elements(after)

    # Elements

    def _write_elements(self, dataset: Dataset) -> None:
        with distrust("The data set is damaged, so that it cannot be converted."):
            self._prepare(dataset)
            target = DicomIO(self._file)
            target.is_little_endian, target.is_implicit_VR = True, self._implicit
            write_dataset(target, dataset)

    def _prepare(self, dataset: Dataset) -> None:
        """Have everything in a form that pydicom writes as we want it."""
        if self._image.big_endian:
            correct_ambiguous_vr(dataset, False)
        for tag in list(dataset.keys()):
            self._prepare_element(dataset, tag)

    def _prepare_element(self, dataset: Dataset, tag: BaseTag) -> None:
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            raw = raw._replace(value=self._read(raw.value_tell, raw.length))
            dataset._dict[tag] = raw  # the value was skipped; pydicom has no public way to give it
        if tag == PIXEL_DATA and getattr(raw, "length", 0) == UNDEFINED_LENGTH:
            raise NotShowable("It holds compressed pictures within sequences.")
        if isinstance(raw, RawDataElement) and raw.VR not in (None, "SQ") and self._keeps_bytes(tag):
            if self._implicit:  # which writes no VR, and the bytes of OB as they are
                dataset[tag] = DataElement(tag, "OB", raw.value or b"")
            return
        if isinstance(raw, RawDataElement) and self._from_implicit and self._implicit:
            return
        element = dataset[tag]
        if element.VR == "SQ":
            if tag == _ICON and any(_is_compressed(item) for item in element.value):
                del dataset[tag]
                return
            for item in element.value:
                self._prepare(item)
        elif self._image.big_endian and element.VR in _WORDS and isinstance(element.value, bytes):
            element.value = _swapped(element.value, _WORDS[element.VR])

    def _keeps_bytes(self, tag: BaseTag) -> bool:
        return not self._image.big_endian and tag != _CHARACTER_SET

    def _read(self, start: int, length: int) -> bytes:
        self._image.stream.seek(start)
        data = self._image.stream.read(length)
        if len(data) != length:
            raise BadData("The file ends within an element.")
        return data

    def _elements_after(self) -> Dataset:
        image = self._image
        with distrust("What follows the pixel data is damaged, so that it cannot be converted."):
            image.stream.seek(_end_of_pixels(image))
            return read_dataset(image.stream, self._from_implicit, not image.big_endian)

    # Pixels

    def _write_pixels(self, tag: int, vr: str, size: int, pieces: Iterator[bytes]) -> None:
        even = size + size % 2
        if even > _MAX_PIXEL_BYTES:
            raise NotShowable("Without compression it is larger than 4 GiB, which no data set can hold.")
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        head += struct.pack("<I", even) if self._implicit else struct.pack("<2sHI", vr.encode(), 0, even)
        self._file.write(head)
        start = self._file.tell()
        for piece in pieces:
            self._file.write(piece)
        if self._file.tell() - start != size:
            raise BadData("The file ends before the picture does.")
        self._file.write(bytes(even - size))

    def _native(self) -> tuple[str, int, Iterator[bytes]]:
        image = self._image
        element = image.element
        assert element is not None
        if element.length == UNDEFINED_LENGTH:
            raise BadData("The pixel data is compressed, though the file says it is not.")
        if element.length > image.available:
            raise BadData("The file ends before the picture does.")
        allocated = int(image.header.get("BitsAllocated") or 8)
        vr = _PIXEL_VRS.get(element.tag) or (element.vr if element.vr in ("OB", "OW") else _vr(allocated))
        width = _WORDS.get(vr, 1) if image.big_endian else 1
        if vr == "OW" and width > 1:
            width = max(width, allocated // 8)  # as everybody writes samples of 32 bits
        return vr, element.length, self._chunks(element.length, width)

    def _chunks(self, size: int, width: int) -> Iterator[bytes]:
        for start in range(0, size, _CHUNK):
            yield _swapped(self._image.read_value(start, min(start + _CHUNK, size)), width)

    def _decompressed(self, layout: PixelLayout) -> tuple[str, int, Iterator[bytes]]:
        """Describe the pixels as they will be, in the header; return them frame by frame."""
        image, header = self._image, self._image.header
        if layout.bits_allocated == 1 or layout.floating:
            raise NotShowable("Compressed pictures of this kind cannot be decompressed.")
        # All allocated bits, since old objects keep overlays in those that are not stored.
        wide = replace(layout, bits_stored=layout.bits_allocated, high_bit=layout.bits_allocated - 1)
        first, decoded = self._frame(wide, 0)
        with distrust("The picture's description is damaged."):
            header.PhotometricInterpretation = _FULL_COLOUR.get(decoded.photometric, decoded.photometric)
            if layout.samples == 3:
                header.PlanarConfiguration = 0
            for keyword in _OFFSET_TABLES:
                if keyword in header:
                    delattr(header, keyword)
            if image.transfer_syntax in STREAM_SYNTAXES and not _is_lossless(image, layout):
                header.LossyImageCompression = "01"
        return _vr(layout.bits_allocated), len(first) * layout.frames, self._frames(wide, first)

    def _frames(self, layout: PixelLayout, first: bytes) -> Iterator[bytes]:
        yield first
        for index in range(1, layout.frames):
            yield self._frame(layout, index)[0]

    def _frame(self, layout: PixelLayout, index: int) -> tuple[bytes, PixelLayout]:
        with distrust("The compressed picture is damaged."):
            values, decoded = DECODERS[self._image.transfer_syntax](self._image, layout, index)
            return _cells(values, layout).tobytes(), decoded


def _end_of_pixels(image: DicomImage) -> int:
    element = image.element
    assert element is not None
    if element.length != UNDEFINED_LENGTH:
        return element.offset + element.length
    return element.offset + end_of_fragments(image)


def _is_compressed(item: Dataset) -> bool:
    element = item.get_item(PIXEL_DATA) if PIXEL_DATA in item else None
    undefined = getattr(element, "is_undefined_length", False)
    return bool(undefined) or getattr(element, "length", 0) == UNDEFINED_LENGTH


def _is_lossless(image: DicomImage, layout: PixelLayout) -> bool:
    return read_stream_header(read_compressed(image, layout.frames, 0)).lossless


def _vr(bits_allocated: int) -> str:
    return "OW" if bits_allocated > 8 else "OB"


def _swapped(data: bytes, width: int) -> bytes:
    if width == 1:
        return data
    if len(data) % width:
        raise BadData("The file holds half a word.")
    return np.frombuffer(data, f">u{width}").astype(f"<u{width}").tobytes()


def _cells(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Return decoded values in the cells that the Image Pixel module allocates."""
    wanted = np.dtype(f"<{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}")
    if values.dtype.kind != wanted.kind:
        if values.dtype.itemsize == wanted.itemsize:
            return values.astype(values.dtype.newbyteorder("<"), copy=False).view(wanted)
        raise BadData("The compressed picture has other values than the file says.")
    if values.dtype.itemsize > wanted.itemsize:
        limits = np.iinfo(wanted)
        if values.min() < limits.min or values.max() > limits.max:
            raise BadData("The compressed picture has more bits than the file says.")
    return values.astype(wanted, copy=False)
