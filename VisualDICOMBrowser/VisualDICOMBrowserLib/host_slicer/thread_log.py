"""Where the engine's log messages go while it runs on threads of Slicer's process.

The handler that Slicer puts on the root logger makes Qt objects on whatever thread logs, and so does its standard
error, where warnings go. What the engine logs on other threads than the main one goes to the engine's log file instead.
What the libraries it uses say there goes nowhere: they quote values of patients.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

_OURS = (__package__ or "").partition(".")[0]
_LIBRARIES = frozenset({"pydicom", "pynetdicom", "PIL"})


def divert(log: Path) -> Callable[[], None]:
    """Begin, and return what ends it. Both on the main thread."""
    root = logging.getLogger()
    others = list(root.handlers)
    for handler in others:
        handler.addFilter(_is_for_slicer)
    ours = logging.FileHandler(log, encoding="utf-8", delay=True)
    ours.setLevel(logging.WARNING)
    ours.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours.addFilter(_is_for_the_log)
    root.addHandler(ours)
    show = warnings.showwarning
    warnings.showwarning = _on_the_main_thread(show)

    def end() -> None:
        warnings.showwarning = show
        root.removeHandler(ours)
        ours.close()
        for handler in others:
            handler.removeFilter(_is_for_slicer)

    return end


def _is_for_the_log(record: logging.LogRecord) -> bool:
    return _is_elsewhere(record) and record.name.partition(".")[0] == _OURS


def _is_for_slicer(record: logging.LogRecord) -> bool:
    return not (_is_elsewhere(record) and record.name.partition(".")[0] in {_OURS, *_LIBRARIES})


def _is_elsewhere(record: logging.LogRecord) -> bool:
    return record.thread != threading.main_thread().ident


def _on_the_main_thread(show: Callable[..., None]) -> Callable[..., None]:
    def show_there(  # the signature of warnings.showwarning
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            show(message, category, filename, lineno, file, line)

    return show_there
