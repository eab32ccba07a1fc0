"""What happened on the network for one piece of work: lines that :func:`note` adds to the log of whoever is at work.

Whoever starts the work says which log that is (:func:`writing_to`); helper threads take it over by :func:`carrying`.
Without one, notes go nowhere. Lines hold UIDs, names of servers and names of elements, and never patient data.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar

#: The newest lines are kept, and none that is longer.
MAX_LINES = 500
MAX_LENGTH = 400
#: Seconds between two lines about how far something is.
_PACE_S = 5.0

_Returned = TypeVar("_Returned")


class ProtocolLog:
    """The newest lines, and how many older ones were dropped. Safe to use from several threads.

    :param now: returns seconds since the Unix epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._lines: deque[tuple[float, str]] = deque(maxlen=MAX_LINES)
        self._dropped = 0
        self._next_progress = 0.0

    def note(self, text: str) -> None:
        """Append a line; what could be taken for several lines becomes one."""
        line = " ".join(text.split())
        with self._lock:
            self._dropped += len(self._lines) == MAX_LINES
            self._lines.append((self._now(), line if len(line) <= MAX_LENGTH else f"{line[: MAX_LENGTH - 1]}…"))

    def note_progress(self, text: str) -> None:
        """Append a line about how far something is, unless there was one in the last seconds."""
        with self._lock:
            due = self._now() >= self._next_progress
            if due:
                self._next_progress = self._now() + _PACE_S
        if due:
            self.note(text)

    @property
    def length(self) -> int:
        """How many lines there were so far, those included that were dropped."""
        with self._lock:
            return self._dropped + len(self._lines)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"lines": [{"at", "text"}], "dropped"}``, the oldest line first; times are seconds since 1970."""
        with self._lock:
            return {"lines": [{"at": at, "text": text} for at, text in self._lines], "dropped": self._dropped}

    def restore(self, values: object) -> None:
        """Take over what :meth:`to_dict` wrote, for this log to follow; what cannot be read is left out."""
        lines = values.get("lines") if isinstance(values, Mapping) else None
        read = [line for item in lines if (line := _read(item))] if isinstance(lines, list) else []
        dropped = values.get("dropped") if isinstance(values, Mapping) else 0
        with self._lock:
            self._dropped = (dropped if isinstance(dropped, int) else 0) + max(0, len(read) - MAX_LINES)
            self._lines.extend(read)


def _read(item: object) -> tuple[float, str] | None:
    if not isinstance(item, Mapping):
        return None
    at, text = item.get("at"), item.get("text")
    return (float(at), text[:MAX_LENGTH]) if isinstance(at, (int, float)) and isinstance(text, str) else None


_current: ContextVar[ProtocolLog | None] = ContextVar("protocol_log", default=None)


def current_log() -> ProtocolLog | None:
    """Return the log of the work that this thread is at, for somebody else to write to."""
    return _current.get()


def note(text: str) -> None:
    """Append a line to the log of the work that this thread is at, if there is one."""
    log = _current.get()
    if log is not None:
        log.note(text)


def note_progress(text: str) -> None:
    """Append a line as :func:`note` does, now and then: see :meth:`ProtocolLog.note_progress`."""
    log = _current.get()
    if log is not None:
        log.note_progress(text)


@contextmanager
def writing_to(log: ProtocolLog | None) -> Iterator[None]:
    """Have notes of this thread go to a log for the length of a ``with`` block."""
    before = _current.set(log)
    try:
        yield
    finally:
        _current.reset(before)


def carrying(work: Callable[..., _Returned]) -> Callable[..., _Returned]:
    """Return the same work, which on whatever thread it runs writes to the log of the thread that asked for it."""
    return partial(copy_context().run, work)
