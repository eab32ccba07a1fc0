"""Many calls become one, a little later."""

from __future__ import annotations

from collections.abc import Callable

import qt


class Later:
    """Calls ``act`` once, ``delay_ms`` after the first of any number of calls.

    :param parent: the object whose end is also that of the timer.
    """

    def __init__(self, parent: qt.QObject, delay_ms: int, act: Callable[[], object]) -> None:
        self._act = act
        self._delay_ms = delay_ms
        self._timer = qt.QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.now)

    def __call__(self, *_: object) -> None:
        """Have it done soon. Takes and ignores the values of any signal."""
        if not self._timer.isActive():
            self._timer.start(self._delay_ms)

    def now(self) -> None:
        """Do it at once, whether it was waiting or not."""
        self._timer.stop()
        self._act()

    def stop(self) -> None:
        """Do not do it."""
        self._timer.stop()
