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

#: PDV message control header (PS3.8, E.2).
COMMAND_BIT = 0x01
LAST_BIT = 0x02

_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")
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

    def next(self) -> tuple[int, memoryview]:
        """Return type and body of the next PDU; the body is valid until the next call.

        :raises ProtocolViolation: an unknown type, or a length beyond what was negotiated.
        """
        self._fill(_HEADER.size)
        kind, length = _HEADER.unpack_from(self._buffer, self._start)
        limit = _LIMITS.get(kind)
        if limit is None:
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
    step = (max_length - _PDV_HEADER.size) & ~1
    kind = COMMAND_BIT if is_command else 0
    for start in range(0, max(1, len(data)), step):
        fragment = data[start : start + step]
        control = kind | (LAST_BIT if start + step >= len(data) else 0)
        yield encode_pdu(P_DATA_TF, _PDV_HEADER.pack(len(fragment) + 2, context_id, control) + fragment)
