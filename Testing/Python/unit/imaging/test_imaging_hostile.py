"""Broken and malicious compressed files, given to a child as the engine does: there is always an outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid

from support import streams
from support.waiting import wait_until
from VisualDICOMBrowserLib.imaging.children import Decoder

GREY = (np.add.outer(np.arange(48) * 3, np.arange(40) * 2) % 256).astype(np.uint8)
KINDS = {
    "JPEG": (streams.jpeg(GREY), uid.JPEGBaseline8Bit),
    "JPEG lossless": (streams.jpeg_lossless(GREY), uid.JPEGLosslessSV1),
    "JPEG-LS": (streams.jpeg_ls_stream(GREY), uid.JPEGLSLossless),
    "JPEG 2000": (streams.jpeg_2000(GREY), uid.JPEG2000Lossless),
    "RLE": (streams.rle(GREY), uid.RLELossless),
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """Give a decoder whose child is there for all tests, and survives them."""
    with Decoder() as one:
        one.warm()
        wait_until(lambda: one.pids, 30, "the child")
        yield one


@pytest.fixture
def fuzzed() -> Iterator[Decoder]:
    """Give a decoder whose child may have to be replaced."""
    with Decoder() as one:
        yield one


@pytest.fixture
def compressed(write):
    def build(stream: bytes, syntax: str, **elements) -> Path:
        described = {"Rows": 48, "Columns": 40, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
        described |= {"PixelRepresentation": 0} | elements
        return write(streams.encapsulated([[stream]]), syntax=syntax, **described)

    return build


def outcome_of(decoder: Decoder, path: Path, seconds: float = 20.0):
    """Have the thumbnail made; assert that there is a picture, or a reason that says nothing technical."""
    destination = path.with_suffix(".png")
    outcome = decoder.render(path, destination, "CT", timeout=seconds)
    assert outcome.placeholder == bool(outcome.reason)
    assert not outcome.placeholder or outcome.reason.endswith(".")
    with Image.open(destination) as picture:
        assert max(picture.size) == 256
    return outcome


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(KINDS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=6),
    share=st.sampled_from([1, 1, 1, 0.9, 0.5]),
)
def test_changed_streams_always_have_an_outcome(fuzzed, compressed, kind, changes, share):
    stream, syntax = KINDS[kind]
    data = bytearray(stream[: int(len(stream) * share)])
    for where, value in changes:
        at = int(where * len(data))
        data[at : at + len(value)] = value
    path = compressed(bytes(data), syntax)
    outcome = outcome_of(fuzzed, path, 4.0)
    assert max(outcome.width, outcome.height) == 256
    path.unlink()
    path.with_suffix(".png").unlink()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": 65535, "Columns": 65535},
        {"NumberOfFrames": 2**31 - 1},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "Rows": 49},
    ],
)
def test_a_description_that_lies_gives_a_placeholder_and_leaves_the_child_alone(decoder, compressed, kind, elements):
    before = decoder.pids
    assert outcome_of(decoder, compressed(*KINDS[kind], **elements)).placeholder
    assert decoder.pids == before


def test_a_bomb_within_the_limit_of_pixels_has_an_outcome(fuzzed, compressed):
    side = 11_500  # 132 million pixels in a stream of a few hundred bytes
    stream = streams.sized(streams.jpeg_ls_stream(GREY), side, side)
    assert outcome_of(fuzzed, compressed(stream, uid.JPEGLSLossless, Rows=side, Columns=side)).placeholder
    assert not outcome_of(fuzzed, compressed(*KINDS["RLE"])).placeholder


def test_a_jpeg_2000_stream_of_one_huge_tile_has_an_outcome(fuzzed, compressed):
    side = 11_500
    stream = bytearray(streams.sized(streams.jpeg_2000(GREY), side, side))
    stream[24:32] = side.to_bytes(4, "big") * 2
    path = compressed(bytes(stream), uid.JPEG2000Lossless, Rows=side, Columns=side)
    assert outcome_of(fuzzed, path).height == 256
    assert not outcome_of(fuzzed, compressed(*KINDS["RLE"])).placeholder


def test_a_decoder_that_takes_too_long_is_stopped_and_the_next_file_is_shown(compressed, write):
    with Decoder() as one:
        large = write(np.zeros((3000, 3000), np.uint16))
        assert outcome_of(one, large, 0.001).reason == "The file could not be read: the decoder ran out of time."
        assert not outcome_of(one, compressed(*KINDS["JPEG-LS"])).placeholder
