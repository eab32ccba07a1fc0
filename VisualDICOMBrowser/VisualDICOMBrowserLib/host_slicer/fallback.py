"""A second way to run the engine, for where the first one does not run at all."""

from __future__ import annotations

import os
from collections.abc import Callable

import qt

from ..engine.child import Transport

#: How long a program may be silent at its start, in milliseconds: a cold disk under a virus scanner is slow. A launcher
#: that is not allowed to start the program itself neither ends nor says anything.
PATIENCE_MS = 60_000
_KILLED = -9
#: What Windows says of a program whose start it prevented: no permission, no library or a wrong one, no signature.
_NOT_LOADED = {0xC0000022, 0xC000007B, 0xC0000135, 0xC0000142, 0xC0000428}


class TransportWithFallback:
    """The transport ``first``, and another one if nothing can be started with that.

    An engine that speaks, be it to say why it cannot start, is no reason to begin again in another way; neither is one
    that crashes, because the other way may be this very process.

    :param make_second: makes the other transport.
    :param on_fallback: called with it being used.
    """

    def __init__(
        self,
        first: Transport,
        make_second: Callable[[], Transport],
        on_fallback: Callable[[], object],
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._used = first
        self._make_second = make_second
        self._on_fallback = on_fallback
        self._patience_ms = patience_ms
        self._early: list[bytes] = []
        self._spoke = self._closing = self._silent = False
        self._patience: qt.QTimer | None = None

    def start(self, on_line: Callable[[bytes], None], on_exit: Callable[[int | None], None]) -> None:
        """See :class:`Transport`."""
        self._on_line, self._on_exit = on_line, on_exit
        self._patience = qt.QTimer()
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self._lose_patience)
        try:
            self._used.start(self._on_first_line, self._on_first_exit)
        except OSError:
            self._fall_back()
        else:
            self._patience.start(self._patience_ms)

    def write_line(self, line: bytes) -> None:
        """See :class:`Transport`."""
        if not self._spoke:
            self._early.append(line)
        self._used.write_line(line)

    def close_input(self) -> None:
        """See :class:`Transport`."""
        self._stop_waiting()
        self._closing = True
        self._used.close_input()

    def wait(self, timeout: float) -> bool:
        """See :class:`Transport`."""
        return self._used.wait(timeout)

    def kill(self, engine_pid: int | None) -> None:
        """See :class:`Transport`."""
        self._stop_waiting()
        self._closing = True
        self._used.kill(engine_pid)

    def log_tail(self) -> str:
        """See :class:`Transport`."""
        return self._used.log_tail()

    def _on_first_line(self, line: bytes) -> None:
        if not self._spoke:
            self._stop_waiting()
            self._spoke = True
            self._early.clear()
        self._on_line(line)

    def _on_first_exit(self, code: int | None) -> None:
        if not self._spoke and not self._closing and (self._silent or _never_ran(code)):
            self._fall_back()
        else:
            self._stop_waiting()
            self._on_exit(code)

    def _lose_patience(self) -> None:
        if not self._silent:  # this thread may have been busy all the time: what was said meanwhile comes first
            self._silent = True
            if self._patience is not None:
                self._patience.start(0)
        else:
            self._used.kill(None)

    def _fall_back(self) -> None:
        self._stop_waiting()
        self._used = self._make_second()
        self._spoke = True
        self._used.start(self._on_line, self._on_exit)
        early, self._early = self._early, []
        for line in early:
            self._used.write_line(line)
        self._on_fallback()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.stop()


def _never_ran(code: int | None) -> bool:
    """Tell whether a program that ended without a word was not run, going by its exit code.

    It was not if there is none (the system refused), if a launcher or Python itself gave up, or if the system killed
    it at once, as macOS does with what is not signed right. A crash has another signal or status; PythonSlicer tells
    one by the code 1, like anything else.
    """
    if code is None:
        return True
    if os.name == "posix":
        return code >= 0 or code == _KILLED
    return 0 <= code < 1 << 16 or code & 0xFFFFFFFF in _NOT_LOADED
