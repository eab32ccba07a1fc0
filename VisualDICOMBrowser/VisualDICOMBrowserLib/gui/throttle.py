"""Doing things less often than one is asked to, on the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class Throttle:
    """Calls ``act`` at once, then at most once in ``interval_ms``, with the values of the last call.

    For what must follow fast changes and cost little: a progress bar, a list that fills.
    """

    def __init__(self, interval_ms: int, act: Callable[..., object]) -> None:
        self._act = act
        self._waiting: tuple[Any, ...] | None = None
        self._timer = _single_shot(interval_ms, self._on_timeout)

    def __call__(self, *values: Any) -> None:
        """Act now, or as soon as it may be."""
        self._waiting = values
        if not self._timer.isActive():
            self._on_timeout()

    def cancel(self) -> None:
        """Forget what waits; the next call acts at once."""
        self._waiting = None
        self._timer.stop()

    def _on_timeout(self) -> None:
        values, self._waiting = self._waiting, None
        if values is not None:
            self._timer.start()
            self._act(*values)


class Debounce:
    """Calls ``act`` once nobody has asked for ``quiet_ms``, with the values of the last call.

    For what is only worth doing when the user pauses: searching while typing, saving.
    """

    def __init__(self, quiet_ms: int, act: Callable[..., object]) -> None:
        self._act = act
        self._waiting: tuple[Any, ...] | None = None
        self._timer = _single_shot(quiet_ms, self.flush)

    def __call__(self, *values: Any) -> None:
        """Wait anew."""
        self._waiting = values
        self._timer.start()

    def flush(self) -> None:
        """Act now if something waits (the user pressed Return)."""
        values = self._waiting
        self.cancel()
        if values is not None:
            self._act(*values)

    def cancel(self) -> None:
        """Forget what waits."""
        self._waiting = None
        self._timer.stop()


def _single_shot(interval_ms: int, on_timeout: Callable[[], None]) -> qt.QTimer:
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    timer.timeout.connect(on_timeout)
    return timer
