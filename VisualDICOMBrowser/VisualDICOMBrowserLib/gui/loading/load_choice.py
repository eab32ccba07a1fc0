"""What could be loaded of the chosen series, for the user to choose from."""

from __future__ import annotations

from collections.abc import Sequence

import qt

from ..host import LoadOption
from ..parts.signals import Signal

_COLUMNS = ("What", "Plugin", "Confidence", "Warning")
_HEIGHT = 220
_LINE = 22
#: The column that tells the height of a line: its own width is not wanted.
_PERCENT, _PERCENT_WIDTH = 2, 40
_GAP, _MOST_WIDTH = 16, 360


class LoadChoice(qt.QWidget):
    """A list by series with tick boxes; Enter loads, Escape does not, Space ticks.

    ==========  ==============  ==============================================
    signal      values          when
    ==========  ==============  ==============================================
    ``chosen``  list of places  Load or Cancel; the list is empty for Cancel
    ==========  ==============  ==============================================
    """

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.chosen = Signal()
        self._items: list[qt.QTreeWidgetItem] = []
        self.tree = qt.QTreeWidget(self)
        self.load_button = qt.QPushButton("Load", self)
        self.cancel_button = qt.QPushButton("Cancel", self)
        self._build()
        self.setVisible(False)

    def show_options(self, options: Sequence[LoadOption]) -> None:
        """Ask; without options there is nothing to be asked any more."""
        self.tree.clear()
        self._items = []
        groups: dict[str, qt.QTreeWidgetItem] = {}
        for option in options:
            if option.series_uid not in groups:
                groups[option.series_uid] = self._add_group(option.series)
            self._items.append(_item(option, groups[option.series_uid]))
        self.tree.expandAll()
        for column in range(len(_COLUMNS) - 1):
            self.tree.resizeColumnToContents(column)
            self.tree.setColumnWidth(column, min(_MOST_WIDTH, self.tree.columnWidth(column) + _GAP))
        self._count()
        self.setVisible(bool(options))
        if self._items:
            self.tree.setCurrentItem(self._items[0])

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Answer by keys."""
        if event.key() == qt.Qt.Key_Escape:
            self.chosen.emit([])
        elif event.key() in (qt.Qt.Key_Return, qt.Qt.Key_Enter) and self._ticked():
            self.chosen.emit(self._ticked())
        else:
            qt.QWidget.keyPressEvent(self, event)

    def _build(self) -> None:
        self.tree.setHeaderLabels(list(_COLUMNS))
        self.tree.setAccessibleName("What to load")
        self.tree.setUniformRowHeights(True)
        self.tree.setAlternatingRowColors(True)
        self.tree.itemChanged.connect(lambda *_: self._count())
        self.load_button.clicked.connect(lambda *_: self.chosen.emit(self._ticked()))
        self.cancel_button.clicked.connect(lambda *_: self.chosen.emit([]))
        for button in (self.load_button, self.cancel_button):
            button.setAutoDefault(False)
        title = qt.QLabel("Choose what to load:", self)
        row = qt.QHBoxLayout()
        row.addWidget(title, 1)
        row.addWidget(self.load_button)
        row.addWidget(self.cancel_button)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(14, 6, 10, 6)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.tree, 1)
        self.setFixedHeight(_HEIGHT)
        self.setFocusProxy(self.tree)

    def _add_group(self, series: str) -> qt.QTreeWidgetItem:
        group = qt.QTreeWidgetItem()
        group.setText(0, series)
        group.setFlags(qt.Qt.ItemIsEnabled)
        group.setSizeHint(_PERCENT, qt.QSize(_PERCENT_WIDTH, _LINE))
        self.tree.addTopLevelItem(group)
        group.setFirstColumnSpanned(True)
        return group

    def _ticked(self) -> list[int]:
        return [place for place, item in enumerate(self._items) if item.checkState(0) == qt.Qt.Checked]

    def _count(self) -> None:
        number = len(self._ticked())
        self.load_button.setText(f"Load ({number})" if number else "Load")
        self.load_button.setEnabled(number > 0)


def _item(option: LoadOption, group: qt.QTreeWidgetItem) -> qt.QTreeWidgetItem:
    """Make the line of an option; it belongs to the group."""
    item = qt.QTreeWidgetItem()
    for column, text in enumerate((option.name, option.plugin, f"{option.confidence:.0%}", option.warning)):
        item.setText(column, text)
        item.setToolTip(column, text)
    item.setSizeHint(_PERCENT, qt.QSize(_PERCENT_WIDTH, _LINE))
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsUserCheckable)
    item.setCheckState(0, qt.Qt.Checked if option.chosen else qt.Qt.Unchecked)
    group.addChild(item)
    return item
