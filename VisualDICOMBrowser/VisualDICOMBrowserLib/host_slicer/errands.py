"""What threads of this process want done on the main thread, where all of Slicer's objects live.

The main thread does it in slices, whenever it has time; it never waits for those who ask.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

from ..domain.errors import StorageError

T = TypeVar("T")

#: Work that pauses now and then by ``yield``, and returns its result.
Steps = Generator[None, None, T]


class Errands:
    """A queue of work for the thread that calls :meth:`run_for`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Steps[Any], Future[Any]]] = deque()
        self._running = False
        self._closed = False

    @property
    def are_waiting(self) -> bool:
        """Whether there is something to do."""
        return bool(self._waiting)

    def do(self, work: Callable[[], Steps[T]]) -> T:
        """Have work done on the main thread; wait for its result, or raise what it raises. Never on that thread.

        :raises StorageError: the main thread does nothing for others any more.
        """
        answer: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise _closed()
            self._waiting.append((work(), answer))
        return answer.result()

    def run_for(self, seconds: float) -> None:
        """Do what waits, for about so long. A dialog inside one step does not begin the next."""
        if self._running:
            return
        self._running = True
        deadline = time.monotonic() + seconds
        try:
            while self._waiting:
                self._step(*self._waiting[0])
                if time.monotonic() >= deadline:
                    return
        finally:
            self._running = False

    def close(self) -> None:
        """Do nothing more: whoever waits, or will ask, gets an error."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
        for _, answer in waiting:
            answer.set_exception(_closed())

    def _step(self, steps: Steps[Any], answer: Future[Any]) -> None:
        try:
            next(steps)
        except StopIteration as end:
            if self._take(answer):
                answer.set_result(end.value)
        except Exception as error:
            if self._take(answer):
                answer.set_exception(error)

    def _take(self, answer: Future[Any]) -> bool:
        """Take the first errand off the queue; False if it was answered by closing meanwhile."""
        with self._lock:
            if self._closed or self._waiting[0][1] is not answer:
                return False
            self._waiting.popleft()
            return True


def _closed() -> StorageError:
    return StorageError("Slicer's database is not asked any more: the browser is being closed.")
