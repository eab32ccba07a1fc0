"""Who may call beside the configured servers: a list, and two lines to add to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

from ...domain.errors import UsageError
from ...domain.listener import ANY, AllowedPeer
from ..parts.portable import value
from ..parts.signals import Signal
from .receiving_words import peer_words

_LINES = 3


class AllowedCallers(qt.QWidget):
    """A list of ``AET@HOST``. ``edited`` tells the new list, ``refused`` a sentence on what cannot be added."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.edited, self.refused = Signal(), Signal()
        self._peers: list[str] = []
        self.list = qt.QListWidget(self)
        self.aet, self.host = self._line("Any AE title", "AE title"), self._line("Any address", "Host or address")
        self.add_button = self._button("Add", "Let this one call", self._add)
        self.remove_button = self._button("Remove", "Take the chosen one off the list", self._remove)
        self._build()

    def show_peers(self, peers: Sequence[str]) -> None:
        """Show a list."""
        if list(peers) == self._peers:
            return
        self._peers = list(peers)
        self.list.clear()
        self.list.addItems([peer_words(peer) for peer in peers])
        self._offer()

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Remove by key."""
        if event.key() == qt.Qt.Key_Delete and self.list.hasFocus():
            self._remove()
        else:
            qt.QWidget.keyPressEvent(self, event)

    def _add(self) -> None:
        aet, host = (str(value(line, "text")).strip() or ANY for line in (self.aet, self.host))
        try:
            peer = str(AllowedPeer(aet, host))
        except UsageError as error:
            self.refused.emit(str(error))
            return
        self.aet.clear()
        self.host.clear()
        self.refused.emit("")
        if peer not in self._peers:
            self.edited.emit([*self._peers, peer])

    def _remove(self) -> None:
        row = int(value(self.list, "currentRow"))
        if 0 <= row < len(self._peers):
            self.edited.emit([peer for at, peer in enumerate(self._peers) if at != row])

    def _offer(self) -> None:
        self.remove_button.setEnabled(0 <= int(value(self.list, "currentRow")) < len(self._peers))

    def _line(self, hint: str, name: str) -> qt.QLineEdit:
        line = qt.QLineEdit(self)
        line.setPlaceholderText(hint)
        line.setAccessibleName(f"{name} of who may call")
        line.setMinimumWidth(80)
        line.returnPressed.connect(lambda *_: self._add())
        return line

    def _button(self, text: str, hint: str, act: Any) -> qt.QPushButton:
        button = qt.QPushButton(text, self)
        button.setToolTip(hint)
        button.setAutoDefault(False)
        button.clicked.connect(lambda *_: act())
        return button

    def _build(self) -> None:
        line = value(self, "fontMetrics")
        self.list.setFixedHeight(_LINES * (line.height() + 4) + 8)
        self.list.currentRowChanged.connect(lambda *_: self._offer())
        self.list.setAccessibleName("Who may call")
        words = qt.QHBoxLayout()
        words.addWidget(self.aet, 1)
        words.addWidget(qt.QLabel("at", self))
        words.addWidget(self.host, 1)
        words.addWidget(self.add_button)
        words.addWidget(self.remove_button)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 2)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addLayout(words)
        self._offer()
