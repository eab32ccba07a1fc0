"""What a list shows in place of its rows, and short notes about servers with a way to try again."""

from __future__ import annotations

from typing import Any

import qt

from ..messages import Tone
from .elided_label import ElidedLabel
from .glyphs import glyph_icon
from .portable import value
from .signals import Signal
from .tints import muted, palette_of, set_ink, tone_background, tone_color


class EmptyNotice(qt.QWidget):
    """A pictogram, a heading, what to do, and at most one button. ``acted`` is told when it is pressed."""

    def __init__(self, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.acted = Signal()
        self._glyph = "search"
        self._picture, self._heading, self._advice = qt.QLabel(self), qt.QLabel(self), qt.QLabel(self)
        self._button = qt.QPushButton(self)
        self._button.setAutoDefault(False)
        self._button.clicked.connect(lambda *_: self.acted.emit())
        font = qt.QFont(value(self, "font"))
        font.setBold(True)
        self._heading.setFont(font)
        box = qt.QVBoxLayout(self)
        box.setContentsMargins(20, 20, 20, 20)
        box.setSpacing(8)
        box.addStretch(2)
        for label in (self._picture, self._heading, self._advice):
            label.setAlignment(qt.Qt.AlignCenter)
            label.setTextFormat(qt.Qt.PlainText)
            label.setWordWrap(True)
            box.addWidget(label)
        box.addWidget(self._button, 0, qt.Qt.AlignHCenter)
        box.addStretch(3)

    @property
    def words(self) -> str:
        """The heading that is shown."""
        return str(value(self._heading, "text"))

    def say(self, glyph: str, heading: str, advice: str, button: str = "") -> None:
        """Show a state; without text for the button there is none."""
        self._glyph = glyph
        self._heading.setText(heading)
        self._advice.setText(advice)
        self._button.setText(button)
        self._button.setVisible(bool(button))
        self._paint()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint()

    def _paint(self) -> None:
        pale = muted(palette_of(self))
        self._picture.setPixmap(glyph_icon(self._glyph, pale, 36).pixmap(qt.QSize(36, 36)))
        set_ink(self._advice, pale)


class ServerNotes(qt.QWidget):
    """A line for each server that failed, with Retry. ``retry_asked`` tells its name."""

    def __init__(self, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.retry_asked = Signal()
        self._lines: list[Any] = []
        self._errors: list[tuple[str, str]] = []
        self._box = qt.QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(1)
        self.setVisible(False)

    def show_errors(self, errors: list[tuple[str, str]]) -> None:
        """Show these (server, reason) and no others."""
        self._errors = list(errors)
        for line in self._lines:
            self._box.removeWidget(line)
            line.setVisible(False)
            line.deleteLater()
        self._lines = [_NoteLine(server, reason, self.retry_asked, self) for server, reason in errors]
        for line in self._lines:
            self._box.addWidget(line)
        self.setVisible(bool(errors))

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange and self._lines:
            self.show_errors(self._errors)

    @property
    def lines(self) -> list[str]:
        """What is shown."""
        return [line.words for line in self._lines]


class _NoteLine(qt.QWidget):
    def __init__(self, server: str, reason: str, retry: Signal, parent: Any) -> None:
        qt.QWidget.__init__(self, parent)
        self.words = f"{server}: {reason}"
        box = qt.QHBoxLayout(self)
        box.setContentsMargins(12, 2, 4, 2)
        box.setSpacing(6)
        mark = qt.QLabel(self)
        mark.setPixmap(glyph_icon("failed", tone_color(palette_of(self), Tone.WARNING), 14).pixmap(qt.QSize(14, 14)))
        text = ElidedLabel(f"{server} failed", self, False)  # why, the message of the search tells
        text.setToolTip(self.words)
        text.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        button = qt.QToolButton(self)
        button.setText("Retry")
        button.setAutoRaise(True)
        button.setToolTip(f"Ask {server} again")
        button.clicked.connect(lambda: retry.emit(server))
        set_ink(button, palette_of(self).color(qt.QPalette.Link))
        box.addWidget(mark)
        box.addWidget(text, 1)
        box.addWidget(button)

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        painter = qt.QPainter()
        painter.begin(self)
        painter.fillRect(value(self, "rect"), tone_background(palette_of(self), Tone.WARNING))
        painter.end()
