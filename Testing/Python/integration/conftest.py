"""Fixtures of the integration tests: the command line as a real process, engines, and servers in a configuration."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.processes import PeerProcess
from support.processes import free_port as find_free_port
from support.small_disk import SmallDisk
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.cli import main
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy

PACKAGE_ROOT = Path(__file__).resolve().parents[3] / "VisualDICOMBrowser"
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Run:
    """What a command line did."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        assert self.out.count("\n") == 1, f"not exactly one line: {self.out!r}; {self.err}"
        return json.loads(self.out)


class Bench:
    """A database folder, a configuration, and everything that works on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "database"
        self.config = root / "config.json"
        self.home = root / "home"
        self.home.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """An environment in which the user's folders are the bench's."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(PACKAGE_ROOT), "PYTHONUTF8": "1"}

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "VisualDICOMBrowserLib", *map(str, words)]

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start a command with ``--json`` on the bench's folder, and do not wait."""
        return subprocess.Popen(
            self.command(*words, *self.options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self.environment,
        )

    def process(self, *words: object, cwd: Path | None = None) -> Run:
        """Run a command as it is given, as a process of its own."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=self.environment,
            cwd=cwd,
            timeout=DEADLINE_S,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def main(self, *words: object) -> Run:
        """Run a command as it is given in this process, which is quicker."""
        started = time.monotonic()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(word) for word in words])
        return Run(code, out.getvalue(), err.getvalue(), time.monotonic() - started)

    @property
    def options(self) -> list[object]:
        """What makes a command print JSON and work on the bench's folder and configuration."""
        return ["--json", "--database", self.database, "--config", self.config]

    def run(self, *words: object) -> Run:
        """Run a command in this process, with the bench's options."""
        return self.main(*words, *self.options)

    def spawn(self, *words: object) -> Run:
        """Run a command as a process of its own, with the bench's options."""
        return self.process(*words, *self.options)

    def add(self, name: str, peer: PeerProcess | Server | tuple[str, int], **options: Any) -> Server:
        """Configure a server."""
        if isinstance(peer, PeerProcess):
            server = Server(name, peer.host, peer.port, options.pop("called_aet", peer.ae_title), **options)
        elif isinstance(peer, Server):
            server = Server(name, peer.host, peer.port, peer.called_aet, **options)
        else:
            server = Server(name, *peer, options.pop("called_aet", "ANY"), **options)
        Configuration(self.config).add(server)
        return server

    def engine(self) -> Engine:
        """Make an engine in this process; it is quicker to try again than for users."""
        return Engine(self.database, self.config, retry=RetryStrategy((0.05, 0.1, 0.2)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty folder without servers."""
    return Bench(tmp_path)


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    """An engine on the bench's folder."""
    with bench.engine() as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[int], None]]]:
    """Give a folder on a disk of 8 MB, and what makes that disk larger or smaller, in MB."""
    with SmallDisk(tmp_path / "disk", 8) as disk:
        yield disk.path, disk.resize


@pytest.fixture
def dead_port() -> int:
    """A port on which nothing listens."""
    return find_free_port()


@pytest.fixture
def benches(tmp_path: Path) -> Callable[[str], Bench]:
    """Make more than one bench."""

    def make(name: str) -> Bench:
        root = tmp_path / name
        root.mkdir()
        return Bench(root)

    return make
