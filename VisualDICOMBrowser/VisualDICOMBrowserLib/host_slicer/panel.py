"""What stands in Slicer's module panel: a way to the browser, and how its engine is."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from .entry import SHORTCUT, open_from_anywhere
from .window import EngineState, Status, browser_window, status, status_changed


class ModulePanel(qt.QWidget):
    """See the module. :meth:`cleanup` must follow."""

    def __init__(self, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        intro = qt.QLabel(_("The browser opens in a window of its own, which can be docked anywhere in Slicer."), self)
        self._open = qt.QPushButton(_("Open the browser"), self)
        self._open.setToolTip(SHORTCUT)
        self._open.clicked.connect(lambda *_arguments: open_from_anywhere())
        self._status = qt.QLabel("", self)
        self._log = qt.QPushButton(_("Show the engine's log"), self)
        self._log.clicked.connect(lambda *_arguments: _show_log())
        for label in (intro, self._status):
            label.setWordWrap(True)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (intro, self._open, self._status, self._log):
            column.addWidget(widget)
        status_changed.connect(self._show)
        self._show(status())

    def cleanup(self) -> None:
        """Hear no more."""
        status_changed.disconnect(self._show)

    def _show(self, now: Status) -> None:
        self._status.setText(sentence_of(now))
        self._log.setEnabled(now.state is not EngineState.CLOSED)


def _show_log() -> None:
    window = browser_window()
    if window is not None:
        window.show_log()


def sentence_of(now: Status) -> str:
    """Say how the engine is."""
    if now.state is EngineState.CLOSED:
        return _("The engine does not run; it starts with the browser.")
    if now.state is EngineState.NO_DATABASE:
        return _("Slicer has no DICOM database open.")
    if now.state is EngineState.STARTING:
        return _("The engine starts…")
    if now.state is EngineState.RUNNING:
        return _("The engine runs on {folder}.").format(folder=now.folder)
    return _("The engine does not run. {reason}").format(reason=now.reason)
