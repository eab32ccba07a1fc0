"""The fields of a server's TLS settings, for the form that lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import qt

from ..parts.file_choice import choose_files
from ..parts.portable import value
from ..parts.signals import Signal

ROWS = (
    ("ca_file", "Trusted certificates", "Those that the system trusts"),
    ("certificate", "Our certificate", "None; for servers that want one"),
    ("key", "Our private key", "In the same file"),
    ("key_password_file", "Password file", "None; its first line is the password of the key"),
    ("host_name", "Name in certificate", "The host"),
)
_HINTS = {
    "ca_file": "The authority that issued the server's certificate, or that certificate itself, in PEM format",
    "host_name": "The name that the server's certificate is made out for, if that is not the host",
}


class TlsFields:
    """A check box, and lines for the settings. ``edited`` tells the settings after the user changed them, None for off.

    :ivar switch: the check box.
    :ivar lines: the line edits by setting.
    :ivar entries: what is to be laid out, by setting.
    """

    def __init__(self, parent: qt.QWidget) -> None:
        self.edited = Signal()
        self._parent = parent
        self.switch = qt.QCheckBox("Secure the connection (TLS 1.2 or newer)", parent)
        self.switch.clicked.connect(lambda *_: self._tell())
        self.lines: dict[str, Any] = {}
        self.entries: dict[str, Any] = {}
        for name, title, empty in ROWS:
            self._add(name, title, empty)

    def show_values(self, values: Mapping[str, Any] | None) -> None:
        """Show settings; None for a connection that is not secured."""
        self.switch.setChecked(values is not None)
        for name, line in self.lines.items():
            text = "" if values is None else values[name] or ""
            if value(line, "text") != text:  # else the cursor would jump while somebody types
                line.setText(text)

    def _add(self, name: str, title: str, empty: str) -> None:
        line = qt.QLineEdit(self._parent)
        line.setPlaceholderText(empty)
        line.setToolTip(_HINTS.get(name, ""))
        line.setAccessibleName(title)
        line.setMinimumWidth(120)
        line.textEdited.connect(lambda *_: self._tell())
        self.lines[name] = line
        self.entries[name] = line if name == "host_name" else self._with_choice(line, title)

    def _with_choice(self, line: qt.QLineEdit, title: str) -> qt.QWidget:
        entry = qt.QWidget(self._parent)
        button = qt.QPushButton("Choose…", entry)
        button.setAccessibleName(f"Choose a file: {title}")
        button.clicked.connect(lambda *_: choose_files(self._parent, title, partial(self._take, line)))
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
        if self.switch.isChecked():
            settings = {name: value(line, "text") or None for name, line in self.lines.items()}
        self.edited.emit(settings)
