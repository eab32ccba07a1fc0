"""The desktop program, from QApplication to the end of the engine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import platformdirs
from PySide6 import QtCore, QtGui, QtWidgets

from .. import __version__
from ..engine.client import EngineClient, engine_command, engine_environment
from ..engine.configuration import default_configuration_file, default_database_folder
from ..engine.log_file import trim
from ..gui.host import Host
from ..gui.messages import Tone
from ..gui.session import Session
from ..store.reader import CatalogueReader
from ..store.slicer_ini import servers_in, slicer_settings_file
from . import qt_shim, theme
from .log import except_hook, log_qt_message, start_log, stop_log
from .main_window import MainWindow, MakeBrowser

_NAME = "visual-dicom-browser"
_ICON = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "VisualDICOMBrowser.png"
#: How often Python gets a chance to see a signal while Qt waits, in milliseconds.
_SIGNALS_MS = 200
NO_DISPLAY = (
    "Error: The window cannot be opened: there is no display, or a library of the system that Qt needs is missing"
    " (on Debian and Ubuntu: sudo apt-get install libegl1 libxkbcommon-x11-0 libxcb-cursor0)."
)
EXIT_NO_DISPLAY = 2


def main(
    database: Path | None = None,
    config: Path | None = None,
    *,
    theme_name: str | None = None,
    log_folder: Path | None = None,
    make_browser: MakeBrowser | None = None,
) -> int:
    """Open the window on a database folder, stay until it is closed, and return the exit code.

    :param database: None for the user's own folder.
    :param config: None for the user's own; beside it lies ``window.ini`` with the window's place.
    :param theme_name: ``light`` or ``dark``; None follows the system.
    :param log_folder: where ``window.log`` and ``engine.log`` go; None for the user's own data folder.
    :param make_browser: makes the central widget; None for the browser.
    """
    qt_shim.install()
    database = database or default_database_folder()
    config = config or default_configuration_file()
    log_folder = log_folder or Path(platformdirs.user_data_dir(_NAME, appauthor=False))
    with ExitStack() as stack:
        stack.callback(stop_log, start_log(log_folder))
        close_on_signals = stack.enter_context(_closed_by_signals())
        app = application()
        stack.enter_context(_signals_heard())
        theme.apply(app, theme_name)
        session = make_session(database, config, log_folder)
        window = MainWindow(session, make_browser or _make_browser(), config.with_name("window.ini"))
        close_on_signals(window)
        stack.callback(window.finish)
        stack.enter_context(_exceptions_told(session))
        window.show()
        QtCore.QTimer.singleShot(0, session.start)
        return int(app.exec())


def make_session(database: Path, config: Path, log_folder: Path) -> Session:
    """Return a session, not yet started, whose engine logs to ``engine.log``."""
    from ..gui.engine_process import QProcessTransport  # noqa: PLC0415 - the module qt must be there first

    log = log_folder / "engine.log"
    trim(log)
    command = engine_command(sys.executable, database, config)

    def make_client() -> EngineClient:
        return EngineClient(QProcessTransport(command, log, engine_environment()))

    return Session(make_client, CatalogueReader(database))


def _make_browser() -> MakeBrowser:
    from ..gui.browser_widget import BrowserWidget  # noqa: PLC0415 - the module qt must be there first

    return lambda session, parent: BrowserWidget(session, parent, desktop_host())


def desktop_host() -> Host:
    """Return what this program offers the browser: the servers of Slicer's settings, if Slicer was used here."""
    file = slicer_settings_file()
    return Host() if file is None else Host(read_servers=lambda: servers_in(file))


def application() -> QtWidgets.QApplication:
    """Return the application; without a display this process ends here and at once, with a sentence."""
    running = QtWidgets.QApplication.instance()
    if isinstance(running, QtWidgets.QApplication):
        return running
    QtCore.qInstallMessageHandler(_say_that_there_is_no_display)
    app = QtWidgets.QApplication([_NAME])
    QtCore.qInstallMessageHandler(log_qt_message)
    app.setApplicationName(_NAME)
    app.setApplicationDisplayName("Visual DICOM Browser")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName(_NAME)
    if _ICON.exists():  # not in an installed package
        app.setWindowIcon(QtGui.QIcon(str(_ICON)))
    return app


def _say_that_there_is_no_display(kind: QtCore.QtMsgType, _context: object, _text: str) -> None:
    """Take Qt's last words before it aborts the process."""
    if kind == QtCore.QtMsgType.QtFatalMsg:
        sys.stderr.write(f"{NO_DISPLAY}\n")
        sys.stderr.flush()
        os._exit(EXIT_NO_DISPLAY)


@contextmanager
def _exceptions_told(session: Session) -> Iterator[None]:
    """Log what handlers raise, and show one message however many do."""
    sentence = "Something went wrong in the window; what you do next may not work. The log file says where."
    before = sys.excepthook
    sys.excepthook = except_hook(lambda: session.say(sentence, Tone.PROBLEM, "window"))
    try:
        yield
    finally:
        sys.excepthook = before


@contextmanager
def _closed_by_signals() -> Iterator[Callable[[MainWindow], None]]:
    """Close the windows that the yielded function is given on Ctrl-C in the terminal and on SIGTERM.

    It may be in the middle of painting: a window is closed in the event loop's next turn. That holds for one that is
    still to be made, too: what is raised in a method that Qt calls is lost, and the window would stay.
    """
    windows: list[MainWindow] = []
    asked: list[object] = []

    def close_all() -> None:
        for window in windows:
            window.close()

    def close_soon(*why: object) -> None:
        asked.append(why)
        if windows:
            QtCore.QTimer.singleShot(0, close_all)

    def add(window: MainWindow) -> None:
        windows.append(window)
        if asked:
            close_soon()

    before = [(number, signal.signal(number, close_soon)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield add
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def _signals_heard() -> Iterator[None]:
    """Have Python handle signals while Qt waits: it does so between its own instructions, and a timer makes some."""
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: None)
    timer.start(_SIGNALS_MS)
    try:
        yield
    finally:
        timer.stop()
