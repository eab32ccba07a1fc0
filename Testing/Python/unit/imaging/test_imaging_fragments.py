from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from support import streams
from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.imaging import fragments, rle, source
from VisualDICOMBrowserLib.imaging.codestream import read_stream_header
from VisualDICOMBrowserLib.imaging.fragments import read_compressed
from VisualDICOMBrowserLib.imaging.layout import NotShowable
from VisualDICOMBrowserLib.imaging.pixels import read_frame
from VisualDICOMBrowserLib.imaging.source import open_image

GREY = np.arange(40 * 34, dtype=np.uint8).reshape(40, 34)
#: Five frames of different lengths, as JPEG-LS streams: the last one ends in an odd byte more or less.
FRAMES = [np.roll(GREY, 7 * number) // (number + 1) for number in range(5)]
STREAMS = [streams.jpeg_ls_stream(frame) for frame in FRAMES]
DESCRIBED = {"Rows": 40, "Columns": 34, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "NumberOfFrames": 5}
DESCRIBED["PixelRepresentation"] = 0


@pytest.fixture
def multi_frame(write):
    def build(pixel_data: bytes, **elements):
        return write(pixel_data, syntax=uid.JPEGLSLossless, **{**DESCRIBED, **elements})

    return build


def in_pieces(stream: bytes) -> list[bytes]:
    middle = len(stream) // 4 * 2
    return [stream[:middle], b"", stream[middle:]]


WAYS = {
    "no table": (streams.encapsulated([[one] for one in STREAMS]), {}),
    "no table, in pieces": (streams.encapsulated([in_pieces(one) for one in STREAMS]), {}),
    "basic table": (streams.encapsulated([[one] for one in STREAMS], table=True), {}),
    "basic table, in pieces": (streams.encapsulated([in_pieces(one) for one in STREAMS], table=True), {}),
    "extended table": (streams.encapsulated([[one] for one in STREAMS]), streams.extended_tables(STREAMS)),
    "a table that points at nothing": (
        streams.item(struct.pack("<5I", 0, 3, 5, 7, 9)) + b"".join(map(streams.item, STREAMS)), {},
    ),
    "a table that started again from 0": (
        streams.item(struct.pack("<5I", 0, 3, 1, 7, 9)) + b"".join(map(streams.item, STREAMS)), {},
    ),
    "an extended table that points at nothing": (
        streams.encapsulated([[one] for one in STREAMS]),
        {"ExtendedOffsetTable": struct.pack("<5Q", *[2**63] * 5), "ExtendedOffsetTableLengths": bytes(40)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("way", WAYS)
def test_every_frame_is_found_whatever_the_tables_say(multi_frame, way, index):
    pixel_data, elements = WAYS[way]
    np.testing.assert_array_equal(read_frame(multi_frame(pixel_data, **elements), index).pixels, FRAMES[index])


@pytest.mark.parametrize("way", ["basic table", "extended table", "no table"])
def test_the_other_frames_are_not_read(multi_frame, monkeypatch, way):
    filler = [one + bytes(200_000 + len(one) % 2) for one in STREAMS]
    tables = streams.extended_tables(filler) if way == "extended table" else {}
    path = multi_frame(streams.encapsulated([[one] for one in filler], table=way == "basic table"), **tables)
    total = []
    read = source._BoundedReader.read
    monkeypatch.setattr(source._BoundedReader, "read", lambda self, n=-1: total.append(len(d := read(self, n))) or d)
    np.testing.assert_array_equal(read_frame(path, 3).pixels, FRAMES[3])
    assert sum(total) < 250_000


def test_all_fragments_of_a_single_frame_belong_together(multi_frame):
    path = multi_frame(streams.encapsulated([in_pieces(STREAMS[2])]), NumberOfFrames=1)
    np.testing.assert_array_equal(read_frame(path).pixels, FRAMES[2])


@pytest.mark.parametrize(
    ("pixel_data", "elements", "reason"),
    [
        (streams.encapsulated([[one] for one in STREAMS[:3]]), {}, "cannot be told apart"),
        (streams.encapsulated([[one] for one in STREAMS]), {"NumberOfFrames": 2**31 - 1}, "cannot be told apart"),
        (streams.encapsulated([[b""]]), {"NumberOfFrames": 1}, "is empty"),
        (streams.item(b""), {"NumberOfFrames": 1}, "is empty"),
        (streams.encapsulated([[one] for one in STREAMS])[:-100], {}, "ends before the picture"),
        (streams.item(b"") + b"garbage garbage!", {"NumberOfFrames": 1}, "do not follow each other"),
        (streams.item(b"") + b"\xfe\xff\x00\xe0\xff\xff\xff\xff", {"NumberOfFrames": 1}, "ends before the picture"),
    ],
)
def test_fragments_that_cannot_be_are_bad_data(multi_frame, pixel_data, elements, reason):
    path = multi_frame(pixel_data, **elements)
    path.write_bytes(path.read_bytes().removesuffix(b"\xfe\xff\xdd\xe0\0\0\0\0"))
    with pytest.raises(BadData, match=reason):
        read_frame(path, 4 if "NumberOfFrames" not in elements else 0)


def test_pixel_data_that_begins_with_something_else_than_a_table_is_bad_data(multi_frame):
    path = multi_frame(streams.item(b"") + streams.item(STREAMS[0]), NumberOfFrames=1)
    path.write_bytes(path.read_bytes().replace(streams.item(b""), b"garbage!"))
    with pytest.raises(BadData, match="no offset table"):
        read_frame(path)


def test_a_compressed_frame_above_the_limit_is_refused(multi_frame, monkeypatch):
    monkeypatch.setattr(fragments, "MAX_COMPRESSED", 100)
    with pytest.raises(NotShowable, match="compressed frame of more"):
        read_frame(multi_frame(WAYS["no table"][0]))


def test_fragments_without_end_are_refused(multi_frame, monkeypatch):
    monkeypatch.setattr(fragments, "MAX_FRAGMENTS", 100)
    with pytest.raises(NotShowable, match="more than 100 fragments"):
        read_frame(multi_frame(streams.encapsulated([[b""] * 200]), NumberOfFrames=1))


# --- hostile bytes through what is written in Python -------------------------------------------------------------

KINDS = {
    "JPEG": streams.jpeg(GREY),
    "JPEG lossless": streams.jpeg_lossless(GREY),
    "JPEG-LS": STREAMS[0],
    "JPEG 2000": streams.jpeg_2000(GREY),
    "HTJ2K": streams.HT_COLOUR_LOSSY,
    "JP2": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x08free\0\0\0\x01jp2c\0\0\0\0\0\0\1\0" + streams.jpeg_2000(GREY),
}
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=3)), max_size=8)


def mutated(data: bytes, changes: list[tuple[float, bytes]], reach: int = 1 << 30) -> bytes:
    out = bytearray(data)
    for where, value in changes:
        at = int(where * min(len(out), reach))
        out[at : at + len(value)] = value
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_head_is_read(kind):
    head = read_stream_header(KINDS[kind])
    assert (head.rows, head.columns, head.precision) == ((24, 20, 8) if kind == "HTJ2K" else (40, 34, 8))


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), changes=CHANGES, length=st.integers(0, 400))
def test_changed_heads_of_streams_are_read_or_bad_data(kind, changes, length):
    with suppress(BadData):
        assert read_stream_header(mutated(KINDS[kind][:length], changes, 200)).rows >= 0


@pytest.mark.parametrize("length", [17, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])
def test_a_box_longer_than_the_file_is_bad_data(length):
    with pytest.raises(BadData, match="holds no codestream"):
        read_stream_header(b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x01free" + length.to_bytes(8, "big"))


@settings(max_examples=200, deadline=None)
@given(start=st.sampled_from([b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b""]), tail=st.binary(max_size=200))
def test_noise_is_no_stream(start, tail):
    with suppress(BadData):
        assert read_stream_header(start + tail).rows >= 0


@settings(max_examples=200, deadline=None)
@given(changes=CHANGES)
def test_changed_rle_gives_the_right_size_or_bad_data(changes):
    data = mutated(streams.rle(GREY), changes)
    with suppress(BadData):
        (segment,) = rle.split_segments(data, 1)
        assert len(rle.expand(segment, GREY.size)) == GREY.size


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(sorted(WAYS)), changes=CHANGES, index=st.integers(0, 4), frames=st.integers(1, 9))
def test_changed_fragments_are_read_or_bad_data(multi_frame, tmp_path, way, changes, index, frames):
    pixel_data, elements = WAYS[way]
    whole = tmp_path / f"{way}.dcm"
    if not whole.exists():
        multi_frame(pixel_data, **elements).rename(whole)
    data = whole.read_bytes()
    begin = data.index(b"\xe0\x7f\x10\x00")
    (tmp_path / "changed").write_bytes(data[: begin + 12] + mutated(data[begin + 12 :], changes))
    with open_image(tmp_path / "changed") as image, suppress(BadData):
        assert read_compressed(image, frames, min(index, frames - 1))
