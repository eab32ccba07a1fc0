"""An engine at the service of one client: requests come in as lines, answers and events go out as lines.

How lines cross is the business of others: :mod:`.host` for a process of its own, or threads of the client's process.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from .. import __version__
from ..domain.errors import Cancelled, VisualDicomError
from ..jobs.attempt import where
from .calls import MAX_OPEN, Calls
from .messages import OPENING, ErrorDetail, Event, Goodbye, Hello, MessageError, Request, decode
from .methods import Method
from .outbox import Outbox

_log = logging.getLogger(__name__)

_LAST_WORDS_S = 0.5


class HostedEngine(Protocol):
    """What serving needs of an engine; the rest is in the table of methods."""

    def subscribe(self, callback: Callable[[str, str, Any], None]) -> Callable[[], None]:
        """Have ``callback(name, subject, data)`` called with each event; return what ends that."""

    def close(self) -> None:
        """Cancel, persist, release."""


#: Makes an engine; gets what to call with how many studies of how many were read, if it reads for long.
MakeEngine = Callable[[Callable[[int, int], None]], HostedEngine]


@dataclass(frozen=True)
class _Stop:
    reason: str
    code: int = 0


class EngineService:
    """Serves one engine; see the module.

    :param write: writes a line, on a thread of its own, and may block; what it raises means that the client is gone.
    :param on_stop: called, from any thread, each time the end is asked for.
    """

    def __init__(self, write: Callable[[bytes], object], on_stop: Callable[[], object] = lambda: None) -> None:
        self._on_stop = on_stop
        self._inbox: SimpleQueue[Request | _Stop] = SimpleQueue()
        self._outbox = Outbox(write, lambda _: self.stop("The client does not listen any more."))
        self._calls: Calls | None = None
        self._stopped: _Stop | None = None

    @property
    def is_asked(self) -> bool:
        """Whether there are requests that the client has no answer to."""
        calls = self._calls
        return not self._inbox.empty() or self._outbox.replies_waiting > 0 or (calls is not None and calls.count > 0)

    def run(self, make_engine: MakeEngine, database: str, methods: Mapping[str, Method]) -> int:
        """Serve until :meth:`stop`, and return an exit code. The engine is made, and closed, on this thread.

        :param make_engine: gets what it may call while that takes long; it raises :class:`.Cancelled` after
            :meth:`stop`.
        :param database: told to the client.
        """
        try:
            engine = make_engine(self._tell_opening)
        except Exception as error:
            if isinstance(error, Cancelled) and self._stopped is not None:
                self._outbox.close(_LAST_WORDS_S, Goodbye(self._stopped.reason))
                return self._stopped.code
            self._say_why_not(error)
            return 1
        self._outbox.reply(Hello(os.getpid(), __version__, database))
        unsubscribe = engine.subscribe(self._forward)  # after the greeting, which no event may overtake
        self._calls = calls = Calls(engine, methods, self._outbox.reply)
        stop = self._serve(calls)
        unsubscribe()
        return self._end(engine, calls, stop)

    def receive(self, line: bytes) -> None:
        """Take a request. Called from any thread.

        :raises MessageError: it is none.
        """
        message = decode(line)
        if not isinstance(message, Request):
            raise MessageError("The client sent something that is no request.")
        self._inbox.put(message)

    def stop(self, reason: str, code: int = 0) -> None:
        """Begin the end. Called from any thread, and more than once."""
        self._on_stop()
        stop = _Stop(reason, code)
        self._stopped = self._stopped or stop
        self._inbox.put(stop)

    def _tell_opening(self, done: int, total: int) -> None:
        if self._stopped is not None:
            raise Cancelled(self._stopped.reason)
        self._forward(OPENING, "engine", {"done": done, "total": total})

    def _say_why_not(self, error: Exception) -> None:
        if not isinstance(error, VisualDicomError):
            _log.error("The engine could not start: %s", where(error))
        detail = ErrorDetail.of(error)
        self._outbox.close(_LAST_WORDS_S, Goodbye(detail.message, detail))

    def _serve(self, calls: Calls) -> _Stop:
        while True:
            item = self._inbox.get()
            if isinstance(item, _Stop):
                return item
            try:
                calls.start(item)
            except MessageError as error:
                self.stop(str(error), code=1)
            if self._outbox.replies_waiting > MAX_OPEN:
                self.stop("The client asks without listening to the answers.", code=1)

    def _end(self, engine: HostedEngine, calls: Calls, stop: _Stop) -> int:
        code = stop.code
        calls.cancel_all()
        try:
            engine.close()
        except Exception as error:
            _log.error("The engine could not be closed properly: %s", where(error))
            code = 1
        self._outbox.close(_LAST_WORDS_S, Goodbye(stop.reason))
        return code

    def _forward(self, name: str, subject: str, data: Any) -> None:
        try:
            self._outbox.post(Event(subject, name, data))
        except MessageError as error:
            _log.error("An event could not be sent: %s", where(error))
