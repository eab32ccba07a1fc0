"""Server programs started by tests: free ports, captured logs, and never a process left behind."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from .guardian import guardian
from .process_table import group_is_gone, group_members
from .waiting import wait_until

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 10.0
ATTEMPTS = 5
_FIRST_PORT, _PORTS_A_WORKER, _MOST_WORKERS = 16_000, 2_000, 8

#: Process groups that outlive the test which started them (peers of session and module fixtures).
lasting: set[int] = set()

Peer = TypeVar("Peer", bound="PeerProcess")


class PeerFailed(AssertionError):
    """A peer did not start, or did not end."""


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody holds at this moment, nor takes by chance later.

    Connections, and servers that take any port, get theirs from 32768 on (49152 on some systems). Below, each worker
    of the tests has ports of its own, and gives none of them twice before it has given all.
    """
    for _ in range(_PORTS_A_WORKER):
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise PeerFailed("All ports for tests are taken.")


def _ports_of_this_worker() -> Iterator[int]:
    """Yield them again and again, from one that no earlier run is likely to have begun with."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _MOST_WORKERS
    for number in itertools.count(random.SystemRandom().randrange(_PORTS_A_WORKER)):
        yield _FIRST_PORT + worker * _PORTS_A_WORKER + number % _PORTS_A_WORKER


_ports = _ports_of_this_worker()


def answers(port: int) -> bool:
    """Tell whether somebody accepts connections at a loopback port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


class PeerProcess(ABC):
    """One server program on loopback. A context manager: started on entry, stopped on exit.

    :ivar folder: where configuration, storage and log lie.
    :ivar nodelay: sets TCP_NODELAY=1 for DCMTK's network layer, which else waits 40 ms for each small message.
    :ivar ports: the ports in use; the first is the DICOM port. They stay the same over a restart.
    """

    ports_needed = 1

    def __init__(self, folder: Path, *, ae_title: str, nodelay: bool = True) -> None:
        self.folder = folder
        self.ae_title = ae_title
        self.nodelay = nodelay
        self.host = HOST
        self.ports: tuple[int, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def prepare(self) -> list[str]:
        """Write the configuration for ``self.ports`` and return the command line."""

    @property
    def name(self) -> str:
        """What to call the peer in messages."""
        return type(self).__name__

    @property
    def port(self) -> int:
        """The DICOM port."""
        return self.ports[0]

    @property
    def address(self) -> tuple[str, int]:
        """Host and DICOM port."""
        return self.host, self.port

    @property
    def log_path(self) -> Path:
        """Everything that the program wrote to its standard output and error."""
        return self.folder / "peer.log"

    @property
    def group(self) -> int:
        """The process group.

        :raises PeerFailed: not running.
        """
        if self._process is None:
            raise PeerFailed(f"{self.name} is not running.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program runs (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    def start(self: Peer) -> Peer:
        """Start the program and wait until all its ports answer.

        :raises PeerFailed: it ended or stayed mute; the message holds the end of its log.
        """
        if self._process is not None:
            raise PeerFailed(f"{self.name} runs already.")
        restarted = bool(self.ports)
        for _ in range(ATTEMPTS):
            if not restarted:
                self.ports = tuple(free_port() for _ in range(self.ports_needed))
            if self._start_once():
                return self
        raise PeerFailed(f"{self.name} did not start:\n{self.log_tail()}")

    def _start_once(self) -> bool:
        if any(answers(port) for port in self.ports):
            return False  # somebody else took the port since we looked
        command = self.prepare()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        guardian.watch(self._process.pid)
        try:
            wait_until(self._answers_or_ended, START_SECONDS, f"{self.name} to answer")
        except BaseException:
            self.kill9()
            raise
        if self.running:
            return True
        self.kill9()
        return False

    def _answers_or_ended(self) -> bool:
        return not self.running or (all(answers(port) for port in self.ports) and self.running)

    def _environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
        if self.nodelay:
            environment["TCP_NODELAY"] = "1"
        return environment

    def stop(self) -> None:
        """Ask the program to end, kill its group if it does not, and make sure that nothing of it is left."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._forget()

    def kill9(self) -> None:
        """End the whole process group without warning, as a crash does."""
        if self._process is not None:
            self._forget()

    def _forget(self) -> None:
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGKILL)  # children that serve associations outlive their parent
        process.wait(STOP_SECONDS)
        wait_until(lambda: group_is_gone(process.pid), STOP_SECONDS, f"the process group of {self.name} to be gone")
        guardian.forget(process.pid)
        lasting.discard(process.pid)
        self._process = None

    def pause(self) -> None:
        """Freeze the whole process group: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)
        group = self.group
        wait_until(lambda: all(entry.state == "T" for entry in group_members(group)), what=f"{self.name} to freeze")

    def resume(self) -> None:
        """Let a paused program go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.group, number)
        except ProcessLookupError:
            return  # all members ended by themselves

    def make_lasting(self: Peer) -> Peer:
        """Tell the leak check that this peer belongs to a fixture that outlives the test."""
        lasting.add(self.group)
        return self

    def log(self) -> str:
        """Return what the program wrote so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log().splitlines()[-lines:])

    def __enter__(self: Peer) -> Peer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
