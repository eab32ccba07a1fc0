"""The first page, when there is neither a server nor a patient: how to begin."""

from __future__ import annotations

from typing import Any

import qt

from .parts.glyphs import paint_glyph
from .parts.portable import value
from .parts.signals import Signal
from .parts.tints import hairline, hover, mix, muted, palette_of, set_ink
from .session import Session

_DEMO_COMMAND = "visual-dicom-browser demo"
_NARROW = 560
_LEAST_WIDTH = 290


class WelcomePage(qt.QWidget):
    """Two ways to begin. ``add_server_asked`` and ``import_asked`` tell which."""

    def __init__(self, session: Session, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.add_server_asked = Signal()
        self.import_asked = Signal()
        self._heading = _heading(self)
        self._intro = qt.QLabel("Two ways to begin:", self)
        self._server = _Way("cloud", "Add a server…", "Search and fetch from a PACS or another DICOM server.", self)
        self._folder = _Way("folder", "Import a folder…", "Bring in DICOM files from this computer or a disc.", self)
        self._server.clicked.connect(lambda *_: self.add_server_asked.emit())
        self._folder.clicked.connect(lambda *_: self.import_asked.emit())
        self._drop = qt.QLabel("You can also drop files and folders anywhere on this window.", self)
        self._demo = qt.QLabel(f"Only looking? This starts a PACS with sample patients:  {_DEMO_COMMAND}", self)
        self._demo.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        for label in (self._intro, self._drop, self._demo):
            label.setAlignment(qt.Qt.AlignCenter)
            label.setWordWrap(True)
        self._lay_out()
        self.setMinimumWidth(_LEAST_WIDTH)  # else the two could never come to stand below each other
        self._paint()

    def cleanup(self) -> None:
        """Nothing is held; all parts of the window have this."""

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Put the ways below each other where they do not fit side by side."""
        qt.QWidget.resizeEvent(self, event)
        narrow = value(self, "width") < _NARROW
        self._ways.setDirection(qt.QBoxLayout.TopToBottom if narrow else qt.QBoxLayout.LeftToRight)

    def _lay_out(self) -> None:
        self._ways = qt.QBoxLayout(qt.QBoxLayout.LeftToRight)
        self._ways.setSpacing(12)
        self._ways.addWidget(self._server)
        self._ways.addWidget(self._folder)
        middle = qt.QHBoxLayout()
        middle.addStretch(1)
        middle.addLayout(self._ways)
        middle.addStretch(1)
        box = qt.QVBoxLayout(self)
        box.setContentsMargins(24, 24, 24, 24)
        box.addStretch(2)
        box.addWidget(self._heading)
        box.addSpacing(4)
        box.addWidget(self._intro)
        box.addSpacing(20)
        box.addLayout(middle)
        box.addSpacing(20)
        box.addWidget(self._drop)
        box.addStretch(3)
        box.addWidget(self._demo)

    def _paint(self) -> None:
        for label in (self._intro, self._drop, self._demo):
            set_ink(label, muted(palette_of(self)))


class _Way(qt.QPushButton):
    """A large button with a pictogram, a title and a line of explanation."""

    def __init__(self, glyph: str, title: str, words: str, parent: Any) -> None:
        qt.QPushButton.__init__(self, title, parent)
        self._glyph = glyph
        self._words = words
        self.setAutoDefault(False)
        self.setAccessibleDescription(words)
        self.setMouseTracking(True)
        self.setAttribute(qt.Qt.WA_Hover, True)
        self.setFixedSize(240, 150)

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        palette, rect = palette_of(self), value(self, "rect")
        active = self.underMouse() or self.hasFocus()
        accent = palette.color(qt.QPalette.Highlight)
        path = qt.QPainterPath()
        path.addRoundedRect(qt.QRectF(rect).adjusted(1, 1, -1, -1), 8.0, 8.0)
        painter = qt.QPainter()
        painter.begin(self)
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.fillPath(path, qt.QBrush(hover(palette) if active else palette.color(qt.QPalette.Base)))
        pen = qt.QPen(accent if active else hairline(palette))
        pen.setWidthF(1.5)
        painter.setPen(pen)
        painter.drawPath(path)
        paint_glyph(painter, self._glyph, qt.QRect(0, 22, rect.width(), 36), mix(accent, _text(palette), 0.2))
        self._paint_words(painter, palette, rect.width())
        painter.end()

    def _paint_words(self, painter: Any, palette: Any, width: int) -> None:
        font = qt.QFont(value(self, "font"))
        middle = int(qt.Qt.AlignHCenter | qt.Qt.TextWordWrap)
        painter.setPen(muted(palette))
        painter.setFont(font)
        painter.drawText(qt.QRect(16, 98, width - 32, 48), middle, self._words)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(_text(palette))
        painter.drawText(qt.QRect(8, 72, width - 16, 24), middle, value(self, "text"))


def _text(palette: Any) -> Any:
    return palette.color(qt.QPalette.Text)


def _heading(parent: Any) -> Any:
    label = qt.QLabel("Welcome to the Visual DICOM Browser", parent)
    font = qt.QFont(value(label, "font"))
    if font.pointSizeF() > 0:  # not where a style sheet gives pixels
        font.setPointSizeF(font.pointSizeF() * 1.5)
    font.setBold(True)
    label.setFont(font)
    label.setAlignment(qt.Qt.AlignCenter)
    label.setWordWrap(True)
    return label
