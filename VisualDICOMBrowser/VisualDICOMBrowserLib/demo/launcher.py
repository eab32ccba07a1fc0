"""Starting the demo PACS as a child process, and making sure that it ends."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..domain.errors import LocalError
from ..domain.servers import Server

#: How long the child may take to clean up before it is killed, seconds.
_GRACE_S = 2.0
_STDERR_LINES = 8


@dataclass(frozen=True)
class DemoServer:
    """A running demo PACS and what it holds."""

    server: Server
    patients: int
    studies: int
    series: int
    instances: int


@contextmanager
def demo_pacs(
    interpreter: str = sys.executable, port: int = 0, timeout: float = 60,
    destinations: Mapping[str, tuple[str, int]] | None = None, patient_ids: Iterable[str] = (),
) -> Iterator[DemoServer]:  # fmt: skip
    """Run the demo PACS in a process of its own while the block runs.

    :param interpreter: a Python that has pydicom and pynetdicom.
    :param port: TCP port, 0 for any free one.
    :param timeout: seconds until it must be ready.
    :param destinations: AE titles that C-MOVE may send to, with host and port.
    :param patient_ids: whose studies it holds; empty means everybody's.
    :raises LocalError: it did not come up; the message ends with the last lines of its error output.
    """
    command = [interpreter, "-m", __package__, "--port", str(port)]
    for title, (host, number) in (destinations or {}).items():
        command += ["--destination", f"{title}={host}:{number}"]
    for patient_id in patient_ids:
        command += ["--patient", patient_id]
    with tempfile.TemporaryFile() as errors, _scratch() as folder:
        command += ["--scratch", folder]
        child = _started(command, errors)
        try:
            yield _described(_first_line(child, timeout), errors)
        finally:
            _stopped(child)


@contextmanager
def _scratch() -> Iterator[str]:
    """Yield the name of a folder that the child deletes, or else we do, whichever lives longer."""
    folder = tempfile.mkdtemp(prefix="demo-pacs-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(command: list[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows, no console window
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, creationflags=flags,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
    except OSError as error:
        raise LocalError(f"The demo PACS could not be started: {error.strerror}.") from error


def _first_line(child: subprocess.Popen[bytes], timeout: float) -> bytes:
    """Return the first line of output, or nothing if none came in time or the child ended."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stream = child.stdout
    assert stream is not None
    threading.Thread(target=lambda: lines.put(stream.readline(65536)), daemon=True).start()
    try:
        return lines.get(timeout=timeout)
    except queue.Empty:
        return b""


def _described(line: bytes, errors: IO[bytes]) -> DemoServer:
    try:
        ready: dict[str, Any] = json.loads(line)
        server = Server("Demo PACS", ready["host"], ready["port"], ready["ae_title"])
        return DemoServer(server, ready["patients"], ready["studies"], ready["series"], ready["instances"])
    except (ValueError, KeyError, TypeError) as error:
        errors.seek(0, os.SEEK_END)
        errors.seek(max(0, errors.tell() - 8192))
        last = errors.read().decode("utf-8", "replace").splitlines()[-_STDERR_LINES:]
        raise LocalError("\n".join(["The demo PACS did not start.", *last])) from error


def _stopped(child: subprocess.Popen[bytes]) -> None:
    """Close the child's standard input, which ends it; kill it if it does not."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()
