"""What the painting of a sheet needs again and again: colours, fonts, lengths, shortened texts, pictograms."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import IntEnum

import qt

from ..messages import Tone
from ..parts.glyphs import paint_glyph
from ..parts.portable import value
from ..parts.tints import is_dark, mix, muted, tone_color
from .sheet_layout import Measures

_MAX_TEXTS = 20_000
_MAX_STAMPS = 500
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
        self._stamps: dict[Hashable, qt.QPixmap] = {}

    def _set_colours(self, palette: qt.QPalette) -> None:
        self.base, self.ink = palette.color(qt.QPalette.Base), palette.color(qt.QPalette.Text)
        self.accent = palette.color(qt.QPalette.Highlight)
        self.dark = is_dark(palette)
        self.quiet = muted(palette)
        self.faint = mix(self.ink, self.base, 0.5)
        self.hairline = mix(self.base, self.ink, 0.12)
        self.edge = qt.QColor(self.ink)
        self.edge.setAlpha(40)
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

        def paint(painter: qt.QPainter) -> None:
            paint_glyph(painter, name, qt.QRect(0, 0, side, side), colour)

        return self._stamp((name, colour.rgb(), side), side, side, paint)

    def chip(self, name: str, colour: qt.QColor, ground: qt.QColor, side: int, inner: int) -> qt.QPixmap:
        """Return a pictogram of ``inner`` pixels on a disc of ``side`` pixels."""

        def paint(painter: qt.QPainter) -> None:
            painter.setPen(qt.QPen(self.edge))
            painter.setBrush(qt.QBrush(ground))
            painter.drawEllipse(qt.QRectF(0.5, 0.5, side - 1, side - 1))
            edge = (side - inner) // 2
            paint_glyph(painter, name, qt.QRect(edge, edge, inner, inner), colour)

        return self._stamp((name, colour.rgb(), ground.rgb(), side), side, side, paint)

    def badge_of(self, text: str, width: int) -> qt.QPixmap:
        """Return a short word on a ground of its own."""
        height = self.small_line + 2

        def paint(painter: qt.QPainter) -> None:
            painter.setPen(qt.Qt.NoPen)
            painter.setBrush(qt.QBrush(self.badge))
            painter.drawRoundedRect(qt.QRectF(0, 0, width, height), 4.0, 4.0)
            painter.setFont(self.small)
            painter.setPen(qt.QPen(self.quiet))
            painter.drawText(5, (height + self.of_small.ascent() - self.of_small.descent()) // 2, text)

        return self._stamp(("badge", text, width), width, height, paint)

    def _stamp(self, key: Hashable, width: int, height: int, paint: Callable[[qt.QPainter], None]) -> qt.QPixmap:
        """Return what ``paint`` paints, painted once."""
        found = self._stamps.get(key)
        if found is None:
            if len(self._stamps) > _MAX_STAMPS:
                self._stamps.clear()
            found = self._stamps[key] = self._painted(width, height, paint)
        return found

    def _painted(self, width: int, height: int, paint: Callable[[qt.QPainter], None]) -> qt.QPixmap:
        pixmap = qt.QPixmap(round(width * self.ratio), round(height * self.ratio))
        pixmap.fill(qt.QColor(0, 0, 0, 0))
        painter = qt.QPainter()
        painter.begin(pixmap)
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.scale(self.ratio, self.ratio)
        paint(painter)
        painter.end()
        pixmap.setDevicePixelRatio(self.ratio)
        return pixmap

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
