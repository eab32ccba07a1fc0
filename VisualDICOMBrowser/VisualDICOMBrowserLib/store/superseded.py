"""Files of ours whose instances another program took in from other files: they are compared before anything is dropped.

That may take long, and is done on a thread of its own. Ours goes if it has the same content. If not, what the other
program took in is kept, as what is here first always is; ours stays where it is, with its open intent, until somebody
has been told of the conflict.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..domain.errors import Cancelled, StorageError
from ..domain.results import Conflict
from .duplicates import NotHere

#: Compares the file of an instance that the rows name with ours: (SOP Instance UID, theirs, ours), as stored.
#:
#: Returns None if the content is the same. Raises :class:`.NotHere` if theirs cannot be read as this instance,
#: :class:`.StorageError` if a file cannot be read now, :class:`.Cancelled` if nothing is compared any more.
Judge = Callable[[str, str, str], Conflict | None]


@dataclass(frozen=True)
class Pair:
    """Two files of an instance, as stored."""

    sop_uid: str
    theirs: str
    ours: str


class Superseded:
    """See the module. Safe to use from several threads.

    :param on_judged: called on the thread with each pair, and with the conflict, or None if the content is the same.
    :param on_unjudged: called on it with a pair that could not be compared now.
    :ivar judge: compares; nothing is taken for the same without it.
    """

    def __init__(self, on_judged: Callable[[Pair, Conflict | None], None], on_unjudged: Callable[[Pair], None]) -> None:
        self._on_judged = on_judged
        self._on_unjudged = on_unjudged
        self.judge: Judge = _no_judge
        self._lock = threading.Lock()
        self._waiting: deque[Pair] = deque()
        self._running = False

    def take(self, pairs: list[Pair]) -> None:
        """Compare files soon."""
        with self._lock:
            self._waiting.extend(pairs)
            start = bool(self._waiting) and not self._running
            self._running = self._running or start
        if start:
            threading.Thread(target=self._run, name="vdb-superseded", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                pair = self._waiting.popleft()
            try:
                conflict = self.judge(pair.sop_uid, pair.theirs, pair.ours)
            except Cancelled:  # the program closes; the next start hands our file over again
                with self._lock:
                    self._running = False
                return
            except (NotHere, StorageError):
                self._on_unjudged(pair)
            else:
                self._on_judged(pair, conflict)


def _no_judge(sop_uid: str, theirs: str, ours: str) -> Conflict | None:
    del sop_uid, theirs, ours
    raise NotHere
