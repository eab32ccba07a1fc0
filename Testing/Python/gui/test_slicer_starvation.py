"""Slicer's main thread is busy for seconds, as when it loads a volume: what the engine does meanwhile goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing

import pytest
import qt

from support.gil import hold, needs_libc
from support.slicer_fakes.database import FakeSlicer
from support.slicer_fakes.process import make_python_slicer
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.engine.job_queue import CatalogueJobQueue
from VisualDICOMBrowserLib.host_slicer.engine_start import make_session
from VisualDICOMBrowserLib.host_slicer.indexing import DatabaseKeeper
from VisualDICOMBrowserLib.jobs.queue import unfinished
from VisualDICOMBrowserLib.store.catalogue import Catalogue
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

HELD_S = 8.0
#: The 2.4 MB of the series take about four seconds.
BYTES_PER_SECOND = 600_000
#: What a pipe takes while nobody reads.
PIPE_BYTES = 65_536
#: Requests whose answers are much more than that: each names all servers.
REPLIES, SERVERS, REPLY_BYTES = 200, 20, 2_000
#: A slow line, in a process of its own: one in this process would stand still as well.
PROXY = """
import sys
sys.path[:] = sys.argv[4:]
from support.fault_proxy import FaultProxy, Throttle
host, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with FaultProxy((host, port), to_client=[Throttle(bytes_per_second=rate)]) as proxy:
    print(proxy.address[1], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def slow_line(archive):
    """The address of the archive behind a slow line."""
    host, port = archive.peer.address
    command = [sys.executable, "-c", PROXY, host, str(port), str(BYTES_PER_SECOND), *sys.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield host, int(process.stdout.readline())
        process.stdin.close()


@pytest.fixture
def slicer(tmp_path, monkeypatch):
    """A Slicer whose indexer works on the event loop."""
    slicer = FakeSlicer(tmp_path / "database", lambda step: qt.QTimer.singleShot(0, step))
    slicer.install(monkeypatch)
    return slicer


@pytest.fixture
def session(tmp_path, monkeypatch, qtbot, archive, slow_line, slicer):
    make_python_slicer(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    configuration = Configuration(tmp_path / "config.json")
    configuration.add(archive.server(address=slow_line))
    for number in range(SERVERS):
        configuration.add(archive.server(f"Never asked {number}", ("127.0.0.1", 9)))
    session = make_session(tmp_path / "database", tmp_path / "config.json")
    session.start()
    qtbot.waitUntil(lambda: session.ready, timeout=20_000)
    keeper = DatabaseKeeper(session)
    yield session
    keeper.close()
    session.close()


@needs_libc
def test_a_retrieve_goes_on_while_the_main_thread_is_busy(session, tmp_path, qtbot, archive):
    folder = DatabaseFolder(tmp_path / "database")

    def files():
        return list(folder.dicom_folder.rglob("*.dcm"))

    def state():
        return next((record.state.value for record in session.jobs.records()), "")

    results, replies, states = [], [], []
    session.jobs.changed.connect(lambda *_: states.append(state()))
    target = {"level": "series", "uids": [archive.first[0].series_uid]}
    session.ask("retrieve", {"target": target, "server": "Archive"}, results.append, results.append)
    qtbot.waitUntil(lambda: len(files()) > 0, timeout=20_000)
    for _ in range(REPLIES):
        session.ask("servers", None, replies.append)
    process = session._client._transport._used._process
    qtbot.waitUntil(lambda: process.bytesToWrite() == 0, timeout=5_000)
    assert state() == "running"
    assert (REPLIES - len(replies)) * REPLY_BYTES > 2 * PIPE_BYTES  # it is going to be full
    begin, had = time.time(), len(files())
    hold(HELD_S)
    end = time.time()

    safe = [file.stat().st_ctime for file in files()]
    assert end - begin >= HELD_S
    assert had < len(safe) == len(archive.first)
    assert begin < max(safe) < end
    assert not list(folder.incoming_folder.glob("*"))
    with closing(Catalogue.open(folder.catalogue, read_only=True)) as catalogue:
        assert [record.state.value for record in unfinished(CatalogueJobQueue(catalogue))] == ["indexing"]
    assert state() == "running"  # here nobody has heard of it yet
    qtbot.waitUntil(lambda: state() == "completed", timeout=3_000)
    qtbot.waitUntil(lambda: len(replies) == REPLIES, timeout=3_000)
    assert time.time() - end < 3
    assert all(len(json.dumps(reply)) > REPLY_BYTES for reply in replies)
    qtbot.waitUntil(lambda: bool(results), timeout=3_000)
    assert results[0]["verified"] == len(archive.first)
    assert states.index("running") < states.index("completed")  # the event of "indexing" may have been overtaken
