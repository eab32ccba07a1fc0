"""All elements of an instance, with search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import qt

from ...domain.errors import Cancelled, VisualDicomError
from ..parts.glyph_button import GlyphButton
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.text_field import TextField
from ..parts.throttle import Debounce, Throttle
from ..session import Call, Session
from .element_feed import ElementFeed, Page, Question
from .element_tree import ROOT, Element
from .elements_model import LENGTH, NAME, TAG, VALUE, VR, ElementsModel
from .instance_picker import InstancePicker
from .path_line import PathLine

_TYPING_MS = 200
_REFRESH_MS = 500
_TINT_ALPHA = 70
#: Pixels from which on there is room for all columns.
_WIDE = 500
#: So many letters of a value are seen at least; it takes the room that the others leave.
_LEAST_VALUE = 6


class MetadataView(qt.QWidget):
    """The elements of one instance of a series as a tree.

    ====================  ================  =================================================
    signal                values            when
    ====================  ================  =================================================
    ``instance_changed``  SOP Instance UID  another instance was chosen here
    ====================  ================  =================================================

    What is expanded, the selected element and the place in the list are kept from instance to instance.
    """

    def __init__(self, session: Session, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.instance_changed = Signal()
        self._session = session
        self._feed = ElementFeed(session)
        self._series_uid, self._instances = "", tuple[str, ...]()
        self._place = 0
        self._wanted = ""  # the instance to go to once it is known to be here
        self._asking: Call | None = None
        self._shown: Question | None = None
        self._complete = False
        self._expanded: set[str] = set()
        self._selected = ""
        self._scroll: int | None = None
        self._setting = False
        self._narrow: bool | None = None
        self._build()
        self._search_later = Debounce(_TYPING_MS, self._ask, self)
        self._refresh = Throttle(_REFRESH_MS, self._ask_for_stack, self)
        self._endings = [
            self._feed.page.connect(self._on_page),
            self._feed.failed.connect(self._on_failed),
            session.series_changed.connect(self._on_series_changed),
            session.ready_changed.connect(lambda ready, _: self._ask_for_stack() if ready else None),
        ]
        self._say("Choose a series to look at its elements.")

    def show_series(self, series_uid: str, sop_uid: str = "") -> None:
        """Show another series, from an instance on; an empty UID shows none."""
        if series_uid == self._series_uid:
            self.show_instance(sop_uid)
            return
        self._stop()
        self._series_uid, self._instances, self._place, self._wanted = series_uid, (), 0, sop_uid
        self._shown = None
        self._show_place()
        self._show_file("", "")
        self._say("" if series_uid else "Choose a series to look at its elements.")
        if series_uid:
            self._ask_for_stack()

    def show_instance(self, sop_uid: str) -> None:
        """Go to an instance of the series; to one that is not here, as soon as it is."""
        if sop_uid in self._instances:
            self._wanted = ""
            self._go(self._instances.index(sop_uid), tell=False)
        else:
            self._wanted = sop_uid or self._wanted

    def cleanup(self) -> None:
        """Stop everything and let go of the session."""
        self._stop()
        for end in self._endings:
            end()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the colours."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            self._follow_colours()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Give the columns their widths."""
        qt.QWidget.resizeEvent(self, event)
        self._size_columns()

    # which instance

    def _ask_for_stack(self) -> None:
        if self._series_uid and self._asking is None:
            done, failed = (partial(act, self._series_uid) for act in (self._on_stack, self._on_no_stack))
            self._asking = self._session.ask("stack", {"series_uid": self._series_uid}, done, failed)

    def _on_stack(self, series_uid: str, answer: dict[str, Any]) -> None:
        if series_uid != self._series_uid:
            return
        self._asking = None
        current = self._wanted or self._current()
        self._instances = tuple(str(sop_uid) for sop_uid, _ in answer["images"])
        if current in self._instances:
            self._place, self._wanted = self._instances.index(current), ""
        else:
            self._place = min(self._place, max(0, len(self._instances) - 1))
        self._show_place()
        if self._instances:
            self._ask()
        else:
            self._shown = None
            self._show_file("", "")
            self._say("No instance of this series is on this computer.")

    def _on_no_stack(self, series_uid: str, error: VisualDicomError) -> None:
        if series_uid == self._series_uid:
            self._asking = None
            if not isinstance(error, Cancelled):
                self._shown = None  # what hides behind the reason is asked for again
                self._say(str(error))

    def _on_series_changed(self, series_uid: str) -> None:
        if series_uid == self._series_uid:
            self._refresh()

    def _current(self) -> str:
        return self._instances[self._place] if self._instances else ""

    def _go(self, place: int, *, tell: bool = True) -> None:
        if place == self._place or not 0 <= place < len(self._instances):
            return
        self._place, self._wanted = place, ""
        self._show_place()
        self._ask()
        if tell:
            self.instance_changed.emit(self._current())

    def _show_place(self) -> None:
        self.picker.set_place(self._place, len(self._instances))

    # the elements

    def _ask(self) -> None:
        question = Question(self._current(), value(self.search, "text").strip())
        if question.sop_uid and question != self._shown:
            self._shown = question
            self._feed.ask(question)

    def _on_page(self, page: Page) -> None:
        self._complete = page.last
        if page.offset == 0:
            self._remember()
            self.model.start(page.question.search, page.rows)
            self._show_file(page.path, page.warning)
        else:
            self.model.add(page.rows)
        self._restore(page.offset)
        self._say(
            "" if page.total else "Nothing matches the search." if page.question.search else "It has no elements."
        )
        self._count(page)

    def _on_failed(self, question: Question, reason: str) -> None:
        self._shown = None
        self._show_file("", "")
        self._say(f"The elements cannot be shown.\n{reason}")

    def _show_file(self, path: str, warning: str) -> None:
        self.path.show_path(path)
        self.warning.setText(warning)
        self.warning.setVisible(bool(warning))

    def _count(self, page: Page) -> None:
        hits = self.model.tree.hits
        found = f"{hits:,} found" if hits != 1 else "1 found"
        self.count.setText(found if page.question.search else f"{page.total:,} elements")

    def _remember(self) -> None:
        """Keep what the user had open and where; while searching everything is open, which is not the user's doing."""
        element = self.model.element(self.view.currentIndex())
        self._selected = element.key if element is not None else self._selected
        if not self.model.tree.searched:
            self._scroll = value(self.view.verticalScrollBar(), "value") if self.model.tree.elements else self._scroll

    def _restore(self, offset: int) -> None:
        self._setting = True
        elements = self.model.tree.elements
        for number in sorted({element.parent for element in elements[offset:]} - {ROOT}):
            if self.model.tree.searched or elements[number].key in self._expanded:
                self.view.setExpanded(self.model.index_of(number), True)
        selected = (n for n in range(offset, len(elements)) if elements[n].key == self._selected)
        for number in selected:
            self._select(number)
        if self._scroll is not None and not self.model.tree.searched:
            self.view.doItemsLayout()
            self.view.verticalScrollBar().setValue(self._scroll)
            self._scroll = None if self._complete or self._reached() else self._scroll
        self._setting = False

    def _reached(self) -> bool:
        return value(self.view.verticalScrollBar(), "value") == self._scroll

    def _select(self, number: int) -> None:
        self.view.setAutoScroll(False)
        self.view.setCurrentIndex(self.model.index_of(number))
        self.view.setAutoScroll(True)

    def _on_expanded(self, index: qt.QModelIndex, expanded: bool) -> None:
        element = self.model.element(index)
        if self._setting or element is None or self.model.tree.searched:
            return
        if expanded:
            self._expanded.add(element.key)
        else:
            self._expanded.discard(element.key)

    def expand_all(self, expanded: bool) -> None:
        """Open or close all sequences."""
        self._setting = True
        if expanded:
            self.view.expandAll()
        else:
            self.view.collapseAll()
        self._setting = False
        if not self.model.tree.searched:
            keys = {element.key for element in self.model.tree.elements if element.children}
            self._expanded = self._expanded | keys if expanded else set()

    # copying

    def copy_values(self) -> None:
        """Copy the values of the selected elements."""
        self._copy("\n".join(element.value for element in self._chosen()))

    def copy_rows(self) -> None:
        """Copy the selected elements whole."""
        self._copy("\n".join(element.line for element in self._chosen()))

    def copy_all(self) -> None:
        """Copy all elements that are shown."""
        self._copy(self.model.tree.text())

    def _chosen(self) -> list[Element]:
        numbers = sorted(index.internalId() for index in self.view.selectionModel().selectedRows())
        return [self.model.tree.elements[number] for number in numbers]

    def _copy(self, text: str) -> None:
        if text:
            qt.QApplication.clipboard().setText(text)

    def _on_menu(self, place: qt.QPoint) -> None:
        self.copy_all_action.setEnabled(self._complete)
        self.menu.popup(self.view.viewport().mapToGlobal(place))

    # the rest

    def _stop(self) -> None:
        self._feed.stop()
        self._search_later.cancel()
        self._refresh.cancel()
        if self._asking is not None:
            self._asking.stop()
            self._asking = None

    def _say(self, sentence: str) -> None:
        """Show a sentence in place of the elements; without one, the elements."""
        self.message.setText(sentence)
        self.pages.setCurrentIndex(1 if sentence else 0)
        self.top.setVisible(bool(self._instances) or not sentence)  # nothing to search where nothing can be
        if sentence:
            self.count.setText("")

    def _follow_colours(self) -> None:
        tint = qt.QColor(value(self, "palette").color(qt.QPalette.Highlight))
        tint.setAlpha(_TINT_ALPHA)
        self.model.tint = tint

    def _build(self) -> None:
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._build_top())
        self.warning = qt.QLabel("", self)
        self.warning.setTextFormat(qt.Qt.PlainText)
        self.warning.setWordWrap(True)
        self.warning.setMargin(4)
        self.warning.setVisible(False)
        column.addWidget(self.warning)
        column.addWidget(self._build_pages(), 1)
        self.picker = InstancePicker(self)
        self.picker.chosen.connect(self._go)
        self.path = PathLine(self)
        column.addWidget(self.picker)
        column.addWidget(self.path)
        self._build_menu()
        self._follow_colours()

    def _build_top(self) -> qt.QWidget:
        self.top = qt.QWidget(self)
        self.search = TextField("Search tag, name or value", self.top)
        self.search.textChanged.connect(lambda *_: self._search_later())
        self.count = qt.QLabel("", self.top)
        self.count.setForegroundRole(qt.QPalette.PlaceholderText)
        expand = GlyphButton("chevron-down", "", "Expand all", self.top)
        expand.clicked.connect(lambda *_: self.expand_all(True))
        collapse = GlyphButton("chevron-up", "", "Collapse all", self.top)
        collapse.clicked.connect(lambda *_: self.expand_all(False))
        row = qt.QHBoxLayout(self.top)
        row.setContentsMargins(8, 6, 6, 2)
        row.setSpacing(4)
        row.addWidget(self.search, 1)
        for widget in (self.count, expand, collapse):
            row.addWidget(widget)
        return self.top

    def _build_pages(self) -> qt.QStackedWidget:
        self.pages = qt.QStackedWidget(self)
        self.view = qt.QTreeView(self.pages)
        self.model = ElementsModel(self.view)
        self.view.setModel(self.model)
        self.view.setUniformRowHeights(True)
        self.view.setAlternatingRowColors(True)
        self.view.setSelectionMode(qt.QAbstractItemView.ExtendedSelection)
        self.view.setVerticalScrollMode(qt.QAbstractItemView.ScrollPerPixel)
        self.view.setContextMenuPolicy(qt.Qt.CustomContextMenu)
        self.view.setFrameShape(qt.QFrame.NoFrame)
        self.view.customContextMenuRequested.connect(self._on_menu)
        self.view.expanded.connect(lambda index: self._on_expanded(index, True))
        self.view.collapsed.connect(lambda index: self._on_expanded(index, False))
        self.view.setIndentation(14)
        self.view.header().setStretchLastSection(True)
        self.view.header().setSectionsMovable(False)
        self.message = qt.QLabel("", self.pages)
        self.message.setTextFormat(qt.Qt.PlainText)
        self.message.setAlignment(qt.Qt.AlignCenter)
        self.message.setWordWrap(True)
        self.message.setMargin(24)
        self.message.setForegroundRole(qt.QPalette.PlaceholderText)
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.message)
        return self.pages

    def _size_columns(self) -> None:
        """Divide the width anew when it becomes narrow or wide; else columns are as the user made them."""
        narrow = value(self, "width") < _WIDE
        if narrow == self._narrow:
            return
        self._narrow = narrow
        letter = self.fontMetrics().horizontalAdvance("M")
        widths = {TAG: 13 if narrow else 15, NAME: 11 if narrow else 19, VR: 3.5, LENGTH: 6, VALUE: _LEAST_VALUE}
        for column, letters in widths.items():
            self.view.setColumnWidth(column, round(letter * letters))
        self.view.setColumnHidden(LENGTH, narrow)

    def _build_menu(self) -> None:
        self.menu = qt.QMenu(self.view)
        self._add_action("Copy value", "Ctrl+C", self.copy_values)
        self._add_action("Copy row", "Ctrl+Shift+C", self.copy_rows)
        self.copy_all_action = self._add_action("Copy all", "", self.copy_all)

    def _add_action(self, text: str, keys: str, act: Callable[[], None]) -> qt.QAction:
        action = qt.QAction(text, self.view)
        if keys:
            action.setShortcut(qt.QKeySequence(keys))
            action.setShortcutContext(qt.Qt.WidgetShortcut)
        action.triggered.connect(lambda *_: act())
        self.menu.addAction(action)
        self.view.addAction(action)
        return action
