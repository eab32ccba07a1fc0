"""A form: rows of a title and a field, and below each what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt

from ..messages import Tone
from .portable import value
from .tints import palette_of, set_ink, tone_color

FIELD_WIDTH, NUMBER_WIDTH = 400, 120


class FieldGrid(qt.QWidget):
    """See the module; the rows are as high as a line to type into, whatever is in them.

    :ivar errors: the labels that say what is wrong, by name of the row.
    """

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.errors: dict[str, Any] = {}
        self._rows: dict[str, tuple[int, Any, Any]] = {}
        self._height = _line_height(self)
        self._grid = qt.QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 3)
        self._grid.setColumnStretch(2, 1)

    def add_row(self, name: str, title: str, entry: Any, field: Any = None, width: int = FIELD_WIDTH) -> None:
        """Add a row.

        :param entry: what stands in it.
        :param field: what the title names, if that is a part of ``entry``.
        """
        row, field = 2 * len(self._rows), entry if field is None else field
        label, error = qt.QLabel(title, self), qt.QLabel("", self)
        label.setBuddy(field)
        if title:
            field.setAccessibleName(title)
        error.setTextFormat(qt.Qt.PlainText)
        error.setWordWrap(True)
        error.setVisible(False)
        entry.setMaximumWidth(width)
        entry.setMinimumHeight(self._height)
        self.errors[name], self._rows[name] = error, (row, label, entry)
        self._grid.setRowMinimumHeight(row, self._height + 6)
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(entry, row, 1)
        self._grid.addWidget(error, row + 1, 1, 1, 2)
        self._colour(error)

    def show_row(self, name: str, shown: bool) -> None:
        """Show or hide a row."""
        row, label, entry = self._rows[name]
        label.setVisible(shown)
        entry.setVisible(shown)
        self._grid.setRowMinimumHeight(row, self._height + 6 if shown else 0)

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Show what is wrong, by name of the row."""
        for name, label in self.errors.items():
            label.setText(errors.get(name, ""))
            label.setVisible(name in errors)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the colours."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange:
            for label in self.errors.values():
                self._colour(label)

    def _colour(self, error: qt.QLabel) -> None:
        """Make it red, as bright as the background asks for."""
        set_ink(error, tone_color(palette_of(self), Tone.PROBLEM))


def _line_height(parent: qt.QWidget) -> int:
    probe = qt.QLineEdit(parent)
    probe.ensurePolished()
    height = value(probe, "sizeHint").height()
    probe.hide()
    probe.deleteLater()
    return int(height)
