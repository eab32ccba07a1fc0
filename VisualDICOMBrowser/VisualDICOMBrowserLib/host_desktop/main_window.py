"""The desktop program's window: the browser, a remembered place on the screen, and an orderly end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from ..gui.session import Session

DEFAULT_SIZE = QtCore.QSize(1280, 820)
MINIMUM_SIZE = QtCore.QSize(760, 480)
_GEOMETRY, _ARRANGEMENT = "window/geometry", "window/browser"

#: Makes the central widget; it has the methods ``close_session()``, ``arrangement()`` and ``arrange(text)``.
MakeBrowser = Callable[[Session, Any], Any]


class MainWindow(QtWidgets.QMainWindow):
    """Holds the browser widget.

    Closing it tells the engine to end and does not wait: the window vanishes at once. :meth:`finish` waits.

    :param settings: the ini file that remembers the place on the screen.
    """

    def __init__(self, session: Session, make_browser: MakeBrowser, settings: Path) -> None:
        super().__init__()
        self._session = session
        self._settings = QtCore.QSettings(str(settings), QtCore.QSettings.Format.IniFormat)
        self.setWindowTitle("Visual DICOM Browser")
        self.setMinimumSize(MINIMUM_SIZE)
        self.browser = make_browser(session, self)
        self.setCentralWidget(self.browser)
        self._add_quit()
        self._restore()

    def finish(self) -> None:
        """End the session; waits for the engine, 5 s at most, and then kills it."""
        self.browser.close_session()

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Remember the place and begin to end."""
        self._settings.setValue(_GEOMETRY, self.saveGeometry())
        self._settings.setValue(_ARRANGEMENT, self.browser.arrangement())
        self._settings.sync()
        self._session.begin_close()
        super().closeEvent(event)

    def _add_quit(self) -> None:
        action = QtGui.QAction("Quit", self)
        action.setShortcut(QtGui.QKeySequence("Ctrl+Q"))  # on Windows too, where Qt knows no standard key for it
        action.triggered.connect(self.close)
        self.addAction(action)

    def _restore(self) -> None:
        """Take the remembered place; one that is on no screen any more, Qt corrects."""
        self.browser.arrange(str(self._settings.value(_ARRANGEMENT, "")))
        remembered = self._settings.value(_GEOMETRY)
        if isinstance(remembered, QtCore.QByteArray) and self.restoreGeometry(remembered):
            return
        screen = self.screen().availableGeometry().size()
        self.resize(DEFAULT_SIZE.boundedTo(screen))
