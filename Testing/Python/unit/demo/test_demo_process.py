from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.demo import launcher
from VisualDICOMBrowserLib.demo.launcher import demo_pacs
from VisualDICOMBrowserLib.domain.errors import LocalError
from VisualDICOMBrowserLib.domain.servers import Server

SOON_READY = "DEMO-1004"  # a patient whose images are quickly made
COMMAND = [sys.executable, "-m", "VisualDICOMBrowserLib.demo", "--patient", SOON_READY]
ROOT = Path(launcher.__file__).resolve().parents[2]

PARENT = """
import sys, time
from VisualDICOMBrowserLib.demo.launcher import demo_pacs
with demo_pacs(patient_ids=["DEMO-1004"]) as running:
    print(running.server.port, flush=True)
    sys.stdin.read()
"""


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give children a temporary folder of their own, so that what they leave behind is seen."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "TMP": str(tmp_path)}


def test_the_demo_pacs_runs_while_the_block_runs_and_says_what_it_holds(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with demo_pacs(patient_ids=[SOON_READY]) as running:
        assert isinstance(running.server, Server)
        assert running.server.called_aet == "DEMO-PACS"
        assert (running.patients, running.studies, running.series) == (1, 1, 4)
        assert running.instances > 40
        assert listens(running.server.port)
        assert [path.name.startswith("demo-pacs-") for path in tmp_path.iterdir()] == [True]
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 3
    assert not listens(running.server.port)
    assert not list(tmp_path.iterdir())


def test_a_demo_pacs_that_does_not_come_up_says_why():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(LocalError) as raised,
        demo_pacs(port=taken.getsockname()[1]),
    ):
        pytest.fail("it came up on a port that was taken")
    assert str(raised.value).startswith("The demo PACS did not start.\nThe demo PACS cannot run:")


def test_an_interpreter_that_does_not_exist_is_a_local_error(tmp_path):
    with pytest.raises(LocalError, match="could not be started"), demo_pacs(str(tmp_path / "no-python")):
        pytest.fail("there is no such interpreter")


def test_a_demo_pacs_that_takes_too_long_is_given_up_and_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    begin = time.monotonic()
    with pytest.raises(LocalError, match="did not start"), demo_pacs(timeout=1.5):
        pytest.fail("it cannot be ready so soon")
    assert time.monotonic() - begin < 10
    assert not list(tmp_path.iterdir())


def test_the_process_prints_one_line_and_ends_with_its_standard_input(environment, tmp_path):
    with subprocess.Popen(
        COMMAND, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        ready = json.loads(child.stdout.readline())
        assert set(ready) == {"host", "port", "ae_title", "patients", "studies", "series", "instances"}
        with socket.create_connection((ready["host"], ready["port"])) as stalled:
            stalled.sendall(b"\x01\x00\x00\x00\x10\x00" + bytes(20))
            output, errors = child.communicate(timeout=5)
    assert (child.returncode, output, errors) == (0, b"", b"")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
def test_the_process_dies_with_a_parent_that_is_killed(environment, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        port = int(parent.stdout.readline())
        assert listens(port)
        parent.send_signal(signal.SIGKILL)
        parent.wait(5)
    assert until(lambda: not listens(port), 5)
    assert until(lambda: not list(tmp_path.glob("demo-pacs-*")), 5)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
def test_the_process_cleans_up_when_it_is_terminated(environment, tmp_path):
    with subprocess.Popen(
        COMMAND,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        child.stdout.readline()
        child.terminate()
        assert child.wait(5) == 0
    assert not list(tmp_path.iterdir())
