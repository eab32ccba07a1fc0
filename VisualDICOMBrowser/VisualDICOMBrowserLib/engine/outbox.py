"""The engine's way out: a bounded queue, and the only thread that writes to the pipe.

A window that is frozen does not read, and then the pipe is full: only the writer thread feels it. Replies are
kept in order and never dropped (their number is bounded by that of open requests). Events are coalesced: of a
subject and name only the newest counts, and a subject is heard at most ten times a second, the
first time at once. Events that do not fit into memory are dropped, oldest first, and then one event says how many.
There is no order between replies and events.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from ..jobs.clock import Clock, SystemClock
from .messages import Event, Message, encode

INTERVAL_S = 0.1
MAX_EVENT_BYTES = 8 * 1024 * 1024

#: Subject and name of the event that counts dropped ones: the client reads anew what it shows.
LOST_SUBJECT, LOST_NAME = "engine", "events-lost"

# What a queued event costs beside its text: dictionary entries, keys, objects.
_OVERHEAD = 500


class Outbox:
    """See the module.

    :param write: writes all bytes it is given, and may block; what it raises means that the pipe is broken.
    :param on_broken: called once, on the writer thread, when ``write`` has failed.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        on_broken: Callable[[Exception], None],
        *,
        clock: Clock | None = None,
        interval_s: float = INTERVAL_S,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._write = write
        self._on_broken = on_broken
        self._clock = clock or SystemClock()
        self._interval_s = interval_s
        self._max_event_bytes = max_event_bytes
        self._changed = threading.Condition()
        self._replies: deque[bytes] = deque()
        # A subject stays in both of these while it has events or was heard less than an interval ago.
        self._subjects: OrderedDict[str, OrderedDict[str, bytes]] = OrderedDict()
        self._due: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._event_bytes = 0
        self._lost = 0
        self._last: bytes | None = None
        self._hurry = 0
        self._writing = False
        self._closed = False
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="engine-outbox", daemon=True)
        self._thread.start()

    @property
    def replies_waiting(self) -> int:
        """How many replies are not yet written."""
        return len(self._replies)

    @property
    def event_bytes(self) -> int:
        """How much memory the waiting events take, about."""
        return self._event_bytes

    def reply(self, message: Message) -> None:
        """Queue a message that is never dropped. Does not block.

        :raises MessageError: it cannot be written as a line.
        """
        line = encode(message)
        with self._changed:
            if not self._closed and not self._broken:
                self._replies.append(line)
                self._changed.notify_all()

    def post(self, event: Event) -> None:
        """Queue an event. Does not block.

        :raises MessageError: it cannot be written as a line.
        """
        line = encode(event)
        with self._changed:
            if self._closed or self._broken:
                return
            self._put(event, line)
            while self._event_bytes > self._max_event_bytes:
                self._drop_oldest()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Have everything written without regard to rates; False if that takes longer than ``timeout`` seconds."""
        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(self._is_empty, timeout) and not self._broken
            finally:
                self._hurry -= 1

    def close(self, timeout: float, last: Message | None = None) -> bool:
        """Take no more, write what is there and then ``last``, end the thread.

        :returns: False if that takes longer than ``timeout`` seconds, or the pipe broke.
        """
        last_line = None if last is None else encode(last)
        with self._changed:
            self._closed = True
            self._last = last_line
            self._hurry += 1
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive() and not self._broken

    def _is_empty(self) -> bool:
        return self._broken or not (self._replies or self._event_bytes or self._lost or self._writing)

    def _put(self, event: Event, line: bytes) -> None:
        names = self._subjects.get(event.subject)
        if names is None:
            names = self._subjects[event.subject] = OrderedDict()
            heapq.heappush(self._due, (self._clock.monotonic(), next(self._numbers), event.subject))
        before = names.pop(event.name, None)
        names[event.name] = line  # behind what came before it: a job's progress must not overtake its end
        self._event_bytes += len(line) - len(before) if before is not None else len(line) + _OVERHEAD

    def _drop_oldest(self) -> None:
        names = next(names for names in self._subjects.values() if names)
        self._take(names)
        self._lost += 1

    def _take(self, names: OrderedDict[str, bytes]) -> bytes:
        line = names.popitem(last=False)[1]
        self._event_bytes -= len(line) + _OVERHEAD
        return line

    def _run(self) -> None:
        line = self._next()
        while line is not None:
            try:
                self._write(line)
            except (OSError, ValueError) as error:
                self._give_up()
                self._on_broken(error)
                return
            line = self._next()

    def _give_up(self) -> None:
        with self._changed:
            self._broken = True
            self._replies.clear()
            self._subjects.clear()
            self._due.clear()
            self._event_bytes = self._lost = 0
            self._changed.notify_all()

    def _next(self) -> bytes | None:
        with self._changed:
            self._writing = False
            while True:
                line = self._replies.popleft() if self._replies else self._next_event()
                if line is not None:
                    self._writing = True
                    return line
                if self._closed:
                    line, self._last = self._last, None
                    return line
                self._changed.notify_all()
                self._clock.wait(self._changed, self._due[0][0] if self._due else None)

    def _next_event(self) -> bytes | None:
        if self._lost:
            lost, self._lost = self._lost, 0
            return encode(Event(LOST_SUBJECT, LOST_NAME, {"count": lost}))
        now = self._clock.monotonic()
        while self._due and (self._hurry or self._due[0][0] <= now):
            _, _, subject = heapq.heappop(self._due)
            names = self._subjects[subject]
            if names:
                heapq.heappush(self._due, (now + self._interval_s, next(self._numbers), subject))
                return self._take(names)
            del self._subjects[subject]
        return None
