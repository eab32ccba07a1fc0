"""The page on receiving: whether others can call, as whom and where, who may, and who did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt

from ...domain.errors import VisualDicomError
from ..parts.glyphs import glyph_icon
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.throttle import Throttle
from ..parts.tints import muted, palette_of, set_ink
from ..session import Session
from .call_table import CallTable
from .receiving_draft import ReceivingDraft
from .receiving_form import ReceivingForm
from .receiving_words import PortUser, hints, is_loopback, registration, state_words

_CALLS_MS = 500
_WIDE = 1100
_SIGN = 16


class ReceivingSettings(qt.QWidget):
    """See the module. What is typed stays until it is saved or discarded.

    ===========  ======  =========================================================
    signal       values  when
    ===========  ======  =========================================================
    ``changed``  none    there is something to save now, or nothing any more
    ===========  ======  =========================================================

    :param port_user: see :class:`..host.Host`.
    :ivar draft: the settings as they are being typed.
    """

    _status: Mapping[str, Any] | None = None  # nothing is known yet

    def __init__(self, session: Session, parent: qt.QWidget | None = None, port_user: PortUser | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self._port_user = port_user or (lambda _: "")
        self.changed = Signal()
        self.draft = ReceivingDraft()
        self._session = session
        self._problem = ""
        self._servers = 0
        self._build()
        self._calls_later = Throttle(_CALLS_MS, self._ask_calls, self)
        self._endings = [
            *(
                signal.connect(lambda *_: self._reload_if_seen())
                for signal in (session.listener_changed, session.servers_changed, session.ready_changed)
            ),
            session.calls.changed.connect(lambda *_: self._calls_later()),
            session.caller_refused.connect(lambda *_: self._calls_later()),
        ]
        self._show()

    def reload(self) -> None:
        """Ask how the listener is, and who called; what is typed and not saved stays."""
        self._session.ask("listener", done=self._on_status, failed=self._on_problem)
        self._session.ask("servers", done=self._on_servers, failed=lambda _: None)  # the other page tells
        self._ask_calls()

    def _reload_if_seen(self) -> None:
        if self.isVisible() and self._session.ready:
            self.reload()

    def cleanup(self) -> None:
        """Let go of the session."""
        self._calls_later.cancel()
        for end in self._endings:
            end()

    def showEvent(self, event: qt.QShowEvent) -> None:
        """Catch up."""
        qt.QWidget.showEvent(self, event)
        self.reload()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Put what others need, and the calls, beside the form where there is room."""
        qt.QWidget.resizeEvent(self, event)
        wide = value(self, "width") >= _WIDE
        self._halves.setDirection(qt.QBoxLayout.LeftToRight if wide else qt.QBoxLayout.TopToBottom)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the colours."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange and self._status is not None:
            self._show()

    # what is known

    def _on_status(self, status: Mapping[str, Any]) -> None:
        self._status = status
        self.draft.take(status["settings"])
        self._show()

    def _on_servers(self, servers: list[Any]) -> None:
        self._servers = len(servers)
        self._show()

    def _ask_calls(self) -> None:
        if self.isVisible():
            self._session.ask("calls", done=self._calls.show_calls, failed=lambda _: None)  # asked again when seen

    def _on_edited(self, name: str, typed: Any) -> None:
        if name:
            self.draft.edit(name, typed)
        self._problem = ""
        self._show()

    # what is done

    def _save(self) -> None:
        if self.draft.changed and not self.draft.errors():
            values = dict(self.draft.values)
            self._session.ask("set_listener", {"settings": values}, lambda *_: self._on_saved(values), self._on_problem)

    def _on_saved(self, values: dict[str, Any]) -> None:
        self.draft.saved = values
        self._show()
        self.reload()

    def _on_problem(self, error: VisualDicomError) -> None:
        self._problem = str(error)
        self._show()

    def _discard(self) -> None:
        self.draft.discard()
        self.form.forget()
        self._problem = ""
        self._show()

    def _copy(self) -> None:
        if self._status is not None:
            qt.QApplication.clipboard().setText(registration(self._status))

    # what is seen

    def _show(self) -> None:
        errors = self.draft.errors()
        self.form.setEnabled(self._status is not None)
        self.form.show_values(self.draft.values)
        self.form.show_errors(errors)
        self.save.setEnabled(self.draft.changed and not errors)
        self.discard.setEnabled(self.draft.changed)
        self._outcome.setText(self._problem)
        self._show_state()
        self.changed.emit()

    def _show_state(self) -> None:
        status = self._status
        self._sign.setVisible(status is not None)
        self._copy_button.setEnabled(status is not None)
        if status is None:
            return
        glyph = "failed" if status["problem"] else "tick" if status["open"] else "pause"
        self._sign.setPixmap(glyph_icon(glyph, palette_of(self).color(qt.QPalette.WindowText)).pixmap(_SIGN, _SIGN))
        self.state.setText(state_words(status, self._port_user))
        words = hints(status["settings"], self._servers)
        self._hints.setText(" ".join(words))
        self._hints.setVisible(bool(words))
        self._local.setVisible(is_loopback(status["settings"]["bind"]))
        self.others.setText(registration(status))
        for label in (self._hints, self._local):
            set_ink(label, muted(palette_of(self)))

    # how it is built

    def _build(self) -> None:
        inside = qt.QWidget()
        self._halves = qt.QBoxLayout(qt.QBoxLayout.TopToBottom)
        self._halves.setSpacing(24)
        self._halves.addLayout(self._build_settings(inside), 1)
        self._halves.addLayout(self._build_others(inside), 1)
        column = qt.QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        column.addLayout(self._halves)
        column.addStretch(1)
        area = qt.QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(qt.QFrame.NoFrame)
        area.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        area.setWidget(inside)
        whole = qt.QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)

    def _build_settings(self, page: qt.QWidget) -> qt.QVBoxLayout:
        self._sign, self.state, self._hints = qt.QLabel(page), _text("", page), _text("", page)
        self.form = ReceivingForm(page)
        self.form.edited.connect(self._on_edited)
        state = qt.QHBoxLayout()
        state.addWidget(self._sign)
        state.addWidget(self.state, 1)
        column = qt.QVBoxLayout()
        column.setSpacing(8)
        column.addLayout(state)
        column.addWidget(self._hints)
        column.addWidget(self.form)
        column.addLayout(self._build_buttons(page))
        column.addStretch(1)
        return column

    def _build_buttons(self, page: qt.QWidget) -> qt.QHBoxLayout:
        self.save, self.discard = qt.QPushButton("Save", page), qt.QPushButton("Discard", page)
        self.save.setToolTip("Keep and follow these settings; whoever sends just now is cut off")
        self.discard.setToolTip("Go back to what was saved")
        self.save.clicked.connect(lambda *_: self._save())
        self.discard.clicked.connect(lambda *_: self._discard())
        self._outcome = _text("", page)
        row = qt.QHBoxLayout()
        row.addWidget(self.save)
        row.addWidget(self.discard)
        row.addWidget(self._outcome, 1)
        return row

    def _build_others(self, page: qt.QWidget) -> qt.QVBoxLayout:
        self.others = _text("", page)
        self._local = _text("Others on the network need another choice of where it is reachable from.", page)
        self._copy_button = qt.QPushButton("Copy", page)
        self._copy_button.setToolTip("Copy this text, to send it to whoever looks after the other program")
        self._copy_button.clicked.connect(lambda *_: self._copy())
        self._calls = CallTable(page)
        row = qt.QHBoxLayout()
        row.addWidget(self.others, 1)
        row.addWidget(self._copy_button, 0, qt.Qt.AlignTop)
        column = qt.QVBoxLayout()
        column.setSpacing(8)
        column.addWidget(_heading("What others must register to send here", page))
        column.addLayout(row)
        column.addWidget(self._local)
        column.addSpacing(8)
        column.addWidget(_heading("Who called since the engine started", page))
        column.addWidget(self._calls, 1)
        return column


def _text(text: str, parent: qt.QWidget) -> qt.QLabel:
    label = qt.QLabel(text, parent)
    label.setTextFormat(qt.Qt.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
    return label


def _heading(text: str, parent: qt.QWidget) -> qt.QLabel:
    label = qt.QLabel(text, parent)
    font = qt.QFont(value(label, "font"))
    font.setBold(True)
    label.setFont(font)
    return label
