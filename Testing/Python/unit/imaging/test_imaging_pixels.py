from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.pixels import apply_color_lut, pixel_array

from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.imaging import pixels, source
from VisualDICOMBrowserLib.imaging.layout import NoPicture, NotShowable
from VisualDICOMBrowserLib.imaging.pixels import read_frame, ybr_to_rgb

NATIVE = [
    "693_UNCR.dcm",
    "CT_small.dcm",
    "ExplVR_BigEnd.dcm",
    "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "SC_rgb_16bit_2frame.dcm",
    "SC_rgb_32bit.dcm",
    "SC_rgb_expb_16bit_2frame.dcm",
    "SC_rgb_expb_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "SC_ybr_full_uncompressed.dcm",
    "color-pl.dcm",
    "color-px.dcm",
    "emri_small.dcm",
    "emri_small_big_endian.dcm",
    "image_dfl.dcm",
    "liver.dcm",
    "liver_1frame.dcm",
    "liver_expb.dcm",
    "rtdose.dcm",
    "rtdose_expb.dcm",
]


@pytest.mark.parametrize("name", NATIVE)
def test_the_chosen_frame_is_the_one_pydicom_decodes(sample, name):
    frame = read_frame(sample(name))
    expected = pixel_array(pydicom.dcmread(sample(name)), index=frame.index)
    np.testing.assert_array_equal(frame.pixels, expected)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_frame_of_one_bit_pixels_is_found(sample, index):
    expected = pydicom.dcmread(sample("liver.dcm")).pixel_array[index]
    np.testing.assert_array_equal(read_frame(sample("liver.dcm"), index).pixels, expected)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_bit_frames_may_begin_within_a_byte(write, index):
    bits = np.random.default_rng(1).integers(0, 2, (3, 3, 5), np.uint8)
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    path = write(packed, Rows=3, Columns=5, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=3)
    np.testing.assert_array_equal(read_frame(path, index).pixels, bits[index])


@pytest.mark.parametrize("name", ["OBXXXX1A.dcm", "examples_palette.dcm", "gdcm-US-ALOKA-16.dcm"])
def test_palette_colour_is_what_pydicom_makes_of_it(sample, name):
    dataset = pydicom.dcmread(sample(name))
    expected = apply_color_lut(dataset.pixel_array, dataset) >> 8
    np.testing.assert_array_equal(read_frame(sample(name)).pixels, expected)


@pytest.mark.parametrize("pair", [("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"), ("liver.dcm", "liver_expb.dcm")])
def test_both_byte_orders_give_the_same_picture(sample, pair):
    little, big = (read_frame(sample(name)).pixels for name in pair)
    np.testing.assert_array_equal(little, big)


def test_bits_that_are_not_stored_are_cut_away(write):
    # 12 bits stored in bits 2 to 13; the four others hold overlays
    stored = np.array([[0, 1], [-1, -2048]], np.int16)
    allocated = ((stored.astype(np.uint16) & 0x0FFF) << 2) | np.uint16(0xC003)
    path = write(allocated, BitsStored=12, HighBit=13, PixelRepresentation=1)
    np.testing.assert_array_equal(read_frame(path).pixels, stored)


@pytest.mark.parametrize(("dtype", "keyword"), [(np.float32, "FloatPixelData"), (np.float64, "DoubleFloatPixelData")])
def test_float_pixel_data_is_read(write, dtype, keyword):
    values = np.array([[0.5, -1e6], [np.pi, 0]], dtype)
    path = write(b"", Rows=2, Columns=2, BitsAllocated=values.itemsize * 8, **{keyword: values.tobytes()})
    frame = read_frame(path)
    assert frame.layout.floating
    np.testing.assert_array_equal(frame.pixels, values)


def test_planes_one_after_the_other_become_pixels(write):
    colours = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    planes = np.ascontiguousarray(colours.transpose(2, 0, 1)).tobytes()
    path = write(planes, Rows=2, Columns=3, SamplesPerPixel=3, PlanarConfiguration=1, BitsAllocated=8, BitsStored=8,
                 HighBit=7, PhotometricInterpretation="RGB")  # fmt: skip
    np.testing.assert_array_equal(read_frame(path).pixels, colours)


def test_ybr_primaries_become_rgb_primaries():
    # from the matrix of PS3.3, C.7.6.3.1.2
    colours = np.array([[76, 85, 255], [255, 128, 128], [0, 128, 128], [29, 255, 107]], np.uint8)
    expected = [[254, 0, 0], [255, 255, 255], [0, 0, 0], [0, 0, 254]]
    np.testing.assert_array_equal(ybr_to_rgb(colours), expected)


@pytest.mark.parametrize(("number", "index"), [(None, 5), (3, 2), (0, 5), (11, 5), (10, 9)])
def test_the_representative_frame_else_the_middle_one_is_read(write, number, index):
    frames = np.repeat(np.arange(10, dtype=np.uint16), 4)
    extra = {} if number is None else {"RepresentativeFrameNumber": number}
    path = write(
        frames.tobytes(), Rows=2, Columns=2, BitsAllocated=16, BitsStored=16, HighBit=15, NumberOfFrames=10, **extra
    )
    frame = read_frame(path)
    assert frame.index == index
    assert (frame.pixels == index).all()


def test_only_the_needed_frame_is_read_from_disk(write, monkeypatch):
    path = write(np.zeros((2000, 1000), np.uint8), Rows=20, Columns=1000, NumberOfFrames=100)
    total = []
    read = source._BoundedReader.read
    monkeypatch.setattr(source._BoundedReader, "read", lambda self, n=-1: total.append(len(d := read(self, n))) or d)
    read_frame(path)
    assert 20_000 <= sum(total) < 30_000


def test_a_large_frame_is_thinned(write):
    frame = read_frame(write(np.arange(10_000, dtype=np.uint16).reshape(100, 100)), max_pixels=2500)
    assert frame.pixels.shape == (50, 50)
    assert frame.pixels[1, 1] == 202


def test_a_deflated_bomb_is_bounded(write, monkeypatch):
    path = write(np.zeros((1000, 1000), np.uint8), syntax=uid.DeflatedExplicitVRLittleEndian)
    assert read_frame(path).pixels.shape == (1000, 1000)
    monkeypatch.setattr(source, "MAX_INFLATED", 500_000)
    with pytest.raises(BadData, match="cut, or larger"):
        read_frame(path)


def test_a_cut_deflated_file_is_bad_data(write, tmp_path):
    data = write(np.ones((50, 50), np.uint8), syntax=uid.DeflatedExplicitVRLittleEndian).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(data[:-20])
    with pytest.raises(BadData):
        read_frame(cut)


@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 65535, "Columns": 65535, "BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        {"Rows": 0},
        {"Rows": None},
        {"NumberOfFrames": 2**31 - 1},
        {"NumberOfFrames": -1},
        {"BitsStored": 17},
        {"BitsStored": 0},
        {"HighBit": 99},
        {"BitsAllocated": 12},
        {"SamplesPerPixel": 9999},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_PARTIAL_420"},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422"},
    ],
)
def test_a_header_that_lies_about_the_pixels_is_bad_data(write, elements):
    path = write(np.zeros((2, 3), np.uint16), **elements)
    with pytest.raises(BadData):
        read_frame(path)


def test_a_frame_above_the_limit_is_refused(write, monkeypatch):
    path = write(np.zeros((1024, 1100), np.uint8))
    monkeypatch.setattr(pixels, "MAX_FRAME", 1 << 20)
    with pytest.raises(NotShowable, match="more than 1 MiB"):
        read_frame(path)


def test_a_length_field_of_4_gib_allocates_nothing(tmp_path, write):
    data = write(np.zeros((2, 3), np.uint16)).read_bytes()
    evil = tmp_path / "evil"
    evil.write_bytes(data[:-24] + b"\x09\x00\x10\x00OB\x00\x00\xfe\xff\xff\xff" + b"x" * 20)
    with pytest.raises(BadData):
        read_frame(evil)


def test_sequences_nested_without_end_are_bad_data(tmp_path, write):
    head = write().read_bytes()
    level = b"\x09\x00\x10\x10SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    evil = tmp_path / "nested"
    evil.write_bytes(head + level * 20_000)
    with pytest.raises(BadData):
        read_frame(evil)


def test_a_truncated_file_is_bad_data(sample):
    with pytest.raises(BadData, match="ends before the picture"):
        read_frame(sample("MR_truncated.dcm"))


def test_syntaxes_that_cannot_be_shown_are_named(write):
    path = write(np.zeros((2, 2), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.100\0"[:20]))
    with pytest.raises(NotShowable, match=r"^This transfer syntax cannot be shown yet: an unknown one"):
        read_frame(path)


def test_an_unknown_syntax_is_not_quoted(write):
    path = write(np.zeros((2, 2), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))
    with pytest.raises(NotShowable, match="an unknown one"):
        read_frame(path)


def test_an_object_without_pixels_says_so(sample):
    with pytest.raises(NoPicture):
        read_frame(sample("test-SR.dcm"))


def test_a_text_file_is_not_dicom(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear colleague, " * 100)
    with pytest.raises(BadData, match="not DICOM"):
        read_frame(path)


def test_a_missing_file_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        read_frame(tmp_path / "none.dcm")


def test_a_frame_beyond_the_last_is_bad_data(sample):
    with pytest.raises(BadData, match="no such frame"):
        read_frame(sample("rtdose.dcm"), 15)


def test_a_bare_data_set_is_read(write, tmp_path):
    dataset = pydicom.dcmread(write(np.arange(6, dtype=np.uint8).reshape(2, 3)))
    bare = tmp_path / "bare"
    pydicom.dcmwrite(bare, pydicom.Dataset(dataset), implicit_vr=True, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(read_frame(bare).pixels, [[0, 1, 2], [3, 4, 5]])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(132, 1200), st.integers(0, 255)), min_size=1, max_size=12))
def test_flipped_bytes_give_a_frame_or_bad_data(sample, tmp_path, changes):
    data = bytearray(sample("SC_rgb_small_odd.dcm").read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    path = tmp_path / "flipped"
    path.write_bytes(data)
    with suppress(BadData):
        assert read_frame(path).pixels.ndim in (2, 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=400))
def test_noise_after_the_prefix_gives_bad_data(tmp_path: Path, tail):
    path = tmp_path / "noise"
    path.write_bytes(b"\0" * 128 + b"DICM" + tail)
    with pytest.raises(BadData):
        read_frame(path)


def test_inflation_stops_at_the_end_of_the_deflated_stream():
    raw = zlib.compressobj(wbits=-15)
    stream = SimpleNamespace(read=lambda: raw.compress(b"abc") + raw.flush() + b"\0")
    assert source._inflate(stream).read() == b"abc"
