"""The desktop program's log file. What it holds of an error is its class and line: texts may quote patient data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from PySide6 import QtCore

from ..domain.errors import LocalError
from ..engine.log_file import MAX_BYTES
from ..jobs.attempt import where

_log = logging.getLogger(__name__)

_LEVELS = {
    QtCore.QtMsgType.QtDebugMsg: logging.DEBUG,
    QtCore.QtMsgType.QtInfoMsg: logging.INFO,
    QtCore.QtMsgType.QtWarningMsg: logging.WARNING,
    QtCore.QtMsgType.QtCriticalMsg: logging.ERROR,
}


class _Formatter(logging.Formatter):
    """Writes where an exception was raised, and not what it says."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        error = ei[1] if isinstance(ei, tuple) else None
        return where(error) if isinstance(error, BaseException) else ""


def start_log(folder: Path) -> logging.Handler:
    """Log to ``window.log`` in a folder, which is made; two older files of 1 MB are kept.

    :returns: what to hand to :func:`stop_log`.
    :raises LocalError: it cannot be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / "window.log", maxBytes=MAX_BYTES, backupCount=2, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"The log file cannot be written to {folder}: {error.strerror}.") from error
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    return handler


def stop_log(handler: logging.Handler) -> None:
    """End what :func:`start_log` began."""
    logging.getLogger().removeHandler(handler)
    handler.close()


def log_qt_message(kind: QtCore.QtMsgType, _context: object, text: str) -> None:
    """Log what Qt says."""
    logging.getLogger("qt").log(_LEVELS.get(kind, logging.ERROR), "%s", text)


ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def except_hook(tell: Callable[[], object]) -> ExceptHook:
    """Return a ``sys.excepthook``, which gets what a slot raised: it is logged, and ``tell`` tells the user."""

    def hook(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
        _log.error("A handler failed: %s", where(error))
        tell()

    return hook
