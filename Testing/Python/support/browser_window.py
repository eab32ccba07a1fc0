"""The whole window on a real engine process, for tests, measurements and pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

if os.name == "posix" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from VisualDICOMBrowserLib.host_desktop import qt_shim, theme

qt = qt_shim.install()

from VisualDICOMBrowserLib.engine.configuration import Configuration  # noqa: E402
from VisualDICOMBrowserLib.gui.browser_widget import BrowserWidget  # noqa: E402
from VisualDICOMBrowserLib.host_desktop.app import make_session  # noqa: E402


class BrowserWindow:
    """A browser on a database folder of its own; a context manager that ends the engine."""

    def __init__(self, folder: Path, *servers: Any, theme_name: str = "light", size: tuple[int, int] = (1280, 820)):
        folder.mkdir(parents=True, exist_ok=True)
        self.app = qt.QApplication.instance() or qt.QApplication([])
        theme.apply(self.app, theme_name)
        self.database = folder / "database"
        config = Configuration(folder / "config.json")
        for server in servers:
            config.add(server)
        self.session = make_session(self.database, folder / "config.json", folder)
        self.browser = BrowserWidget(self.session)
        self.browser.resize(*size)

    def __enter__(self) -> BrowserWindow:
        self.session.start()
        self.browser.show()
        self.wait(lambda: self.session.ready, "the engine")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.browser.hide()
        self.browser.close_session()
        self.browser.deleteLater()
        self.app.setStyleSheet("")  # other tests draw widgets without the theme
        self.spin(0.05)

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
        """Let the event loop run until the condition holds; its value is returned."""
        return wait_for(condition, what, timeout)

    def spin(self, seconds: float) -> None:
        """Let the event loop run for a while."""
        spin(seconds)

    def grab(self, path: Path) -> Path:
        """Save a picture of the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.browser.grab().save(str(path))
        return path


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
    """Let the event loop run until the condition holds; its value is returned."""
    deadline = time.monotonic() + timeout
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        spin(0.01)
    return met


def spin(seconds: float) -> None:
    """Let the event loop run for a while."""
    loop = qt.QEventLoop()
    qt.QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec_()
