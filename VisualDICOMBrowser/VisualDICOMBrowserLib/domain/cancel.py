"""How a running piece of work learns that nobody wants it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from .errors import Cancelled


class CancelToken:
    """A flag that is raised once, from any thread, and can call back those who block elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Raise the flag and run the callbacks, on the calling thread; later calls do nothing.

        All of them run, even if one fails; its error is raised in the end.
        """
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks = list(self._callbacks)
        with ExitStack() as stack:
            for callback in reversed(callbacks):
                stack.callback(callback)

    def check(self) -> None:
        """Return quietly, or raise.

        :raises Cancelled: the flag is up.
        """
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> bool:
        """Sleep for ``seconds`` or until cancelled; tell whether cancelled."""
        return self._event.wait(seconds)

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Have ``callback`` run on cancellation while the block is active (at once if already cancelled).

        If both come at once, it may still be running when the block has ended.
        """
        with self._lock:
            already = self._event.is_set()
            if not already:
                self._callbacks.append(callback)
        if already:
            callback()
        try:
            yield
        finally:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)
