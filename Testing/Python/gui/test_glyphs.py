"""Pictograms are drawn in the colour asked for, inside the square asked for."""

from __future__ import annotations

import pytest
import qt

from VisualDICOMBrowserLib.gui.parts.glyphs import GLYPHS, glyph_icon, paint_glyph

NEEDED = [
    "cloud",
    "computer",
    "queued",
    "arriving",
    "partly",
    "here",
    "loaded",
    "failed",
    "search",
    "gear",
    "folder",
    "export",
    "trash",
    "play",
    "pause",
    "close",
    "chevron-up",
    "chevron-down",
    "chevron-left",
    "chevron-right",
]


def picture(name: str, side: int = 24, margin: int = 8) -> qt.QImage:
    image = qt.QImage(side + 2 * margin, side + 2 * margin, qt.QImage.Format_ARGB32)
    image.fill(qt.QColor("white"))
    painter = qt.QPainter()
    painter.begin(image)
    paint_glyph(painter, name, qt.QRect(margin, margin, side, side), qt.QColor("red"))
    painter.end()
    return image


def inked(image: qt.QImage) -> list[tuple[int, int]]:
    spots = [(x, y) for x in range(image.width()) for y in range(image.height())]
    return [(x, y) for x, y in spots if image.pixelColor(x, y) != qt.QColor("white")]


def test_all_that_the_window_needs_is_there(qapp):
    assert set(NEEDED) <= set(GLYPHS)


@pytest.mark.parametrize("name", GLYPHS)
def test_a_pictogram_stays_in_its_square_and_has_its_colour(qapp, name):
    image = picture(name)
    spots = inked(image)

    assert len(spots) > 20
    assert all(8 <= x < 32 and 8 <= y < 32 for x, y in spots)
    assert any(image.pixelColor(x, y) == qt.QColor("red") for x, y in spots)


def test_pictograms_differ_from_each_other(qapp):
    drawn = [tuple(inked(picture(name))) for name in GLYPHS]
    assert len(set(drawn)) == len(GLYPHS)


def test_a_wide_rectangle_has_the_pictogram_in_its_middle(qapp):
    image = qt.QImage(100, 20, qt.QImage.Format_ARGB32)
    image.fill(qt.QColor("white"))
    painter = qt.QPainter()
    painter.begin(image)
    paint_glyph(painter, "stop", qt.QRect(0, 0, 100, 20), qt.QColor("red"))
    painter.end()
    columns = [x for x, _ in inked(image)]
    assert min(columns) >= 40
    assert max(columns) < 60


def test_an_icon_is_sharp_on_dense_displays(qapp):
    icon = glyph_icon("gear", qt.QColor("black"), 20)
    assert {size.width() for size in icon.availableSizes()} >= {20}
    assert icon.pixmap(qt.QSize(20, 20), 2.0).width() == 40


def test_an_unknown_name_is_an_error(qapp):
    with pytest.raises(KeyError):
        glyph_icon("unicorn", qt.QColor("black"))
