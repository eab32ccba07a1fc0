"""The settings of the listener, with what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt

from ...domain.listener import LOOPBACK
from ..parts.field_grid import NUMBER_WIDTH, FieldGrid
from ..parts.portable import value
from ..parts.signals import Signal
from ..servers.tls_fields import LISTENER_ROWS, TlsFields
from .allowed_callers import AllowedCallers
from .receiving_draft import EVERYWHERE

_PLACES = ("This computer only", "Every network that this computer is in", "One address:")
_FIXED = {LOOPBACK: 0, EVERYWHERE: 1}
_ONE = 2
_LIST_WIDTH = 520


class ReceivingForm(FieldGrid):
    """Fields for all settings. ``edited`` tells the name of a setting that the user changed, and its value."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        FieldGrid.__init__(self, parent)
        self.edited = Signal()
        self._setting = False
        self._one = False  # an address of its own is wanted, whatever it is
        self._wrong_peer = ""
        self.fields: dict[str, Any] = {}
        self._build()

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show settings."""
        self._setting = True
        if value(self.fields["aet"], "text") != values["aet"]:  # else the cursor would jump
            self.fields["aet"].setText(values["aet"])
        if value(self.fields["port"], "value") != values["port"]:
            self.fields["port"].setValue(values["port"])
        self._show_bind(values["bind"])
        for name in ("enabled", "unsolicited"):
            self.fields[name].setChecked(values[name])
        self.fields["allowed"].show_peers(values["allowed"])
        self._tls.show_values(values["tls"])
        self._setting = False

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Show what is wrong, by setting."""
        wrong = {"allowed": self._wrong_peer} if self._wrong_peer else {}
        FieldGrid.show_errors(self, {**errors, **wrong})

    def forget(self) -> None:
        """Forget what was begun: other settings are to be shown."""
        self._one, self._wrong_peer = False, ""

    def _show_bind(self, bind: str) -> None:
        place = _ONE if self._one else _FIXED.get(bind, _ONE)
        self.fields["bind"].setCurrentIndex(place)
        self.fields["address"].setVisible(place == _ONE)
        if place == _ONE and value(self.fields["address"], "text") != bind:
            self.fields["address"].setText(bind)

    def _on_place(self, place: int) -> None:
        if self._setting:
            return
        self._one = place == _ONE
        if self._one:
            self._tell("bind", "")
            self.fields["address"].setFocus()
        else:
            self._tell("bind", next(bind for bind, at in _FIXED.items() if at == place))

    def _on_refused(self, sentence: str) -> None:
        self._wrong_peer = sentence
        self._tell("", None)

    def _tell(self, name: str, typed: Any) -> None:
        if not self._setting:
            self.edited.emit(name, typed)

    def _teller(self, name: str) -> Any:
        return lambda typed: self._tell(name, typed)

    def _build(self) -> None:
        self._make_fields()
        self.add_row("aet", "Our AE title", self.fields["aet"])
        self.add_row("port", "Port", self.fields["port"], width=NUMBER_WIDTH)
        self.add_row("bind", "Reachable from", self._bind_entry(), self.fields["bind"])
        self.add_row("enabled", "", self.fields["enabled"], width=_LIST_WIDTH)
        self.add_row("unsolicited", "", self.fields["unsolicited"], width=_LIST_WIDTH)
        self.add_row("allowed", "May call, beside\nthe servers", self.fields["allowed"], width=_LIST_WIDTH)
        self._tls.add_rows()

    def _make_fields(self) -> None:
        aet, port, allowed = qt.QLineEdit(self), qt.QSpinBox(self), AllowedCallers(self)
        aet.setPlaceholderText("What others call")
        aet.setMinimumWidth(120)
        aet.textEdited.connect(self._teller("aet"))
        port.setRange(0, 65535)
        port.setSpecialValueText("Any free")  # for 0
        port.valueChanged.connect(self._teller("port"))
        allowed.edited.connect(self._teller("allowed"))
        allowed.refused.connect(self._on_refused)
        self.fields.update({"aet": aet, "port": port, "allowed": allowed})
        for name, text in (
            ("enabled", "Listen all the time, not only while something is fetched by C-MOVE"),
            ("unsolicited", "Take images that nobody here asked for"),
        ):
            box = qt.QCheckBox(text, self)
            box.clicked.connect(self._teller(name))
            self.fields[name] = box
        self._tls = TlsFields(self, LISTENER_ROWS)
        self._tls.edited.connect(lambda settings: self._tell("tls", settings))
        self.fields.update(self._tls.fields)

    def _bind_entry(self) -> qt.QWidget:
        entry = qt.QWidget(self)
        place, address = qt.QComboBox(entry), qt.QLineEdit(entry)
        place.addItems(list(_PLACES))
        place.currentIndexChanged.connect(lambda at: self._on_place(at))
        address.setPlaceholderText("such as 192.0.2.7")
        address.setAccessibleName("Address to be reached at")
        address.textEdited.connect(self._teller("bind"))
        address.setMinimumWidth(110)
        self.fields.update({"bind": place, "address": address})
        row = qt.QHBoxLayout(entry)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(place, 1)
        row.addWidget(address, 1)
        return entry
