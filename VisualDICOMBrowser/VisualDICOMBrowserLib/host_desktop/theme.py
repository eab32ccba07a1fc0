"""How the desktop window is coloured: Qt's Fusion style with two palettes, light and dark."""

from __future__ import annotations

import re
from collections.abc import Mapping

from PySide6 import QtCore, QtGui, QtWidgets

Role = QtGui.QPalette.ColorRole
Group = QtGui.QPalette.ColorGroup

LIGHT: Mapping[Role, str] = {
    Role.Window: "#f3f4f6",
    Role.WindowText: "#1b1e23",
    Role.Base: "#ffffff",
    Role.AlternateBase: "#f7f8fa",
    Role.Text: "#1b1e23",
    Role.Button: "#e9ebef",
    Role.ButtonText: "#1b1e23",
    Role.BrightText: "#a8071a",
    Role.ToolTipBase: "#ffffff",
    Role.ToolTipText: "#1b1e23",
    Role.PlaceholderText: "#646b76",
    Role.Highlight: "#1f66c1",
    Role.HighlightedText: "#ffffff",
    Role.Link: "#1a5bb0",
    Role.LinkVisited: "#6b3fa0",
    Role.Light: "#ffffff",
    Role.Midlight: "#eceef1",
    Role.Mid: "#b9bfc8",
    Role.Dark: "#8f96a1",
    Role.Shadow: "#5f6670",
}
DARK: Mapping[Role, str] = {
    Role.Window: "#1f2227",
    Role.WindowText: "#e6e8eb",
    Role.Base: "#17191d",
    Role.AlternateBase: "#1c1f24",
    Role.Text: "#e6e8eb",
    Role.Button: "#2c3037",
    Role.ButtonText: "#e6e8eb",
    Role.BrightText: "#ff9c9c",
    Role.ToolTipBase: "#2c3037",
    Role.ToolTipText: "#e6e8eb",
    Role.PlaceholderText: "#979fab",
    Role.Highlight: "#2f6fc4",
    Role.HighlightedText: "#ffffff",
    Role.Link: "#7fb2f0",
    Role.LinkVisited: "#c3a3ec",
    Role.Light: "#454b55",
    Role.Midlight: "#383d46",
    Role.Mid: "#4d545f",
    Role.Dark: "#121417",
    Role.Shadow: "#08090a",
}
PALETTES: Mapping[str, Mapping[Role, str]] = {"light": LIGHT, "dark": DARK}
#: Text of what cannot be used, which may be fainter.
_DISABLED_TEXT = {"light": "#8a909b", "dark": "#737b87"}
#: What has its outline from Fusion, which takes a shade of the window darker than it: on a dark one, none to be seen.
_OUTLINED = ("QAbstractSpinBox", "QComboBox", "QCheckBox", "QListWidget")
#: How much darker, in percent.
_OUTLINE_SHADE = 140

#: What Fusion draws too heavily; ``<...>`` stands for a colour of :func:`style_sheet`.
_SHEET = """
QPushButton {
    padding: 4px 12px; border: 1px solid <mid>; border-radius: 5px; background: <light-ground>;
}
QPushButton:hover { background: <midlight>; }
QPushButton:pressed, QPushButton:checked { background: <button>; }
QPushButton:default { border-color: <highlight>; }
QPushButton:checked { border-color: <highlight>; }
QPushButton:focus { border-color: <highlight>; }
QPushButton:disabled { color: <disabled-text>; border-color: <midlight>; }
QLineEdit { padding: 3px 6px; border: 1px solid <mid>; border-radius: 5px; background: <base>; }
QLineEdit:focus { border-color: <highlight>; }
QAbstractSpinBox QLineEdit, QComboBox QLineEdit { padding: 3px 4px; border: 0; background: transparent; }
QSplitter::handle { background: <window>; }
QSplitter::handle:hover { background: <mid>; }
QScrollBar:vertical { width: 12px; background: transparent; margin: 0; }
QScrollBar:horizontal { height: 12px; background: transparent; margin: 0; }
QScrollBar::handle { background: <mid>; border-radius: 4px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: <dark-handle>; }
QAbstractScrollArea::corner { border: 0; background: transparent; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QHeaderView::section {
    padding: 4px 3px; border: 0; border-bottom: 1px solid <midlight>; background: <window>;
}
"""


def style_sheet(name: str) -> str:
    """Return what makes Fusion calmer, in the colours of ``light`` or ``dark``."""
    colours = PALETTES[name]
    names = {"light-ground": colours[Role.Base] if name == "light" else colours[Role.Button]}
    names |= {"disabled-text": _DISABLED_TEXT[name], "dark-handle": colours[Role.PlaceholderText]}
    names |= {"mid": colours[Role.Mid], "midlight": colours[Role.Midlight], "button": colours[Role.Button]}
    names |= {"window": colours[Role.Window], "highlight": colours[Role.Highlight], "base": colours[Role.Base]}
    return re.sub(r"<([\w-]+)>", lambda match: names[match[1]], _SHEET)


def palette(name: str) -> QtGui.QPalette:
    """Return the palette ``light`` or ``dark``."""
    made = QtGui.QPalette()
    for role, colour in PALETTES[name].items():
        made.setColor(role, QtGui.QColor(colour))
    for role in (Role.WindowText, Role.Text, Role.ButtonText):
        made.setColor(Group.Disabled, role, QtGui.QColor(_DISABLED_TEXT[name]))
    return made


def outlined_palette(name: str) -> QtGui.QPalette:
    """Return the palette ``light`` or ``dark`` of widgets that have their outline from Fusion."""
    made = palette(name)
    made.setColor(Role.Window, QtGui.QColor(PALETTES[name][Role.Mid]).lighter(_OUTLINE_SHADE))
    return made


def apply(app: QtWidgets.QApplication, name: str | None = None) -> None:
    """Give the application its style and colours: those named, or those that the system has, also when it changes."""
    app.setStyle("Fusion")
    if name is not None:
        _colour(app, name)
        return
    hints = app.styleHints()
    _colour(app, _name_of(hints.colorScheme()))
    hints.colorSchemeChanged.connect(lambda scheme: _colour(app, _name_of(scheme)))


def _colour(app: QtWidgets.QApplication, name: str) -> None:
    app.setPalette(palette(name))
    for widget in _OUTLINED:  # PySide takes text, whatever its stub says
        app.setPalette(outlined_palette(name), widget)  # type: ignore[arg-type]
    app.setStyleSheet(style_sheet(name))


def _name_of(scheme: QtCore.Qt.ColorScheme) -> str:
    return "dark" if scheme == QtCore.Qt.ColorScheme.Dark else "light"
