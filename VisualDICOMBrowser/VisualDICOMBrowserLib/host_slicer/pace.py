"""How soon one batch may follow another: each start of the indexer costs time on the window's thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

#: Seconds between two starts, at least.
INTERVAL_S = 2.0
#: Of which the window's thread may be busy with starting for one part in so many.
SHARE = 20
# One start that the system happened to hold up says nothing about the next.
_REMEMBERED = 5


class Pace:
    """Keeps a distance between the starts of an indexer.

    An idle ``ctkDICOMIndexer`` that gets files reads the names of all images first, on the thread that calls it.

    :param clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        self._costs: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def start(self) -> Iterator[None]:
        """Account for a start, which happens within."""
        self._last = began = self._clock()
        try:
            yield
        finally:
            self._costs.append(self._clock() - began)

    def wait_s(self, *, urgent: bool) -> float:
        """Return how many seconds to wait before the next start, 0 if it may be now.

        :param urgent: somebody waits for these files and for nothing else.
        """
        if urgent or self._last is None:
            return 0.0
        interval = max(INTERVAL_S, SHARE * median(self._costs)) if self._costs else INTERVAL_S
        return max(0.0, self._last + interval - self._clock())
