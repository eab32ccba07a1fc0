"""The browser's window in Slicer: there is one, and it shows Slicer's DICOM database, whichever that is."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..domain.errors import VisualDicomError
from ..gui.host import Host
from ..gui.parts.signals import Signal
from ..gui.session import Session
from .frame import PREFIX, Frame
from .notice_page import NoticePage
from .pane import Pane
from .parts import Browser, Parts, slicer_parts
from .quiet import quiet_logs

_ARRANGEMENT = PREFIX + "arrangement"


class EngineState(Enum):
    """What there is of an engine."""

    CLOSED = "closed"  # the window was not opened, or closed for good
    NO_DATABASE = "no database"
    STARTING = "starting"
    RUNNING = "running"
    GONE = "gone"


@dataclass(frozen=True)
class Status:
    """The engine's state, with the folder it works on, and why it is gone."""

    state: EngineState = EngineState.CLOSED
    folder: Path | None = None
    reason: str = ""


#: Tells the new :class:`Status`; also while there is no window.
status_changed = Signal()

_windows: list[BrowserWindow] = []  # one at most


def open_browser(parts: Parts | None = None) -> BrowserWindow:
    """Open the window, or raise the one that is open, and return it.

    :param parts: what it is made of; None for Slicer's.
    """
    if not _windows:
        quiet_logs()
        _windows.append(BrowserWindow(parts or slicer_parts()))
        slicer.app.connect("aboutToQuit()", _close_window)
    _windows[0].show()
    return _windows[0]


def close_browser() -> None:
    """Close the window for good and end its engine, which takes 5 s at most."""
    if _windows:
        slicer.app.disconnect("aboutToQuit()", _close_window)
        _close_window()


def browser_window() -> BrowserWindow | None:
    """Return the window if there is one; the user may have hidden it."""
    return _windows[0] if _windows else None


def status() -> Status:
    """Return how the engine is."""
    return _windows[0].status if _windows else Status()


def _close_window() -> None:
    while _windows:
        _windows.pop().close()
        status_changed.emit(Status())


class BrowserWindow:
    """See the module. It follows the database: another folder has another session.

    The user closing it only hides it: what is fetched goes on arriving.

    :ivar session: the session of the database that is open; None without one.
    :ivar host: what Slicer offers to that session's browser.
    :ivar status: how the engine is.
    """

    def __init__(self, parts: Parts) -> None:
        self.session: Session | None = None
        self.host: Host | None = None
        self.status = Status()
        self._parts = parts
        self._folder: Path | None = None
        self._page: Any = None
        self._browser: Browser | None = None
        self._ending = ExitStack()
        self._content = Pane()
        self._content.search_asked.connect(self._focus_search)
        self._column = qt.QVBoxLayout(self._content)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._frame = Frame(self._content, _("Visual DICOM Browser"))
        self._frame.hidden.connect(self._keep_arrangement)
        self._later = qt.QTimer()  # the database tells of changes in the midst of them
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._follow)
        self._watch = parts.watch_folder(lambda _folder: self._later.start(0))
        try:
            self._follow()
        except BaseException:
            self.close()
            raise

    def show(self) -> None:
        """Bring it to the user's eyes."""
        self._frame.show()

    def is_visible(self) -> bool:
        """Tell whether the user has it open."""
        return self._frame.is_visible()

    def show_log(self) -> None:
        """Show the engine's log."""
        self._parts.show_log()

    def close(self) -> None:
        """Close it for good: keep its place and end the engine, which takes 5 s at most."""
        with ExitStack() as stack:  # whatever fails, the engine does not stay
            stack.callback(self._frame.close)
            stack.callback(self._leave)
            stack.callback(self._watch.close)
            self._later.stop()

    def _follow(self) -> None:
        """Show the database that is open now."""
        folder = self._parts.current_folder()
        if self._page is not None and folder == self._folder:
            return
        self._leave()
        self._folder = folder
        if folder is None:
            self._tell(EngineState.NO_DATABASE)
            text = _(
                "Slicer has no DICOM database open. The browser works with that database:"
                " it shows what is in it, and what it fetches goes there."
            )
            self._show_page(NoticePage(text, _("Open Slicer's DICOM database"), self._create_database))
            return
        try:
            self._enter(folder)
        except VisualDicomError as error:
            self._leave()
            self._tell(EngineState.GONE, str(error))
            self._show_page(NoticePage(str(error), _("Try again"), self._try_again))

    def _enter(self, folder: Path) -> None:
        parts = self._parts
        session = self.session = parts.make_session(folder)
        self._ending.callback(self._end_session, session)
        self._tell(EngineState.STARTING)
        session.ready_changed.connect(self._on_ready)
        keeper = parts.make_keeper(session)
        self._ending.callback(keeper.close)
        host = self.host = parts.make_host(session)
        browser = self._browser = parts.make_browser(session, self._content, host)
        browser.arrange(str(qt.QSettings().value(_ARRANGEMENT) or ""))
        self._ending.callback(self._keep_arrangement)
        self._show_page(browser)
        session.start()

    def _leave(self) -> None:
        """End the session and take its widget away; what fails keeps nothing else from ending."""
        page, self._page = self._page, None
        if self.session is not None:
            self.session.ready_changed.disconnect(self._on_ready)
        if page is not None:
            page.hide()
            self._column.removeWidget(page)
        try:
            self._ending.close()
        finally:
            self.session = self.host = None
            if page is not None:
                page.deleteLater()

    def _keep_arrangement(self) -> None:
        if self._browser is not None:
            qt.QSettings().setValue(_ARRANGEMENT, self._browser.arrangement())

    def _end_session(self, session: Session) -> None:
        browser, self._browser = self._browser, None
        if browser is not None:
            browser.close_session()
            return
        if self.host is not None and self.host.loader is not None:
            self.host.loader.close()
        session.close()

    def _show_page(self, page: Any) -> None:
        self._page = page
        self._column.addWidget(page)
        page.show()

    def _on_ready(self, ready: bool, sentence: str) -> None:
        self._tell(EngineState.RUNNING if ready else EngineState.GONE, sentence)

    def _tell(self, state: EngineState, reason: str = "") -> None:
        self.status = Status(state, self._folder, reason)
        status_changed.emit(self.status)

    def _focus_search(self) -> None:
        if self._browser is not None:
            self._browser.focus_search()

    def _create_database(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("Slicer's DICOM database could not be opened.")):
            if self._parts.create_database():
                self._later.start(0)

    def _try_again(self) -> None:
        self._leave()
        self._later.start(0)
