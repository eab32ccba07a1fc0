"""The values of one server, with what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt

from ...domain.servers import RetrieveMethod
from ..parts.portable import value
from ..parts.signals import Signal
from .tls_fields import ROWS as TLS_ROWS
from .tls_fields import TlsFields

_ROWS = (
    ("name", "Name", "What you call it"),
    ("host", "Host", "Host name or address, such as pacs.example.org"),
    ("port", "Port", ""),
    ("called_aet", "Called AE title", "The server's own"),
    ("calling_aet", "Our AE title", "Many servers only answer titles that they know"),
    ("retrieve", "Fetch by", ""),
    ("proxy", "Through", ""),
    ("timeout", "Time-out", ""),
    ("max_associations", "Connections at once", ""),
    ("tls", "", ""),
    *((f"tls.{name}", title, hint) for name, title, hint in TLS_ROWS),
)
_TEXTS = ("name", "host", "called_aet", "calling_aet")
_NUMBERS = ("port", "timeout", "max_associations")
_METHODS = (
    (RetrieveMethod.GET.value, "C-GET: over the same connection"),
    (RetrieveMethod.MOVE.value, "C-MOVE: the server connects back, or sends to a proxy"),
)
_NO_PROXY = "directly, no proxy"
_FIELD_WIDTH, _NUMBER_WIDTH = 400, 120


class ServerForm(qt.QWidget):
    """Fields for all values of a server. ``edited`` tells the name of a field that the user changed, and its value."""

    _colouring = False
    _row_height = 0

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.edited = Signal()
        self._setting = False
        self._methods = [word for word, _ in _METHODS]
        self._proxies: list[str | None] = [None]
        self.fields: dict[str, Any] = {}
        self.errors: dict[str, qt.QLabel] = {}
        self._tls_rows: list[tuple[int, qt.QLabel, qt.QWidget]] = []
        self._build()

    def show_values(self, values: Mapping[str, Any], proxies: Sequence[str]) -> None:
        """Show the values of a server, and what may be its proxy."""
        self._setting = True
        for name in _TEXTS:
            if value(self.fields[name], "text") != values[name]:
                self.fields[name].setText(values[name])
        for name in _NUMBERS:
            if value(self.fields[name], "value") != values[name]:  # else what is being typed would be rewritten
                self.fields[name].setValue(values[name])
        self.fields["retrieve"].setCurrentIndex(self._methods.index(values["retrieve"]))
        self._show_proxies(values["proxy"], proxies)
        self._tls.show_values(values["tls"])
        self._show_tls_rows(values["tls"] is not None)
        self._setting = False

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Show what is wrong, by field."""
        for name, label in self.errors.items():
            label.setText(errors.get(name, ""))
            label.setVisible(name in errors)

    def focus_first(self) -> None:
        """Put the cursor into the first field."""
        self.fields["name"].setFocus()
        self.fields["name"].selectAll()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the colours."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange and not self._colouring:
            self._colour_errors()

    def _show_proxies(self, chosen: str | None, proxies: Sequence[str]) -> None:
        names: list[str | None] = [None, *proxies]
        if chosen not in names:
            names.append(chosen)
        if names != self._proxies:
            self._proxies = names
            self.fields["proxy"].clear()
            self.fields["proxy"].addItems([_NO_PROXY if name is None else name for name in names])
        self.fields["proxy"].setCurrentIndex(names.index(chosen))

    def _show_tls_rows(self, shown: bool) -> None:
        for row, label, entry in self._tls_rows:
            label.setVisible(shown)
            entry.setVisible(shown)
            self._grid.setRowMinimumHeight(row, self._row_height if shown else 0)

    def _tell(self, name: str, typed: Any) -> None:
        if not self._setting:
            self.edited.emit(name, typed)

    def _build(self) -> None:
        self._make_texts()
        self._make_numbers()
        self._make_choices()
        self._make_tls()
        self.fields["name"].ensurePolished()
        grid = self._grid = qt.QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(2, 1)
        for number, (name, title, _) in enumerate(_ROWS):
            self._add_row(grid, 2 * number, name, title)
        self._colour_errors()

    def _add_row(self, grid: qt.QGridLayout, row: int, name: str, title: str) -> None:
        label, error, entry = qt.QLabel(title, self), qt.QLabel("", self), self._entry(name)
        label.setBuddy(self.fields[name])
        error.setTextFormat(qt.Qt.PlainText)
        error.setWordWrap(True)
        error.setVisible(False)
        self.errors[name] = error
        if title:
            self.fields[name].setAccessibleName(title)
        entry.setMaximumWidth(_NUMBER_WIDTH if name in _NUMBERS else _FIELD_WIDTH)
        height = value(self.fields["name"], "sizeHint").height()  # the same for all, whatever they are
        entry.setMinimumHeight(height)
        self._row_height = height + 6
        grid.setRowMinimumHeight(row, self._row_height)
        grid.addWidget(label, row, 0)
        grid.addWidget(entry, row, 1)
        grid.addWidget(error, row + 1, 1, 1, 2)
        if name.startswith("tls."):
            self._tls_rows.append((row, label, entry))

    def _entry(self, name: str) -> qt.QWidget:
        """Return what stands in the row of a field: the field itself, or one with a button beside it."""
        return self._tls.entries[name[4:]] if name.startswith("tls.") else self.fields[name]

    def _make_texts(self) -> None:
        hints = {name: hint for name, _, hint in _ROWS}
        for name in _TEXTS:
            entry = qt.QLineEdit(self)
            entry.setPlaceholderText(hints[name])
            entry.setMinimumWidth(120)
            entry.textEdited.connect(self._teller(name))
            self.fields[name] = entry

    def _make_numbers(self) -> None:
        port, timeout, most = qt.QSpinBox(self), qt.QDoubleSpinBox(self), qt.QSpinBox(self)
        port.setRange(1, 65535)
        timeout.setRange(0.5, 3600.0)
        timeout.setDecimals(1)
        timeout.setSuffix(" s")
        timeout.setToolTip("Seconds without a byte after which the server counts as stalled")
        most.setRange(1, 32)
        for name, spin in (("port", port), ("timeout", timeout), ("max_associations", most)):
            spin.valueChanged.connect(self._teller(name))
            self.fields[name] = spin

    def _make_choices(self) -> None:
        method, proxy = qt.QComboBox(self), qt.QComboBox(self)
        method.addItems([words for _, words in _METHODS])
        method.currentIndexChanged.connect(lambda place: self._tell("retrieve", self._methods[place]))
        proxy.addItems([_NO_PROXY])
        proxy.setToolTip("Another server that this one sends to by C-MOVE, and that we then fetch from by C-GET")
        proxy.currentIndexChanged.connect(lambda place: self._tell("proxy", self._proxies[place]))
        for name, combo in (("retrieve", method), ("proxy", proxy)):
            combo.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(10)
            self.fields[name] = combo

    def _make_tls(self) -> None:
        self._tls = TlsFields(self)
        self._tls.edited.connect(lambda settings: self._tell("tls", settings))
        self.fields["tls"] = self._tls.switch
        self.fields.update({f"tls.{name}": line for name, line in self._tls.lines.items()})

    def _teller(self, name: str) -> Any:
        return lambda typed: self._tell(name, typed)

    def _colour_errors(self) -> None:
        """Make errors red, as bright as the background asks for."""
        self._colouring = True
        palette = qt.QPalette(value(self, "palette"))
        dark = palette.color(qt.QPalette.Window).lightness() < 128
        palette.setColor(qt.QPalette.WindowText, qt.QColor(255, 138, 128) if dark else qt.QColor(176, 32, 32))
        for label in self.errors.values():
            label.setPalette(palette)
        self._colouring = False
