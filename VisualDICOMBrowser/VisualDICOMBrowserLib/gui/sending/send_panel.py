"""What is to be sent, where to, and the word to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt

from ...domain.errors import StorageError
from ...domain.overview import SeriesRow
from ..parts.elided_label import ElidedLabel
from ..parts.glyphs import glyph_icon
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.throttle import Throttle
from ..parts.tints import hairline, palette_of
from ..session import Session
from .send_plan import SendPlan

_COUNT_MS = 400
_LEAST_SERVER = 150
_SIGN = 16


class SendPanel(qt.QWidget):
    """Opens at the foot of the window and stops nothing; Enter sends, Escape does not.

    ==================  =====================  ====================================================
    signal              values                 when
    ==================  =====================  ====================================================
    ``send_asked``      UIDs, server, verify   the user sends; the panel is closed then
    ``fetch_asked``     list of series         what is not here is wanted first
    ``settings_asked``  none                   there is no server yet
    ``closed``          none                   it was closed, in whatever way
    ==================  =====================  ====================================================

    :ivar server: the server chosen last.
    :ivar verify: whether servers are asked afterwards what they list.
    """

    def __init__(self, session: Session, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.send_asked, self.fetch_asked, self.settings_asked = Signal(), Signal(), Signal()
        self.closed = Signal()
        self.server, self.verify = "", True
        self._session = session
        self._is_open = False
        self._who = ""
        self._rows: dict[str, SeriesRow] = {}
        self._changed: set[str] = set()
        self._plan = SendPlan()
        self._names: list[str] | None = None
        self._gone = ""  # the server that was chosen, and is not configured any more
        self._count_later = Throttle(_COUNT_MS, self._count, self, at_once=False)
        self._build()
        self._endings = [
            session.series_changed.connect(self._on_series_changed),
            session.servers_changed.connect(self._ask_servers),
            session.ready_changed.connect(lambda *_: self._ask_servers()),
        ]
        self.setVisible(False)

    def open_for(self, rows: Sequence[SeriesRow], who: str) -> None:
        """Ask about these series.

        :param who: the patient's name: another one may be looked at while the panel is open.
        """
        self._who = who
        self._rows, self._changed = {row.uid: row for row in rows}, set()
        self._names, self._gone, self._is_open = None, "", True
        self.setVisible(True)
        self._show()
        self._ask_servers()
        self._servers.setFocus()

    def shut(self) -> None:
        """Close it without sending."""
        if self._is_open:
            self._is_open = False
            self.setVisible(False)
            self.closed.emit()

    def cleanup(self) -> None:
        """Hear nothing more of the session."""
        self._count_later.cancel()
        for end in self._endings:
            end()

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Answer by keys."""
        if event.key() == qt.Qt.Key_Escape:
            self.shut()
        elif event.key() in (qt.Qt.Key_Return, qt.Qt.Key_Enter):
            self._on_enter()
        else:
            qt.QWidget.keyPressEvent(self, event)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint()

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Draw a line to what is above."""
        painter = qt.QPainter()
        painter.begin(self)
        painter.setPen(hairline(palette_of(self)))
        painter.drawLine(0, 0, value(self, "width"), 0)
        painter.end()

    # what is known

    def _on_series_changed(self, uid: str) -> None:
        if self._is_open and uid in self._rows:
            self._changed.add(uid)
            self._count_later()

    def _count(self) -> None:
        """Read again how much is here of what changed."""
        try:
            found = self._session.reader.series_by_uid(sorted(self._changed))
        except StorageError:
            return  # the next change has it read again; that the catalogue is damaged, the sheet says
        for uid in self._changed - set(found):
            self._rows.pop(uid, None)
        self._rows.update(found)
        self._changed = set()
        self._show()

    def _ask_servers(self) -> None:
        if self._is_open:
            self._session.ask("servers", done=self._take_servers)

    def _take_servers(self, servers: Sequence[Mapping[str, Any]]) -> None:
        wanted = self._chosen() or self._gone or self.server
        self._names = [str(server["name"]) for server in servers]
        self._servers.clear()
        self._servers.addItems([_server_words(server) for server in servers])
        self._gone = "" if wanted in self._names else wanted
        at = self._names.index(wanted) if wanted in self._names else 0
        self._servers.setCurrentIndex(-1 if self._gone else at)  # images must not go elsewhere without a word
        self._show()

    def _chosen(self) -> str:
        at = int(value(self._servers, "currentIndex"))
        return self._names[at] if self._names and 0 <= at < len(self._names) else ""

    # what is done

    def _send(self) -> None:
        server = self._chosen()
        if server and self._plan.series:
            self.server, self.verify = server, bool(self._verify.isChecked())
            self.shut()
            self.send_asked.emit(list(self._plan.series), server, self.verify)

    def _on_enter(self) -> None:
        """Send, unless the focus is on a button that does something else: images must not go out by mistake."""
        others = (self._cancel_button, self._fetch_button, self._add_button)
        focused = [button for button in others if button.hasFocus()]
        if focused:
            focused[0].click()
        else:
            self._send()

    def _fetch(self) -> None:
        self.fetch_asked.emit(list(self._rows.values()))

    def _to_settings(self) -> None:
        self.shut()
        self.settings_asked.emit()

    # what is seen

    def _show(self) -> None:
        self._plan = SendPlan.of(self._rows.values())
        self._title.set_text(self._plan.title(self._who))
        self._rest.setText(self._plan.rest)
        for widget in (self._rest_sign, self._rest, self._fetch_button):
            widget.setVisible(bool(self._plan.rest))
        none = self._names == []
        gone = bool(self._names) and bool(self._gone)
        self._missing.setText(f"{self._gone} is not among the servers any more. Choose another one." if gone else "")
        self._missing.setVisible(gone)
        for widget in (self._to, self._servers, self._verify):
            widget.setVisible(not none)
        for widget in (self._nowhere, self._add_button):
            widget.setVisible(none)
        self._verify.setChecked(self.verify)
        self._send_button.setEnabled(bool(self._chosen() and self._plan.series))
        self._send_button.setToolTip("Choose a server first" if gone else "")

    def _paint(self) -> None:
        color = palette_of(self).color(qt.QPalette.WindowText)
        self._rest_sign.setPixmap(glyph_icon("cloud", color, _SIGN).pixmap(qt.QSize(_SIGN, _SIGN)))

    def _build(self) -> None:
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(14, 8, 10, 8)
        column.setSpacing(6)
        column.addLayout(self._build_top())
        column.addLayout(self._build_rest())
        column.addLayout(self._build_servers())
        column.addWidget(self._missing)
        self._paint()

    def _build_top(self) -> qt.QHBoxLayout:
        self._title = ElidedLabel("", self, quiet=False)
        self._title.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        bold = qt.QFont(value(self, "font"))
        bold.setBold(True)
        self._title.setFont(bold)
        self._send_button = self._button("Send", self._send)
        self._cancel_button = self._button("Cancel", self.shut)
        return _row((self._title, 1), (self._send_button, 0), (self._cancel_button, 0))

    def _build_rest(self) -> qt.QHBoxLayout:
        self._rest_sign, self._rest = qt.QLabel(self), qt.QLabel("", self)
        self._rest.setWordWrap(True)
        self._fetch_button = self._button("Fetch first", self._fetch)
        self._fetch_button.setToolTip("Fetch what is not here; what has come by the time you send is sent, too")
        return _row((self._rest_sign, 0), (self._rest, 1), (self._fetch_button, 0))

    def _build_servers(self) -> qt.QHBoxLayout:
        self._to, self._servers = qt.QLabel("To", self), qt.QComboBox(self)
        self._servers.setMinimumWidth(_LEAST_SERVER)
        self._servers.setSizeAdjustPolicy(qt.QComboBox.AdjustToContents)
        self._servers.setAccessibleName("Server to send to")
        self._servers.setPlaceholderText("Choose a server")
        self._servers.activated.connect(lambda *_: self._on_server())
        self._verify = qt.QCheckBox("Check afterwards whether it lists all of them", self)
        self._verify.setToolTip("Asks the server by C-FIND")
        self._verify.clicked.connect(lambda *_: self._note_choice())
        self._nowhere = qt.QLabel("There is no server yet to send to.", self)
        self._add_button = self._button("Add a server…", self._to_settings)
        self._missing = qt.QLabel("", self)
        self._missing.setTextFormat(qt.Qt.PlainText)
        self._missing.setWordWrap(True)
        row = _row((self._to, 0), (self._servers, 0), (self._verify, 0), (self._nowhere, 0), (self._add_button, 0))
        row.addStretch(1)
        return row

    def _on_server(self) -> None:
        self._gone = ""
        self._note_choice()
        self._show()

    def _note_choice(self) -> None:
        """Keep what was chosen, also while the servers are read again."""
        self.server, self.verify = self._chosen() or self.server, bool(self._verify.isChecked())

    def _button(self, text: str, act: Any) -> qt.QPushButton:
        button = qt.QPushButton(text, self)
        button.setAutoDefault(False)
        button.clicked.connect(lambda *_: act())
        return button


def _row(*parts: tuple[Any, int]) -> qt.QHBoxLayout:
    row = qt.QHBoxLayout()
    row.setSpacing(8)
    for widget, stretch in parts:
        row.addWidget(widget, stretch)
    return row


def _server_words(server: Mapping[str, Any]) -> str:
    return f"{server['name']}  ({server['called_aet']} at {server['host']}, port {server['port']})"
