from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset

from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.imaging.pixels import read_frame
from VisualDICOMBrowserLib.imaging.window import (
    Window,
    colour_picture,
    default_shades,
    grey_picture,
    modality_values,
    object_window,
)


def _shades(window, *values):
    return window.apply(np.array(values, np.float32)).tolist()


def test_linear_follows_the_formula_of_the_standard():
    # c = 2048, w = 4096: black up to 0, white from 4095, y = (x - 2047.5) / 4095 + 0.5 between
    assert _shades(Window(2048, 4096), -5, 0, 4095, 5000) == [0, 0, 1, 1]
    assert _shades(Window(2048, 4096), 1000, 2047.5) == pytest.approx([1000 / 4095, 0.5])


def test_linear_of_width_one_is_a_threshold():
    # c = 2048, w = 1: white above 2047.5
    assert _shades(Window(2048, 1), 2047, 2047.5, 2048) == [0, 0, 1]


def test_linear_exact_follows_the_formula_of_the_standard():
    # c = 2048, w = 4096: black up to 0, white from 4096, y = (x - 2048) / 4096 + 0.5 between
    assert _shades(Window(2048, 4096, "LINEAR_EXACT"), 0, 1024, 2048, 4096) == [0, 0.25, 0.5, 1]


def test_sigmoid_follows_the_formula_of_the_standard():
    window = Window(50, 20, "SIGMOID")
    expected = [1 / (1 + math.exp(4)), 0.5, 1 / (1 + math.exp(-2))]
    assert _shades(window, 30, 50, 60) == pytest.approx(expected)
    assert _shades(window, -1e9, 1e9) == pytest.approx([0, 1])


def test_the_first_of_several_windows_counts():
    item = Dataset()
    item.WindowCenter, item.WindowWidth = [40, 300], [400, 1500]
    assert object_window(item) == Window(40, 400)


@pytest.mark.parametrize("width", [0, -400, 0.5, None])
def test_a_window_without_width_is_no_window(width):
    item = Dataset()
    item.WindowCenter, item.WindowWidth = 40, width
    assert object_window(item) is None


def test_rescale_comes_before_the_window(write):
    # HU = 2 x stored - 1000; window 40/401: black at -160 (stored 420), white at 240 (stored 620)
    stored = np.array([[0, 420, 520, 620, 3000]], np.uint16)
    path = write(stored, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=40.5, WindowWidth=401)
    frame = read_frame(path)
    assert modality_values(frame).tolist() == [[-1000, -160, 40, 240, 5000]]
    assert grey_picture(frame, "CT").tolist() == [[0, 0, 128, 255, 255]]


def test_ct_without_window_shows_soft_tissue(write):
    # 40/400: x = 40 gives (0.5 / 399 + 0.5) x 255 = 127.8
    path = write(np.array([[-1000, -160, 40, 240, 3000]], np.int16))
    assert grey_picture(read_frame(path), "CT").tolist() == [[0, 0, 128, 255, 255]]


def test_ct_beyond_the_soft_tissue_window_is_shown_by_its_values(write):
    picture = grey_picture(read_frame(write(np.array([[2000, 2500, 3000]], np.int16))), "CT")
    assert picture[0, 0] < picture[0, 1] < picture[0, 2]


def test_others_without_window_show_the_1st_to_99_5th_percentile():
    values = np.arange(1001, dtype=np.float32)
    shades = default_shades(values, "MR")
    assert shades[[0, 10, 995, 1000]].tolist() == [0, 0, 1, 1]
    assert shades[500] == pytest.approx((500 - 10) / (995 - 10))


def test_padding_does_not_count(write):
    stored = np.concatenate([np.full(1000, -2000), np.arange(1001)]).astype(np.int16).reshape(3, 667)
    path = write(stored, PixelPaddingValue=-2000, PixelRepresentation=1)
    picture = grey_picture(read_frame(path), "MR").reshape(-1)
    assert picture[1500] == math.floor((500 - 10) / (995 - 10) * 255 + 0.5)
    assert picture[0] == 0


def test_a_range_of_padding_does_not_count(write):
    stored = np.array([[0, 1, 2, 100, 150, 200]], np.uint16)
    picture = grey_picture(read_frame(write(stored, PixelPaddingValue=0, PixelPaddingRangeLimit=2)), "MR")
    # percentiles of 100, 150, 200 alone: 101 and 199.5
    assert picture[0].tolist() == [0, 0, 0, 0, math.floor(49 / 98.5 * 255 + 0.5), 255]


def test_pet_is_black_on_white(write):
    values = np.arange(1001, dtype=np.uint16).reshape(7, 143)
    picture = grey_picture(read_frame(write(values)), "PT").reshape(-1)
    assert picture[[0, 995, 1000]].tolist() == [255, 0, 0]


def test_monochrome1_is_inverted(write):
    stored = np.array([[0, 255]], np.uint8)
    window = {"WindowCenter": 128, "WindowWidth": 256}
    upright = grey_picture(read_frame(write(stored, **window)), "CR")
    inverted = grey_picture(read_frame(write(stored, PhotometricInterpretation="MONOCHROME1", **window)), "CR")
    assert (upright.tolist(), inverted.tolist()) == ([[0, 255]], [[255, 0]])


def test_a_voi_table_is_applied(write):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 10, 8])
    item.add_new("LUTData", "US", [0, 51, 102, 255])
    path = write(np.array([[0, 10, 11, 12, 13, 99]], np.uint16), VOILUTSequence=[item])
    assert grey_picture(read_frame(path), "CR").tolist() == [[0, 0, 51, 102, 255, 255]]


def test_a_frame_of_an_enhanced_object_has_its_own_window_and_rescale(write):
    def macro(keyword, **values):
        inner, outer = Dataset(), Dataset()
        for name, value in values.items():
            setattr(inner, name, value)
        setattr(outer, keyword, [inner])
        return outer

    shared = macro("PixelValueTransformationSequence", RescaleSlope=10, RescaleIntercept=5)
    per_frame = [macro("FrameVOILUTSequence", WindowCenter=c, WindowWidth=101) for c in (1, 50.5, 99)]
    path = write(
        np.array([0, 5, 10] * 3, np.uint16).tobytes(), Rows=1, Columns=3, BitsAllocated=16, BitsStored=16, HighBit=15,
        NumberOfFrames=3, SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=per_frame,
    )  # fmt: skip
    frame = read_frame(path)
    assert modality_values(frame).tolist() == [[5, 55, 105]]
    # the middle frame's window: black at 0, white at 100
    assert grey_picture(frame, "MR").tolist() == [[13, 140, 255]]


def test_pixels_that_are_not_numbers_are_black(write):
    values = np.array([[np.nan, np.inf, -np.inf, 0, 1]], np.float32)
    path = write(b"", Rows=1, Columns=5, BitsAllocated=32, FloatPixelData=values.tobytes())
    assert grey_picture(read_frame(path), "MR")[0, :3].tolist() == [0, 255, 0]


def test_an_even_picture_is_no_division_by_zero(write):
    assert grey_picture(read_frame(write(np.full((4, 4), 7, np.uint16))), "MR").tolist() == [[0] * 4] * 4


def test_a_damaged_window_is_bad_data(write):
    path = write(np.zeros((2, 2), np.uint8), WindowCenter=77777, WindowWidth=400)
    path.write_bytes(path.read_bytes().replace(b"77777", b"7x777"))
    with pytest.raises(BadData):
        grey_picture(read_frame(path), "MR")


def test_colours_of_16_bits_are_scaled_to_8(sample, write):
    colours = np.array([[[0, 32768, 65535]]], np.uint16)
    path = write(colours, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert colour_picture(read_frame(path)).tolist() == [[[0, 128, 255]]]
