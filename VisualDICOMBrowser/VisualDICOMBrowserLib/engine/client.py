"""The other end of the engine process: starts it, calls it, hears its events, and sees to its end."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any

from ..domain.errors import LocalError, VisualDicomError
from ..jobs.attempt import where
from .calls import CANCEL
from .child import SubprocessTransport, Transport
from .messages import OPENING, Event, Goodbye, Hello, Message, MessageError, Request, Response, decode, encode

_log = logging.getLogger(__name__)

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 5.0


class EngineCall(futures.Future[Any]):
    """The answer that is to come; fails with an error of :mod:`..domain.errors`.

    ``cancel()`` of a plain future does nothing to a call under way; :meth:`stop` asks the engine.
    """

    def __init__(self, request_id: int, stop: Callable[[int], None]) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.request_id = request_id
        self._stop = stop

    def stop(self) -> None:
        """Ask the engine to cancel the request; the call then fails with :class:`.Cancelled`, or is just done."""
        if not self.done():
            self._stop(self.request_id)


class EngineClient:
    """A client of one engine process.

    As a context manager it starts the engine and waits for it. Callbacks run where the transport reads: for
    :class:`.SubprocessTransport` on a thread of its own, for one over an event loop on that loop's thread. That
    thread must not wait (:meth:`wait_ready`, :meth:`call`), but use the futures; a reading thread must not close.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._calls: dict[int, EngineCall] = {}
        self._listeners: list[Callable[[Event], None]] = []
        self._on_end: Callable[[LocalError], None] = lambda _: None
        self._ready: futures.Future[Hello] = futures.Future()
        self._failure: LocalError | None = None
        self._goodbye: Goodbye | None = None
        self._closing = False
        self._settled = False
        self._openings = 0

    def __enter__(self) -> EngineClient:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def hello(self) -> Hello | None:
        """What the engine said of itself, or None before it did."""
        return self._ready.result() if self._ready.done() and self._ready.exception() is None else None

    def start(self) -> futures.Future[Hello]:
        """Start the engine without waiting for it; the future fails if it does not come up.

        :raises LocalError: there is no such program.
        """
        try:
            self._transport.start(self._on_line, self._on_exit)
        except OSError as error:
            raise LocalError(f"The engine cannot be started: {error.strerror}.") from error
        return self._ready

    def wait_ready(self, timeout: float = START_TIMEOUT_S) -> Hello:
        """Wait for the engine, ``timeout`` seconds from the last time that it told how far opening is.

        :raises VisualDicomError: it said why it cannot start (for example :class:`.FolderInUse`).
        :raises LocalError: it did not come up, or speaks another protocol.
        """
        while True:
            heard = self._openings
            try:
                return self._ready.result(timeout)
            except futures.TimeoutError:
                if self._openings == heard:
                    raise LocalError(self._with_log(f"The engine did not start within {timeout:g} seconds.")) from None

    def call(self, method: str, params: Mapping[str, Any] | None = None, timeout: float | None = None) -> Any:
        """Call a method of the engine and return its result as JSON values.

        :raises VisualDicomError: what the method raised, or that the engine is gone.
        :raises LocalError: no answer within ``timeout`` seconds; the request was cancelled.
        """
        call = self.call_async(method, params)
        try:
            return call.result(timeout)
        except futures.TimeoutError:
            call.stop()
            raise LocalError(f"The engine did not answer within {timeout:g} seconds.", retryable=True) from None

    def call_async(self, method: str, params: Mapping[str, Any] | None = None) -> EngineCall:
        """Call a method without waiting. Whatever goes wrong comes out of the returned future."""
        call = EngineCall(next(self._ids), self._cancel)
        with self._lock:
            failure = self._failure
            if failure is None:
                self._calls[call.request_id] = call
        if failure is not None:
            call.set_exception(failure)
        else:
            self._send(Request(call.request_id, method, params or {}), call)
        return call

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have ``callback`` called with each event, and return a function that ends that."""
        with self._lock:
            self._listeners.append(callback)

        def forget() -> None:
            with self._lock:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return forget

    def on_end(self, callback: Callable[[LocalError], None]) -> None:
        """Have ``callback`` told why an engine that was up is gone, before open calls fail; not if it was closed."""
        self._on_end = callback

    def begin_close(self) -> None:
        """Tell the engine to end, without waiting for it; :meth:`close` must follow."""
        self._closing = True
        self._transport.close_input()

    def close(self) -> None:
        """End the engine: close its input, give it 5 s, kill it. Open calls fail."""
        self.begin_close()
        if not self._transport.wait(END_TIMEOUT_S):
            hello = self.hello
            self._transport.kill(None if hello is None else hello.pid)
            self._transport.wait(1.0)
        self._fail(LocalError("The engine was closed."))

    def _send(self, request: Request, call: EngineCall) -> None:
        error: LocalError
        try:
            self._transport.write_line(encode(request))
            return
        except MessageError as failure:
            error = failure
        except OSError:
            error = LocalError("The engine does not listen any more.")
        with self._lock:
            open_call = self._calls.pop(call.request_id, None)
        if open_call is not None:
            open_call.set_exception(error)

    def _cancel(self, request_id: int) -> None:
        self.call_async(CANCEL, {"id": request_id})

    def _on_line(self, line: bytes) -> None:
        try:
            self._receive(decode(line))
        except MessageError as error:
            self._fail(LocalError(self._with_log(f"The engine cannot be understood. {error}")))
            self._transport.kill(None if self.hello is None else self.hello.pid)

    def _receive(self, message: Message) -> None:
        if isinstance(message, Goodbye):
            self._goodbye = message
        elif isinstance(message, Hello) and not self._ready.done():
            self._settle_ready(message)
        elif isinstance(message, Response) and self._ready.done():
            self._finish(message)
        elif isinstance(message, Event) and (self._ready.done() or message.name == OPENING):
            self._openings += message.name == OPENING
            self._tell(message)
        else:
            raise MessageError(f"A {type(message).__name__} message came out of turn.")

    def _finish(self, response: Response) -> None:
        with self._lock:
            call = self._calls.pop(response.id, None)
        if call is None:
            return
        if response.error is not None:
            call.set_exception(response.error.to_error())
        else:
            call.set_result(response.result)

    def _tell(self, event: Event) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(event)
            except Exception as error:
                _log.error("A listener of engine events failed: %s", where(error))

    def _on_exit(self, code: int | None) -> None:
        if self._goodbye is not None and self._goodbye.error is not None:
            self._settle_ready(self._goodbye.error.to_error())
        if self._closing:
            self._fail(LocalError("The engine was closed."))
        elif self._goodbye is not None:
            self._fail(LocalError(f"The engine has ended. {self._goodbye.reason}"))
        else:
            if self.hello is not None:  # it may have been the launcher that was killed, and the engine holds the folder
                self._transport.kill(self.hello.pid)
            self._fail(LocalError(self._with_log(f"The engine stopped unexpectedly (exit code {code}).")))

    def _fail(self, error: LocalError) -> None:
        """Fail what is open and what will be asked; the first failure is the one that is told."""
        with self._lock:
            first, self._failure = self._failure is None, self._failure or error
            calls = list(self._calls.values())
            self._calls.clear()
        if first and self.hello is not None and not self._closing:
            self._on_end(error)
        self._settle_ready(error)
        for call in calls:
            call.set_exception(error)

    def _settle_ready(self, outcome: Hello | VisualDicomError) -> None:
        with self._lock:
            settled, self._settled = self._settled, True
        if settled:
            return
        if isinstance(outcome, Hello):
            self._ready.set_result(outcome)
        else:
            self._ready.set_exception(outcome)

    def _with_log(self, sentence: str) -> str:
        tail = self._transport.log_tail()
        return f"{sentence}\nIts last messages:\n{tail}" if tail else sentence


def engine_command(python: str, database: Path, config: Path | None = None, *, rows_by_host: bool = False) -> list[str]:
    """Return the command that starts an engine whose end is tied to this process; the rest as for :class:`.Engine`."""
    command = [python, "-m", __package__ or "", "--database", str(database), "--parent-pid", str(os.getpid())]
    if rows_by_host:
        command.append("--rows-by-host")
    return command if config is None else [*command, "--config", str(config)]


def engine_environment() -> dict[str, str]:
    """Return this process's environment, in which the engine's Python finds this package."""
    folder = str(Path(__file__).resolve().parents[2])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([folder, before] if before else [folder])}


def launch(database: Path, log: Path, config: Path | None = None, python: str = sys.executable) -> EngineClient:
    """Return a client, not yet started, of an engine in a child process that logs to ``log``."""
    return EngineClient(SubprocessTransport(engine_command(python, database, config), log, engine_environment()))
