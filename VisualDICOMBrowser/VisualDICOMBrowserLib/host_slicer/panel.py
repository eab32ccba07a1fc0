"""What stands in Slicer's module panel: a way to the browser, and how its engine is."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from .entry import SHORTCUT, open_from_anywhere
from .window import EngineState, Status, status, status_changed


class ModulePanel(qt.QWidget):
    """See the module. :meth:`cleanup` must follow."""

    def __init__(self, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        intro = qt.QLabel(_("The browser opens in a window of its own, which can be docked anywhere in Slicer."), self)
        self._open = qt.QPushButton(_("Open the browser"), self)
        self._open.setToolTip(SHORTCUT)
        self._open.clicked.connect(lambda *_arguments: open_from_anywhere())
        self._status = qt.QLabel("", self)
        for label in (intro, self._status):
            label.setWordWrap(True)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (intro, self._open, self._status):
            column.addWidget(widget)
        status_changed.connect(self._show)
        self._show(status())

    def cleanup(self) -> None:
        """Hear no more."""
        status_changed.disconnect(self._show)

    def _show(self, now: Status) -> None:
        self._status.setText(sentence_of(now))


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
