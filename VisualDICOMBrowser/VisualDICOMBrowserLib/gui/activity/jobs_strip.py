"""All jobs in one line."""

from __future__ import annotations

import qt

from ..parts.elided_label import ElidedLabel
from ..parts.glyph_button import GlyphButton
from ..parts.glyphs import glyph_icon
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.tints import palette_of
from ..receiving.receiving_words import sending_words
from ..session import Session
from .job_cells import bar_of
from .job_watch import JobWatch
from .job_words import summary_of

_BAR_WIDTH, _BAR_HEIGHT = 160, 6
_SIGN = 14


class ThinBar(qt.QWidget):
    """A progress bar without figures."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self._fraction = 0.0
        self.setFixedSize(_BAR_WIDTH, _BAR_HEIGHT)

    def set_fraction(self, fraction: float) -> None:
        """Show how much is done, 0 to 1."""
        self._fraction = fraction
        self.setToolTip(f"{fraction:.0%} done")
        self.update()

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Paint the bar."""
        bar_of(self, self._fraction, value(self, "palette"), value(self, "rect"))


class JobsStrip(qt.QWidget):
    """What runs and waits, how fast, how far, who sends here, and what went wrong last.

    ================  ======  =======================================
    signal            values  when
    ================  ======  =======================================
    ``show_toggled``  shown   the user wants to see the list, or not
    ================  ======  =======================================
    """

    _built = False  # Qt may tell of colours before there is anything to paint

    def __init__(self, session: Session, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.show_toggled = Signal()
        self._shown = False
        self._build()
        self._watch = JobWatch(session, self)
        self._watch.updated.connect(self._update_line)
        self._watch.look()
        self._calls = session.calls
        self._end_calls = session.calls.changed.connect(self._show_calls)
        self._show_calls()

    def _build(self) -> None:
        self.line = qt.QLabel("", self)
        self.bar = ThinBar(self)
        self.arriving = qt.QLabel(self)
        self.calls = qt.QLabel("", self)
        self.calls.setTextFormat(qt.Qt.PlainText)
        self.sign = GlyphButton("failed", "", "The last problem", self)
        self.sign.clicked.connect(lambda *_: None if self._shown else self._toggle())
        self.problem = ElidedLabel("", self, quiet=False)
        self.problem.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        self.button = GlyphButton("chevron-up", "Show", "Show the list of jobs", self)
        self.button.clicked.connect(lambda *_: self._toggle())
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(10, 3, 6, 3)
        row.setSpacing(8)
        for widget in (self.line, self.bar, self.arriving, self.calls, self.sign):
            row.addWidget(widget)
        row.addWidget(self.problem, 1)
        row.addWidget(self.button)
        self._built = True
        self._paint()

    def set_shown(self, shown: bool) -> None:
        """Say whether the list is to be seen."""
        self._shown = shown
        self.button.setText("Hide" if shown else "Show")
        self.button.setToolTip("Hide the list of jobs" if shown else "Show the list of jobs")
        self.button.set_glyph("chevron-down" if shown else "chevron-up")

    def cleanup(self) -> None:
        """Let go of the session."""
        self._watch.cleanup()
        self._end_calls()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the colours."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange and self._built:
            self._paint()

    def _paint(self) -> None:
        color = palette_of(self).color(qt.QPalette.WindowText)
        self.arriving.setPixmap(glyph_icon("arriving", color, _SIGN).pixmap(qt.QSize(_SIGN, _SIGN)))

    def _show_calls(self) -> None:
        words = sending_words(self._calls.running.values())
        self.calls.setText(words)
        for label in (self.arriving, self.calls):
            label.setVisible(bool(words))

    def _toggle(self) -> None:
        self.set_shown(not self._shown)
        self.show_toggled.emit(self._shown)

    def _update_line(self) -> None:
        summary = summary_of(self._watch.records)
        self.line.setText(summary.words(self._watch.total_rate()))
        self.bar.setVisible(summary.fraction is not None)
        self.bar.set_fraction(summary.fraction or 0.0)
        self.problem.set_text(summary.problem)
        self.sign.setToolTip(summary.problem)
        self.sign.setVisible(bool(summary.problem))
