"""Things to do at a time: one thread, made when the first of them is asked for."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from .clock import Clock


class Timers:
    """Calls back at given times, one after the other, on a daemon thread. Callbacks do not raise."""

    def __init__(self, clock: Clock, name: str) -> None:
        self._clock = clock
        self._name = name
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        """Have ``callback`` called at ``when`` on the clock's monotonic time; never after :meth:`close`."""
        with self._changed:
            if self._closed:
                return
            heapq.heappush(self._due, (when, next(self._numbers), callback))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Forget what is due and let the thread end; does not wait for a callback that runs."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify()

    def join(self, timeout: float) -> bool:
        """After :meth:`close`, wait for the thread for so many seconds; tell whether it is gone."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        callback = self._next()
        while callback is not None:
            callback()
            callback = self._next()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                when = self._due[0][0] if self._due else None
                if when is not None and when <= self._clock.monotonic():
                    return heapq.heappop(self._due)[2]
                self._clock.wait(self._changed, when)
            return None
