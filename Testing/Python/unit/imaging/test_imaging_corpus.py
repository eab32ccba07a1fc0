"""All files of the corpus: each is shown as pydicom decodes it, or there is a stated reason."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.pixels import apply_color_lut, pixel_array

from support import corpus
from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.imaging.layout import NoPicture
from VisualDICOMBrowserLib.imaging.pixels import read_frame

#: What cannot be shown although it has pixels, by file name.
REASONS = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "too many tiles",
    "no_meta.dcm": "not DICOM",
    "MR_truncated.dcm": "ends before the picture",
    "badVR.dcm": "description is damaged",
    "nested_priv_SQ.dcm": "no rows, columns or frames",
    "meta_missing_tsyntax.dcm": "no rows, columns or frames",
}
#: What pydicom does not read, and the shape: 12-bit JPEG, where DCMTK is asked by the codecs' tests, and no preamble.
NO_REFERENCE = {"JPEG-lossy.dcm": (1024, 256), "JPGExtended.dcm": (1024, 256), "OT-PAL-8-face.dcm": (480, 640, 3)}
#: pydicom does not see the pixels of a file that ends too early; the frame that is there is that of another file.
TWINS = {"emri_small_jpeg_2k_lossless_too_short.dcm": "emri_small.dcm"}
COMPRESSED = {
    uid.RLELossless, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLosslessSV1, uid.JPEGLSLossless,
    uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000, uid.ExplicitVRBigEndian,
}  # fmt: skip


def with_pixels() -> dict[str, Path]:
    """Give the files with pixel data, by name."""
    found: dict[str, Path] = {}
    for path in (path for folder in corpus.folders() for path in sorted(folder.rglob("*.dcm"))):
        head = path.read_bytes()
        if any(tag in head for tag in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10", b"\xe0\x7f\x08\x00")):
            found.setdefault(path.name, path)
    return found


FILES = with_pixels()


def reference(path: Path, index: int) -> np.ndarray:
    """Decode a frame by pydicom."""
    dataset = pydicom.dcmread(path)
    pixels = pixel_array(dataset, index=index)
    if dataset.PhotometricInterpretation != "PALETTE COLOR":
        return pixels
    colours = apply_color_lut(pixels, dataset)
    return colours >> 8 if colours.max() > 255 else colours


@pytest.fixture(autouse=True)
def quiet_pydicom(monkeypatch):
    """Keep what pydicom thinks of odd files out of the log."""
    monkeypatch.setattr(logging.getLogger("pydicom"), "disabled", True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", sorted(FILES.keys() - REASONS.keys()))
def test_each_file_is_shown_as_pydicom_decodes_it(name):
    try:
        frame = read_frame(FILES[name])
    except NoPicture:
        frame = None
    if frame is None:
        assert "PixelData" not in pydicom.dcmread(FILES[name])
    elif name in NO_REFERENCE:
        assert frame.pixels.shape == NO_REFERENCE[name]
    else:
        expected = reference(FILES[TWINS.get(name, name)], frame.index)
        np.testing.assert_array_equal(frame.pixels, expected)


@pytest.mark.parametrize("name", REASONS)
def test_what_cannot_be_shown_says_why(name):
    with pytest.raises(BadData, match=REASONS[name]):
        read_frame(FILES[name])


def test_the_corpus_has_every_syntax_that_it_is_here_for():
    heads = [pydicom.dcmread(path, stop_before_pixels=True, force=True) for path in FILES.values()]
    assert {head.file_meta.get("TransferSyntaxUID") for head in heads} >= COMPRESSED
