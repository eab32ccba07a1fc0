"""Delivery in order, one at a time, outside everybody's locks, without a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Mailbox:
    """Posted under a lock of the caller, which fixes the order; delivered by whoever drains first.

    A thread that drains while another one delivers leaves at once: that other thread takes what is left. So a
    callback may post and drain again without a deadlock and without getting ahead of anything.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._letters: deque[Callable[[], None]] = deque()
        self._deliverer: int | None = None  # identifier of a thread

    def post(self, letter: Callable[[], None]) -> None:
        """Append something to call."""
        with self._lock:
            self._letters.append(letter)

    def drain(self) -> None:
        """Call what was posted. The caller holds no lock. What a callback raises is logged, without its text."""
        letter = self._take()
        while letter is not None:
            try:
                letter()
            except Exception as error:
                _log.error("A listener of job events failed: %s", type(error).__name__)
            finally:
                with self._lock:
                    self._deliverer = None
                    self._changed.notify_all()
            letter = self._take()

    def settle(self, timeout: float) -> bool:
        """Wait for so many seconds until all that was posted is delivered, by whichever thread; tell whether it is.

        A callback need not wait, and cannot, for what comes after it.
        """
        self.drain()
        with self._lock:
            if self._deliverer == threading.get_ident():
                return True
            return self._changed.wait_for(lambda: self._deliverer is None and not self._letters, timeout)

    def _take(self) -> Callable[[], None] | None:
        with self._lock:
            if self._deliverer is not None or not self._letters:
                return None
            self._deliverer = threading.get_ident()
            return self._letters.popleft()
