"""The view of the persons: keeps choice and place when the list changes, and jumps to what is typed."""

from __future__ import annotations

from typing import Any

import qt

from ..parts.portable import value
from ..parts.signals import Signal
from .patient_delegate import PatientDelegate, row_height
from .patient_model import PatientModel

#: Letters typed within this time belong together.
TYPE_AHEAD_MS = 1000


class PatientView(qt.QListView):
    """A list view of a :class:`.PatientModel`.

    =================  =====================  ============================================
    signal             values                 when
    =================  =====================  ============================================
    ``key_chosen``     key or None            another person is the current one
    ``entered_key``    key                    Enter or a double click
    ``menu_on``        key, global point      right click or the menu key
    ``left_upwards``   none                   the arrow key up in the first row
    =================  =====================  ============================================
    """

    def __init__(self, model: PatientModel, parent: Any = None) -> None:
        qt.QListView.__init__(self, parent)
        self.key_chosen = Signal()
        self.entered_key = Signal()
        self.menu_on = Signal()
        self.left_upwards = Signal()
        self._model = model
        self._painter = PatientDelegate(model, self)
        self._chosen: int | None = None
        self._restoring = False
        self._anchor: tuple[int, int, int] | None = None  # key, its place, scroll value
        self._typed = ""
        self._typing = qt.QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPE_AHEAD_MS)
        self._typing.timeout.connect(self._forget_typed)
        self._set_up()
        model.about_to_change.connect(self._note_place)
        model.keys_changed.connect(self._restore_place)

    @property
    def chosen_key(self) -> int | None:
        """The key of the current person."""
        return self._chosen

    def choose(self, key: int | None) -> bool:
        """Make a person the current one; tell whether the list has it."""
        at = None if key is None else self._model.find_key(key)
        if at is None:
            self.clearSelection()
            self._set_current(None)
            return key is None
        self._go_to(at)
        return True

    def begin(self) -> None:
        """Make the first person the current one if none is."""
        if self._chosen is None and self._model.keys:
            self._go_to(0)

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Enter, the menu key, typing ahead; all else as in every list."""
        key, letters = event.key(), event.text()
        if key in (qt.Qt.Key_Return, qt.Qt.Key_Enter) and self._chosen is not None:
            self.entered_key.emit(self._chosen)
        elif key == qt.Qt.Key_Up and self.currentIndex().row() <= 0:
            self.left_upwards.emit()
        elif letters.isprintable() and letters.strip(" " if not self._typed else "") and not _commands(event):
            self._type_ahead(letters)
        else:
            qt.QListView.keyPressEvent(self, event)

    def focusInEvent(self, event: qt.QFocusEvent) -> None:
        """Coming by the keyboard, there is a current person at once; not when a window merely becomes active."""
        qt.QListView.focusInEvent(self, event)
        if event.reason() in (qt.Qt.TabFocusReason, qt.Qt.BacktabFocusReason, qt.Qt.ShortcutFocusReason):
            self.begin()

    def contextMenuEvent(self, event: qt.QContextMenuEvent) -> None:
        """Tell where a menu is wanted, and on whom."""
        by_mouse = event.reason() == qt.QContextMenuEvent.Mouse
        index = self.indexAt(event.pos()) if by_mouse else self.currentIndex()
        key = self._model.key_at(index.row()) if index.isValid() else None
        if key is None:
            return
        point = qt.QPoint(event.globalPos())
        if not by_mouse:
            point = self.viewport().mapToGlobal(self.visualRect(index).center())
        self.menu_on.emit(key, point)

    def dataChanged(self, top_left: qt.QModelIndex, bottom_right: qt.QModelIndex, roles: Any = ()) -> None:
        """Paint anew. Qt's own lays out all rows again, which asks the model twice for each of them."""
        self.viewport().update()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the font."""
        qt.QListView.changeEvent(self, event)
        if event.type() == qt.QEvent.FontChange:
            self.scheduleDelayedItemsLayout()

    def _set_up(self) -> None:
        self.setModel(self._model)
        self.setItemDelegate(self._painter)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setFrameShape(qt.QFrame.NoFrame)
        self.setVerticalScrollMode(qt.QAbstractItemView.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        self.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        self.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.setAccessibleName("Patients")
        # Not the current row: with the focus, Qt makes one current that nobody chose.
        self.selectionModel().selectionChanged.connect(lambda *_: self._on_selection())
        self.doubleClicked.connect(lambda index: self.entered_key.emit(self._model.key_at(index.row())))

    def _on_selection(self) -> None:
        if not self._restoring:
            selected = value(self.selectionModel(), "selectedIndexes")
            self._set_current(self._model.key_at(selected[0].row()) if selected else None)

    def _set_current(self, key: int | None) -> None:
        if key != self._chosen:
            self._chosen = key
            self.key_chosen.emit(key)

    def _go_to(self, at: int) -> None:
        self.setCurrentIndex(self._model.index(at, 0))

    # The place in the list

    def _note_place(self) -> None:
        scrolled = self._scrolled()
        at = self._row_to_hold(scrolled)
        key = None if at is None else self._model.key_at(at)
        self._anchor = None if key is None or at is None else (key, at, scrolled)
        self._restoring = True

    def _row_to_hold(self, scrolled: int) -> int | None:
        """Return the row that must not move: the current one if it can be seen, else the first one that can."""
        high = row_height(value(self, "font"))
        at = None if self._chosen is None else self._model.find_key(self._chosen)
        if at is not None and -high < at * high - scrolled < value(self, "height"):
            return at
        return scrolled // high if scrolled else None

    def _scrolled(self) -> int:
        return int(value(self.verticalScrollBar(), "value"))

    def _restore_place(self) -> None:
        at = None if self._chosen is None else self._model.find_key(self._chosen)
        if at is not None:
            self._go_to(at)
        self._restoring = False
        self._restore_scroll()
        self._set_current(None if at is None else self._model.key_at(at))

    def _restore_scroll(self) -> None:
        if self._anchor is None:
            return
        key, before, scrolled = self._anchor
        now = self._model.find_key(key)
        if now is None:
            return
        self.doItemsLayout()
        self.verticalScrollBar().setValue(scrolled + (now - before) * row_height(value(self, "font")))

    # Typing ahead

    def _type_ahead(self, letters: str) -> None:
        self._typed += letters
        self._typing.start()
        here = max(self.currentIndex().row(), 0)
        at = self._model.first_named(self._typed, here if len(self._typed) > 1 else here + 1)
        if at is not None:
            self._go_to(at)

    def _forget_typed(self) -> None:
        self._typed = ""


def _commands(event: Any) -> bool:
    return bool(event.modifiers() & (qt.Qt.ControlModifier | qt.Qt.AltModifier | qt.Qt.MetaModifier))
