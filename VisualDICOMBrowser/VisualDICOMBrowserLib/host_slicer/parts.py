"""What the window in Slicer is put together from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..gui.host import Host
from ..gui.session import Session

#: What Slicer is called in the window's sentences.
NAME = "Slicer"


class Closing(Protocol):
    """Something that ends by ``close()``."""

    def close(self) -> None:
        """Hear and do nothing more."""


class Browser(Protocol):
    """What the window needs of :class:`.BrowserWidget`, beside being a widget."""

    def arrangement(self) -> str:
        """Return what the user made of it."""

    def arrange(self, text: str) -> None:
        """Take what :meth:`arrangement` returned."""

    def focus_search(self) -> None:
        """Put the cursor into the search field."""

    def close_session(self) -> None:
        """End the engine, and what the host offers."""


@dataclass(frozen=True)
class Parts:
    """See the module.

    :ivar current_folder: returns the folder of Slicer's DICOM database; None if none is open.
    :ivar watch_folder: calls a function whenever that may have changed, until it is closed.
    :ivar make_session: makes the session on a database folder, not yet started.
    :ivar make_keeper: keeps Slicer's database up to date with what the engine received, imported and removed.
    :ivar make_host: tells what Slicer offers beyond the engine.
    :ivar make_browser: makes the widget, on a session, below a parent; it ends session and loader.
    :ivar create_database: opens or creates Slicer's default database; tells whether one is open now.
    :ivar show_log: shows the engine's log.
    """

    current_folder: Callable[[], Path | None]
    watch_folder: Callable[[Callable[[Path | None], None]], Closing]
    make_session: Callable[[Path], Session]
    make_keeper: Callable[[Session], Closing]
    make_host: Callable[[Session], Host]
    make_browser: Callable[[Session, Any, Host], Browser]
    create_database: Callable[[], bool]
    show_log: Callable[[], None]


def slicer_parts() -> Parts:
    """Return the real parts."""
    from ..gui.browser_widget import BrowserWidget  # noqa: PLC0415 - loaded when the window is opened, not with Slicer
    from .database import FolderWatch, current_folder  # noqa: PLC0415
    from .default_database import create_default_database, prepare_database  # noqa: PLC0415
    from .engine_start import make_session, show_log  # noqa: PLC0415
    from .indexing import DatabaseKeeper  # noqa: PLC0415

    prepare_database()
    return Parts(
        current_folder=current_folder,
        watch_folder=FolderWatch,
        make_session=make_session,
        make_keeper=DatabaseKeeper,
        make_host=_make_host,
        make_browser=BrowserWidget,
        create_database=create_default_database,
        show_log=show_log,
    )


def _make_host(session: Session) -> Host:
    from .engine_start import show_log  # noqa: PLC0415
    from .loading import SlicerLoader  # noqa: PLC0415
    from .own_listeners import port_user  # noqa: PLC0415
    from .packages import ensure_packages, install_from_folder  # noqa: PLC0415
    from .slicer_servers import read_servers  # noqa: PLC0415

    loader = SlicerLoader(session)
    return Host(
        NAME,
        loader=loader,
        read_servers=read_servers,
        install=ensure_packages,
        install_from=install_from_folder,
        show_log=show_log,
        port_user=port_user,
    )
