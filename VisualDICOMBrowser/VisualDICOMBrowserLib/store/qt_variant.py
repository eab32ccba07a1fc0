"""Values that Qt writes as bytes into an ini file: ``@Variant(…)``, a QVariant in a QDataStream of version Qt 4.0.

All numbers are big-endian. A variant is the number of its type (4 bytes) and the value; a text is its length in bytes
(4) and UTF-16; a map is the number of its pairs (4), each a text and a variant. Only values of which settings of
servers consist are understood, and no map within a map.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from ..domain.errors import BadData

_MAX_PAIRS = 256
_NULL = 0xFFFFFFFF
_INVALID, _MAP = 0, 8

#: A value without structure.
Plain = str | bytes | bool | int | float | None


def read_variant(raw: bytes) -> Plain | dict[str, Plain]:
    """Return the value. What stands behind it is ignored, as Qt does.

    :raises BadData: it is cut, or of a type that is not known here.
    """
    stream = _Stream(raw)
    kind = stream.number()
    if kind != _MAP:
        return _plain(stream, kind)
    count = stream.number()
    if count > _MAX_PAIRS:
        raise BadData("A setting has too many values.")
    return {stream.text() or "": _plain(stream, stream.number()) for _ in range(count)}


class _Stream:
    """Bytes that are read from the front."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        end = self._at + count
        if end > len(self._raw):
            raise BadData("A setting ends too early.")
        part, self._at = self._raw[self._at : end], end
        return part

    def number(self) -> int:
        """Return four bytes as a number without sign."""
        return int.from_bytes(self.take(4), "big")

    def unpacked(self, form: str) -> Plain:
        """Return one number of a form of the module struct."""
        value: Plain = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def data(self) -> bytes | None:
        """Return bytes that come with their length."""
        length = self.number()
        return None if length == _NULL else self.take(length)

    def text(self) -> str | None:
        """Return a text."""
        raw = self.data()
        try:
            return None if raw is None else raw.decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise BadData("A setting has a text that is none.") from error


_READERS: Mapping[int, Callable[[_Stream], Plain]] = {
    _INVALID: _Stream.text,  # an invalid variant is followed by a null text
    1: lambda stream: bool(stream.unpacked(">?")),
    2: lambda stream: stream.unpacked(">i"),
    3: lambda stream: stream.unpacked(">I"),
    4: lambda stream: stream.unpacked(">q"),
    5: lambda stream: stream.unpacked(">Q"),
    6: lambda stream: stream.unpacked(">d"),
    10: _Stream.text,
    12: _Stream.data,
}


def _plain(stream: _Stream, kind: int) -> Plain:
    reader = _READERS.get(kind)
    if reader is None:
        raise BadData(f"A setting has a value of Qt's type {kind}, which is not known here.")
    return reader(stream)
