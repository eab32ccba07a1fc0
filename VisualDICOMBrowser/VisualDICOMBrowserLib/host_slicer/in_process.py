"""The engine on threads of Slicer's own process, for where no child process can be started.

Slicer's main thread holds Python's lock (GIL) all the time it is in Qt's event loop, so that other threads stand still.
A timer gives them time: it comes every 10 ms, waits up to 5 ms in Python, which lets the lock go, and then does what
they have for the main thread. It comes seldom while there is nothing to do.
"""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import qt

from ..engine.log_file import tail_of
from ..engine.messages import MessageError
from ..engine.methods import METHODS, Method
from ..engine.service import EngineService, MakeEngine
from .errands import Errands
from .thread_log import divert

#: The timer's intervals with work under way and without, in milliseconds.
BUSY_MS, IDLE_MS = 10, 250
#: How long a tick lets other threads run, if they have nothing to say before.
_RELEASE_S = 0.005
#: How long it does errands, and how long it delivers lines.
_ERRANDS_S, _LINES_S = 0.005, 0.004
#: Lines that may wait for the main thread; who writes more waits for it.
_MAX_LINES = 1000
_LOOK_UP_S = 0.5


class InProcessTransport:
    """See the module, and :class:`~VisualDICOMBrowserLib.engine.child.Transport`. For the main thread only.

    :param make_engine: makes the engine, on a thread of its own.
    :param errands: what that engine wants done here.
    :param is_at_work: whether jobs or calls of others are under way: work of the engine that nobody here waits for.
    :param log: where the engine's log messages go.
    :param database: told to the client.
    """

    def __init__(
        self,
        make_engine: MakeEngine,
        errands: Errands,
        is_at_work: Callable[[], bool],
        log: Path,
        *,
        database: str = "",
        methods: Mapping[str, Method] = METHODS,
    ) -> None:
        self._make_engine = make_engine
        self._errands = errands
        self._is_at_work = is_at_work
        self._log = log
        self._database = database
        self._methods = methods
        self._from_engine: queue.Queue[bytes] = queue.Queue(_MAX_LINES)
        self._lines: deque[bytes] = deque()
        self._given_up = False
        self._greeted = self._told = False
        self._code: int | None = None
        self._thread: threading.Thread | None = None
        self._timer: qt.QTimer | None = None
        self._interval = 0

    def start(self, on_line: Callable[[bytes], None], on_exit: Callable[[int | None], None]) -> None:
        """See :class:`Transport`."""
        self._on_line, self._on_exit = on_line, on_exit
        self._undivert = divert(self._log)
        self._service = EngineService(self._write)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._set_pace(BUSY_MS)

    def write_line(self, line: bytes) -> None:
        """See :class:`Transport`."""
        if self._thread is None or self._given_up or not self._thread.is_alive():
            raise BrokenPipeError(errno.EPIPE, "the engine does not run")
        try:
            self._service.receive(line)
        except MessageError as error:
            raise BrokenPipeError(errno.EPIPE, "the engine does not understand") from error
        self._set_pace(BUSY_MS)

    def close_input(self) -> None:
        """See :class:`Transport`."""
        if self._thread is not None:
            self._service.stop("The client closed the connection.")
            self._set_pace(BUSY_MS)

    def wait(self, timeout: float) -> bool:
        """See :class:`Transport`. Meanwhile the engine may go on asking the main thread."""
        thread = self._thread
        deadline = time.monotonic() + timeout
        while thread is not None and thread.is_alive() and not self._given_up:
            if time.monotonic() >= deadline:
                return False
            self._work()
        self._finish()
        return True

    def kill(self, engine_pid: int | None) -> None:
        """See :class:`Transport`. Threads cannot be killed; what they say is not heard, nor answered, any more."""
        if self._thread is None or self._told:
            return
        self._given_up = True
        self._service.stop("The client has given up.", code=1)
        self._errands.close()

    def log_tail(self) -> str:
        """See :class:`Transport`."""
        return tail_of(self._log)

    def _run(self) -> None:
        self._code = self._service.run(self._make_engine, self._database, self._methods)

    def _write(self, line: bytes) -> None:
        while not self._given_up:
            try:
                self._from_engine.put(line, timeout=_LOOK_UP_S)
            except queue.Full:
                continue
            return
        raise BrokenPipeError(errno.EPIPE, "the client does not listen any more")

    def _tick(self) -> None:
        try:
            self._work()
        finally:  # a listener that fails keeps neither the next lines nor the end from being told
            if self._given_up or not self._is_running():
                self._finish()
            else:
                self._set_pace(BUSY_MS if self._is_busy() else IDLE_MS)

    def _work(self) -> None:
        self._errands.run_for(_ERRANDS_S)
        self._take(_RELEASE_S)
        deadline = time.monotonic() + _LINES_S
        while self._lines and time.monotonic() < deadline:
            self._deliver()
            self._take(0.0)

    def _take(self, seconds: float) -> None:
        """Wait for a line, which lets other threads run, and take what there is."""
        try:
            self._lines.append(self._from_engine.get(timeout=seconds) if seconds else self._from_engine.get_nowait())
        except queue.Empty:
            return

    def _deliver(self) -> None:
        line = self._lines.popleft()
        self._greeted = True
        if not self._given_up:
            self._on_line(line)

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _is_busy(self) -> bool:
        return (
            not self._greeted
            or bool(self._lines)
            or self._errands.are_waiting
            or self._service.is_asked
            or self._is_at_work()
        )

    def _set_pace(self, interval: int) -> None:
        if self._timer is not None and interval != self._interval:
            self._interval = interval
            self._timer.start(interval)

    def _finish(self) -> None:
        """Deliver the last lines and tell the end; once."""
        if self._timer is None or self._told:
            return
        self._told = True
        self._timer.stop()
        self._errands.close()
        try:
            while self._lines or not self._from_engine.empty():
                self._take(0.0)
                self._deliver()
        finally:
            self._undivert()
            self._on_exit(self._code)
