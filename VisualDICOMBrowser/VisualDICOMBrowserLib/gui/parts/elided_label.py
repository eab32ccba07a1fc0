"""A line of text that gives way: cut with an ellipsis where it does not fit, whole in its tooltip."""

from __future__ import annotations

from typing import Any

import qt

from .portable import value
from .tints import muted, palette_of


class ElidedLabel(qt.QWidget):
    """One line of plain text.

    :param quiet: whether it matters less, and is paler.
    :param mode: which part is cut.
    """

    def __init__(self, text: str = "", parent: Any = None, quiet: bool = True, mode: Any = qt.Qt.ElideRight) -> None:
        qt.QWidget.__init__(self, parent)
        self._words = ""
        self._quiet, self._mode = quiet, mode
        self.setSizePolicy(qt.QSizePolicy.Maximum, qt.QSizePolicy.Fixed)
        self.set_text(text)

    @property
    def words(self) -> str:
        """The whole text."""
        return self._words

    def set_text(self, text: str) -> None:
        """Show a text."""
        self._words = text
        self.setToolTip(text)
        self.setAccessibleName(text)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> qt.QSize:
        """Return the room for the whole text."""
        metrics = qt.QFontMetrics(value(self, "font"))
        return qt.QSize(metrics.horizontalAdvance(self._words) + 2, metrics.height())

    def minimumSizeHint(self) -> qt.QSize:
        """Return next to nothing: the text gives way."""
        return qt.QSize(24, qt.QFontMetrics(value(self, "font")).height())

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Draw what fits."""
        palette, rect = palette_of(self), value(self, "rect")
        metrics = qt.QFontMetrics(value(self, "font"))
        painter = qt.QPainter()
        painter.begin(self)
        painter.setPen(muted(palette) if self._quiet else palette.color(qt.QPalette.WindowText))
        text = metrics.elidedText(self._words, self._mode, rect.width())
        painter.drawText(rect, int(qt.Qt.AlignVCenter), text)
        painter.end()
