"""Real files, encoded anew by DCMTK: the same content in every transfer syntax that loses nothing, and no other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pydicom
import pytest

from support.corpus import folders
from support.peers import require
from VisualDICOMBrowserLib.dicom.differences import Differences
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.imaging import children, comparison
from VisualDICOMBrowserLib.imaging.children import Decoder
from VisualDICOMBrowserLib.imaging.comparison import differing_elements

#: A CT slice, colours, a palette, an icon and overlays, several frames, nested sequences without pixels.
NATIVE = (
    "CT_small.dcm",
    "examples_rgb_color.dcm",
    "examples_palette.dcm",
    "examples_overlay.dcm",
    "emri_small.dcm",
    "rtplan.dcm",
)
ENCODERS = {
    "implicit, with group lengths": ("dcmconv", "+ti", "+g"),
    "explicit, undefined lengths": ("dcmconv", "+te", "-e", "-g"),
    "big endian": ("dcmconv", "+tb"),
    "deflated": ("dcmconv", "+td"),
    "RLE": ("dcmcrle",),
    "lossless JPEG": ("dcmcjpeg", "+e1"),
    "JPEG-LS": ("dcmcjpls",),
}
PIXELS = ["(7FE0,0010) PixelData"]


def original(name: str) -> Path:
    return next(path for folder in folders() for path in sorted(folder.rglob(name)))


def encoded(path: Path, target: Path, *command: str) -> Path:
    subprocess.run([require(command[0]), *command[1:], str(path), str(target)], check=True, capture_output=True)
    return target


@pytest.mark.parametrize("way", ENCODERS)
def test_what_loses_nothing_is_the_same_content(tmp_path, way):
    for name in NATIVE:
        if name == "rtplan.dcm" and ENCODERS[way][0] != "dcmconv":
            continue  # it has no pixels to compress
        copy = encoded(original(name), tmp_path / name, *ENCODERS[way])
        assert differing_elements(original(name), copy) == [], name
        assert differing_elements(copy, original(name)) == [], name


def test_one_pixel_in_another_encoding_is_a_difference(tmp_path):
    dataset = pydicom.dcmread(original("CT_small.dcm"))
    dataset.PixelData = dataset.PixelData[:-2] + b"\1\1"
    dataset.save_as(tmp_path / "changed.dcm")
    copy = encoded(tmp_path / "changed.dcm", tmp_path / "copy.dcm", "dcmcrle")
    assert differing_elements(original("CT_small.dcm"), copy) == PIXELS
    assert differing_elements(tmp_path / "changed.dcm", copy) == []


def test_a_picture_that_was_compressed_with_loss_is_another_one(tmp_path):
    lossy = encoded(original("examples_rgb_color.dcm"), tmp_path / "lossy.dcm", "dcmcjpeg", "+eb", "+un", "+cd")
    assert differing_elements(original("examples_rgb_color.dcm"), lossy) != []


def test_what_was_made_of_a_lossy_picture_without_more_loss_is_the_same(tmp_path):
    grey = original("JPGLosslessP14SV1_1s_1f_8b.dcm")
    lossy = encoded(grey, tmp_path / "lossy.dcm", "dcmcjpeg", "+eb", "+un")
    assert differing_elements(lossy, encoded(lossy, tmp_path / "plain.dcm", "dcmdjpeg")) == []


def test_pixels_that_cannot_be_decoded_leave_it_open(tmp_path):
    copy = encoded(original("CT_small.dcm"), tmp_path / "copy.dcm", "dcmcrle")
    unknown = tmp_path / "unknown.dcm"
    unknown.write_bytes(copy.read_bytes().replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.9.5\0"))
    with pytest.raises(BadData, match="There is no decoder"):
        differing_elements(original("CT_small.dcm"), unknown)


def test_a_child_process_compares_and_says_what_is_wrong(tmp_path):
    copy = encoded(original("CT_small.dcm"), tmp_path / "copy.dcm", "dcmcrle")
    (tmp_path / "text.dcm").write_text("no DICOM")
    with Decoder() as decoder:
        same = decoder.ask("compare", original("CT_small.dcm"), copy, token=CancelToken())
        other = decoder.ask("compare", original("CT_small.dcm"), original("rtplan.dcm"), token=CancelToken())
        with pytest.raises(BadData, match="not a DICOM file"):
            decoder.ask("compare", copy, tmp_path / "text.dcm", token=CancelToken())
        with pytest.raises(StorageError):
            decoder.ask("compare", copy, tmp_path / "none.dcm", token=CancelToken())
    assert same == {"tags": []}
    assert len(other["tags"]) == 20


def test_a_comparison_that_takes_too_long_leaves_it_open(tmp_path, monkeypatch):
    first = original("emri_small.dcm")
    second = encoded(first, tmp_path / "second.dcm", "dcmcrle")
    with pytest.raises(BadData, match="too long"):
        differing_elements(first, second, seconds=-1.0)
    monkeypatch.setattr(comparison, "differences", lambda *_: Differences((), pixels_open=True))
    with pytest.raises(BadData, match="too long"):  # between two frames
        differing_elements(first, second, seconds=-1.0)


def test_in_this_process_a_comparison_has_its_time_and_waits_no_longer_for_others():
    first = original("emri_small.dcm")
    with Decoder(here=True) as decoder:
        assert decoder.ask("compare", first, first, 30.0, token=CancelToken())["tags"] == []
        with pytest.raises(BadData, match="too long"):
            decoder.ask("compare", first, first, 0.0, token=CancelToken())
        with children._one_at_a_time, pytest.raises(BadData, match="busy"):
            decoder.ask("compare", first, first, 0.0, token=CancelToken())
