"""The last calls of others, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt

from ..activity.job_words import clock_words
from ..parts.glyphs import glyph_icon
from ..parts.tints import palette_of
from .receiving_words import call_words

_COLUMNS = ("Time", "AE title", "Address", "What came of it")
_HEIGHT = 190
_GAP = 14


class CallTable(qt.QTreeWidget):
    """See the module; Ctrl+C copies the chosen line."""

    _calls: Sequence[Mapping[str, Any]] = ()  # Qt may tell of colours before there is anything

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QTreeWidget.__init__(self, parent)
        self.setHeaderLabels(list(_COLUMNS))
        self.setAccessibleName("The last calls")
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(True)
        self.setMinimumHeight(_HEIGHT)

    def show_calls(self, calls: Sequence[Mapping[str, Any]]) -> None:
        """Show what :meth:`.Engine.calls` returned."""
        self._calls = list(calls)
        self.clear()
        for call in calls:
            self.addTopLevelItem(self._item(call))  # one by one, PythonQt hands each over to the widget
        for column in range(len(_COLUMNS) - 1):
            self.resizeColumnToContents(column)
            self.setColumnWidth(column, self.columnWidth(column) + _GAP)

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Copy by key."""
        chosen = self.currentItem()
        if event.matches(qt.QKeySequence.Copy) and chosen is not None:
            qt.QApplication.clipboard().setText(_line(self._calls[self.indexOfTopLevelItem(chosen)]))
        else:
            qt.QTreeWidget.keyPressEvent(self, event)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette."""
        qt.QTreeWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange and self._calls:
            self.show_calls(self._calls)

    def _item(self, call: Mapping[str, Any]) -> qt.QTreeWidgetItem:
        item = qt.QTreeWidgetItem()
        for column, text in enumerate(_cells(call)):
            item.setText(column, text)
            item.setToolTip(column, text)
        glyph = "failed" if not call["admitted"] or call["reason"] else "tick" if call["over"] else "arriving"
        item.setIcon(0, glyph_icon(glyph, palette_of(self).color(qt.QPalette.Text)))
        return item


def _cells(call: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return clock_words(call["at"]), call["aet"] or "unknown", call["address"], call_words(call)


def _line(call: Mapping[str, Any]) -> str:
    return "\t".join(_cells(call))
