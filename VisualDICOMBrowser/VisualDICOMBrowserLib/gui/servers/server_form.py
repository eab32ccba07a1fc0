"""The values of one server, with what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt

from ...domain.servers import RetrieveMethod
from ..parts.field_grid import FIELD_WIDTH, NUMBER_WIDTH, FieldGrid
from ..parts.portable import value
from ..parts.signals import Signal
from .tls_fields import SERVER_ROWS, TlsFields

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
    ("fetch_ahead", "", ""),
)
_TEXTS = ("name", "host", "called_aet", "calling_aet")
_NUMBERS = ("port", "timeout", "max_associations")
_METHODS = (
    (RetrieveMethod.GET.value, "C-GET: over the same connection"),
    (RetrieveMethod.MOVE.value, "C-MOVE: the server connects back, or sends to a proxy"),
)
_NO_PROXY = "directly, no proxy"


class ServerForm(FieldGrid):
    """Fields for all values of a server. ``edited`` tells the name of a field that the user changed, and its value."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        FieldGrid.__init__(self, parent)
        self.edited = Signal()
        self._setting = False
        self._methods = [word for word, _ in _METHODS]
        self._proxies: list[str | None] = [None]
        self.fields: dict[str, Any] = {}
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
        self.fields["fetch_ahead"].setChecked(values["fetch_ahead"])
        self._tls.show_values(values["tls"])
        self._setting = False

    def focus_first(self) -> None:
        """Put the cursor into the first field."""
        self.fields["name"].setFocus()
        self.fields["name"].selectAll()

    def _show_proxies(self, chosen: str | None, proxies: Sequence[str]) -> None:
        names: list[str | None] = [None, *proxies]
        if chosen not in names:
            names.append(chosen)
        if names != self._proxies:
            self._proxies = names
            self.fields["proxy"].clear()
            self.fields["proxy"].addItems([_NO_PROXY if name is None else name for name in names])
        self.fields["proxy"].setCurrentIndex(names.index(chosen))

    def _tell(self, name: str, typed: Any) -> None:
        if not self._setting:
            self.edited.emit(name, typed)

    def _build(self) -> None:
        self._make_texts()
        self._make_numbers()
        self._make_choices()
        self._make_switch()
        self._make_tls()
        for name, title, _ in _ROWS:
            self.add_row(name, title, self.fields[name], width=NUMBER_WIDTH if name in _NUMBERS else FIELD_WIDTH)
        self._tls.add_rows()

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

    def _make_switch(self) -> None:
        switch = qt.QCheckBox("Fetch studies whole when they are opened", self)
        switch.setToolTip("All series of the studies that are open on the screen are fetched before you ask for them")
        switch.clicked.connect(lambda *_: self._tell("fetch_ahead", bool(switch.isChecked())))
        self.fields["fetch_ahead"] = switch

    def _make_tls(self) -> None:
        self._tls = TlsFields(self, SERVER_ROWS)
        self._tls.edited.connect(lambda settings: self._tell("tls", settings))
        self.fields.update(self._tls.fields)

    def _teller(self, name: str) -> Any:
        return lambda typed: self._tell(name, typed)
