"""A helper process that ends the peers if the test process dies without tidying up.

Finalisers do not run after ``kill -9`` or ``os._exit`` (which a time-out plug-in may use). The guardian
holds the reading end of a pipe; end of file means that the test process is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys

_PROGRAM = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    sign, number = line[0], int(line[1:])
    groups.add(number) if sign == "+" else groups.discard(number)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guardian:
    """Starts the helper when it is first needed; one for each test process (a fork gets its own)."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    @property
    def pid(self) -> int:
        """The helper's process id, 0 while there is none."""
        return self._process.pid if self._process is not None and self._owner == os.getpid() else 0

    def watch(self, group: int) -> None:
        """End this process group when the test process is gone."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group has ended; its number may be used again by others."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        if self._process is None or self._owner != os.getpid():
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _start(self) -> None:
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def close(self) -> None:
        """End the helper (and with it every group it still watches)."""
        if self._process is not None and self._owner == os.getpid():
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(10)
        self._process = None


guardian = Guardian()
