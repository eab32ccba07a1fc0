"""PDUs cut out of a stream, however it arrives and whatever it claims."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import pdu as kit
from VisualDICOMBrowserLib.dimse import pdu
from VisualDICOMBrowserLib.domain.errors import ConnectionLost, ProtocolViolation

MAX_BODY = pdu.MAX_PDU_LENGTH


class Stream:
    """Hands out bytes in pieces of given sizes, then loses the connection."""

    def __init__(self, data: bytes, sizes: Iterable[int]) -> None:
        self.data = memoryview(data)
        self.sizes = iter(sizes)
        self.reads = 0

    def __call__(self, view: memoryview) -> int:
        assert len(view) > 0, "a read into nothing would look like the end of the connection"
        count = min(len(view), next(self.sizes, len(view)), len(self.data))
        if not count:
            raise ConnectionLost("the end")
        view[:count] = self.data[:count]
        self.data = self.data[count:]
        self.reads += 1
        return count


def everything(data: bytes, sizes: Iterable[int] = ()) -> Iterator[tuple[int, bytes]]:
    reader = pdu.PduReader(Stream(data, sizes))
    while True:
        try:
            kind, body = reader.next()
        except ConnectionLost:
            return
        yield kind, bytes(body)


def numbered(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


MIXED = [
    (pdu.ASSOCIATE_AC, numbered(300)),
    (pdu.P_DATA_TF, numbered(1)),
    (pdu.P_DATA_TF, b""),
    (pdu.P_DATA_TF, numbered(5000)),
    (pdu.RELEASE_RP, bytes(4)),
]
LARGE = [(pdu.P_DATA_TF, numbered(MAX_BODY - offset)) for offset in (0, 1, 6, 6, 7, 100, 0, 0, 0)]


def encoded(pdus: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(kit.pdu(kind, body) for kind, body in pdus)


def ones() -> Iterator[int]:
    while True:
        yield 1


def test_single_bytes_give_the_same_pdus():
    assert list(everything(encoded(MIXED), ones())) == MIXED


def test_one_large_read_gives_the_same_pdus():
    assert list(everything(encoded(MIXED))) == MIXED


@pytest.mark.parametrize("size", [5, 1460, 65536, 131072, 131078, 131079, 10**9])
def test_pdus_of_the_largest_size_survive_the_turn_of_the_buffer(size: int):
    assert list(everything(encoded(LARGE), iter(lambda: size, 0))) == LARGE


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=40), st.lists(st.integers(1, 70_000), max_size=60))
def test_any_split_of_the_stream_gives_the_same_pdus(lengths: list[int], sizes: list[int]):
    pdus = [(pdu.P_DATA_TF, numbered(length * (1 + length % 40))) for length in lengths]
    assert list(everything(encoded(pdus), sizes)) == pdus


def test_a_body_stays_as_it_is_until_the_next_one_is_asked_for():
    reader = pdu.PduReader(Stream(encoded(LARGE), ()))
    for kind, expected in LARGE:
        found, body = reader.next()
        assert (found, bytes(body)) == (kind, expected)


def test_a_body_that_is_held_too_long_does_not_break_the_reader():
    reader = pdu.PduReader(Stream(encoded([(pdu.ASSOCIATE_AC, numbered(900_000)), *LARGE]), ()))
    held = [reader.next() for _ in range(1 + len(LARGE))]
    assert [len(body) for _, body in held] == [900_000, *(len(body) for _, body in LARGE)]


def test_the_longest_association_pdu_is_read_and_a_longer_one_is_not():
    longest = [(pdu.ASSOCIATE_AC, numbered(pdu.MAX_ASSOCIATE_LENGTH))]
    assert list(everything(encoded(longest))) == longest
    with pytest.raises(ProtocolViolation, match="claims 1048577 bytes"):
        list(everything(kit.pdu(pdu.ASSOCIATE_AC, b"", claimed_length=pdu.MAX_ASSOCIATE_LENGTH + 1)))


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7])
def test_four_gibibytes_are_refused_after_the_header(kind: int):
    stream = Stream(kit.pdu(kind, bytes(100), claimed_length=0xFFFFFFFF), ones())
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolViolation, match="claims 4294967295 bytes"):
            pdu.PduReader(stream).next()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert stream.reads == 6


@pytest.mark.parametrize("kind", [0, 8, 0x48, 0xFF])
def test_an_unknown_type_is_no_dicom(kind: int):
    with pytest.raises(ProtocolViolation, match=f"unknown PDU type 0x{kind:02X}"):
        list(everything(kit.pdu(kind, b"")))


def test_what_a_web_server_says_is_no_dicom():
    with pytest.raises(ProtocolViolation, match="does not speak DICOM"):
        list(everything(b"HTTP/1.1 400 Bad Request\r\n\r\n"))


@settings(deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(1, 50)))
def test_any_bytes_are_pdus_or_a_violation(data: bytes, sizes: list[int]):
    try:
        for kind, body in everything(data, sizes):
            assert kind in range(1, 8)
            assert len(body) <= len(data) - 6
    except ProtocolViolation:
        pass


# Presentation data values


def values(body: bytes) -> list[tuple[int, int, bytes]]:
    return [(context, control, bytes(data)) for context, control, data in pdu.split_pdvs(memoryview(body))]


def test_many_values_in_one_pdu_come_one_by_one():
    parts = [kit.Pdv(1, b"abc", True, True), kit.Pdv(3, b"", False, False), kit.Pdv(3, numbered(900), False, True)]
    body = b"".join(part.encoded() for part in parts)
    assert values(body) == [(1, 3, b"abc"), (3, 0, b""), (3, 2, numbered(900))]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "empty"),
        (b"\0\0\0\4\1", "within a header"),
        (struct.pack(">IBB", 0, 1, 3), "longer than its PDU"),
        (struct.pack(">IBB", 1, 1, 3), "longer than its PDU"),
        (struct.pack(">IBB", 3, 1, 3), "longer than its PDU"),
        (struct.pack(">IBB", 0xFFFFFFFF, 1, 3) + bytes(50), "longer than its PDU"),
        (kit.Pdv(1, b"abc", True, True).encoded() + b"\0\0", "within a header"),
    ],
)
def test_values_that_do_not_fit_are_violations(body: bytes, part: str):
    with pytest.raises(ProtocolViolation, match=part):
        values(body)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_body_is_values_or_a_violation(body: bytes):
    try:
        found = values(body)
    except ProtocolViolation:
        return
    assert sum(6 + len(data) for _, _, data in found) == len(body)


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(128, 700), st.booleans())
def test_what_is_split_for_a_peer_fits_it_and_reassembles(data: bytes, max_length: int, is_command: bool):
    pdus = list(everything(b"".join(pdu.p_data(5, data, is_command=is_command, max_length=max_length))))
    assert all(kind == pdu.P_DATA_TF and len(body) <= max_length for kind, body in pdus)
    parts = [value for _, body in pdus for value in values(body)]
    assert b"".join(part for _, _, part in parts) == data
    assert {(context, control & 1) for context, control, _ in parts} == {(5, int(is_command))}
    assert [control & 2 for _, control, _ in parts] == [0] * (len(parts) - 1) + [2]
    assert all(len(part) % 2 == 0 for _, _, part in parts[:-1])


def test_the_fixed_pdus_are_what_the_standard_says():
    assert kit.release_rq() == pdu.RELEASE_RQ_PDU
    assert kit.release_rp() == pdu.RELEASE_RP_PDU
    assert pdu.abort_pdu(2, 6) == kit.abort(2, 6)
