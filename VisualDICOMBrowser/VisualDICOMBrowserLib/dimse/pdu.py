"""Protocol data units of the DICOM upper layer (PS3.8, 9.3): bounded reading, P-DATA-TF writing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from ..domain.errors import ProtocolViolation

ASSOCIATE_RQ = 0x01
ASSOCIATE_AC = 0x02
ASSOCIATE_RJ = 0x03
P_DATA_TF = 0x04
RELEASE_RQ = 0x05
RELEASE_RP = 0x06
ABORT = 0x07

#: What we offer as maximum length (PS3.8, D.1): larger ones cost memory and gain nothing (measured), and DCMTK
#: sends no more than this.
MAX_PDU_LENGTH = 128 * 1024
#: Some peers count the PDU header or a PDV header in; further than this nobody strays honestly.
_SLACK = 1024
#: Longest A-ASSOCIATE that is read (DCMTK's limit too).
MAX_ASSOCIATE_LENGTH = 1024 * 1024

#: Bytes of a data set that are read from a file and written to a connection at once: few enough to stay in the
#: processor's cache in between, and to have the peer busy while the next ones are read (measured).
_PIECE_LENGTH = 128 * 1024
#: Fragments in that at the most: no system scatters what it reads to more places at once (IOV_MAX, 1,024 on Linux).
_MAX_FRAGMENTS = 1000

#: PDV message control header (PS3.8, E.2).
COMMAND_BIT = 0x01
LAST_BIT = 0x02

#: How a TLS record with an alert begins (RFC 8446, 5.1), the answer to a PDU from a server that expects TLS.
_TLS_ALERT = b"\x15\x03"

_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")
_P_DATA_HEAD_LENGTH = _HEADER.size + _PDV_HEADER.size
_LIMITS = {
    ASSOCIATE_RQ: MAX_ASSOCIATE_LENGTH,
    ASSOCIATE_AC: MAX_ASSOCIATE_LENGTH,
    ASSOCIATE_RJ: 4,
    P_DATA_TF: MAX_PDU_LENGTH + _SLACK,
    RELEASE_RQ: 4,
    RELEASE_RP: 4,
    ABORT: 4,
}


def encode_pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU with its header (PS3.8, 9.3.1)."""
    return _HEADER.pack(kind, len(body)) + body


RELEASE_RQ_PDU = encode_pdu(RELEASE_RQ, bytes(4))
RELEASE_RP_PDU = encode_pdu(RELEASE_RP, bytes(4))


def abort_pdu(source: int, reason: int) -> bytes:
    """Return an A-ABORT (PS3.8, 9.3.8). ``source`` 0: service user, 2: service provider."""
    return encode_pdu(ABORT, bytes((0, 0, source, reason)))


class PduReader:
    """Cuts a stream into PDUs through one buffer that is filled by large reads.

    :param read_into: reads at least one byte into a view and returns how many; raises at the end.
    """

    def __init__(self, read_into: Callable[[memoryview], int]) -> None:
        self._read_into = read_into
        self._buffer = bytearray(2 * (MAX_PDU_LENGTH + _SLACK))
        self._start = 0
        self._end = 0

    def use(self, read_into: Callable[[memoryview], int]) -> None:
        """Go on with another way to read, keeping what is already in the buffer."""
        self._read_into = read_into

    @property
    def is_empty(self) -> bool:
        """Whether everything that was read has been returned."""
        return self._start == self._end

    def next(self) -> tuple[int, memoryview]:
        """Return type and body of the next PDU; the body is valid until the next call.

        :raises ProtocolViolation: an unknown type, or a length beyond what was negotiated.
        """
        self._fill(_HEADER.size)
        kind, length = _HEADER.unpack_from(self._buffer, self._start)
        limit = _LIMITS.get(kind)
        if limit is None:
            if self._buffer[self._start : self._start + 2] == _TLS_ALERT:
                raise ProtocolViolation("The server speaks TLS at this port, and TLS is not switched on for it.")
            raise ProtocolViolation(f"The server does not speak DICOM: it sent an unknown PDU type 0x{kind:02X}.")
        if length > limit:
            raise ProtocolViolation(f"The server sent a PDU that claims {length} bytes, more than was agreed.")
        self._fill(_HEADER.size + length)
        body = memoryview(self._buffer)[self._start + _HEADER.size : self._start + _HEADER.size + length]
        self._start += _HEADER.size + length
        return kind, body

    def wait(self) -> None:
        """Return when something of the next PDU is there."""
        self._fill(1)

    def _fill(self, count: int) -> None:
        """Have ``count`` bytes at ``_start``."""
        if self._end - self._start >= count:
            return
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + count > len(self._buffer):
            self._make_room(count)
        while self._end - self._start < count:
            self._end += self._read_into(memoryview(self._buffer)[self._end :])

    def _make_room(self, count: int) -> None:
        """Move the unread bytes to the front of a buffer that is large enough.

        A new buffer when it must grow: the views that were handed out still pin the old one.
        """
        rest = bytes(memoryview(self._buffer)[self._start : self._end])
        if count > len(self._buffer):
            self._buffer = bytearray(count + MAX_PDU_LENGTH)
        self._buffer[: len(rest)] = rest
        self._start, self._end = 0, len(rest)


def split_pdvs(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield context id, control header and fragment of each PDV in a P-DATA-TF body (PS3.8, 9.3.5.1).

    :raises ProtocolViolation: an empty PDU, or lengths that do not fit.
    """
    position = 0
    if not body:
        raise ProtocolViolation("The server sent an empty P-DATA PDU.")
    while position < len(body):
        if position + _PDV_HEADER.size > len(body):
            raise ProtocolViolation("The server sent a P-DATA PDU that ends within a header.")
        length, context_id, control = _PDV_HEADER.unpack_from(body, position)
        end = position + 4 + length
        if length < 2 or end > len(body):
            raise ProtocolViolation("The server sent a presentation data value longer than its PDU.")
        yield context_id, control, body[position + _PDV_HEADER.size : end]
        position = end


def p_data(context_id: int, data: bytes, *, is_command: bool, max_length: int) -> Iterator[bytes]:
    """Yield the P-DATA-TF PDUs that carry ``data``, one PDV in each.

    :param max_length: longest PDU body the peer takes, in bytes. Fragments are even: DCMTK refuses odd ones.
    """
    step = _fragment_length(max_length)
    kind = COMMAND_BIT if is_command else 0
    for start in range(0, max(1, len(data)), step):
        fragment = data[start : start + step]
        control = kind | (LAST_BIT if start + step >= len(data) else 0)
        yield _p_data_head(len(fragment), context_id, control) + fragment


#: Fills views one after the other with the next bytes of a data set.
Fill = Callable[[list[memoryview]], None]


class DataSetPacker:
    """Lays data sets out in P-DATA-TF PDUs, many at a time, for few reads and writes.

    What is read goes straight to its place between the headers, in memory that is used again: to copy it there, or to
    have fresh memory each time, costs more than to send it (measured).

    :param max_length: longest PDU body the peer takes, in bytes. Fragments are even: DCMTK refuses odd ones.
    """

    def __init__(self, max_length: int) -> None:
        self._step = _fragment_length(max_length)
        self._fragments = max(1, min(_MAX_FRAGMENTS, _PIECE_LENGTH // self._step))
        self._memory = memoryview(b"")

    def pieces(self, head: bytes, context_id: int, fill: Fill, length: int) -> Iterator[memoryview]:
        """Yield what is to be written; each piece is valid until the next one.

        :param head: what goes before the data set, in one piece with its beginning.
        :param fill: see there; it may raise.
        :param length: of the data set, in bytes; an odd one is padded by a zero, since no fragment may be odd.
        """
        self._make_room(len(head), length)
        self._memory[: len(head)] = head
        start, left = len(head), length
        while left > 0:
            size = min(left, self._fragments * self._step)
            left -= size
            views, end = self._lay_out(start, context_id, size, is_end=not left)
            fill(views)
            yield self._memory[:end]
            start = 0

    def _make_room(self, head: int, length: int) -> None:
        most = min(length + 1, self._fragments * self._step)
        needed = head + most + (most // self._step + 1) * _P_DATA_HEAD_LENGTH
        if needed > len(self._memory):
            self._memory = memoryview(bytearray(needed))

    def _lay_out(self, start: int, context_id: int, size: int, *, is_end: bool) -> tuple[list[memoryview], int]:
        """Write the headers for ``size`` bytes; return where these belong, and where it all ends."""
        views, padding = [], size % 2 if is_end else 0
        for done in range(0, size, self._step):
            here = min(self._step, size - done)
            is_last = is_end and done + here == size
            padded = here + padding if is_last else here
            begin = start + _P_DATA_HEAD_LENGTH
            self._memory[start:begin] = _p_data_head(padded, context_id, LAST_BIT if is_last else 0)
            views.append(self._memory[begin : begin + here])
            start = begin + padded
            if padded > here:
                self._memory[start - 1] = 0
        return views, start


def _fragment_length(max_length: int) -> int:
    return (max_length - _PDV_HEADER.size) & ~1


def _p_data_head(length: int, context_id: int, control: int) -> bytes:
    head = _HEADER.pack(P_DATA_TF, length + _PDV_HEADER.size)
    return head + _PDV_HEADER.pack(length + 2, context_id, control)
