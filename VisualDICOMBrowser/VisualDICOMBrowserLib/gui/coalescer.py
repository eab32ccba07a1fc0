"""Many calls become few: the first at once, the others together after a while."""

from __future__ import annotations

from collections.abc import Callable

import qt


class Coalescer:
    """Runs ``act`` at most once in ``interval_ms``, and always once after the last :meth:`request`.

    :param parent: the Qt object whose end also ends the waiting.
    """

    def __init__(self, parent: qt.QObject, interval_ms: int, act: Callable[[], object]) -> None:
        self._act = act
        self._again = False
        self._timer = qt.QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._on_timeout)

    def request(self) -> None:
        """Have ``act`` run, now or when the interval is over."""
        if self._timer.isActive():
            self._again = True
            return
        self._timer.start()
        self._act()

    def delay(self) -> None:
        """Have ``act`` run when nobody has called this for an interval: for what a user types."""
        self._again = True
        self._timer.start()

    def stop(self) -> None:
        """Forget what was requested."""
        self._again = False
        self._timer.stop()

    def _on_timeout(self) -> None:
        if self._again:
            self._again = False
            self._timer.start()
            self._act()
