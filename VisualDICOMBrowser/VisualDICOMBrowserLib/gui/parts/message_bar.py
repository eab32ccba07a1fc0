"""Messages in plain words, at the edge of the window; nothing waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ..messages import Message, Remedy, Tone
from ..session import Session
from .glyphs import glyph_icon
from .message_stack import Entry, MessageStack
from .portable import value
from .tints import mix, muted, palette_of, set_ink, tone_background, tone_color

#: How long a note stays, and one with a remedy: there is something to decide.
NOTE_MS = 6000
REMEDY_NOTE_MS = 30_000
_NARROW = 520  # below that, remedies stand under the text
_ICON = 16
#: Details of more lines can be scrolled.
_MOST_LINES = 8
_ROUND = 6.0
_GLYPHS = {Tone.NOTE: "info", Tone.WARNING: "failed", Tone.PROBLEM: "failed"}
_SPOKEN = {Tone.NOTE: "Note", Tone.WARNING: "Warning", Tone.PROBLEM: "Problem"}


class MessageBar(qt.QWidget):
    """What :attr:`.Session.said` tells. Notes go away by themselves, warnings and problems when they are closed."""

    def __init__(self, session: Session, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self._stack = MessageStack()
        self._cards: dict[int, MessageCard] = {}
        self._timers: dict[int, Any] = {}
        self._box = qt.QVBoxLayout(self)
        self._box.setContentsMargins(8, 4, 8, 4)
        self._box.setSpacing(4)
        self._rest = qt.QWidget(self)
        self._make_rest()
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Maximum)
        self.setVisible(False)
        self._disconnect = session.said.connect(self.show_message)

    def show_message(self, message: Message) -> None:
        """Show a message, in the place of an older one about the same thing."""
        entry = self._stack.add(message)
        if message.tone is Tone.NOTE:
            stay = REMEDY_NOTE_MS if message.remedies else NOTE_MS
            self._timers[entry.number] = self._closing_timer(entry.number, stay)
        self._lay_out()

    def close_about(self, about: str) -> None:
        """Take away the message about something: it is over."""
        self._stack.close_about(about)
        self._lay_out()

    def close_all(self) -> None:
        """Take all away."""
        self._stack.clear()
        self._lay_out()

    def shown(self) -> list[Message]:
        """Return the messages that can be seen, from the top."""
        return [entry.message for entry in self._stack.shown()]

    def card(self, at: int) -> MessageCard:
        """Return what shows a message, counted from the top."""
        return self._cards[self._stack.shown()[at].number]

    def cleanup(self) -> None:
        """Let go of the session."""
        self._disconnect()
        self.close_all()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint()

    def _paint(self) -> None:
        set_ink(self._rest_text, muted(palette_of(self)))
        set_ink(self._close_rest, palette_of(self).color(qt.QPalette.Link))

    def _make_rest(self) -> None:
        self._rest_text = qt.QLabel(self._rest)
        self._close_rest = qt.QToolButton(self._rest)
        self._close_rest.setText("Close all")
        self._close_rest.setAutoRaise(True)
        self._close_rest.clicked.connect(self.close_all)
        box = qt.QHBoxLayout(self._rest)
        box.setContentsMargins(10, 0, 2, 0)
        box.addWidget(self._rest_text)
        box.addStretch(1)
        box.addWidget(self._close_rest)
        self._paint()

    def _closing_timer(self, number: int, stay: int) -> Any:
        timer = qt.QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(stay)
        timer.timeout.connect(lambda: self._close(number))
        timer.start()
        return timer

    def _close(self, number: int) -> None:
        self._stack.close(number)
        self._lay_out()

    def _lay_out(self) -> None:
        shown = self._stack.shown()
        self._drop_others({entry.number for entry in shown})
        for at, entry in enumerate(shown):
            self._box.insertWidget(at, self._card_of(entry))
        hidden = self._stack.hidden()
        self._rest_text.setText(f"and {hidden} more")
        self._box.addWidget(self._rest)
        self._rest.setVisible(hidden > 0)
        self.setVisible(bool(shown))

    def _card_of(self, entry: Entry) -> MessageCard:
        if entry.number not in self._cards:
            self._cards[entry.number] = MessageCard(entry.message, lambda: self._close(entry.number), self)
        return self._cards[entry.number]

    def _drop_others(self, wanted: set[int]) -> None:
        for number in set(self._cards) - wanted:
            card = self._cards.pop(number)
            self._box.removeWidget(card)
            card.setVisible(False)
            card.deleteLater()
        for number in [n for n in self._timers if not self._timers[n].isActive()]:
            self._timers.pop(number).deleteLater()


class MessageCard(qt.QWidget):
    """One message: pictogram, text, remedies, details to fold out, a button to close it."""

    def __init__(self, message: Message, close: Callable[[], None], parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.message = message
        self._close = close
        self._icon, self._text = qt.QLabel(self), self._label(message.text)
        self._text.setAccessibleName(f"{_SPOKEN[message.tone]}: {message.text}")
        self.remedies = [self._make_remedy(remedy) for remedy in message.remedies]
        self._details = self._make_details()
        self.fold = self._make_tool("Details")
        self.fold.setVisible(bool(message.details))
        self.fold.clicked.connect(self._turn)
        self.cross = self._make_tool("Close this message")
        self.cross.clicked.connect(lambda *_: self._close())
        self._lay_out()
        self._paint_icons()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint_icons()

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Draw the card."""
        palette, tone = palette_of(self), self.message.tone
        path = qt.QPainterPath()
        path.addRoundedRect(qt.QRectF(value(self, "rect")).adjusted(0.5, 0.5, -0.5, -0.5), _ROUND, _ROUND)
        background = tone_background(palette, tone)
        painter = qt.QPainter()
        painter.begin(self)
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.fillPath(path, qt.QBrush(background))
        painter.setPen(mix(tone_color(palette, tone), background, 0.55))
        painter.drawPath(path)
        painter.end()

    def _make_remedy(self, remedy: Remedy) -> Any:
        button = qt.QPushButton(remedy.label, self)
        button.setAutoDefault(False)
        button.clicked.connect(lambda: self._remedy(remedy))
        return button

    def _remedy(self, remedy: Remedy) -> None:
        self._close()
        remedy.act()

    def _make_details(self) -> Any:
        text = "\n".join(self.message.details)
        details = self._label(text) if len(self.message.details) <= _MOST_LINES else self._scrolled(text)
        details.setVisible(False)
        return details

    def _label(self, text: str) -> Any:
        label = qt.QLabel(text, self)
        label.setTextFormat(qt.Qt.PlainText)
        label.setWordWrap(True)
        label.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        return label

    def _scrolled(self, text: str) -> Any:
        """Return a text of a few lines' height: all of its lines would leave no room for the images."""
        area = qt.QPlainTextEdit(self)
        area.setPlainText(text)
        area.setReadOnly(True)
        area.setFrameShape(qt.QFrame.NoFrame)
        area.setFixedHeight(_MOST_LINES * self.fontMetrics().height())
        palette = qt.QPalette(palette_of(area))
        palette.setColor(qt.QPalette.Base, qt.QColor(0, 0, 0, 0))
        area.setPalette(palette)
        return area

    def _make_tool(self, hint: str) -> Any:
        tool = qt.QToolButton(self)
        tool.setAutoRaise(True)
        tool.setToolTip(hint)
        tool.setAccessibleName(hint)
        tool.setIconSize(qt.QSize(14, 14))
        return tool

    def _turn(self) -> None:
        self._details.setVisible(not self._details.isVisible())
        self._paint_icons()

    def _lay_out(self) -> None:
        self._row = qt.QHBoxLayout()
        self._row.setSpacing(8)
        self._row.addWidget(self._icon, 0, qt.Qt.AlignVCenter)
        self._row.addWidget(self._text, 1)
        for widget in (*self.remedies, self.fold, self.cross):
            self._row.addWidget(widget, 0, qt.Qt.AlignVCenter)
        self._under = qt.QHBoxLayout()
        self._under.setContentsMargins(_ICON + 8, 0, 0, 0)
        self._under.addStretch(1)
        inner = qt.QHBoxLayout()
        inner.setContentsMargins(_ICON + 8, 0, 8, 0)
        inner.addWidget(self._details)
        box = qt.QVBoxLayout(self)
        box.setContentsMargins(10, 4, 4, 4)
        box.setSpacing(0)
        for part in (self._row, self._under, inner):
            box.addLayout(part)
        self._is_narrow = False

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Put the remedies under the text where both do not fit side by side."""
        qt.QWidget.resizeEvent(self, event)
        narrow = value(self, "width") < _NARROW
        if narrow == self._is_narrow:
            return
        self._is_narrow = narrow
        for at, button in enumerate(self.remedies):
            (self._row if narrow else self._under).removeWidget(button)
            if narrow:
                self._under.insertWidget(at, button)
            else:
                self._row.insertWidget(2 + at, button, 0, qt.Qt.AlignVCenter)

    def _paint_icons(self) -> None:
        palette, tone = palette_of(self), self.message.tone
        mark = glyph_icon(_GLYPHS[tone], tone_color(palette, tone), _ICON)
        self._icon.setPixmap(mark.pixmap(qt.QSize(_ICON, _ICON)))
        pale = muted(palette)
        self.cross.setIcon(glyph_icon("close", pale, 14))
        self.fold.setIcon(glyph_icon("chevron-up" if self._details.isVisible() else "chevron-down", pale, 14))
