from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.imaging import placeholder, source, thumbnail
from VisualDICOMBrowserLib.imaging.placeholder import ThumbnailOutcome, draw_placeholder, kind_of
from VisualDICOMBrowserLib.imaging.thumbnail import fit, render_thumbnail


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "thumbs" / "a" / "b.png"


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("CT_small.dcm", "L", (256, 256)),
        ("693_UNCR.dcm", "L", (256, 256)),
        ("RG1_UNCR.dcm", "L", (241, 256)),
        ("rtdose.dcm", "L", (256, 256)),
        ("image_dfl.dcm", "L", (256, 256)),
        ("examples_palette.dcm", "RGB", (256, 112)),
        ("color-pl.dcm", "RGB", (256, 160)),
        ("SC_rgb_small_odd.dcm", "RGB", (256, 256)),
    ],
)
def test_pictures_become_png_files_of_256_pixels(sample, destination, name, mode, size):
    assert render_thumbnail(sample(name), destination) == ThumbnailOutcome(False, "", *size)
    with Image.open(destination) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", mode, size)
        darkest, brightest = picture.convert("L").getextrema()
    assert brightest - darkest > 70


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("test-SR.dcm", "The object holds no picture."),
        ("rtstruct.dcm", "The object holds no picture."),
        ("waveform_ecg.dcm", "The object holds no picture."),
        ("liver.dcm", "Segmentations have no thumbnail."),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "The compressed picture is damaged: it has too many tiles."),
        ("MR_truncated.dcm", "The file ends before the picture does."),
    ],
)
def test_what_cannot_be_shown_gets_a_placeholder_with_the_reason(sample, destination, name, reason):
    assert render_thumbnail(sample(name), destination) == ThumbnailOutcome(True, reason, 256, 256)
    with Image.open(destination) as tile:
        assert tile.size == (256, 256)


def test_none_of_pydicoms_files_breaks_the_renderer_or_gets_into_the_log(sample, destination, caplog):
    folder = sample("CT_small.dcm").parent
    outcomes = [render_thumbnail(path, destination) for path in sorted(folder.glob("*.dcm"))]
    assert all(outcome.placeholder == bool(outcome.reason) for outcome in outcomes)
    assert sum(not outcome.placeholder for outcome in outcomes) >= 19
    assert not caplog.records


def test_a_file_that_is_not_dicom_keeps_the_modality_it_was_known_by(tmp_path, destination, monkeypatch):
    seen = []
    monkeypatch.setattr(thumbnail, "draw_placeholder", lambda *words, **_: seen.append((words[0], words[2])))
    (tmp_path / "x").write_bytes(b"nothing" * 50)
    render_thumbnail(tmp_path / "x", destination, modality="MR")
    assert seen == [("MR", "Damaged file")]


@pytest.mark.parametrize(
    ("elements", "size"),
    [
        ({"PixelSpacing": [2, 1]}, (128, 256)),
        ({"PixelSpacing": [0.5, 1]}, (256, 128)),
        ({"ImagerPixelSpacing": [1, 2]}, (256, 128)),
        ({"PixelAspectRatio": [4, 3]}, (192, 256)),
        ({"PixelSpacing": [1, 1], "PixelAspectRatio": [4, 3]}, (256, 256)),
        ({"PixelSpacing": [0, 1]}, (256, 256)),
        ({"PixelSpacing": [1, 1e-30]}, (256, 256)),
        ({}, (256, 256)),
    ],
)
def test_pixels_that_are_not_square_are_shown_in_proportion(write, destination, elements, size):
    outcome = render_thumbnail(write(np.arange(400, dtype=np.uint16).reshape(20, 20), **elements), destination)
    assert (outcome.placeholder, outcome.width, outcome.height) == (False, *size)


def test_a_hair_thin_picture_has_at_least_one_pixel_of_width(write, destination):
    outcome = render_thumbnail(write(np.arange(2000, dtype=np.uint16).reshape(2000, 1)), destination)
    assert (outcome.width, outcome.height) == (1, 256)


def test_down_scaling_averages_instead_of_picking():
    checks = np.indices((2048, 2048)).sum(axis=0).astype(np.uint8) % 2 * 255
    assert np.abs(np.asarray(fit(checks, 1.0, 256)).astype(int) - 127).max() <= 2


def test_the_size_can_be_chosen(sample, destination):
    outcome = render_thumbnail(sample("CT_small.dcm"), destination, size=64)
    assert (outcome.width, outcome.height) == (64, 64)


def test_a_failed_write_leaves_the_old_file_and_no_part(sample, destination, monkeypatch):
    destination.parent.mkdir(parents=True)
    destination.write_bytes(b"old")

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(placeholder.Image.Image, "save", fail)
    with pytest.raises(StorageError, match="No space left"):
        render_thumbnail(sample("CT_small.dcm"), destination)
    assert [path.read_bytes() for path in destination.parent.iterdir()] == [b"old"]


def test_a_missing_source_is_a_storage_error_and_no_placeholder(tmp_path, destination):
    with pytest.raises(StorageError):
        render_thumbnail(tmp_path / "none", destination)
    assert not destination.exists()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["emri_small.dcm", "MR_small.dcm", "vlut_04.dcm", "gdcm-US-ALOKA-16.dcm"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=20),
)
def test_flipped_header_bytes_give_a_picture_or_a_placeholder(sample, tmp_path, name, changes):
    data = bytearray(sample(name).read_bytes())
    start = data.find(b"\x08\x00")
    end = max(data.rfind(b"\xe0\x7f\x10\x00"), start + 1)
    for where, value in changes:
        at = start + int(where * (end - start))
        data[at : at + len(value)] = value
    (tmp_path / "flipped").write_bytes(data)
    outcome = render_thumbnail(tmp_path / "flipped", tmp_path / "flipped.png", size=64)
    assert outcome.placeholder == bool(outcome.reason)


def test_an_input_error_of_the_system_is_no_damaged_file(sample, destination, monkeypatch):
    def fail(*_args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(source._BoundedReader, "read", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        render_thumbnail(sample("CT_small.dcm"), destination)


@pytest.mark.parametrize(
    ("modality", "sop_class", "kind"),
    [
        ("SR", "", "Structured report"),
        ("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3", "Contours"),
        ("DOC", "1.2.840.10008.5.1.4.1.1.104.1", "Document"),
        ("OT", "1.2.840.10008.5.1.4.1.1.104.1", "Document"),
        ("MR", "1.2.840.10008.5.1.4.1.1.4.2", "Spectroscopy"),
        ("MR", "1.2.840.10008.5.1.4.1.1.4", ""),
        ("CT", "1.2.840.10008.5.1.4.1.1.66", "Raw data"),
        ("OT", "1.2.840.10008.5.1.4.1.1.88.59", "Key images"),
        ("CT", "", ""),
    ],
)
def test_what_an_object_is_is_told_in_a_word(modality, sop_class, kind):
    assert kind_of(modality, sop_class) == kind


def test_a_placeholder_is_opaque_in_the_middle_and_clear_in_the_corners(destination):
    assert draw_placeholder("RTSTRUCT", destination) == ThumbnailOutcome(True, "", 256, 256)
    with Image.open(destination) as tile:
        assert tile.mode == "RGBA"
        assert tile.getpixel((0, 0))[3] == 0
        assert tile.getpixel((128, 128))[3] == 255


def test_placeholders_tell_modalities_apart(tmp_path):
    for modality in ("SR", "KO"):
        draw_placeholder(modality, tmp_path / modality, "Same word")
    with Image.open(tmp_path / "SR") as one, Image.open(tmp_path / "KO") as other:
        assert ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox()


@pytest.mark.parametrize("modality", ["", "W" * 500, "\0\n\x1b[2J", "../..", "磁気"])
def test_any_modality_fits_on_a_placeholder(destination, modality):
    draw_placeholder(modality, destination, "x" * 200)
    with Image.open(destination) as tile:
        sides = [tile.convert("L").crop((left, 40, left + 7, 216)).getextrema() for left in (14, 235)]
    assert all(lightest - darkest < 10 for darkest, lightest in sides)
