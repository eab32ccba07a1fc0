"""Windows on the bytes of a file, a data set in memory, or a deflated stream, for the element scanner."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from ..domain.errors import BadData

_FIRST_READ = 64 * 1024
_READ_ON = 64 * 1024
_AFTER_JUMP = 1024

#: Limits of a deflated data set (PS3.5, A.5): inflated bytes, and their ratio to the deflated ones. Deflate
#: itself cannot exceed 1032 : 1; an honest mask comes near, so the ratio counts only for what is big.
MAX_INFLATED = 1 << 30
MAX_RATIO = 500
_RATIO_COUNTS_FROM = 64 << 20


class Source:
    """A window ``data`` that begins at position ``base`` and ends before ``end`` of ``size`` bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.base = 0
        self.end = len(data)
        self.size = len(data)

    def fill(self, position: int, count: int) -> None:
        """Move the window so that it holds ``count`` bytes from ``position`` on, or all up to the end."""


class FileSource(Source):
    """Reads the head of a file at once, then small pieces where the scanner lands behind big values."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        super().__init__(stream.read(_FIRST_READ))
        self.size = size
        self._stream = stream

    def fill(self, position: int, count: int) -> None:
        """See :meth:`Source.fill`."""
        if self.base <= position and position + count <= self.end:
            return
        piece = _READ_ON if self.base <= position <= self.end else _AFTER_JUMP
        self._stream.seek(position)
        self.data = _read_fully(self._stream, min(max(piece, count), max(0, self.size - position)))
        self.base = position
        self.end = position + len(self.data)


def _read_fully(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    while len(data) < count and (more := stream.read(count - len(data))):
        data += more
    return data


class InflatingSource(Source):
    """Inflates a stream (RFC 1951) piece by piece and forwards only; ``size`` is known once the end is reached."""

    def __init__(self, source: Source, position: int) -> None:
        super().__init__(b"")
        self.size = MAX_INFLATED
        self._source = source
        self._position = position
        self._start = position
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._input = b""

    def fill(self, position: int, count: int) -> None:
        """See :meth:`Source.fill`; positions before the window are gone.

        :raises BadData: not a deflated stream, a broken one, or one that inflates beyond all measure.
        """
        while self.end < position + count and not self._inflater.eof:
            keep = self.data[max(0, position - self.base) :]
            self.base = self.end - len(keep)
            self.data = keep + self._inflate()
            self.end = self.base + len(self.data)
        if self._inflater.eof:
            self.size = self.end

    def _inflate(self) -> bytes:
        if not self._input:
            self._input = self._take_input()
        try:
            output = self._inflater.decompress(self._input, _READ_ON)
        except zlib.error as error:
            raise BadData("The deflated data set is damaged.") from error
        if not (self._input or output or self._inflater.eof):
            raise BadData("The deflated data set is cut off.")
        self._input = self._inflater.unconsumed_tail
        self._check(self.end + len(output))
        return output

    def _take_input(self) -> bytes:
        source = self._source
        source.fill(self._position, min(_READ_ON, max(0, source.size - self._position)))
        start = self._position - source.base
        piece = source.data[start : start + _READ_ON]
        self._position += len(piece)
        return piece

    def _check(self, inflated: int) -> None:
        deflated = self._position - self._start
        if inflated > MAX_INFLATED or (inflated > _RATIO_COUNTS_FROM and inflated > MAX_RATIO * deflated):
            raise BadData("The deflated data set inflates beyond all measure.")
