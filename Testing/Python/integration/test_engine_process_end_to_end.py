"""The real engine in its process: a client searches, retrieves and hears events; its death is the engine's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fault_proxy import Stall
from support.orthanc import Orthanc
from support.process_table import processes
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.errors import Cancelled, FolderInUse, UsageError
from VisualDICOMBrowserLib.engine.client import EngineClient, launch
from VisualDICOMBrowserLib.engine.messages import Event

COUNT = 10

#: A client that searches, says who its engine is, and then waits to be killed.
CLIENT = """
import json, sys
from pathlib import Path
from VisualDICOMBrowserLib.engine.client import launch

with launch(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])) as client:
    found = client.call("query", {"filter": {"patient_id": "PROC"}, "level": "study"}, 20)
    print(json.dumps({"engine": client.hello.pid, "patients": len(found["patients"])}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def pacs(orthanc: Orthanc, tmp_path_factory) -> Orthanc:
    files = make_ct_series(tmp_path_factory.mktemp("ct"), COUNT, 20_000, patient_id="PROC", study=41)
    assert orthanc.load([file.path for file in files]) == []
    return orthanc


@pytest.fixture
def client(bench, pacs, tmp_path) -> Iterator[EngineClient]:
    bench.add("PACS", pacs)
    with launch(bench.database, tmp_path / "engine.log", bench.config) as running:
        yield running


def test_a_client_searches_retrieves_and_hears_of_it(client, tmp_path):
    events: list[Event] = []
    client.on_event(events.append)
    assert client.call("echo", {"server": "PACS"}, 10)["ok"]
    found = client.call("query", {"filter": {"patient_id": "PROC"}, "level": "series"}, 20)
    (series,) = found["patients"][0]["studies"][0]["series"]
    thumbnail = client.call("thumbnail", {"series_uid": series["series_uid"]}, 20)
    result = client.call("retrieve", {"target": {"level": "patient", "uids": ["PROC"]}}, 30)

    assert (series["instances"], series["local_instances"]) == (COUNT, 0)
    assert Path(thumbnail["path"]).exists()
    assert (result["requested"], result["received"], result["verified"]) == (COUNT, COUNT - 1, COUNT)
    assert client.call("verify", {}, 20)["ok"]
    wait_until(
        lambda: COUNT in [e.data["local_instances"] for e in events if e.name == "series-changed"], what="events"
    )
    wait_until(lambda: [e.data["state"] for e in events if e.name == "job"].count("completed") >= 3, what="job events")
    assert {e.subject for e in events if e.name == "series-changed"} == {series["series_uid"]}
    assert client.call("local", {"filter": {}, "level": "patient"}, 10)["patients"]
    assert client.call("remove", {"target": {"level": "patient", "uids": ["PROC"]}}, 10)["instances"] == COUNT
    assert (tmp_path / "engine.log").read_text() == ""


def test_errors_arrive_as_what_they_are(client):
    with pytest.raises(UsageError, match="no server 'NOBODY'"):
        client.call("echo", {"server": "NOBODY"}, 10)
    with pytest.raises(UsageError):
        client.call("query", {"filter": {"nonsense": 1}}, 10)


def test_a_call_is_cancelled_from_outside(client, bench, fault_proxy, pacs):
    proxy = fault_proxy(pacs.address, to_client=[Stall()])
    bench.add("SILENT", proxy.address)
    call = client.call_async("query", {"servers": ["SILENT"]})
    wait_until(proxy.happened.is_set, what="the server to be asked")
    call.stop()

    with pytest.raises(Cancelled):
        call.result(2)


def test_a_second_engine_on_the_folder_only_reads(client, bench, tmp_path):
    client.call("retrieve", {"target": {"level": "patient", "uids": ["PROC"]}}, 30)
    with launch(bench.database, tmp_path / "second.log", bench.config) as second:
        assert second.call("local", {"filter": {}, "level": "series"}, 10)["patients"]
        assert second.call("query", {"filter": {}, "level": "study"}, 20)["complete"]
        with pytest.raises(FolderInUse, match=f"process {client.hello.pid}"):
            second.call("retrieve", {"target": {"level": "patient", "uids": ["PROC"]}}, 10)


def test_the_engine_goes_within_five_seconds_when_its_client_is_killed(bench, pacs, tmp_path):
    bench.add("PACS", pacs)
    arguments = [str(path) for path in (bench.database, tmp_path / "engine.log", bench.config)]
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=bench.environment, text=True,
    )  # fmt: skip
    try:
        told = json.loads(process.stdout.readline())
        assert told["patients"] == 1
        assert is_alive(told["engine"])
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    wait_until(lambda: not is_alive(told["engine"]), 5, "the engine to be gone")
    with bench.engine() as next_one:
        assert not next_one.read_only


def is_alive(pid: int) -> bool:
    return any(entry.pid == pid and entry.state != "Z" for entry in processes())
