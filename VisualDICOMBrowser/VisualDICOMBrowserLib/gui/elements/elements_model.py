"""The tree of elements as a Qt model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import qt

from .element_tree import ROOT, Element, ElementTree

COLUMNS = ("Tag", "Name", "VR", "Length", "Value")
TAG, NAME, VR, LENGTH, VALUE = range(5)

_DISPLAY, _TIP, _FONT = int(qt.Qt.DisplayRole), int(qt.Qt.ToolTipRole), int(qt.Qt.FontRole)
_SIZE = int(qt.Qt.SizeHintRole)
_BACKGROUND = int(qt.Qt.BackgroundRole)
#: Longer texts do not fit on any line; the tool tip has more of them.
_SHOWN, _TIP_SHOWN = 300, 2000


class ElementsModel(qt.QAbstractItemModel):
    """Elements by number: an index holds nothing but that.

    :ivar tint: the background of what matches the search.
    """

    def __init__(self, parent: qt.QObject | None = None) -> None:
        qt.QAbstractItemModel.__init__(self, parent)
        self.tree = ElementTree()
        self.tint = qt.QColor(255, 200, 0, 60)
        self._looks = {
            (_FONT, TAG): qt.QFontDatabase.systemFont(qt.QFontDatabase.FixedFont),
            (_SIZE, TAG): qt.QSize(40, qt.QFontMetrics(qt.QApplication.font()).height() + 8),
        }

    def start(self, search: str, rows: Iterable[Sequence[Any]]) -> None:
        """Show the first page of something else."""
        self.beginResetModel()
        self.tree = ElementTree(search)
        for parent, numbers in self.tree.add(rows).items():
            self.tree.attach(parent, numbers)
        self.endResetModel()

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add the next page."""
        for parent, numbers in self.tree.add(rows).items():
            first = len(self.tree.children(parent))
            self.beginInsertRows(self.index_of(parent), first, first + len(numbers) - 1)
            self.tree.attach(parent, numbers)
            self.endInsertRows()

    def index_of(self, number: int) -> qt.QModelIndex:
        """Return the index of an element in the first column."""
        return qt.QModelIndex() if number == ROOT else self.createIndex(self.tree.elements[number].row, 0, number)

    def element(self, index: qt.QModelIndex) -> Element | None:
        """Return the element of an index."""
        return self.tree.elements[index.internalId()] if index.isValid() else None

    # what Qt asks

    def index(self, row: int, column: int, parent: qt.QModelIndex | None = None) -> qt.QModelIndex:
        """Return the index of a place."""
        numbers = self.tree.children(_number(parent))
        if not (0 <= row < len(numbers) and 0 <= column < len(COLUMNS)):
            return qt.QModelIndex()
        return self.createIndex(row, column, numbers[row])

    def parent(self, index: qt.QModelIndex) -> qt.QModelIndex:
        """Return the index of the element that another is in."""
        element = self.element(index)
        return qt.QModelIndex() if element is None else self.index_of(element.parent)

    def rowCount(self, parent: qt.QModelIndex | None = None) -> int:
        """Return how many elements stand in one, or at the top."""
        return 0 if parent is not None and parent.column() > 0 else len(self.tree.children(_number(parent)))

    def columnCount(self, parent: qt.QModelIndex | None = None) -> int:
        """Return the number of :data:`COLUMNS`."""
        return len(COLUMNS)

    def headerData(self, section: int, orientation: int, role: int = _DISPLAY) -> Any:
        """Return the name of a column."""
        return COLUMNS[section] if role == _DISPLAY and orientation == qt.Qt.Horizontal else None

    def data(self, index: qt.QModelIndex, role: int = _DISPLAY) -> Any:
        """Return what a cell shows, and how."""
        element = self.element(index)
        if element is None:
            return None
        column = index.column()
        if role == _DISPLAY:
            return _texts(element)[column][:_SHOWN]
        if role == _TIP:
            return _texts(element)[column][:_TIP_SHOWN]
        if role == _BACKGROUND:
            return self.tint if element.hit else None
        return self._looks.get((role, column))


def _number(index: qt.QModelIndex | None) -> int:
    return ROOT if index is None or not index.isValid() else int(index.internalId())


def _texts(element: Element) -> tuple[str, str, str, str, str]:
    return element.tag, element.name, element.vr, element.length, element.value
