"""A line to type into, with a cross that empties it; the cross has the palette's colour, which Qt's own has not."""

from __future__ import annotations

from typing import Any

import qt

from .glyphs import glyph_icon
from .tints import muted, palette_of


class TextField(qt.QLineEdit):
    """A line edit; ``hint`` is shown while it is empty, and read out by screen readers."""

    def __init__(self, hint: str, parent: Any = None) -> None:
        qt.QLineEdit.__init__(self, parent)
        self._cross = self.addAction(qt.QIcon(), qt.QLineEdit.TrailingPosition)
        self._cross.setText("Clear")
        self._cross.setToolTip("Clear")
        self._cross.setVisible(False)
        self._cross.triggered.connect(lambda *_: self.clear())
        self.setPlaceholderText(hint)
        self.setAccessibleName(hint)
        self.textChanged.connect(lambda text: self._cross.setVisible(bool(text)))
        self.paint_marks()

    def paint_marks(self) -> None:
        """Draw the pictograms in the colours of the palette."""
        self._cross.setIcon(glyph_icon("close", muted(palette_of(self)), 14))

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QLineEdit.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self.paint_marks()
