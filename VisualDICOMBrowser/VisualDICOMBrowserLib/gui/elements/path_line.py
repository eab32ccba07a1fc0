"""Where a file lies: shortened in the middle to fit, and a button that copies all of it."""

from __future__ import annotations

import qt

from ..parts.glyph_button import GlyphButton
from ..parts.portable import value


class PathLine(qt.QWidget):
    """A path on one line; nothing without one."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self._path = ""
        self.label = qt.QLabel("", self)
        self.label.setTextFormat(qt.Qt.PlainText)
        self.label.setForegroundRole(qt.QPalette.PlaceholderText)
        self.label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)
        self.button = GlyphButton("", "Copy path", "Copy the path of the file", self)
        self.button.setToolButtonStyle(qt.Qt.ToolButtonTextOnly)
        self.button.clicked.connect(lambda *_: self.copy())
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(6, 0, 2, 2)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        self.show_path("")

    def show_path(self, path: str) -> None:
        """Show another path."""
        self._path = path
        self.label.setToolTip(path)
        self.setVisible(bool(path))
        self._fit()

    def copy(self) -> None:
        """Copy the path."""
        qt.QApplication.clipboard().setText(self._path)

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Shorten anew."""
        qt.QWidget.resizeEvent(self, event)
        self._fit()

    def _fit(self) -> None:
        room = value(self, "width") - value(self.button, "sizeHint").width() - 16
        self.label.setText(self.fontMetrics().elidedText(self._path, qt.Qt.ElideMiddle, max(0, room)))
