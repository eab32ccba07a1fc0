"""Starts the engine for the browser inside Slicer: under PythonSlicer, or else on threads of Slicer's own process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import qt

from ..engine.client import EngineClient, engine_command
from ..engine.log_file import trim
from ..engine.service import HostedEngine
from ..gui.engine_process import QProcessTransport
from ..gui.messages import Tone
from ..gui.session import Session
from ..store.reader import CatalogueReader
from .engine_environment import clean_environment
from .errands import Errands
from .fallback import TransportWithFallback
from .in_process import InProcessTransport
from .user_files import configuration_file, log_file

PYTHON = "PythonSlicer"
IN_PROCESS = (
    "Slicer could not start a second process, so everything runs inside Slicer itself: slower, and while Slicer"
    " computes or loads something, searching and fetching stand still. The log file says why."
)


def make_session(database: Path, config: Path | None = None) -> Session:
    """Return a session, not yet started, on Slicer's database folder; Slicer keeps the rows of its database.

    The engine ends with Slicer, however that ends. If it cannot be run as a process of its own, it runs in threads of
    this one, and the user is told.

    :param config: None for the user's own.
    """
    config = config or configuration_file()
    log = log_file()
    trim(log)
    log.touch()
    told: list[str] = []

    def make_client() -> EngineClient:
        process = QProcessTransport(_command(database, config), log, clean_environment(os.environ))
        return EngineClient(TransportWithFallback(process, make_threads, tell_once))

    def make_threads() -> InProcessTransport:
        errands = Errands()

        def make(opening: Callable[[int, int], None]) -> HostedEngine:
            from .rows import make_engine  # noqa: PLC0415 - all of the engine, which is needed here in this case only

            return make_engine(database, config, errands, opening)

        def is_busy() -> bool:
            return session.jobs.any_open or session.calls.any_open

        return InProcessTransport(make, errands, is_busy, log, database=str(database))

    def tell_once() -> None:
        if not told:
            told.append(IN_PROCESS)
            session.say(IN_PROCESS, Tone.WARNING, "in-process")

    session = Session(make_client, CatalogueReader(database))
    return session


def show_log() -> None:
    """Open the engine's log file in whatever the user reads text files with, or else the folder it lies in."""
    log = log_file()
    if not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(log))):
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(log.parent)))


def _command(database: Path, config: Path) -> list[str]:
    # On Windows, which() also finds what is only in the current folder; the launcher is on the path that Slicer set.
    return engine_command(shutil.which(PYTHON) or PYTHON, database, config, rows_by_host=True)
