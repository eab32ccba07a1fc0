"""The settings: servers, and receiving from others, one page each."""

from __future__ import annotations

from typing import Any

import qt

from .host import Host
from .parts.glyph_button import GlyphButton
from .parts.portable import value
from .parts.signals import Signal
from .receiving.receiving_settings import ReceivingSettings
from .servers.server_settings import ServerSettings
from .session import Session

_SERVERS, _RECEIVING = 0, 1


class SettingsPage(qt.QWidget):
    """Tabs above the pages; Escape closes. ``closed`` tells that the user is done.

    :param host: what the program around the browser offers.
    """

    def __init__(self, session: Session, parent: qt.QWidget | None = None, host: Host | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.closed = Signal()
        host = host or Host()
        self.servers = ServerSettings(session, self, host.read_servers)
        self.receiving = ReceivingSettings(session, self, host.port_user)
        self._build()
        self.receiving.changed.connect(self._mark)

    def show_servers(self) -> None:
        """Show the page of servers, as they are now."""
        self.servers.reload()
        self.tabs.setCurrentIndex(_SERVERS)
        self.servers.list.setFocus()

    def cleanup(self) -> None:
        """Let go of the session."""
        self.servers.cleanup()
        self.receiving.cleanup()

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Close on Escape."""
        if event.key() == qt.Qt.Key_Escape:
            self.closed.emit()
        else:
            qt.QWidget.keyPressEvent(self, event)

    def _mark(self) -> None:
        """Show that something is not saved, where it is not to be seen."""
        self.tabs.setTabText(_RECEIVING, "Receiving  •" if self.receiving.draft.changed else "Receiving")

    def _build(self) -> None:
        self._stack = qt.QStackedWidget(self)
        for page in (self.servers, self.receiving):
            self._stack.addWidget(page)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 16)
        column.setSpacing(12)
        column.addLayout(self._build_top())
        column.addWidget(self._stack, 1)

    def _build_top(self) -> qt.QHBoxLayout:
        self.tabs = self._build_tabs()
        close = GlyphButton("close", "", "Back to the images (Escape)", self)
        close.clicked.connect(lambda *_: self.closed.emit())
        row = qt.QHBoxLayout()
        row.addWidget(self.tabs)
        row.addStretch(1)
        row.addWidget(close)
        return row

    def _build_tabs(self) -> Any:
        tabs = qt.QTabBar(self)
        tabs.setDrawBase(False)
        tabs.setExpanding(False)
        font = qt.QFont(value(self, "font"))
        font.setBold(True)
        tabs.setFont(font)
        for title, hint in (
            ("DICOM servers", "Where to search, fetch and send"),
            ("Receiving", "Whether others can send here, and who did"),
        ):
            tabs.setTabToolTip(tabs.addTab(title), hint)
        tabs.currentChanged.connect(lambda at: self._stack.setCurrentIndex(at))
        return tabs
