"""The engine as a child process of this one, over pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from .log_file import tail_of
from .messages import LineSplitter, MessageError

_CHUNK = 65536
_END_S = 5.0
_LOCK_S = 1.0

if sys.platform == "win32":
    _NO_WINDOW, _KILL = subprocess.CREATE_NO_WINDOW, signal.SIGTERM  # which is TerminateProcess
else:
    _NO_WINDOW, _KILL = 0, signal.SIGKILL


class Transport(Protocol):
    """How a client reaches its engine. Callbacks come one at a time, from wherever the transport reads."""

    def start(self, on_line: Callable[[bytes], None], on_exit: Callable[[int | None], None]) -> None:
        """Start the engine; then ``on_line`` gets each line, and ``on_exit`` once the exit code, if known.

        :raises OSError: it cannot be started.
        """

    def write_line(self, line: bytes) -> None:
        """Send a line that ends in a line feed.

        :raises OSError: the engine does not listen any more.
        """

    def close_input(self) -> None:
        """Tell the engine to end, by the end of its standard input."""

    def wait(self, timeout: float) -> bool:
        """Wait for the engine to be gone; False if that takes longer than ``timeout`` seconds."""

    def kill(self, engine_pid: int | None) -> None:
        """Kill what was started, and the engine itself if that is another process that still runs."""

    def log_tail(self) -> str:
        """Return the last lines of the engine's log."""


class SubprocessTransport:
    """A child started with :mod:`subprocess`; its standard error is appended to a log file.

    :param command: program and arguments.
    :param log: the log file.
    :param env: the child's environment; None for this process's own.
    """

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._log = log
        self._env = env
        self._write_lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self, on_line: Callable[[bytes], None], on_exit: Callable[[int | None], None]) -> None:
        """See :class:`Transport`."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._env,
                creationflags=_NO_WINDOW,
            )
        self._process = process
        self._reader = threading.Thread(
            target=self._read, args=(process, on_line, on_exit), name="engine-client", daemon=True
        )
        self._reader.start()

    def write_line(self, line: bytes) -> None:
        """See :class:`Transport`. Blocks while the pipe is full."""
        with self._write_lock:
            pipe = self._stdin()
            if pipe.closed:
                raise BrokenPipeError("the pipe to the engine is closed")
            pipe.write(line)
            pipe.flush()

    def close_input(self) -> None:
        """See :class:`Transport`."""
        # A writer that is stuck in a full pipe holds the lock, and closing would get stuck behind it.
        if not self._write_lock.acquire(timeout=_LOCK_S):
            return
        try:
            self._stdin().close()
        except BrokenPipeError:
            pass  # what could not be sent does not matter any more
        finally:
            self._write_lock.release()

    def wait(self, timeout: float) -> bool:
        """See :class:`Transport`: until the process has ended and nobody holds the other end of its output."""
        if self._reader is None or self._reader is threading.current_thread():
            return True
        self._reader.join(timeout)
        return not self._reader.is_alive()

    def kill(self, engine_pid: int | None) -> None:
        """See :class:`Transport`."""
        process = self._process
        if process is None or (self._reader is not None and not self._reader.is_alive()):
            return
        process.kill()
        if engine_pid is not None and engine_pid != process.pid:
            kill_process(engine_pid)

    def log_tail(self) -> str:
        """See :class:`Transport`."""
        return tail_of(self._log)

    def _stdin(self) -> IO[bytes]:
        if self._process is None or self._process.stdin is None:
            raise BrokenPipeError("the engine was not started")
        return self._process.stdin

    def _read(
        self,
        process: subprocess.Popen[bytes],
        on_line: Callable[[bytes], None],
        on_exit: Callable[[int | None], None],
    ) -> None:
        splitter = LineSplitter()
        output = process.stdout
        if output is None:
            return
        try:
            while chunk := os.read(output.fileno(), _CHUNK):
                for line in splitter.feed(chunk):
                    on_line(line)
        except (OSError, MessageError):
            process.kill()
        output.close()
        on_exit(_reap(process))
        self.close_input()


def kill_process(pid: int) -> None:
    """Kill a process; nothing happens if it is gone already."""
    with contextlib.suppress(OSError):
        os.kill(pid, _KILL)


def _reap(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that has closed its output; one that then lingers is killed."""
    try:
        return process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
