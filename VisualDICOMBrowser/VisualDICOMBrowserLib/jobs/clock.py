"""Time as the scheduler sees it: the system's, or a simulated one that only moves when told to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits for it."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    def wall(self) -> float:
        """Return seconds since the Unix epoch."""

    def wait(self, condition: threading.Condition, deadline: float | None) -> None:
        """Wait on ``condition``, which the caller holds, until notified or until ``deadline`` (monotonic).

        Like any condition it may return early; callers look again at what they wait for.
        """


class SystemClock:
    """The clock of this computer."""

    def monotonic(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()

    def wall(self) -> float:
        """Return ``time.time()``."""
        return time.time()

    def wait(self, condition: threading.Condition, deadline: float | None) -> None:
        """Wait as :class:`Clock` says."""
        condition.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))


class SimulatedClock:
    """A clock that stands still until :meth:`advance`, and then wakes whom it concerns."""

    def __init__(self, start: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._now = start
        self._waiting: Counter[threading.Condition] = Counter()

    def monotonic(self) -> float:
        """Return the simulated time."""
        with self._lock:
            return self._now

    def wall(self) -> float:
        """Return the simulated time; its epoch is its own."""
        return self.monotonic()

    def wait(self, condition: threading.Condition, deadline: float | None) -> None:
        """Wait as :class:`Clock` says; only :meth:`advance` lets a deadline pass."""
        with self._lock:
            if deadline is not None and self._now >= deadline:
                return
            self._waiting[condition] += 1
        try:
            condition.wait()
        finally:
            with self._lock:
                self._waiting[condition] -= 1
                self._waiting += Counter()  # drops those that nobody waits on

    def advance(self, seconds: float) -> None:
        """Move the time on. The caller holds none of the conditions that are waited on."""
        with self._lock:
            self._now += seconds
            waiting = list(self._waiting)
        for condition in waiting:
            with condition:
                condition.notify_all()
