"""The left part of the window: who there is."""

from __future__ import annotations

from typing import Any

import qt

from ...domain.filters import QueryFilter
from ...domain.overview import PatientRow, Places
from ..parts.busy_line import BusyLine
from ..parts.notices import EmptyNotice, ServerNotes
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.tints import muted, palette_of, set_ink
from ..session import Session
from . import patient_text
from .patient_model import PatientModel
from .patient_view import PatientView

_UNANSWERED = "Not every server has answered: see above."


class PatientList(qt.QWidget):
    """Persons that fit, their number, and what to do if there are none.

    ===================  ==========================  ======================================================
    signal               values                      when
    ===================  ==========================  ======================================================
    ``chosen``           PatientRow or None          another person is the current one
    ``renewed``          PatientRow                  something else is known of the current one
    ``entered``          PatientRow                  Enter or a double click
    ``menu_asked``       PatientRow, global point    right click or the menu key
    ``retry_asked``      server name                 Retry on the note of a server
    ``clear_asked``      none                        "Clear filters" where nothing fits
    ``left_upwards``     none                        the arrow key up in the first row
    ===================  ==========================  ======================================================
    """

    def __init__(self, session: Session, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.chosen = Signal()
        self.renewed = Signal()
        self.entered = Signal()
        self.menu_asked = Signal()
        self.retry_asked = Signal()
        self.clear_asked = Signal()
        self.left_upwards = Signal()
        self._model = PatientModel(session, self)
        self._view = PatientView(self._model, self)
        self._query, self._places = QueryFilter(), Places()
        self._is_busy, self._has_errors = False, False
        self._awaited: int | None = None  # to be chosen once the list has it
        self._untold: int | None = None  # chosen, but its row is not read yet
        self._told: PatientRow | None = None  # the current one, as it was told last
        self._make_header()
        self._lay_out()
        self._connect()
        self._show_state()

    def show_filter(self, query: QueryFilter, places: Places) -> None:
        """List the persons that fit."""
        self._query, self._places = query, places
        self._model.look_for(query, places)
        self._show_state()

    def select(self, key: int | None) -> None:
        """Make a person the current one; one that is not listed yet, as soon as it is."""
        self._awaited = None if self._view.choose(key) else key

    def busy(self, on: bool) -> None:
        """Show that a search is under way."""
        self._is_busy = on
        self._line.set_busy(on)
        self._show_state()

    def show_errors(self, errors: list[tuple[str, str]]) -> None:
        """Show a note for each server that failed, as (server, reason)."""
        self._has_errors = bool(errors)
        self._notes.show_errors(errors)
        self._show_state()

    def current(self) -> PatientRow | None:
        """Return the chosen person."""
        key = self._view.chosen_key
        at = None if key is None else self._model.find_key(key)
        return None if at is None else self._model.row_at(at)

    def focus_list(self) -> None:
        """Take the keyboard."""
        self._view.setFocus(qt.Qt.ShortcutFocusReason)
        self._view.begin()

    def cleanup(self) -> None:
        """Let go of the session."""
        self._line.set_busy(False)
        self._model.cleanup()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint()

    def _make_header(self) -> None:
        self._header = qt.QWidget(self)
        title, self._count = qt.QLabel("Patients", self._header), qt.QLabel(self._header)
        font = qt.QFont(value(self, "font"))
        font.setBold(True)
        title.setFont(font)
        box = qt.QHBoxLayout(self._header)
        box.setContentsMargins(12, 8, 12, 8)
        box.addWidget(title)
        box.addStretch(1)
        box.addWidget(self._count)

    def _lay_out(self) -> None:
        self._line, self._notes, self._empty = BusyLine(self), ServerNotes(self), EmptyNotice(self)
        self._empty.setBackgroundRole(qt.QPalette.Base)
        self._empty.setAutoFillBackground(True)
        self._pages = qt.QStackedWidget(self)
        self._pages.addWidget(self._view)
        self._pages.addWidget(self._empty)
        box = qt.QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        for widget in (self._header, self._line, self._notes):
            box.addWidget(widget)
        box.addWidget(self._pages, 1)
        self._paint()

    def _connect(self) -> None:
        self._model.keys_changed.connect(self._on_keys)
        self._model.rows_read.connect(self._on_rows)
        self._view.key_chosen.connect(self._on_key)
        self._view.entered_key.connect(lambda key: self._tell_row(self.entered, key))
        self._view.menu_on.connect(lambda key, point: self._tell_row(self.menu_asked, key, point))
        self._view.left_upwards.connect(self.left_upwards.emit)
        self._notes.retry_asked.connect(self.retry_asked.emit)
        self._empty.acted.connect(self.clear_asked.emit)

    def _paint(self) -> None:
        set_ink(self._count, muted(palette_of(self)))

    def _on_keys(self) -> None:
        self._show_state()
        if self._awaited is not None:
            self.select(self._awaited)

    def _on_key(self, key: int | None) -> None:
        self._untold = None
        row = self.current()
        if key is not None and row is None:
            self._untold = key
        else:
            self._told = row
            self.chosen.emit(row)

    def _on_rows(self, keys: list[int]) -> None:
        if self._untold in keys:
            self._on_key(self._untold)
        elif self._told is not None and self._told.row in keys:
            row = self.current()
            if row is not None and row.row == self._told.row and row != self._told:
                self._told = row
                self.renewed.emit(row)

    def _tell_row(self, signal: Signal, key: int, *others: Any) -> None:
        at = self._model.find_key(key)
        row = None if at is None else self._model.row_at(at)
        if row is not None:
            signal.emit(row, *others)

    def _show_state(self) -> None:
        number = len(self._model.keys)
        self._count.setText(patient_text.count(number) if number else "")
        self._pages.setCurrentWidget(self._view if number else self._empty)
        if not number:
            self._empty.say(*self._state())

    def _state(self) -> tuple[str, str, str, str]:
        if self._is_busy:
            return "search", "Searching…", "Patients appear here as the servers answer.", ""
        if self._query != QueryFilter() or self._places != Places():
            advice = _UNANSWERED if self._has_errors else "Search the servers with Enter, or ask for less."
            return "search", "No patients match.", advice, "Clear filters"
        if self._has_errors:
            return "search", "Nothing found.", _UNANSWERED, ""
        return "person", "Nothing here yet.", "Search to ask the servers, or import a folder: drop it here.", ""
