"""A line that says what went wrong, with a button to try again."""

from __future__ import annotations

from collections.abc import Sequence

import qt

from ..messages import Tone
from .elided_label import ElidedLabel
from .glyphs import paint_glyph
from .portable import value
from .signals import Signal
from .tints import palette_of, tone_background, tone_color


class TroubleLine(qt.QWidget):
    """Hidden until there is something to tell. ``retried`` tells that the button was clicked."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.retried = Signal()
        self._tone = Tone.WARNING
        self._label = ElidedLabel("", self, quiet=False)
        self._label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        self._button = qt.QPushButton("Retry", self)
        self._button.clicked.connect(lambda *_: self.retried.emit())
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(38, 4, 10, 4)
        row.addWidget(self._label, 1)
        row.addWidget(self._button)
        self.hide()

    @property
    def words(self) -> str:
        """What is told."""
        return self._label.words

    def tell(self, lines: Sequence[str], *, problem: bool) -> None:
        """Show the first of some lines and how many more there are; all of them in the tooltip."""
        more = f"  (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        self._tone = Tone.PROBLEM if problem else Tone.WARNING
        self._label.set_text(lines[0] + more)
        self._label.setToolTip("\n".join(lines))
        self.setVisible(True)
        self.update()

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Paint the ground and the sign."""
        palette, area = palette_of(self), value(self, "rect")
        painter = qt.QPainter()
        painter.begin(self)
        painter.fillRect(area, tone_background(palette, self._tone))
        sign = qt.QRect(14, (area.height() - 16) // 2, 16, 16)
        paint_glyph(painter, "failed", sign, tone_color(palette, self._tone))
        painter.end()
