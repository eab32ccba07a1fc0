"""A thin line that moves while something is under way."""

from __future__ import annotations

from typing import Any

import qt

from .portable import value
from .tints import hairline, palette_of

_HEIGHT = 2
_TICK_MS = 40
_STEPS = 45  # ticks of one pass


class BusyLine(qt.QWidget):
    """A line of two pixels that always takes its room, so that nothing jumps when it begins to move."""

    def __init__(self, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self._step = 0
        self._busy = False
        self._clock = qt.QTimer(self)
        self._clock.setInterval(_TICK_MS)
        self._clock.timeout.connect(self._advance)
        self.setFixedHeight(_HEIGHT)

    @property
    def busy(self) -> bool:
        """Whether it moves."""
        return self._busy

    def set_busy(self, on: bool) -> None:
        """Move, or rest."""
        self._busy = on
        if on:
            self._clock.start()
        else:
            self._clock.stop()
        self.update()

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Draw a line, and on it the piece that moves."""
        palette, width = palette_of(self), value(self, "width")
        painter = qt.QPainter()
        painter.begin(self)
        painter.fillRect(qt.QRect(0, _HEIGHT - 1, width, 1), hairline(palette))
        if self._busy:
            piece = max(40, width // 4)
            left = (width + piece) * self._step // _STEPS - piece
            painter.fillRect(qt.QRect(left, 0, piece, _HEIGHT), palette.color(qt.QPalette.Highlight))
        painter.end()

    def _advance(self) -> None:
        self._step = (self._step + 1) % _STEPS
        self.update()
