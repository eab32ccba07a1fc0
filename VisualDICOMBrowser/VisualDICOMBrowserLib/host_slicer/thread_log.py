"""Where the engine's log messages go while it runs on threads of Slicer's process.

The handler that Slicer puts on the root logger makes Qt objects on whatever thread logs. So what the engine and the
libraries it uses log on other threads than the main one is kept from it, and goes to the engine's log file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

_LIBRARIES = frozenset({(__package__ or "").partition(".")[0], "pydicom", "pynetdicom", "PIL"})


def divert(log: Path) -> Callable[[], None]:
    """Begin, and return what ends it. Both on the main thread."""
    root = logging.getLogger()
    others = list(root.handlers)
    for handler in others:
        handler.addFilter(_is_not_the_engines)
    ours = logging.FileHandler(log, encoding="utf-8", delay=True)
    ours.setLevel(logging.WARNING)
    ours.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours.addFilter(_is_the_engines)
    root.addHandler(ours)

    def end() -> None:
        root.removeHandler(ours)
        ours.close()
        for handler in others:
            handler.removeFilter(_is_not_the_engines)

    return end


def _is_the_engines(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _LIBRARIES and record.thread != threading.main_thread().ident


def _is_not_the_engines(record: logging.LogRecord) -> bool:
    return not _is_the_engines(record)
