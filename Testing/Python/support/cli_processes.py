"""The command line as processes of their own, each a session, to be killed as a whole or waited for.

Python needs a second to import what the command line needs, and does so before it touches anything. Where many are
started, they are forked from a process that has done that: each is what ``python -m VisualDICOMBrowserLib`` is
from that point on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .guardian import guardian
from .process_table import group_is_gone
from .processes import lasting
from .waiting import wait_until

DEADLINE_S = 60.0

_PARENT = """
import gc, importlib, json, os, pkgutil, sys
from VisualDICOMBrowserLib import cli
for layer in ("domain", "dicom", "dimse", "store", "jobs", "imaging", "engine"):
    package = importlib.import_module(f"VisualDICOMBrowserLib.{layer}")
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
gc.collect()
gc.freeze()
for line in sys.stdin:
    order = json.loads(line)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        break
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()
os.setsid()
for number, path in enumerate((os.devnull, order["out"], order["err"])):
    os.dup2(os.open(path, (os.O_WRONLY if number else 0) | os.O_CREAT | os.O_APPEND, 0o600), number)
sys.exit(cli.main(order["words"]))
"""


@dataclass
class Command:
    """A command that was started.

    :ivar pid: its process, session and process group.
    :ivar out: the file with its standard output; what it wrote to standard error is in ``err``.
    :ivar ended: waits for its end; returns the exit code, -9 if it was killed.
    """

    pid: int
    out: Path
    err: Path
    ended: Callable[[], int]

    def kill_after(self, seconds: float) -> int:
        """End the whole process group without warning, and return the exit code; another than -9 if it was done."""
        time.sleep(seconds)
        return self.signal(signal.SIGKILL)

    def signal(self, number: int) -> int:
        """Send the whole group a signal, and wait for the end of the command."""
        with contextlib.suppress(ProcessLookupError):  # done, all of it
            os.killpg(self.pid, number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end, of its children too, and return the exit code."""
        code = self.ended()
        wait_until(lambda: group_is_gone(self.pid), DEADLINE_S, "the end of all processes of a command")
        guardian.forget(self.pid)
        return code

    @property
    def has_ended(self) -> bool:
        """Whether it has said what it has to say."""
        return self.out.exists() and self.out.stat().st_size > 0

    @property
    def document(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out.read_text(encoding="utf-8"))


class CliProcesses:
    """Starts commands one after the other. A context manager.

    :param folder: where their output goes; their folder for temporary files is in it.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._folder = folder
        self._environment = {**environment, "TMPDIR": str(self.temporary)}
        self._parent: subprocess.Popen[str] | None = None
        self._number = 0

    def start(self, words: Sequence[object], *, fresh: bool = False) -> Command:
        """Start a command; its predecessor must have ended.

        :param fresh: as ``python -m VisualDICOMBrowserLib``, not forked.
        """
        self._number += 1
        out, err = (self._folder / f"{self._number}.{name}" for name in ("out", "err"))
        texts = [str(word) for word in words]
        command = self._fresh(texts, out, err) if fresh else self._forked(texts, out, err)
        guardian.watch(command.pid)
        return command

    def _fresh(self, words: list[str], out: Path, err: Path) -> Command:
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "VisualDICOMBrowserLib", *words],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self._environment,
                start_new_session=True,
            )
        return Command(process.pid, out, err, lambda: process.wait(DEADLINE_S))

    def _forked(self, words: list[str], out: Path, err: Path) -> Command:
        parent = self._parent or self._start_parent()
        assert parent.stdin is not None
        parent.stdin.write(json.dumps({"words": words, "out": str(out), "err": str(err)}) + "\n")
        parent.stdin.flush()
        return Command(self._answer(parent), out, err, lambda: self._answer(parent))

    def _answer(self, parent: subprocess.Popen[str]) -> int:
        assert parent.stdout is not None
        return int(parent.stdout.readline())

    def _start_parent(self) -> subprocess.Popen[str]:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", _PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
            start_new_session=True,
        )
        guardian.watch(self._parent.pid)
        lasting.add(self._parent.pid)
        return self._parent

    def __enter__(self) -> CliProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parent is not None:
            self._parent.communicate(timeout=DEADLINE_S)
            guardian.forget(self._parent.pid)
            lasting.discard(self._parent.pid)
