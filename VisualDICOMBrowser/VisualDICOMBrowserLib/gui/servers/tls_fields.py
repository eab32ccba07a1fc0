"""The fields of TLS settings, as rows of a form: those for a server, and those for whoever calls us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import qt

from ..parts.field_grid import FieldGrid
from ..parts.file_choice import choose_files
from ..parts.portable import value
from ..parts.signals import Signal


@dataclass(frozen=True)
class TlsRow:
    """One setting.

    :ivar empty: what it means if nothing is typed.
    :ivar is_file: whether it is the path of a file.
    """

    name: str
    title: str
    empty: str
    hint: str = ""
    is_file: bool = True


_KEY = TlsRow("key", "Our private key", "In the same file")
_PASSWORD = TlsRow("key_password_file", "Password file", "None; its first line is the password of the key")
SERVER_ROWS = (
    TlsRow(
        "ca_file",
        "Trusted certificates",
        "Those that the system trusts",
        "The authority that issued the server's certificate, or that certificate itself, in PEM format",
    ),
    TlsRow("certificate", "Our certificate", "None; for servers that want one"),
    _KEY,
    _PASSWORD,
    TlsRow(
        "host_name",
        "Name in certificate",
        "The host",
        "The name that the server's certificate is made out for, if that is not the host",
        is_file=False,
    ),
)
LISTENER_ROWS = (
    TlsRow("certificate", "Our certificate", "Needed", "In PEM format, with the authorities between"),
    _KEY,
    _PASSWORD,
    TlsRow(
        "ca_file",
        "Callers' certificates",
        "None; callers need none",
        "The authorities that issued the callers' certificates, or these themselves, in PEM format: "
        "everybody has to show one then",
    ),
)


class TlsFields:
    """A check box, and lines for the settings. ``edited`` tells the settings after the user changed them, None for off.

    :ivar fields: what is typed into, by ``tls`` for the check box and ``tls.NAME`` for the settings.
    """

    def __init__(self, form: FieldGrid, rows: Sequence[TlsRow]) -> None:
        self.edited = Signal()
        self._form, self._rows = form, rows
        self._switch = qt.QCheckBox("Secure the connection (TLS 1.2 or newer)", form)
        self._switch.clicked.connect(lambda *_: self._tell())
        self._lines = {row.name: self._line(row) for row in rows}
        self.fields: dict[str, Any] = {"tls": self._switch}
        self.fields.update({f"tls.{name}": line for name, line in self._lines.items()})

    def add_rows(self) -> None:
        """Put all into the form."""
        self._form.add_row("tls", "", self._switch)
        for row in self._rows:
            line = self._lines[row.name]
            entry = self._with_choice(line, row.title) if row.is_file else line
            self._form.add_row(f"tls.{row.name}", row.title, entry, line)

    def show_values(self, values: Mapping[str, Any] | None) -> None:
        """Show settings; None for a connection that is not secured."""
        self._switch.setChecked(values is not None)
        for name, line in self._lines.items():
            text = "" if values is None else values[name] or ""
            if value(line, "text") != text:  # else the cursor would jump while somebody types
                line.setText(text)
            self._form.show_row(f"tls.{name}", values is not None)

    def _line(self, row: TlsRow) -> qt.QLineEdit:
        line = qt.QLineEdit(self._form)
        line.setPlaceholderText(row.empty)
        line.setToolTip(row.hint)
        line.setMinimumWidth(120)
        line.textEdited.connect(lambda *_: self._tell())
        return line

    def _with_choice(self, line: qt.QLineEdit, title: str) -> qt.QWidget:
        entry = qt.QWidget(self._form)
        button = qt.QPushButton("Choose…", entry)
        button.setAccessibleName(f"Choose a file: {title}")
        button.clicked.connect(lambda *_: choose_files(self._form, title, partial(self._take, line)))
        row = qt.QHBoxLayout(entry)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(line, 1)
        row.addWidget(button)
        return entry

    def _take(self, line: qt.QLineEdit, paths: list[str]) -> None:
        if paths:
            line.setText(paths[0])
            self._tell()

    def _tell(self) -> None:
        settings = None
        if self._switch.isChecked():
            settings = {name: value(line, "text") or None for name, line in self._lines.items()}
        self.edited.emit(settings)
