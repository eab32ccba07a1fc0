"""The engine as a child of a program with Qt's event loop: Slicer, or the desktop window."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import qt

from ..engine.child import kill_process
from ..engine.log_file import tail_of
from ..engine.messages import LineSplitter, MessageError

#: How long lines are delivered before other events get their turn, in milliseconds.
BUDGET_MS = 4.0
#: Bytes that may wait on either side before the other is given up.
MAX_WAITING = 64 * 1024 * 1024


class QProcessTransport:
    """A child started with QProcess; see :class:`~VisualDICOMBrowserLib.engine.child.Transport`.

    All of it, callbacks included, happens on the thread of the event loop. Nothing waits but :meth:`wait`. The
    child's standard error is appended to a log file.

    :param command: program and arguments; the program may be a launcher that starts the engine as its own child.
    :param log: the log file, in a folder that exists.
    :param env: the child's environment; None for this process's own.
    """

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, budget_ms: float = BUDGET_MS
    ) -> None:
        self._program, *self._arguments = command
        self._log = log
        self._env = os.environ if env is None else env
        self._budget_s = budget_ms / 1000
        self._splitter = LineSplitter()
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._process: qt.QProcess | None = None
        self._later: qt.QTimer | None = None
        self._started_pid = 0  # that of a launcher, perhaps; kept, because Qt forgets it when the process ends
        self._ended = False
        self._failed_to_start = False
        self._told = False

    def start(self, on_line: Callable[[bytes], None], on_exit: Callable[[int | None], None]) -> None:
        """See :class:`Transport`. A program that is there but does not run is told by ``on_exit``."""
        program = shutil.which(self._program)
        if program is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._program)
        self._on_line, self._on_exit = on_line, on_exit
        self._later = qt.QTimer()
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._deliver)
        self._process = process = qt.QProcess()
        process.setProcessEnvironment(_environment(self._env))
        process.setStandardErrorFile(str(self._log), qt.QIODevice.Append)
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        process.started.connect(self._on_started)
        process.start(program, self._arguments)

    def write_line(self, line: bytes) -> None:
        """See :class:`Transport`. Never blocks: what the pipe does not take yet is kept."""
        process = self._process
        if process is None or self._ended:
            raise BrokenPipeError(errno.EPIPE, "the engine does not run")
        if process.bytesToWrite() > MAX_WAITING or process.write(line) != len(line):
            raise BrokenPipeError(errno.EPIPE, "the engine does not read")

    def close_input(self) -> None:
        """See :class:`Transport`."""
        if self._process is not None and not self._ended:
            self._process.closeWriteChannel()

    def wait(self, timeout: float) -> bool:
        """See :class:`Transport`. Other events wait too: only for the end of the program."""
        if self._process is None:
            return True
        if not self._ended and not self._process.waitForFinished(int(timeout * 1000)) and not self._ended:
            return False
        self._deliver_for(None)
        return True

    def kill(self, engine_pid: int | None) -> None:
        """See :class:`Transport`."""
        process = self._process
        if process is None:
            return
        if not self._ended:
            process.kill()
        if engine_pid not in (None, self._started_pid):
            kill_process(engine_pid)

    def log_tail(self) -> str:
        """See :class:`Transport`."""
        return tail_of(self._log)

    def _on_started(self) -> None:
        if self._process is not None:
            self._started_pid = int(self._process.processId())

    def _read(self) -> None:
        process = self._process
        if process is None or self._ended:
            return
        try:
            self._take(process)
        except MessageError:
            process.kill()
        else:
            self._deliver()

    def _take(self, process: qt.QProcess) -> None:
        """Cut what has come into lines.

        :raises MessageError: there is no end to a line, or to the lines.
        """
        lines = self._splitter.feed(process.readAllStandardOutput().data())
        self._lines += lines
        self._waiting_bytes += sum(map(len, lines))
        if self._waiting_bytes > MAX_WAITING:
            raise MessageError("More was said than could be heard.")

    def _deliver(self) -> None:
        self._deliver_for(self._budget_s)

    def _deliver_for(self, seconds: float | None) -> None:
        """Deliver lines for so long (None: all), leave the rest to the event loop, and tell the end behind the last."""
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            while self._lines:
                line = self._lines.popleft()
                self._waiting_bytes -= len(line)
                self._on_line(line)
                if deadline is not None and time.monotonic() >= deadline:
                    break
        finally:  # a listener that fails keeps neither the next lines nor the end from being told
            self._go_on()

    def _go_on(self) -> None:
        if self._lines and self._later is not None:
            self._later.start(0)
        elif self._ended and not self._told:
            self._told = True
            self._on_exit(self._exit_code())

    def _on_finished(self) -> None:
        process = self._process
        if process is None or self._ended:
            return
        try:
            self._take(process)
        except MessageError:
            self._lines.clear()
        self._end()

    def _on_error(self, error: object) -> None:
        """Nothing but a program that cannot be run ends without ``finished``."""
        if self._process is None or self._ended or error != qt.QProcess.FailedToStart:
            return
        self._failed_to_start = True
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{self._process.errorString()}\n")
        self._end()

    def _end(self) -> None:
        """Note that the process is gone; its last lines come with the event loop, as the others did."""
        self._ended = True
        if self._process is not None and self._later is not None:
            self._process.readyReadStandardOutput.disconnect(self._read)
            self._later.start(0)

    def _exit_code(self) -> int | None:
        """Return the code as :mod:`subprocess` has it: negative for the signal that ended it."""
        process = self._process
        if process is None or self._failed_to_start:
            return None
        code = int(process.exitCode())
        return -code if process.exitStatus() == qt.QProcess.CrashExit and os.name == "posix" else code


def _environment(values: Mapping[str, str]) -> qt.QProcessEnvironment:
    environment = qt.QProcessEnvironment()
    for name, text in values.items():
        environment.insert(name, text)
    return environment
