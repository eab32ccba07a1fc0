"""A DICOM file opened for its picture: the header read, and where the pixel data lies.

Pixel data is never read here. The bytes are hostile: reads never ask for more than the file holds, a deflated
data set (PS3.5, A.5) is inflated up to a limit, and whatever a parser raises becomes :class:`.BadData`.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

from ..domain.errors import BadData, StorageError, VisualDicomError

#: Largest deflated data set that is inflated, in bytes.
MAX_INFLATED = 1 << 30
#: Larger header elements are skipped, in bytes: nothing a picture needs is that large.
MAX_ELEMENT = 64 << 20
#: The length field of an element that ends with a delimiter instead (PS3.5, 7.1.1).
UNDEFINED_LENGTH = 0xFFFFFFFF

FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_PIXEL_DATA = 0x7FE00009
PIXEL_DATA = 0x7FE00010
_PIXEL_TAGS = frozenset({FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA, PIXEL_DATA})


@dataclass(frozen=True)
class PixelElement:
    """The pixel data element.

    :ivar vr: its value representation, empty in implicit VR.
    :ivar offset: where its value begins in the stream.
    :ivar length: as declared, or :data:`UNDEFINED_LENGTH`.
    """

    tag: int
    vr: str
    offset: int
    length: int


@dataclass(frozen=True)
class DicomImage:
    """An open file.

    :ivar header: all elements before the pixel data.
    :ivar element: None for an object without pixels.
    :ivar size: length of the stream in bytes (inflated, if it was deflated).
    """

    header: Dataset
    transfer_syntax: str
    big_endian: bool
    stream: BinaryIO
    size: int
    element: PixelElement | None

    @property
    def available(self) -> int:
        """How many bytes of pixel data there really are, whatever the length field says."""
        if self.element is None:
            return 0
        left = max(0, self.size - self.element.offset)
        return left if self.element.length == UNDEFINED_LENGTH else min(self.element.length, left)

    def read_value(self, start: int, stop: int) -> bytes:
        """Read bytes ``start`` to ``stop`` of the pixel data.

        :raises BadData: they are not all there.
        """
        if self.element is None or not 0 <= start <= stop <= self.available:
            raise BadData("The file ends before the picture does.")
        self.stream.seek(self.element.offset + start)
        data = self.stream.read(stop - start)
        if len(data) != stop - start:
            raise BadData("The file ends before the picture does.")
        return data


class _BoundedReader(io.BufferedReader):
    """A file that never sets aside more memory for a read than is left: length fields go up to 4 GiB."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.size = self.seek(0, io.SEEK_END)
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


@contextmanager
def distrust(sentence: str) -> Iterator[None]:
    """Run a parser over hostile bytes: what it raises becomes :class:`.BadData` with ``sentence``.

    Errors of this project and the lack of memory pass through. What the system says of the file is a
    :class:`.StorageError`.
    """
    try:
        with _silence():
            yield
    except (VisualDicomError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # not the system's, but pydicom's way to say that a value was skipped
            raise BadData(sentence) from error
        raise StorageError(f"The file cannot be read: {error.strerror}.") from error
    # pydicom has no common base for what malformed values raise: struct.error, KeyError, RecursionError ...
    except Exception as error:
        raise BadData(sentence) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Drop pydicom's warnings and log records: they quote values, which may be a patient's.

    This holds for the whole process: pictures are made one at a time, in a process of their own.
    """
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


@contextmanager
def open_image(path: Path) -> Iterator[DicomImage]:
    """Open a file of PS3.10 form, or a bare data set, and read its header.

    :raises StorageError: the file cannot be opened.
    :raises BadData: it is not DICOM, or damaged.
    """
    try:
        stream = _BoundedReader(path)
    except OSError as error:
        raise StorageError(f"The file cannot be read: {error.strerror}.") from error
    with stream:
        with distrust("The file is not DICOM, or it is damaged."):
            image = _parse(stream)
        yield image


@contextmanager
def reopen_image(image: DicomImage, path: Path) -> Iterator[DicomImage]:
    """Open the file of an image again whose header is known, and which has not changed since.

    :raises StorageError: the file cannot be opened.
    """
    if isinstance(image.stream, io.BytesIO):  # inflated, and still here
        yield image
        return
    try:
        stream = _BoundedReader(path)
    except OSError as error:
        raise StorageError(f"The file cannot be read: {error.strerror}.") from error
    with stream:
        yield replace(image, stream=stream)


def _parse(file: _BoundedReader) -> DicomImage:
    preamble = read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=_after_meta, defer_size=MAX_ELEMENT)
    read_dataset(file, True, True, stop_when=_after_command, defer_size=MAX_ELEMENT)
    syntax = str(meta.get("TransferSyntaxUID") or _guess_syntax(file))
    stream: BinaryIO = file
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        stream = _inflate(file)
    big_endian = syntax == uid.ExplicitVRBigEndian
    finder = _PixelFinder(stream)
    header = read_dataset(
        stream, syntax == uid.ImplicitVRLittleEndian, not big_endian, stop_when=finder, defer_size=MAX_ELEMENT
    )
    if preamble is None and "SOPClassUID" not in header:
        raise BadData("The file is not DICOM, or it is damaged.")
    return DicomImage(header, syntax, big_endian, stream, stream.seek(0, io.SEEK_END), finder.element)


def _after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 0x0002


def _after_command(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 0x0000


class _PixelFinder:
    """Stops the parser at the pixel data and remembers where that was."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.element: PixelElement | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) not in _PIXEL_TAGS:
            return False
        self.element = PixelElement(int(tag), vr or "", self._stream.tell(), length)
        return True


def _guess_syntax(stream: BinaryIO) -> str:
    """Tell the transfer syntax of a data set that does not say, by its first element."""
    start = stream.tell()
    head = stream.read(6)
    stream.seek(start)
    if head[4:6].decode("latin-1") not in set(VR):
        return str(uid.ImplicitVRLittleEndian)
    # The first group is 0008 nearly always: in big endian the low byte comes second.
    return str(uid.ExplicitVRBigEndian if head[0] == 0 and head[1] != 0 else uid.ExplicitVRLittleEndian)


def _inflate(stream: BinaryIO) -> BinaryIO:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(stream.read(), MAX_INFLATED)
    if not inflater.eof:
        raise BadData(f"The deflated data set is cut, or larger than {MAX_INFLATED >> 20} MiB.")
    return io.BytesIO(data)
