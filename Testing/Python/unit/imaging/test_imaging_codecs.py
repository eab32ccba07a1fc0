from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid

from support import peers, streams
from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.imaging import codecs
from VisualDICOMBrowserLib.imaging.layout import NotShowable
from VisualDICOMBrowserLib.imaging.libraries import is_outdated, lacking
from VisualDICOMBrowserLib.imaging.pixels import read_frame

DOWN, ACROSS = np.mgrid[0:40, 0:34]
GREY_8 = (DOWN * 5 + ACROSS).astype(np.uint8)
GREY_12 = (DOWN * 97 + ACROSS * 3).astype(np.uint16)
GREY_16 = (DOWN * 1600 + ACROSS * 7).astype(np.uint16)
SIGNED = (DOWN * 1600 - ACROSS * 900 - 20_000).astype(np.int16)
COLOUR = np.stack([DOWN * 6, ACROSS * 7, DOWN + ACROSS], axis=-1).astype(np.uint8)
COLOUR_16 = np.stack([DOWN * 1600, ACROSS * 1700, DOWN + ACROSS], axis=-1).astype(np.uint16)
PICTURES = {"8 bit": GREY_8, "16 bit": GREY_16, "signed": SIGNED, "colour": COLOUR, "colour of 16 bit": COLOUR_16}


@pytest.fixture
def compressed(write):
    """Write an image whose description is that of ``pixels`` and whose stream is given."""

    def build(stream: bytes, syntax: str, pixels: np.ndarray, **elements) -> Path:
        bits = pixels.dtype.itemsize * 8
        described = {
            "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsAllocated": bits, "BitsStored": bits,
            "HighBit": bits - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"),
        }  # fmt: skip
        if pixels.ndim == 3:
            described |= {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
        described |= elements
        described["HighBit"] = elements.get("HighBit", described["BitsStored"] - 1)
        return write(streams.encapsulated([[stream]]), syntax=syntax, **described)

    return build


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", streams.LOSSLESS)
def test_what_was_compressed_without_loss_comes_back(compressed, name, picture):
    syntax, compress = streams.LOSSLESS[name]
    pixels = PICTURES[picture]
    # JPEG and JPEG-LS know no sign: the bits are compressed as they are
    plain = pixels.view(np.uint16) if picture == "signed" and "2000" not in name else pixels
    np.testing.assert_array_equal(read_frame(compressed(compress(plain), syntax, pixels)).pixels, pixels)


@pytest.mark.parametrize("bits", [2, 5, 7, 9, 12, 13])
@pytest.mark.parametrize("compress", [streams.jpeg_lossless, streams.jpeg_2000])
def test_any_number_of_stored_bits_is_decoded(compressed, compress, bits):
    pixels = (DOWN * 37 + ACROSS * 3) % (1 << bits)
    pixels = pixels.astype(np.uint8 if bits <= 8 else np.uint16)
    syntax = uid.JPEGLosslessSV1 if compress is streams.jpeg_lossless else uid.JPEG2000Lossless
    frame = read_frame(compressed(compress(pixels, bits), syntax, pixels, BitsStored=bits))
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_negative_values_of_12_bits_are_read_from_streams_that_know_no_sign(compressed):
    values = (DOWN * 50 - ACROSS * 60).astype(np.int16)
    stream = streams.jpeg_lossless(values.astype(np.uint16) & 0xFFF, 12)
    path = compressed(stream, uid.JPEGLosslessSV1, values, BitsStored=12)
    np.testing.assert_array_equal(read_frame(path).pixels, values)


def test_an_unsigned_stream_of_signed_pixels_is_read_as_signed(compressed):
    path = compressed(streams.jpeg_2000(SIGNED.view(np.uint16)), uid.JPEG2000Lossless, SIGNED)
    np.testing.assert_array_equal(read_frame(path).pixels, SIGNED)


@pytest.mark.parametrize("name", streams.LOSSLESS)
def test_overlays_above_the_stored_bits_are_cut_away(compressed, name):
    syntax, compress = streams.LOSSLESS[name]
    with_overlay = GREY_12 | np.where(DOWN > ACROSS, np.uint16(0x4000), np.uint16(0))
    path = compressed(compress(with_overlay), syntax, GREY_12, BitsStored=12)
    np.testing.assert_array_equal(read_frame(path).pixels, GREY_12)


def test_rle_of_32_bits_comes_back(compressed):
    pixels = DOWN.astype(np.uint32) * 100_000_000 + ACROSS.astype(np.uint32)
    path = compressed(streams.rle(pixels), uid.RLELossless, pixels)
    np.testing.assert_array_equal(read_frame(path).pixels, pixels)


def test_near_lossless_values_are_off_by_no_more_than_allowed(compressed):
    path = compressed(streams.jpeg_ls_stream(GREY_16, near=3), uid.JPEGLSNearLossless, GREY_16)
    off = np.abs(read_frame(path).pixels.astype(int) - GREY_16)
    assert 0 < off.max() <= 3


@pytest.mark.parametrize("interleave", [0, 1, 2])
def test_all_interleave_modes_of_jpeg_ls_give_the_same_colours(compressed, interleave):
    source = COLOUR.transpose(2, 0, 1).copy() if interleave == 0 else COLOUR
    path = compressed(streams.jpeg_ls_stream(source, 0, interleave), uid.JPEGLSLossless, COLOUR)
    np.testing.assert_array_equal(read_frame(path).pixels, COLOUR)


@pytest.mark.parametrize(
    ("stream", "syntax", "pixels", "tolerance"),
    [
        (streams.HT_GREY_LOSSLESS, uid.HTJ2KLossless, streams.HT_GREY, 0),
        (streams.HT_GREY_LOSSLESS, uid.HTJ2KLosslessRPCL, streams.HT_GREY, 0),
        (streams.HT_COLOUR_LOSSLESS, uid.HTJ2KLossless, streams.HT_COLOUR, 0),
        (streams.HT_COLOUR_LOSSY, uid.HTJ2K, streams.HT_COLOUR, 1),
    ],
)
def test_high_throughput_jpeg_2000_is_decoded(compressed, stream, syntax, pixels, tolerance):
    off = read_frame(compressed(stream, syntax, pixels)).pixels.astype(int) - pixels
    assert np.abs(off).max() <= tolerance


@pytest.mark.parametrize("photometric", ["YBR_RCT", "YBR_ICT", "RGB", "YBR_FULL"])
def test_colours_that_jpeg_2000_transformed_are_rgb_whatever_the_file_calls_them(compressed, photometric):
    stream = streams.jpeg_2000(COLOUR, photometric_interpretation=1, use_mct=True)
    path = compressed(stream, uid.JPEG2000Lossless, COLOUR, PhotometricInterpretation=photometric)
    np.testing.assert_array_equal(read_frame(path).pixels, COLOUR)


@pytest.mark.parametrize("name", ["RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000 lossless"])
def test_ybr_that_was_compressed_without_loss_is_converted_once(compressed, name):
    syntax, compress = streams.LOSSLESS[name]
    ybr = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    stream = streams.jpeg_2000(ybr, use_mct=False) if "2000" in name else compress(ybr)
    frame = read_frame(compressed(stream, syntax, COLOUR, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(frame.pixels.astype(int) - COLOUR).max() <= 3  # Pillow rounds down


def test_a_palette_is_looked_up_after_decompression(compressed):
    table = {f"{colour}PaletteColorLookupTableData": bytes(range(256)) for colour in ("Red", "Green", "Blue")}
    heads = {f"{colour}PaletteColorLookupTableDescriptor": [256, 0, 8] for colour in ("Red", "Green", "Blue")}
    path = compressed(
        streams.rle(GREY_8), uid.RLELossless, GREY_8, PhotometricInterpretation="PALETTE COLOR", **table, **heads
    )
    np.testing.assert_array_equal(read_frame(path).pixels, np.stack([GREY_8] * 3, axis=-1))


# --- the colours of JPEG ----------------------------------------------------------------------------------------

_ADOBE = b"Adobe\x00\x64\x00\x00\x00\x00"
FLAT = np.full((16, 16, 3), (200, 40, 90), np.uint8)


def jpeg_of(kind: str) -> bytes:
    """Make a JPEG of one colour: its samples are what the name says, and so are the segments that tell."""
    if kind.startswith("rgb"):
        out = io.BytesIO()
        Image.fromarray(FLAT).save(out, "JPEG", quality=95, keep_rgb=True)  # Adobe segment of transform 0, names RGB
        stream = out.getvalue()
        if kind == "rgb, adobe":
            return stream
        at = stream.index(b"\xff\xee")
        bare = stream[:at] + stream[at + 16 :]
        for number, name in enumerate(b"RGB" if kind == "rgb, nothing" else b"", 1):
            bare = bare.replace(bytes([name, 0x11, 0]), bytes([number, 0x11, 0]))
            bare = bare.replace(bytes([name, 0x00]), bytes([number, 0x00]))
        return bare
    stream = streams.jpeg(FLAT)
    return {
        "ybr, jfif": stream,
        "ybr, adobe": streams.with_segment(streams.without_jfif(stream), streams.segment(0xEE, _ADOBE + b"\x01")),
        "ybr, short adobe": streams.with_segment(streams.without_jfif(stream), streams.segment(0xEE, _ADOBE)),
        "ybr, nothing": streams.without_jfif(stream),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "photometric"),
    [
        ("ybr, jfif", "YBR_FULL_422"),
        ("ybr, jfif", "YBR_FULL"),
        ("ybr, jfif", "RGB"),
        ("ybr, adobe", "YBR_FULL"),
        ("ybr, adobe", "RGB"),
        ("ybr, short adobe", "YBR_FULL"),
        ("ybr, nothing", "YBR_FULL_422"),
        ("rgb, adobe", "RGB"),
        ("rgb, adobe", "YBR_FULL_422"),
        ("rgb, names", "YBR_FULL"),
        ("rgb, nothing", "RGB"),
    ],
)
def test_a_jpeg_has_its_colours_converted_once_and_only_if_they_are_not_rgb(compressed, kind, photometric):
    path = compressed(jpeg_of(kind), uid.JPEGBaseline8Bit, FLAT, PhotometricInterpretation=photometric)
    assert np.abs(read_frame(path).pixels.astype(int) - FLAT).max() <= 4


def test_colours_are_never_signed_whatever_the_file_says(compressed):
    path = compressed(streams.jpeg(FLAT), uid.JPEGBaseline8Bit, FLAT, PixelRepresentation=1)
    assert np.abs(read_frame(path).pixels.astype(int) - FLAT).max() <= 4


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_sequential_and_progressive_jpeg_are_decoded(compressed, options):
    path = compressed(streams.jpeg(GREY_8, **options), uid.JPEGBaseline8Bit, GREY_8)
    assert np.abs(read_frame(path).pixels.astype(int) - GREY_8).max() <= 4


# --- against DCMTK ----------------------------------------------------------------------------------------------

DCMTK = [
    ("CT_small.dcm", "dcmcjpeg", ["+e1"], "dcmdjpeg"),
    ("CT_small.dcm", "dcmcjpeg", ["+ee", "+bt"], "dcmdjpeg"),
    ("emri_small.dcm", "dcmcjpeg", ["+el", "+sv", "5"], "dcmdjpeg"),
    ("emri_small.dcm", "dcmcjpeg", ["+eb"], "dcmdjpeg"),
    ("emri_small.dcm", "dcmcjpeg", ["+ep"], "dcmdjpeg"),
    ("SC_ybr_full_uncompressed.dcm", "dcmcjpeg", ["+e1"], "dcmdjpeg"),
    ("SC_ybr_full_uncompressed.dcm", "dcmcjpeg", ["+ee", "+s2"], "dcmdjpeg"),
    ("SC_rgb_small_odd.dcm", "dcmcjpeg", ["+eb", "+cr"], "dcmdjpeg"),
    ("SC_rgb_small_odd.dcm", "dcmcjpeg", ["+es"], "dcmdjpeg"),
    ("examples_palette.dcm", "dcmcjpls", ["+el"], "dcmdjpls"),
    ("emri_small.dcm", "dcmcjpls", ["+en", "+md", "2"], "dcmdjpls"),
    ("CT_small.dcm", "dcmcjpls", ["+el"], "dcmdjpls"),
    ("rtdose.dcm", "dcmcrle", [], "dcmdrle"),
    ("SC_rgb_small_odd.dcm", "dcmcrle", [], "dcmdrle"),
]


@pytest.mark.parametrize(("name", "compressor", "options", "expander"), DCMTK)
def test_dcmtk_sees_the_same_picture(sample, tmp_path, name, compressor, options, expander):
    small, large = tmp_path / "small.dcm", tmp_path / "large.dcm"
    subprocess.run(
        [peers.require(compressor), *options, str(sample(name)), str(small)],
        check=True,
        timeout=30,
        capture_output=True,
    )
    subprocess.run([peers.require(expander), str(small), str(large)], check=True, timeout=30, capture_output=True)
    assert pydicom.dcmread(small).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_frame(small).pixels, read_frame(large).pixels)


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "stream", "syntax", "reason"),
    [
        ("jpeg_ls", streams.jpeg_ls_stream(GREY_8), uid.JPEGLSLossless, "JPEG-LS images need the package pyjpegls."),
        ("openjpeg", streams.jpeg_2000(GREY_8), uid.JPEG2000Lossless,
         "JPEG 2000 images need the package pylibjpeg-openjpeg."),
        ("gdcm", streams.jpeg_lossless(GREY_8), uid.JPEGLosslessSV1,
         "Lossless JPEG images need the package python-gdcm."),
    ],
)  # fmt: skip
def test_an_absent_library_is_named(compressed, monkeypatch, library, stream, syntax, reason):
    path = compressed(stream, syntax, GREY_8)
    monkeypatch.setitem(sys.modules, library, None)
    codecs.preload()
    with pytest.raises(NotShowable) as caught:
        read_frame(path)
    assert str(caught.value) == reason
    absent = lacking(reason)
    assert absent is not None
    assert absent.module == library
    monkeypatch.undo()
    assert is_outdated(reason)


def test_other_reasons_name_no_library():
    assert lacking("JPEG-LS images need the package of cards.") is None
    assert not is_outdated("The picture is damaged.")


def test_jpeg_and_rle_need_no_further_library(compressed, monkeypatch):
    for library in ("gdcm", "jpeg_ls", "openjpeg"):
        monkeypatch.setitem(sys.modules, library, None)
    assert read_frame(compressed(streams.jpeg(GREY_8), uid.JPEGBaseline8Bit, GREY_8)).pixels.shape == GREY_8.shape
    assert read_frame(compressed(streams.rle(GREY_8), uid.RLELossless, GREY_8)).pixels.shape == GREY_8.shape


STREAMS = {
    "JPEG": (streams.jpeg(GREY_8), uid.JPEGBaseline8Bit),
    "JPEG lossless": (streams.jpeg_lossless(GREY_8), uid.JPEGLosslessSV1),
    "JPEG-LS": (streams.jpeg_ls_stream(GREY_8), uid.JPEGLSLossless),
    "JPEG 2000": (streams.jpeg_2000(GREY_8), uid.JPEG2000Lossless),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(
    "elements",
    [{"Rows": 41}, {"Columns": 33}, {"Rows": 65535, "Columns": 65535}, {"SamplesPerPixel": 3}, {"NumberOfFrames": 7}],
)
def test_a_file_and_a_stream_that_contradict_each_other_are_bad_data(compressed, name, elements):
    stream, syntax = STREAMS[name]
    with pytest.raises(BadData):
        read_frame(compressed(stream, syntax, GREY_8, **elements))


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("agreeing", [False, True])
def test_a_stream_that_claims_65535_rows_and_columns_is_never_decoded(compressed, monkeypatch, name, agreeing):
    def fail(*_args):
        raise AssertionError("decoded")

    monkeypatch.setattr(codecs, "_CODECS", dict.fromkeys(codecs.Coding, fail))
    stream, syntax = STREAMS[name]
    elements = {"Rows": 65535, "Columns": 65535} if agreeing else {}
    reason = "more than 128 million pixels|too many tiles" if agreeing else "another size|too many tiles"
    with pytest.raises(BadData, match=reason):
        read_frame(compressed(streams.sized(stream, 65535, 65535), syntax, GREY_8, **elements))


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_cut_stream_is_bad_data(compressed, name, share):
    stream, syntax = STREAMS[name]
    with pytest.raises(BadData):
        read_frame(compressed(stream[: int(len(stream) * share)], syntax, GREY_8))


def test_a_stream_of_another_kind_than_the_transfer_syntax_says_is_read_as_what_it_is(compressed):
    path = compressed(streams.jpeg_ls_stream(GREY_8), uid.JPEG2000Lossless, GREY_8)
    np.testing.assert_array_equal(read_frame(path).pixels, GREY_8)


@pytest.mark.parametrize("syntax", [uid.JPEG2000, uid.RLELossless])
def test_pixels_that_are_not_compressed_in_spite_of_the_syntax_are_bad_data(write, syntax):
    path = write(GREY_8)
    path.write_bytes(
        path.read_bytes().replace(b"1.2.840.10008.1.2.1\0".ljust(20), b"1.2.840.10008.1.2.5\0")
        if syntax == uid.RLELossless
        else path.read_bytes().replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.4.91")
    )
    with pytest.raises(BadData, match="not compressed"):
        read_frame(path)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 64, streams.rle(COLOUR), streams.rle(GREY_8)[:-40], b"\xff" * 64, streams.rle(GREY_16)]
)
def test_damaged_rle_is_bad_data(compressed, data):
    with pytest.raises(BadData):
        read_frame(compressed(data, uid.RLELossless, GREY_8))
