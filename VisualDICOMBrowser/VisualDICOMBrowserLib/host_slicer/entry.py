"""The way to the browser from anywhere in Slicer: a tool button, an entry of the View menu, a key.

Loaded when Slicer has started, so nothing of the browser is loaded here.
"""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

ACTION_NAME = "VisualDICOMBrowserAction"
#: D for DICOM. Slicer itself has Ctrl+Shift with A, T, Space (markups) and the arrows (sequences), its script
#: repository has S, and the browser C; plain Ctrl is crowded.
SHORTCUT = "Ctrl+Shift+D"
_ICON = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "VisualDICOMBrowser.png"


def add_to_main_window() -> None:
    """Add button, menu entry and key; nothing happens if they are there, or if there is no main window."""
    main = slicer.util.mainWindow()
    if main is None or main.findChild(qt.QAction, ACTION_NAME) is not None:
        return
    action = qt.QAction(qt.QIcon(str(_ICON)), _("Visual DICOM Browser"), main)
    action.setObjectName(ACTION_NAME)
    action.setToolTip(_("Find, fetch and load patients' images ({key})").format(key=SHORTCUT))
    action.setShortcut(qt.QKeySequence(SHORTCUT))
    action.setShortcutContext(qt.Qt.ApplicationShortcut)  # floating docks are windows of their own
    action.triggered.connect(lambda *_arguments: open_from_anywhere())
    for place in (main.findChild(qt.QToolBar, "MainToolBar"), main.findChild(qt.QMenu, "ViewMenu"), main):
        if place is not None:  # applications made from Slicer leave some out
            place.addAction(action)


def open_from_anywhere() -> None:
    """Open the browser; the module that is shown stays."""
    from .window import open_browser  # noqa: PLC0415 - the whole window, and the newest after a reload

    with slicer.util.tryWithErrorDisplay(_("The browser could not be opened.")):
        open_browser()
