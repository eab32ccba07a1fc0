"""Doing things less often than one is asked to, on the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class Throttle:
    """Calls ``act`` at once, then at most once in ``interval_ms``, with the values of the last call.

    For what must follow fast changes and cost little: a progress bar, a list that fills.

    :param parent: the object whose end is also that of the waiting.
    :param at_once: False if the first call waits for an interval too: for what rarely comes alone.
    """

    def __init__(
        self, interval_ms: int, act: Callable[..., object], parent: Any = None, *, at_once: bool = True
    ) -> None:
        self._act = act
        self._at_once = at_once
        self._waiting: tuple[Any, ...] | None = None
        self._timer = _single_shot(interval_ms, self._on_timeout, parent)

    def __call__(self, *values: Any) -> None:
        """Act now, or as soon as it may be."""
        self._waiting = values
        if self._timer.isActive():
            return
        if self._at_once:
            self._on_timeout()
        else:
            self._timer.start()

    def cancel(self) -> None:
        """Forget what waits; the next call acts at once."""
        self._waiting = None
        self._timer.stop()

    def _on_timeout(self) -> None:
        values, self._waiting = self._waiting, None
        if values is None:
            return
        if self._at_once:
            self._timer.start()
        self._act(*values)


class Debounce:
    """Calls ``act`` once nobody has asked for ``quiet_ms``, with the values of the last call.

    For what is only worth doing when the user pauses: searching while typing, asking about what is chosen.

    :param parent: the object whose end is also that of the waiting.
    """

    def __init__(self, quiet_ms: int, act: Callable[..., object], parent: Any = None) -> None:
        self._act = act
        self._waiting: tuple[Any, ...] | None = None
        self._timer = _single_shot(quiet_ms, self.flush, parent)

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


def _single_shot(interval_ms: int, on_timeout: Callable[[], None], parent: Any) -> qt.QTimer:
    timer = qt.QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    timer.timeout.connect(on_timeout)
    return timer
