"""Colours mixed from the palette, so that the window looks right in light and dark and in every theme."""

from __future__ import annotations

from typing import Any

import qt

from ..messages import Tone
from .portable import value

# Hue, and saturation, of what a palette has no role for; lightness comes from the palette.
_HUES = {Tone.WARNING: (38, 200), Tone.PROBLEM: (2, 170)}


def mix(one: qt.QColor, other: qt.QColor, share: float) -> qt.QColor:
    """Return a colour between two: ``share`` 0 is ``one``, 1 is ``other``."""
    parts = ((one.red(), other.red()), (one.green(), other.green()), (one.blue(), other.blue()))
    return qt.QColor(*(round(a + (b - a) * share) for a, b in parts))


def muted(palette: qt.QPalette) -> qt.QColor:
    """Return the colour of text that matters less; on the base colour it keeps a contrast of 4.5 to 1."""
    return mix(palette.color(qt.QPalette.Text), palette.color(qt.QPalette.Base), 0.36)


def hairline(palette: qt.QPalette) -> qt.QColor:
    """Return the colour of lines between areas."""
    return mix(palette.color(qt.QPalette.WindowText), palette.color(qt.QPalette.Window), 0.82)


def hover(palette: qt.QPalette) -> qt.QColor:
    """Return the background of what the pointer is on."""
    return mix(palette.color(qt.QPalette.Highlight), palette.color(qt.QPalette.Base), 0.86)


def is_dark(palette: qt.QPalette) -> bool:
    """Tell whether text is lighter than its background."""
    return bool(palette.color(qt.QPalette.Base).lightness() < palette.color(qt.QPalette.Text).lightness())


def tone_color(palette: qt.QPalette, tone: Tone) -> qt.QColor:
    """Return the colour of an icon or a border that stands for how serious something is."""
    if tone not in _HUES:
        return palette.color(qt.QPalette.Highlight)
    hue, saturation = _HUES[tone]
    color = qt.QColor()
    color.setHsl(hue, saturation, 165 if is_dark(palette) else 95)
    return color


def tone_background(palette: qt.QPalette, tone: Tone) -> qt.QColor:
    """Return the background of a message; the palette's text colour can be read on it."""
    return mix(tone_color(palette, tone), palette.color(qt.QPalette.Base), 0.86)


def palette_of(widget: Any) -> qt.QPalette:
    """Return a widget's palette."""
    return value(widget, "palette")


def set_ink(widget: Any, color: qt.QColor) -> None:
    """Give a label or a button a colour of text of its own."""
    palette = qt.QPalette(palette_of(widget))
    for role in (qt.QPalette.WindowText, qt.QPalette.ButtonText, qt.QPalette.Text):
        palette.setColor(role, color)
    widget.setPalette(palette)
