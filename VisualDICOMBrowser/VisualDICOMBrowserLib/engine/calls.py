"""Requests at work: each on a thread of its own, so that a long one does not hold up the others."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..domain.cancel import CancelToken
from ..domain.errors import UsageError, VisualDicomError
from ..jobs.attempt import where
from .messages import ErrorDetail, MessageError, Request, Response
from .methods import Method, number

_log = logging.getLogger(__name__)

#: How many requests run at once; more wait their turn.
MAX_RUNNING = 64

#: How many may be unanswered, waiting ones included, before the client counts as broken.
MAX_OPEN = 1000

#: The request that is answered here: cancel the request whose id is ``params["id"]``.
CANCEL = "cancel"


class Calls:
    """Runs requests against an engine and hands each answer to ``reply``."""

    def __init__(self, engine: Any, methods: Mapping[str, Method], reply: Callable[[Response], None]) -> None:
        self._engine = engine
        self._methods = methods
        self._reply = reply
        self._lock = threading.Lock()
        self._open: dict[int, CancelToken] = {}
        self._waiting: deque[Request] = deque()
        self._running = 0

    @property
    def count(self) -> int:
        """How many requests are under way or wait their turn."""
        return len(self._open)

    def start(self, request: Request) -> None:
        """Begin to work on a request. Does not block.

        :raises MessageError: its id belongs to an open request, or too many are open.
        """
        if request.method == CANCEL:
            self._answer(request.id, lambda: {"cancelled": self._cancel(request.params)})
            return
        with self._lock:
            if request.id in self._open or len(self._open) >= MAX_OPEN:
                raise MessageError("A request repeats the id of an open one, or too many are open.")
            self._open[request.id] = CancelToken()
            self._waiting.append(request)
            if self._running >= MAX_RUNNING:
                return
            self._running += 1
        threading.Thread(target=self._work, name=f"engine-call-{request.id}", daemon=True).start()

    def cancel_all(self) -> None:
        """Raise the tokens of all open requests."""
        with self._lock:
            tokens = list(self._open.values())
        for token in tokens:
            token.cancel()

    def _cancel(self, params: Mapping[str, Any]) -> bool:
        try:
            request_id = number(params["id"])
        except (KeyError, TypeError) as error:
            raise UsageError("To cancel takes the id of a request.") from error
        with self._lock:
            token = self._open.get(request_id)
        if token is not None:
            token.cancel()
        return token is not None

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                request = self._waiting.popleft()
                token = self._open[request.id]
            self._answer(request.id, partial(self._call, request, token))
            with self._lock:
                del self._open[request.id]

    def _call(self, request: Request, token: CancelToken) -> Any:
        token.check()
        method = self._methods.get(request.method)
        if method is None:
            raise UsageError("The engine has no such method.")
        return method.call(self._engine, request.params, token)

    def _answer(self, request_id: int, work: Callable[[], Any]) -> None:
        """Reply with what ``work`` returns or raises, or with the reason why that cannot be sent."""
        try:
            self._reply(Response(request_id, work()))
        except VisualDicomError as error:
            self._reply(Response(request_id, error=ErrorDetail.of(error)))
        except Exception as error:
            _log.error("A request failed: %s", where(error))
            self._reply(Response(request_id, error=ErrorDetail.of(error)))
