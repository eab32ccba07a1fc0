"""``listen`` as a process: what it says, its document, its exit codes, and what it keeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.peers import require
from support.processes import answers, free_port
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.listener import AllowedPeer, ListenerSettings
from VisualDICOMBrowserLib.engine.configuration import Configuration


def store(port: int, folder: Path, aet: str = "US") -> int:
    files = [str(path) for path in sorted(folder.iterdir())]
    command = [require("storescu"), "-aec", aet, "127.0.0.1", str(port), *files]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_receives_until_it_is_interrupted(bench: Any, tmp_path: Path, number: int):
    files = make_ct_series(tmp_path / "files", 4, 20_000, patient_name="SECRET^NAME")
    port = free_port()
    words = ["--aet", "US", "--port", port, "--allow", "STORESCU@127.0.0.1", "--unsolicited", "--save"]
    process = bench.start("listen", *words)
    wait_until(lambda: answers(port) or process.poll() is not None, what="the listener")
    assert store(port, tmp_path / "files") == 0
    held = bench.spawn("listen", "--port", free_port())
    assert (held.code, "in use by process" in held.document["error"]) == (2, True)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    document = json.loads(out)
    assert process.returncode == 0
    assert (document["stored"], document["associations"], document["failed"]) == (4, 1, 0)
    assert (document["port"], document["studies"]) == (port, [files[0].study_uid])
    assert "STORESCU at 127.0.0.1: 4 stored of 1 studies" in err
    assert "SECRET" not in out + err
    assert bench.run("verify").document["files"] == 4
    saved = Configuration(bench.config).listener()
    assert saved == ListenerSettings("US", port, "127.0.0.1", (AllowedPeer("STORESCU", "127.0.0.1"),), unsolicited=True)


def test_without_allowance_nothing_is_taken(bench: Any, tmp_path: Path):
    make_ct_series(tmp_path / "files", 1, 5_000)
    port = free_port()
    process = bench.start("listen", "--aet", "US", "--port", port)
    wait_until(lambda: answers(port) or process.poll() is not None, what="the listener")
    assert store(port, tmp_path / "files") != 0
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["stored"]) == (0, 0)
    assert "Nobody is allowed to call" in err
    assert "Only this computer can call" in err
    assert not bench.config.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--port", "70000"],
        ["--bind", "nowhere"],
        ["--bind", "192.0.2.1"],
        ["--allow", "NOBODY"],
        ["--allow", "@host"],
        ["--aet", "A TITLE THAT IS TOO LONG"],
    ],
)
def test_settings_that_cannot_be_right_are_wrong_usage(bench: Any, words: list[str]):
    done = bench.run("listen", *words, "--save")
    assert done.code == 2
    assert done.document["error"]
    assert not bench.config.exists()
