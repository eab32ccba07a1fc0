"""A slider and a number for one of many instances."""

from __future__ import annotations

import qt

from ..parts.signals import Signal


class InstancePicker(qt.QWidget):
    """Hidden while there is no choice. ``chosen`` tells a place, from 0; setting it from outside emits nothing."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.chosen = Signal()
        self._setting = False
        self.slider = qt.QSlider(qt.Qt.Horizontal, self)
        self.slider.valueChanged.connect(lambda place: self._choose(place))
        self.number = qt.QSpinBox(self)
        self.number.setKeyboardTracking(False)
        self.number.setAccessibleName("Number of the instance")
        self.number.valueChanged.connect(lambda number: self._choose(number - 1))
        self.total = qt.QLabel("", self)
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(6, 0, 6, 0)
        row.addWidget(qt.QLabel("Instance", self))
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        row.addWidget(self.total)
        self.set_place(0, 0)

    def set_place(self, place: int, count: int) -> None:
        """Show which one of how many is chosen."""
        self._setting = True
        self.slider.setRange(0, max(0, count - 1))
        self.slider.setValue(place)
        self.number.setRange(1, max(1, count))
        self.number.setValue(place + 1)
        self.total.setText(f"of {count:,}")
        self.setVisible(count > 1)
        self._setting = False

    def _choose(self, place: int) -> None:
        if not self._setting:
            self.chosen.emit(place)
