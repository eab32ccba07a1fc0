"""The bar at the top of the window: what to look for, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import qt

from ...domain.filters import QueryFilter
from ...domain.overview import Places
from ..parts.elided_label import ElidedLabel
from ..parts.glyph_button import GlyphButton
from ..parts.glyphs import glyph_icon
from ..parts.popup import ChoiceButton
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.text_field import TextField
from ..parts.throttle import Throttle
from ..parts.tints import muted, palette_of, set_ink
from ..session import Session
from .filter_panels import ModalityPanel, PlacePanel
from .search_terms import Days, PlaceChoice, SearchTerms, days_label, modality_label

#: ``narrowed`` comes at most once in this time while one types.
NARROW_MS = 120
_ONE_ROW_EMS = 66  # of the font; below that the filters get a row of their own
_LEAST_WIDTH = 260


class SearchBar(qt.QWidget):
    """One field for names, IDs and accession numbers, and filters beside it.

    ===================  ========================  ==========================================================
    signal               values                    when
    ===================  ========================  ==========================================================
    ``narrowed``         QueryFilter, Places       something was typed or chosen; throttled
    ``places_changed``   QueryFilter, Places       there are other servers now, and so other places to look at
    ``searched``         QueryFilter, Places       Enter, or the Search button
    ``stopped``          none                      the button while a search runs
    ``settings_asked``   none                      the gear, or "Server settings…"
    ``left_downwards``   none                      the arrow key down: the list should take the focus
    ===================  ========================  ==========================================================
    """

    def __init__(self, session: Session, parent: Any = None, today: Callable[[], date] = date.today) -> None:
        qt.QWidget.__init__(self, parent)
        self.narrowed = Signal()
        self.places_changed = Signal()
        self.searched = Signal()
        self.stopped = Signal()
        self.settings_asked = Signal()
        self.left_downwards = Signal()
        self._session = session
        self._today = today
        self._terms = SearchTerms()
        self._choice = PlaceChoice()
        self._running = False
        self._wide: bool | None = None
        self._narrow = Throttle(NARROW_MS, lambda: self.narrowed.emit(*self.current()))
        self._make_widgets()
        self._lay_out()
        self._keys: list[Any] = []
        self.listen_in(self)
        self._connections = [
            session.servers_changed.connect(self._ask_servers),
            session.ready_changed.connect(lambda ready, _sentence: self._ask_servers() if ready else None),
        ]
        self._paint()
        self._show_terms()
        if session.ready:
            self._ask_servers()

    @property
    def terms(self) -> SearchTerms:
        """What is typed and chosen."""
        return self._terms

    def current(self) -> tuple[QueryFilter, Places]:
        """Return what ``searched`` would tell now."""
        return self._terms.query(self._today()), self._choice.places()

    def set_running(self, running: bool) -> None:
        """Turn the Search button into Stop, and back."""
        self._running = running
        self._go.setText("Stop" if running else "Search")
        self._go.setToolTip("Stop the search; what was found stays" if running else "Ask the ticked servers (Enter)")
        self._paint()

    def focus_field(self) -> None:
        """Put the cursor into the field, with its text selected."""
        self._field.setFocus()
        self._field.selectAll()

    def listen_in(self, owner: Any) -> None:
        """Have Ctrl+F and ``/`` put the cursor into the field wherever in ``owner`` the focus is.

        Not in the whole window: in Slicer that is the main window, which has keys of its own.
        """
        for shortcut in self._keys:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._keys = [self._make_key(key, owner) for key in ("Ctrl+F", "/")]

    def _make_key(self, key: str, owner: Any) -> Any:
        shortcut = qt.QShortcut(qt.QKeySequence(key), owner)
        shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.focus_field)
        return shortcut

    def clear_filters(self) -> None:
        """Reset everything but the text."""
        self._set_choice(self._choice.all_ticked())
        self._set_terms(SearchTerms(text=self._terms.text))

    def clear_all(self) -> None:
        """Reset everything."""
        self._set_choice(self._choice.all_ticked())
        self._set_terms(SearchTerms())

    def search(self) -> None:
        """Search now, as Enter does."""
        self._narrow.cancel()
        self.searched.emit(*self.current())

    def cleanup(self) -> None:
        """Let go of the session."""
        self._narrow.cancel()
        for disconnect in self._connections:
            disconnect()

    # What it is made of

    def _make_widgets(self) -> None:
        self._field = _Field(self)
        self._field.textChanged.connect(lambda text: self._change(text=text))
        self._field.entered.connect(self.search)
        self._field.cleared.connect(self._field.clear)
        self._field.downwards.connect(self.left_downwards.emit)
        self._modality = ChoiceButton("Modality", "Only studies with one of these modalities", self)
        self._modality_panel = ModalityPanel(self)
        self._modality.pressed_to_open.connect(lambda: self._modality_panel.open_below(self._modality))
        self._modality_panel.changed.connect(lambda chosen: self._change(modalities=chosen))
        self._days = ChoiceButton("Study date", "Only studies of these days", self)
        self._days_menu = self._make_days_menu()
        self._days.pressed_to_open.connect(self._open_days)
        self._where = ChoiceButton("All servers", "Where to look: this computer and servers", self)
        self._place_panel = PlacePanel(self)
        self._where.pressed_to_open.connect(lambda: self._place_panel.open_below(self._where))
        self._place_panel.changed.connect(self._on_places)
        self._place_panel.settings_asked.connect(self.settings_asked.emit)
        self._more = qt.QPushButton("More", self)
        self._more.setCheckable(True)
        self._more.setAutoDefault(False)
        self._more.setToolTip("Search in the descriptions of studies and series")
        self._go = qt.QPushButton("Search", self)
        self._go.setDefault(True)
        self._go.clicked.connect(self._press_go)
        self._gear = GlyphButton("gear", "", "Settings", self, extent=18)
        self._gear.clicked.connect(lambda *_: self.settings_asked.emit())
        self._make_rows()

    def _make_rows(self) -> None:
        self._filters = _row(self, self._modality, self._days, self._where, self._more)
        self._first_day, self._last_day = (self._make_day(name) for name in ("first", "last"))
        self._days_row = _row(self, qt.QLabel("Study date from"), self._first_day, qt.QLabel("to"), self._last_day)
        value(self._days_row, "layout").addStretch(1)
        self._study_text = self._make_text("Study description", "study_description")
        self._series_text = self._make_text("Series description", "series_description")
        self._more_row = _row(self, self._study_text, self._series_text)
        self._more.toggled.connect(self._more_row.setVisible)
        self._summary = ElidedLabel("", self)
        self._clear = qt.QToolButton(self)
        self._clear.setText("Clear filters")
        self._clear.setAutoRaise(True)
        self._clear.clicked.connect(self.clear_filters)
        self._summary_row = _row(self, self._summary, self._clear)
        value(self._summary_row, "layout").addStretch(1)
        for row in (self._days_row, self._more_row, self._summary_row):
            row.setVisible(False)

    def _make_day(self, name: str) -> Any:
        edit = qt.QDateEdit(self)
        edit.setCalendarPopup(True)
        edit.setDisplayFormat("yyyy-MM-dd")
        edit.dateChanged.connect(lambda day: self._change(**{name: day.toString("yyyyMMdd")}))
        return edit

    def _make_text(self, hint: str, name: str) -> Any:
        edit = TextField(hint, self)
        edit.textChanged.connect(lambda text: self._change(**{name: text}))
        edit.returnPressed.connect(self.search)
        return edit

    def _make_days_menu(self) -> Any:
        menu = qt.QMenu(self)
        group = qt.QActionGroup(menu)
        self._days_actions = {}
        for days in Days:
            action = menu.addAction(days.value)
            action.setCheckable(True)
            action.triggered.connect(self._chooser(days))
            group.addAction(action)
            self._days_actions[days] = action
        return menu

    def _chooser(self, days: Days) -> Callable[[], None]:
        return lambda *_checked: self._choose_days(days)

    # How it is laid out

    def _lay_out(self) -> None:
        self._grid = qt.QGridLayout(self)
        self._grid.setContentsMargins(8, 8, 8, 8)
        self._grid.setSpacing(6)
        self._grid.setColumnStretch(0, 1)
        self._grid.addWidget(self._field, 0, 0)
        self._grid.addWidget(self._go, 0, 2)
        self._grid.addWidget(self._gear, 0, 3)
        for at, row in enumerate((self._days_row, self._more_row, self._summary_row)):
            self._grid.addWidget(row, at + 2, 0, 1, 4)
        self.setMinimumWidth(_LEAST_WIDTH)  # else the wide row could never become narrow
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Fixed)
        self._place_filters(False)

    def _place_filters(self, wide: bool) -> None:
        if wide == self._wide:
            return
        self._wide = wide
        self._grid.removeWidget(self._filters)
        if wide:
            self._grid.addWidget(self._filters, 0, 1)
        else:
            self._grid.addWidget(self._filters, 1, 0, 1, 4, qt.Qt.AlignLeft)

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Go to two rows where one is too narrow."""
        qt.QWidget.resizeEvent(self, event)
        em = qt.QFontMetrics(value(self, "font")).horizontalAdvance("m")
        self._place_filters(value(self, "width") >= _ONE_ROW_EMS * em)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._paint()

    def _paint(self) -> None:
        palette = palette_of(self)
        ink = palette.color(qt.QPalette.ButtonText)
        self._go.setIcon(glyph_icon("stop" if self._running else "search", ink, 14))
        self._go.setIconSize(qt.QSize(14, 14))
        set_ink(self._clear, palette.color(qt.QPalette.Link))

    # What happens

    def _press_go(self) -> None:
        if self._running:
            self.stopped.emit()
        else:
            self.search()

    def _open_days(self) -> None:
        self._days_menu.popup(self._days.mapToGlobal(qt.QPoint(0, value(self._days, "height") + 2)))

    def _choose_days(self, days: Days) -> None:
        if days is Days.CUSTOM and not self._terms.first:
            today = self._today()
            self._change(days=days, first=f"{today.year:04}0101", last=today.strftime("%Y%m%d"))
        else:
            self._change(days=days)

    def _change(self, **changes: Any) -> None:
        terms = replace(self._terms, **changes)
        if terms != self._terms:
            self._set_terms(terms)

    def _set_terms(self, terms: SearchTerms) -> None:
        self._terms = terms
        self._show_terms()
        self._narrow()

    def _on_places(self, choice: PlaceChoice) -> None:
        self._set_choice(choice)
        self._show_terms()
        self._narrow()

    def _show_terms(self) -> None:
        terms = self._terms
        for edit, text in (
            (self._field, terms.text),
            (self._study_text, terms.study_description),
            (self._series_text, terms.series_description),
        ):
            if value(edit, "text") != text:
                edit.setText(text)
        self._modality.say(modality_label(terms.modalities), "Modality")
        self._modality_panel.choose(terms.modalities)
        self._days.say(days_label(terms.days), "Study date")
        self._days_actions[terms.days].setChecked(True)
        self._show_days(terms)
        self._show_summary(terms)

    def _show_days(self, terms: SearchTerms) -> None:
        self._days_row.setVisible(terms.days is Days.CUSTOM)
        for edit, day in ((self._first_day, terms.first), (self._last_day, terms.last)):
            if day:
                edit.setDate(qt.QDate(int(day[:4]), int(day[4:6]), int(day[6:])))

    def _show_summary(self, terms: SearchTerms) -> None:
        parts = [part for part in (terms.summary(), self._choice.summary()) if part]
        self._summary.set_text(" · ".join(parts))
        self._summary_row.setVisible(bool(parts))

    def _ask_servers(self) -> None:
        self._session.ask("servers", done=self._on_servers)

    def _on_servers(self, servers: list[dict[str, Any]]) -> None:
        before = self._choice.places()
        self._set_choice(self._choice.known(str(server["name"]) for server in servers))
        self._show_summary(self._terms)
        if self._choice.places() != before:
            self.places_changed.emit(*self.current())

    def _set_choice(self, choice: PlaceChoice) -> None:
        self._choice = choice
        self._place_panel.choose(choice)
        self._where.say(choice.label(), "Where to look")


class _Field(TextField):
    """The search field; tells the keys that mean something to the window."""

    _glass: Any = None  # while the base class is made

    def __init__(self, parent: Any) -> None:
        TextField.__init__(self, "Patient name, ID or accession number", parent)
        self.entered = Signal()
        self.cleared = Signal()
        self.downwards = Signal()
        self._glass = self.addAction(qt.QIcon(), qt.QLineEdit.LeadingPosition)
        self.setToolTip("Parts of names and IDs, whole accession numbers; * stands for any text, ? for a character")
        self.setMinimumWidth(120)
        self.paint_marks()

    def paint_marks(self) -> None:
        TextField.paint_marks(self)
        if self._glass is not None:
            self._glass.setIcon(glyph_icon("search", muted(palette_of(self)), 16))

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        told = {
            qt.Qt.Key_Return: self.entered,
            qt.Qt.Key_Enter: self.entered,
            qt.Qt.Key_Escape: self.cleared,
            qt.Qt.Key_Down: self.downwards,
        }.get(event.key())
        if told is None:
            qt.QLineEdit.keyPressEvent(self, event)
        else:
            told.emit()


def _row(parent: Any, *widgets: Any) -> Any:
    row = qt.QWidget(parent)
    layout = qt.QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    for widget in widgets:
        layout.addWidget(widget)
    return row
