"""The engine process: serves an engine over two descriptors until its client is gone.

The way out is certain: whoever notices the end (standard input closed, parent gone, pipe broken, a signal) arms
a watchdog in C, which ends the process even if closing the engine hangs with the interpreter's lock held.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from .messages import LineSplitter, MessageError
from .methods import METHODS, Method
from .parent import wait_for_exit
from .service import EngineService, MakeEngine

#: From the moment the end is noticed, in seconds; together with noticing it stays below the 5 s promised.
DIE_AFTER_S = 4.0

_CHUNK = 65536


def claim_stdio(log: Path | None = None) -> tuple[int, int]:
    """Take standard input and output for the protocol, and return their new descriptors.

    Descriptor 1 then leads where 2 leads, because native decoders print; with ``log`` both lead into that file.
    Descriptor 0 is empty. The new descriptors are not inherited by children.
    """
    stdin_fd, stdout_fd = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415

        msvcrt.setmode(stdin_fd, os.O_BINARY)
        msvcrt.setmode(stdout_fd, os.O_BINARY)
    _point(0, os.open(os.devnull, os.O_RDONLY))
    if log is not None:
        _point(2, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdin_fd, stdout_fd


def _point(descriptor: int, opened: int) -> None:
    os.dup2(opened, descriptor)
    os.close(opened)


def run_host(
    make_engine: MakeEngine,
    stdin_fd: int,
    stdout_fd: int,
    parent_pid: int,
    *,
    database: str = "",
    methods: Mapping[str, Method] = METHODS,
) -> int:
    """Serve until the client is gone, and return the exit code.

    Call it on the main thread and leave the process with it: the watchdog it armed cannot know of anything after.

    :param make_engine: makes the engine, after the watch over client and parent has begun.
    :param parent_pid: the process whose end ends this one.
    :param database: told to the client.
    """
    return _Host(stdin_fd, stdout_fd, parent_pid).run(make_engine, database, methods)


class _Host:
    def __init__(self, stdin_fd: int, stdout_fd: int, parent_pid: int) -> None:
        self._stdin_fd = stdin_fd
        self._parent_pid = parent_pid
        self._alarm = threading.Lock()  # held from the first alarm on: a second one would put the end off
        self._service = EngineService(lambda line: _write_all(stdout_fd, line), self._set_alarm)

    def run(self, make_engine: MakeEngine, database: str, methods: Mapping[str, Method]) -> int:
        self._watch()
        return self._service.run(make_engine, database, methods)

    def _watch(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the client too; it decides
        signal.signal(signal.SIGTERM, lambda *_: self._service.stop("The engine was asked to end."))
        for target in (self._read, self._watch_parent):
            threading.Thread(target=target, name=f"engine-{target.__name__.strip('_')}", daemon=True).start()

    def _set_alarm(self) -> None:
        """Have the end come for certain. Called from any thread, and more than once: the first alarm stays set."""
        if self._alarm.acquire(blocking=False):
            faulthandler.dump_traceback_later(DIE_AFTER_S, exit=True, file=2)

    def _read(self) -> None:
        splitter = LineSplitter()
        try:
            while chunk := os.read(self._stdin_fd, _CHUNK):
                for line in splitter.feed(chunk):
                    self._service.receive(line)
        except MessageError as error:
            self._service.stop(str(error), code=1)
        except OSError as error:
            self._service.stop(f"Standard input cannot be read ({type(error).__name__}).", code=1)
        else:
            self._service.stop("The client closed the connection.")

    def _watch_parent(self) -> None:
        wait_for_exit(self._parent_pid)
        self._service.stop("The parent process is gone.")


def _write_all(descriptor: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
