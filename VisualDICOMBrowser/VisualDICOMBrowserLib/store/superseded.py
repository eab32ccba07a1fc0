"""Files of ours whose instances another program took in from other files: they are compared before anything is dropped.

That may take long, and is done on a thread of its own. Ours goes if it has the same content. If not, what the other
program took in is kept, as what is here first always is; ours stays where it is, with its open intent, until somebody
has been told of the conflict.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..domain.errors import Cancelled, StorageError
from ..domain.results import Conflict
from .duplicates import NotHere

_log = logging.getLogger(__name__)

#: How long closing waits for a comparison, in seconds; one within this process cannot be ended.
_CLOSE_S = 2.0

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
        self._closed = False
        self._thread: threading.Thread | None = None

    def take(self, pairs: list[Pair]) -> None:
        """Compare files soon."""
        with self._lock:
            self._waiting.extend(pairs)
            if self._waiting and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="vdb-superseded", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Compare no more; the next start hands over again what was not compared."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_S)

    def _run(self) -> None:
        while (pair := self._next()) is not None:
            try:
                self._on_judged(pair, self.judge(pair.sop_uid, pair.theirs, pair.ours))
            except Cancelled:  # the program closes
                continue
            except (NotHere, StorageError):
                self._on_unjudged(pair)
            except Exception as error:
                # Neither the others nor whoever waits for this one is to wait for ever.
                _log.error("Comparing two files failed: %s", type(error).__name__)
                self._on_unjudged(pair)

    def _next(self) -> Pair | None:
        with self._lock:
            if self._closed or not self._waiting:
                self._thread = None
                return None
            return self._waiting.popleft()


def _no_judge(sop_uid: str, theirs: str, ours: str) -> Conflict | None:
    del sop_uid, theirs, ours
    raise NotHere
