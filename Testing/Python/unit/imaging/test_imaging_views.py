"""Frames for a viewer: exact modality values, windows, reductions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.imaging import views
from VisualDICOMBrowserLib.imaging.layout import NoPicture
from VisualDICOMBrowserLib.imaging.views import FrameViewer, View, check_view


def show(source: Path, index: int = 0, viewer: FrameViewer | None = None) -> tuple[View, np.ndarray]:
    """Return a view and its pixels, of grey ones the modality values."""
    made = source.with_suffix(".raw")
    view = (viewer or FrameViewer()).write(source, index, made)
    raw = np.fromfile(made, "<u2" if view.format == "gray16" else "u1")
    if view.format == "rgb8":
        return view, raw.reshape(view.height, view.width, 3)
    return view, raw.reshape(view.height, view.width) * view.slope + view.intercept


@pytest.mark.parametrize("kind", ["u1", "i1", "<u2", "<i2"])
def test_values_of_up_to_16_bits_are_exact(write, kind):
    limits = np.iinfo(kind)
    pixels = np.array([[limits.min, limits.max, 0], [1, 2, 3]], kind)
    view, values = show(write(pixels, RescaleSlope="2.5", RescaleIntercept="-1024"))
    assert (view.width, view.height, view.format) == (3, 2, "gray16")
    assert values.tolist() == (pixels.astype(float) * 2.5 - 1024).tolist()


def test_values_of_32_bits_that_lie_close_together_are_exact(write):
    pixels = np.array([[2_000_000_000, 2_000_065_535]], "<i4")
    assert show(write(pixels))[1].tolist() == pixels.tolist()


def test_values_of_32_bits_far_apart_are_scaled_over_their_range(write):
    pixels = np.array([[-2_000_000_000, 0, 2_000_000_000]], "<i4")
    view, values = show(write(pixels))
    assert np.abs(values - pixels).max() <= view.slope
    assert values[0, 0] == pixels[0, 0]


def test_floats_are_scaled_over_their_range_and_no_number_is_the_lowest(write):
    pixels = np.array([[-1.5, 2.25, np.nan, np.inf]], "<f4")
    path = write(b"", Rows=1, Columns=4, BitsAllocated=32, FloatPixelData=pixels.tobytes())
    values = show(path)[1]
    assert values[0].tolist() == pytest.approx([-1.5, 2.25, -1.5, 2.25], abs=1e-4)


def test_a_modality_table_is_applied(write):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [3, 10, 16])
    item.add_new("LUTData", "US", [500, 700, 60_000])
    item.ModalityLUTType = "US"
    values = show(write(np.array([[9, 10, 11, 12, 99]], "<u2"), ModalityLUTSequence=[item]))[1]
    assert values.tolist() == [[500, 500, 700, 60_000, 60_000]]


def test_the_first_window_of_the_object_is_the_default(write):
    pixels = np.arange(16, dtype="<i2").reshape(4, 4)
    view, _ = show(write(pixels, WindowCenter=["50", "7"], WindowWidth=["350", "1"]))
    assert (view.center, view.width_of_window, view.note) == (50, 350, "")
    curved, _ = show(write(pixels, WindowCenter="50", WindowWidth="350", VOILUTFunction="SIGMOID"))
    assert "S-shaped" in curved.note


def test_a_voi_table_gives_a_window_that_comes_near(write):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [100, 1000, 16])
    item.add_new("LUTData", "US", [0] * 20 + list(range(0, 65_000, 1000)) + [65_535] * 15)
    view, _ = show(write(np.full((2, 2), 1050, "<u2"), VOILUTSequence=[item]))
    assert 1020 <= view.center - view.width_of_window / 2 <= 1024
    assert 1080 <= view.center + view.width_of_window / 2 <= 1086
    assert view.note != ""


def test_without_a_window_the_values_that_are_no_padding_decide(write):
    pixels = np.tile(np.arange(100, 200, dtype="<i2"), (100, 1))
    pixels[:50] = -2000
    path = write(pixels)
    padded = write(pixels, PixelPaddingValue=-2000)
    assert show(path)[0].center < 0
    assert 140 < show(padded)[0].center < 160


def test_the_frames_of_a_film_share_their_default_window(write):
    frames = np.concatenate([np.full((4, 4), 10, "<u2"), np.arange(1000, 1016, dtype="<u2").reshape(4, 4)])
    path = write(frames, Rows=4, NumberOfFrames=2, Modality="US")
    for viewers in ([FrameViewer()] * 2, [FrameViewer(), FrameViewer()]):  # one child, or two at once
        first, second = (show(path, index, viewer)[0] for index, viewer in enumerate(viewers))
        assert (first.center, first.width_of_window) == (second.center, second.width_of_window)


def test_a_film_whose_middle_is_damaged_is_shown_up_to_there(write):
    frames = np.arange(1000, 1016, dtype="<u2").reshape(4, 4)
    view, values = show(write(frames, Rows=4, NumberOfFrames=4, Modality="US"))
    assert values.tolist() == frames.tolist()
    assert view.center == pytest.approx(1007.5, abs=0.1)


def test_monochrome1_is_inverted_and_so_is_pet(write):
    pixels = np.arange(4, dtype="<u2").reshape(2, 2)
    assert not show(write(pixels))[0].inverted
    assert show(write(pixels, PhotometricInterpretation="MONOCHROME1"))[0].inverted
    assert show(write(pixels, Modality="PT"))[0].inverted


def test_colours_are_rgb_bytes(write):
    pixels = np.arange(24, dtype="u1").reshape(2, 4, 3)
    path = write(pixels, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    view, shown = show(path)
    assert view.format == "rgb8"
    assert shown.tolist() == pixels.tolist()


def test_the_pixels_height_over_width_is_told(write):
    pixels = np.zeros((2, 2), "<u2")
    assert show(write(pixels, PixelSpacing=["3", "1.5"]))[0].aspect == 2
    assert show(write(pixels, PixelAspectRatio=["1", "2"]))[0].aspect == 0.5


def test_huge_frames_are_reduced_by_averages(write, monkeypatch):
    monkeypatch.setattr(views, "MAX_SIDE", 4)
    pixels = np.arange(64, dtype="<i2").reshape(8, 8) * 10 - 200
    view, values = show(write(pixels))
    assert (view.width, view.height, view.aspect) == (4, 4, 1)
    assert values[0, 0] == pytest.approx(pixels[:2, :2].mean(), abs=0.5)
    flat, line = show(write(np.arange(40, dtype="<u2").reshape(1, 40)))
    assert (flat.width, flat.height, flat.aspect) == (4, 1, 0.1)
    assert line[0, 0] == pytest.approx(4.5, abs=0.5)


def test_a_file_is_read_anew_once_it_changed(write, tmp_path):
    viewer = FrameViewer()
    path = write(np.zeros((2, 2), "<u2"))
    assert show(path, 0, viewer)[1].max() == 0
    write(np.full((3, 3), 7, "<u2")).replace(path)
    assert show(path, 0, viewer)[1].tolist() == np.full((3, 3), 7).tolist()


def test_the_header_is_parsed_once_for_all_frames(write, monkeypatch):
    path = write(np.arange(48, dtype="<u2").reshape(12, 4), Rows=4, NumberOfFrames=3)
    opened = []
    real = views.open_image
    monkeypatch.setattr(views, "open_image", lambda source: opened.append(source) or real(source))
    viewer = FrameViewer()
    firsts = [show(path, index, viewer)[1][0, 0] for index in (0, 2, 1)]
    assert firsts == [0, 32, 16]
    assert opened == [path]


def test_what_cannot_be_shown_says_why(write, sample, tmp_path):
    path = write(np.zeros((2, 2), "<u2"))
    with pytest.raises(BadData, match="no such frame"):
        show(path, 1)
    with pytest.raises(NoPicture):
        FrameViewer().write(sample("test-SR.dcm"), 0, tmp_path / "out")
    with pytest.raises(StorageError):
        FrameViewer().write(tmp_path / "none", 0, tmp_path / "out")
    with pytest.raises(StorageError):
        FrameViewer().write(path, 0, tmp_path / "none" / "out")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BadData, match="ends before"):
        show(path)


@pytest.mark.parametrize("change", [{"slope": math.nan}, {"format": "x"}, {"slope": "1"}, {"more": 1}])
def test_nonsense_from_a_child_is_not_believed(change):
    with pytest.raises(BadData):
        check_view({"width": 1, "height": 1, "format": "gray16", **change})
