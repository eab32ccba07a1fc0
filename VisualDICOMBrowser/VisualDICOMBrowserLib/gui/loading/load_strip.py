"""What is being loaded, in one line, with a button to stop it."""

from __future__ import annotations

import qt

from ..activity.jobs_strip import ThinBar
from ..host import LoadProgress
from ..parts.elided_label import ElidedLabel
from ..parts.signals import Signal


class LoadStrip(qt.QWidget):
    """Seen while there is something to tell. ``cancelled`` tells that the user wants it to stop."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.cancelled = Signal()
        self._line = ElidedLabel("", self, quiet=False)
        self._line.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        self._bar = ThinBar(self)
        self.button = qt.QToolButton(self)
        self.button.setText("Cancel")
        self.button.setAutoRaise(True)
        self.button.setToolTip("Stop loading, and load nothing of what waits for it")
        self.button.setFocusPolicy(qt.Qt.TabFocus)
        self.button.clicked.connect(lambda *_: self.cancelled.emit())
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(14, 3, 6, 3)
        row.setSpacing(8)
        row.addWidget(self._line, 1)
        row.addWidget(self._bar)
        row.addWidget(self.button)
        self.setVisible(False)

    def show_progress(self, progress: LoadProgress | None) -> None:
        """Show what is done now; drawn at once, since the event loop may not get its turn for a while."""
        self.setVisible(progress is not None)
        if progress is None:
            return
        self._line.set_text(progress.text)
        self._bar.setVisible(progress.fraction is not None)
        self._bar.set_fraction(progress.fraction or 0.0)
        self.repaint()
