"""Buttons with a pictogram in the colour of their text, in light and dark."""

from __future__ import annotations

import qt

from .glyphs import glyph_icon
from .portable import value


class GlyphButton(qt.QToolButton):
    """A flat button with a pictogram, and a text beside it if there is one.

    :param hint: what it does: the tool tip, and its name for screen readers.
    :param extent: the side of the pictogram, in pixels.
    """

    _glyph = ""

    def __init__(self, glyph: str, text: str, hint: str, parent: qt.QWidget | None = None, *, extent: int = 16) -> None:
        qt.QToolButton.__init__(self, parent)
        self._extent = extent
        self.setIconSize(qt.QSize(extent, extent))
        self.setText(text)
        self.setToolTip(hint)
        self.setAccessibleName(hint)
        self.setAutoRaise(True)
        self.setToolButtonStyle(qt.Qt.ToolButtonTextBesideIcon if text else qt.Qt.ToolButtonIconOnly)
        self.set_glyph(glyph)

    def set_glyph(self, glyph: str) -> None:
        """Show another pictogram."""
        self._glyph = glyph
        if glyph:
            self.setIcon(glyph_icon(glyph, value(self, "palette").color(qt.QPalette.ButtonText), self._extent))

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the colours."""
        qt.QToolButton.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange and self._glyph:
            self.set_glyph(self._glyph)
