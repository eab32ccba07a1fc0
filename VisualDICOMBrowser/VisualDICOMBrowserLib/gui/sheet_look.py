"""What the painting of a sheet needs again and again: colours, fonts, lengths, shortened texts, pictograms."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import qt

from .glyphs import paint_glyph
from .messages import Tone
from .portable import value
from .sheet_layout import Measures
from .tints import is_dark, mix, muted, tone_color

_MAX_TEXTS = 20_000
#: The hue of what is well; how light it is follows from the palette.
_GREEN = 145


class ThumbnailSize(IntEnum):
    """The sides of the pictures, in device-independent pixels; 0 shows rows of text instead."""

    HIDDEN = 0
    SMALL = 128
    MEDIUM = 192
    LARGE = 256


class Look:
    """One palette, font and thumbnail size. Made anew when one of them changes.

    :param ratio: physical pixels per device-independent one.
    """

    def __init__(self, palette: qt.QPalette, font: qt.QFont, size: ThumbnailSize, ratio: float) -> None:
        self.size = size
        self.ratio = ratio
        self._set_colours(palette)
        self._set_fonts(font)
        self._texts: dict[tuple[str, int, int], tuple[str, ...]] = {}
        self._glyphs: dict[tuple[str, int, int], qt.QPixmap] = {}

    def _set_colours(self, palette: qt.QPalette) -> None:
        self.base, self.ink = palette.color(qt.QPalette.Base), palette.color(qt.QPalette.Text)
        self.accent = palette.color(qt.QPalette.Highlight)
        self.dark = is_dark(palette)
        self.quiet = muted(palette)
        self.faint = mix(self.ink, self.base, 0.5)
        self.hairline = mix(self.base, self.ink, 0.12)
        self.header = mix(self.base, self.ink, 0.045)
        self.hover = mix(self.base, self.ink, 0.07)
        self.chosen = mix(self.base, self.accent, 0.36 if self.dark else 0.20)
        self.badge = mix(self.base, self.ink, 0.12)
        self.blank = mix(self.base, self.ink, 0.09)
        self.accent_ink = self.accent if not self.dark else mix(self.accent, self.ink, 0.35)
        self.red = tone_color(palette, Tone.PROBLEM)
        self.green = qt.QColor.fromHsl(_GREEN, 110, 130 if self.dark else 85)

    def _set_fonts(self, font: qt.QFont) -> None:
        self.font, self.bold, self.small = qt.QFont(font), qt.QFont(font), qt.QFont(font)
        self.bold.setBold(True)
        if font.pointSizeF() > 0:
            self.small.setPointSizeF(font.pointSizeF() * 0.88)
        else:
            self.small.setPixelSize(max(9, round(font.pixelSize() * 0.88)))
        self.of_font = qt.QFontMetrics(self.font)
        self.of_bold = qt.QFontMetrics(self.bold)
        self.of_small = qt.QFontMetrics(self.small)
        self.line = self.of_font.height()
        self.small_line = self.of_small.height()

    def measures(self) -> Measures:
        """Return the lengths for the layout."""
        header, line = self.line + 24, self.line + 18
        if self.size is ThumbnailSize.HIDDEN:
            return Measures(header, line, 0, self.line + 12, 2, 10)
        side = int(self.size)
        return Measures(header, line, side + 16, 8 + side + 7 + 2 * self.line + 6 + self.small_line + 9, 6, 10)

    def shortened(self, text: str, width: int, metrics: qt.QFontMetrics) -> str:
        """Return ``text``, with an ellipsis at its end if it is wider than ``width``."""
        return self._remembered(text, width, metrics, _one_line)[0]

    def two_lines(self, text: str, width: int) -> tuple[str, ...]:
        """Return ``text`` on at most two lines, with an ellipsis if that is not enough."""
        return self._remembered(text, -width, self.of_font, _two_lines)

    def width_of(self, text: str, metrics: qt.QFontMetrics) -> int:
        """Return how wide a text is."""
        return int(self._remembered(text, 0, metrics, _measured)[0])

    def glyph(self, name: str, colour: qt.QColor, side: int) -> qt.QPixmap:
        """Return a pictogram of ``side`` device-independent pixels."""
        key = (name, colour.rgb(), side)
        if key not in self._glyphs:
            self._glyphs[key] = self._painted_glyph(name, colour, side)
        return self._glyphs[key]

    def _remembered(
        self, text: str, width: int, metrics: qt.QFontMetrics, make: Callable[..., tuple[str, ...]]
    ) -> tuple[str, ...]:
        key = (text, width, id(metrics))
        found = self._texts.get(key)
        if found is None:
            if len(self._texts) > _MAX_TEXTS:
                self._texts.clear()
            found = self._texts[key] = make(text, abs(width), metrics)
        return found

    def _painted_glyph(self, name: str, colour: qt.QColor, side: int) -> qt.QPixmap:
        extent = round(side * self.ratio)
        pixmap = qt.QPixmap(extent, extent)
        pixmap.fill(qt.QColor(0, 0, 0, 0))
        painter = qt.QPainter()
        painter.begin(pixmap)
        paint_glyph(painter, name, qt.QRect(0, 0, extent, extent), colour)
        painter.end()
        pixmap.setDevicePixelRatio(self.ratio)
        return pixmap


def look_of(widget: qt.QWidget, size: ThumbnailSize) -> Look:
    """Return the look that fits a widget as it is now."""
    return Look(value(widget, "palette"), value(widget, "font"), size, float(widget.devicePixelRatioF()))


def _measured(text: str, _: int, metrics: qt.QFontMetrics) -> tuple[str, ...]:
    return (str(metrics.horizontalAdvance(text)),)


def _one_line(text: str, width: int, metrics: qt.QFontMetrics) -> tuple[str, ...]:
    return (metrics.elidedText(text, qt.Qt.ElideRight, width),)


def _two_lines(text: str, width: int, metrics: qt.QFontMetrics) -> tuple[str, ...]:
    text = " ".join(text.split())
    if metrics.horizontalAdvance(text) <= width:
        return (text,)
    end = _break(text, width, metrics)
    rest = text[end:].strip()
    return (text[:end].rstrip(), metrics.elidedText(rest, qt.Qt.ElideRight, width))


def _break(text: str, width: int, metrics: qt.QFontMetrics) -> int:
    """Return how many characters stand on the first line: whole words, or as many as fit of one long word."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if metrics.horizontalAdvance(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    if text[low : low + 1].isspace():
        return low
    breaks = [text.rfind(sign, 0, low) + 1 for sign in " -_/"]
    return max(breaks) if max(breaks) > low // 3 else low
