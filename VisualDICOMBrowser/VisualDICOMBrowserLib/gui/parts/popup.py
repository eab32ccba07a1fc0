"""A panel of choices that opens below a button and stays open while one chooses."""

from __future__ import annotations

from typing import Any

import qt

from .glyphs import glyph_icon
from .portable import value
from .signals import Signal
from .tints import muted, palette_of

_MARGIN = 10


class Popup(qt.QFrame):
    """The panel: fill :attr:`body`. Escape and a click elsewhere close it."""

    def __init__(self, parent: Any = None) -> None:
        qt.QFrame.__init__(self, parent, qt.Qt.Popup)
        self.setFrameStyle(qt.QFrame.StyledPanel | qt.QFrame.Plain)
        self.body = qt.QVBoxLayout(self)
        self.body.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        self.body.setSpacing(6)

    def open_below(self, button: Any) -> None:
        """Show the panel under a button, moved so that it is wholly on the window's screen."""
        self.adjustSize()
        corner = button.mapToGlobal(qt.QPoint(0, value(button, "height") + 2))
        window = button.window()
        edge = window.mapToGlobal(qt.QPoint(value(window, "width"), 0)).x()
        left = min(corner.x(), max(edge - value(self, "width"), window.mapToGlobal(qt.QPoint(0, 0)).x()))
        self.move(left, corner.y())
        self.show()
        self.setFocus()


class ChoiceButton(qt.QPushButton):
    """A button with an arrow at its right that opens a panel or a menu: connect :attr:`pressed_to_open`."""

    def __init__(self, text: str, hint: str, parent: Any = None) -> None:
        qt.QPushButton.__init__(self, text, parent)
        self.pressed_to_open = Signal()
        self.setLayoutDirection(qt.Qt.RightToLeft)  # puts the arrow after the text
        self.setToolTip(hint)
        self.setAutoDefault(False)
        self.clicked.connect(lambda *_: self.pressed_to_open.emit())
        self._paint_arrow()

    def say(self, text: str, hint: str) -> None:
        """Set the text; ``hint`` is read out by screen readers too."""
        self.setText(text.replace("&", "&&"))
        self.setAccessibleName(hint)

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Open with the arrow key down, as every such button does."""
        if event.key() == qt.Qt.Key_Down:
            self.pressed_to_open.emit()
        else:
            qt.QPushButton.keyPressEvent(self, event)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QPushButton.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint_arrow()

    def _paint_arrow(self) -> None:
        self.setIcon(glyph_icon("chevron-down", muted(palette_of(self)), 12))
        self.setIconSize(qt.QSize(12, 12))
