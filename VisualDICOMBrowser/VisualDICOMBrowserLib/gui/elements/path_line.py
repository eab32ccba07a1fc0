"""Where a file lies: shortened in the middle to fit, and a button that copies all of it."""

from __future__ import annotations

import qt

from ..parts.elided_label import ElidedLabel
from ..parts.glyph_button import GlyphButton


class PathLine(qt.QWidget):
    """A path on one line; nothing without one."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.label = ElidedLabel("", self, mode=qt.Qt.ElideMiddle)
        self.label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
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
        self.label.set_text(path)
        self.setVisible(bool(path))

    def copy(self) -> None:
        """Copy the path."""
        qt.QApplication.clipboard().setText(self.label.words)
