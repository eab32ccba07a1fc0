"""The panels of the search bar: which modalities, and which places."""

from __future__ import annotations

from typing import Any

import qt

from ..parts.popup import Popup
from ..parts.portable import value
from ..parts.signals import Signal
from .search_terms import HERE, OTHER_MODALITIES, USUAL_MODALITIES, PlaceChoice

_USUAL_COLUMNS = 4
_OTHER_COLUMNS = 3
_OTHER_HEIGHT = 170


class ModalityPanel(Popup):
    """Tick boxes for the modalities. ``changed`` tells the chosen ones as a tuple; none means any."""

    def __init__(self, parent: Any = None) -> None:
        Popup.__init__(self, parent)
        self.changed = Signal()
        self._chosen: tuple[str, ...] = ()
        self._boxes: dict[str, Any] = {}
        self._any = qt.QCheckBox("Any modality")
        self._any.setChecked(True)
        self._any.clicked.connect(lambda: self._choose(()))
        self.body.addWidget(self._any)
        self.body.addLayout(self._grid(tuple(USUAL_MODALITIES), _USUAL_COLUMNS))
        self._more = qt.QCheckBox("Show all others")
        self._others = self._other_area()
        self._more.toggled.connect(self._show_others)
        self.body.addWidget(self._more)
        self.body.addWidget(self._others)

    def choose(self, modalities: tuple[str, ...]) -> None:
        """Tick these and no others; ``changed`` is not told."""
        self._chosen = modalities
        self._any.setChecked(not modalities)
        for code, box in self._boxes.items():
            box.setChecked(code in modalities)

    def box(self, code: str) -> Any:
        """Return the tick box of a modality."""
        return self._boxes[code]

    def _grid(self, codes: tuple[str, ...], columns: int) -> Any:
        grid = qt.QGridLayout()
        grid.setHorizontalSpacing(14)
        for at, code in enumerate(codes):
            grid.addWidget(self._make_box(code), at // columns, at % columns)
        return grid

    def _make_box(self, code: str) -> Any:
        box = qt.QCheckBox(code)
        box.setToolTip(USUAL_MODALITIES.get(code, code))
        box.clicked.connect(lambda: self._toggle(code))
        self._boxes[code] = box
        return box

    def _other_area(self) -> Any:
        content = qt.QWidget()
        content.setLayout(self._grid(OTHER_MODALITIES, _OTHER_COLUMNS))
        area = qt.QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        area.setFixedHeight(_OTHER_HEIGHT)
        area.setMinimumWidth(value(content, "minimumSizeHint").width() + 24)  # with its scroll bar
        area.setVisible(False)
        return area

    def _show_others(self, on: bool) -> None:
        self._others.setVisible(on)
        self.adjustSize()

    def _toggle(self, code: str) -> None:
        on = code not in self._chosen
        self._choose(tuple(c for c in self._boxes if (c == code and on) or (c != code and c in self._chosen)))

    def _choose(self, modalities: tuple[str, ...]) -> None:
        self.choose(modalities)
        self.changed.emit(modalities)


class PlacePanel(Popup):
    """Tick boxes for this computer and each server. ``changed`` tells the new :class:`.PlaceChoice`."""

    def __init__(self, parent: Any = None) -> None:
        Popup.__init__(self, parent)
        self.changed = Signal()
        self.settings_asked = Signal()
        self._choice = PlaceChoice()
        self._boxes: dict[str, Any] = {}
        self._list = qt.QVBoxLayout()
        self.body.addLayout(self._list)
        line = qt.QFrame()
        line.setFrameStyle(qt.QFrame.HLine | qt.QFrame.Plain)
        line.setForegroundRole(qt.QPalette.Mid)
        self.body.addWidget(line)
        settings = qt.QPushButton("Server settings…")
        settings.setAutoDefault(False)
        settings.clicked.connect(self._ask_settings)
        self.body.addWidget(settings)
        self.choose(self._choice)

    def choose(self, choice: PlaceChoice) -> None:
        """Show a choice; ``changed`` is not told."""
        self._choice = choice
        wanted = (HERE, *choice.servers)
        if tuple(self._boxes) != wanted:
            self._make_boxes(wanted)
        for place, box in self._boxes.items():
            box.setChecked(choice.is_on(place))

    def box(self, place: str) -> Any:
        """Return the tick box of a server, or of this computer (:data:`.HERE`)."""
        return self._boxes[place]

    def _make_boxes(self, places: tuple[str, ...]) -> None:
        for box in self._boxes.values():
            self._list.removeWidget(box)
            box.setParent(None)
            box.deleteLater()
        self._boxes = {place: self._make_box(place) for place in places}
        if self.isVisible():  # the servers came to be known while it was open
            for box in self._boxes.values():
                box.show()
            self.adjustSize()

    def _make_box(self, place: str) -> Any:
        box = qt.QCheckBox(place.replace("&", "&&") or "This computer")
        box.clicked.connect(lambda: self._toggle(place))
        self._list.addWidget(box)
        return box

    def _toggle(self, place: str) -> None:
        self.choose(self._choice.ticked(place, not self._choice.is_on(place)))
        self.changed.emit(self._choice)

    def _ask_settings(self) -> None:
        self.hide()
        self.settings_asked.emit()
