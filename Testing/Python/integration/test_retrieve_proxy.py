"""Retrieves from servers that only move, by way of a proxy: both ways told apart, whatever goes wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.client import at_most
from support.counting_server import CountingServer
from support.dcmqrscp import Node
from support.fault_proxy import Cut, FaultProxy, Throttle
from support.host_of_rows import HostOfRows
from support.moving_pacs import MovingPacs
from support.mute_pacs import MutePacs
from support.orthanc import Orthanc
from support.peers import require
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod
from VisualDICOMBrowserLib.jobs.states import JobState

MOVE = RetrieveMethod.MOVE
SIZE = 20_000


class Hospital(MovingPacs):
    """A PACS that only moves, and the proxy that it knows, perhaps at another port, or (0) does not."""

    def __init__(
        self, root: Path, proxy: Orthanc, name: str, study: int, counts: tuple[int, ...], port: int | None = None
    ) -> None:
        node = Node(proxy.ae_title, proxy.port if port is None else port)
        super().__init__(root, [node] if node.port else [], name=name, study=study, counts=counts, size=SIZE)
        self.proxy = proxy


@pytest.fixture(scope="module")
def gate(tmp_path_factory) -> Iterator[Orthanc]:
    require("Orthanc")
    with Orthanc(tmp_path_factory.mktemp("gate"), ae_title="GATE") as peer:
        yield peer.make_lasting()


@pytest.fixture(scope="module")
def hospital(gate, tmp_path_factory) -> Iterator[Hospital]:
    require("dcmqrscp")
    made = Hospital(tmp_path_factory.mktemp("hospital"), gate, "MOVER", 21, (12, 30, 1))
    with made.peer:
        made.peer.make_lasting()
        yield made


@pytest.fixture(scope="module")
def clinic(gate, tmp_path_factory) -> Iterator[Hospital]:
    made = Hospital(tmp_path_factory.mktemp("clinic"), gate, "CLINIC", 22, (7,))
    with made.peer:
        made.peer.make_lasting()
        yield made


@pytest.fixture
def placed(bench, hospital) -> Hospital:
    """The PACS and its proxy, which is empty."""
    hospital.proxy.delete_all()
    bench.add("GATE", hospital.proxy)
    bench.add("PACS", hospital.peer, retrieve=MOVE, proxy="GATE", timeout=5.0)
    return hospital


def leftovers(bench) -> list[Path]:
    return [path for path in bench.database.rglob("*.part") if path.is_file()]


# The ordinary course


def test_a_study_comes_by_way_of_the_proxy_and_stays_there(placed, bench, engine):
    result = engine.retrieve(placed.study, "PACS")

    assert (result.complete, result.requested, result.received, result.verified) == (True, 43, 43, 43)
    assert result.warnings == ()
    assert result.bytes > 43 * SIZE
    assert placed.proxy.counts()[3] == 43
    assert leftovers(bench) == []
    assert engine.verify().ok


def test_the_command_line_retrieves_by_way_of_the_proxy(placed, bench):
    done = bench.spawn("retrieve", "--study", placed.files[0].study_uid, "--server", "PACS")

    assert done.code == 0
    assert (done.document["requested"], done.document["verified"]) == (43, 43)


def test_what_the_proxy_has_is_not_moved_again(placed, bench, engine):
    placed.peer.stop()
    try:
        assert placed.proxy.load([f.path for f in placed.series[0]]) == []
    finally:
        placed.peer.start().make_lasting()
    changes = placed.proxy.get("/changes?last")["Last"]
    result = engine.retrieve(placed.series_target(0), "PACS")

    assert result.complete
    assert result.received == 12
    arrived = [c for c in placed.proxy.get(f"/changes?since={changes}")["Changes"] if c["ChangeType"] == "NewInstance"]
    assert arrived == []


def test_only_what_is_missing_is_moved(placed, engine):
    some = Target(Level.IMAGE, tuple(f.sop_uid for f in placed.series[1][:5]))
    assert engine.retrieve(some, "PACS").received == 5
    assert placed.proxy.counts()[3] == 5
    placed.proxy.delete_all()
    result = engine.retrieve(placed.series_target(1), "PACS")

    assert (result.complete, result.received, result.verified) == (True, 25, 30)
    assert placed.proxy.counts()[3] == 25


def test_a_thumbnail_costs_one_instance(placed, engine):
    engine.query(QueryFilter(), Level.SERIES, servers=["PACS"])
    made = engine.thumbnail(placed.series[1][0].series_uid, server="PACS")

    assert made.path
    assert placed.proxy.counts()[3] == 1
    assert engine.verify().rows == 1


def test_two_servers_share_one_proxy(placed, clinic, bench, engine):
    bench.add("CLINIC", clinic.peer, retrieve=MOVE, proxy="GATE")
    results = {}

    def retrieve(name: str, target: Target) -> None:
        results[name] = engine.retrieve(target, name)

    threads = [
        threading.Thread(target=retrieve, args=args) for args in (("PACS", placed.study), ("CLINIC", clinic.study))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert results["PACS"].complete
    assert results["CLINIC"].complete
    assert placed.proxy.counts()[3] == 50


@pytest.mark.parametrize("limit", [1, 2])
def test_all_that_go_by_way_of_a_proxy_respect_its_limit(bench, tmp_path, scripted_peer, limit):
    series = [make_ct_series(tmp_path / f"{n}", 6, 1000, study=40 + n, series=1) for n in range(3)]
    gate = CountingServer([file for files in series for file in files], pause=0.03)
    bench.add("GATE", scripted_peer(gate).address, max_associations=limit)
    for name, files in zip(("ONE", "TWO"), series, strict=False):
        pacs = MutePacs(files, (("127.0.0.1", 1), "GATE"))
        bench.add(name, scripted_peer(pacs).address, retrieve=MOVE, proxy="GATE", max_associations=4)
    names = ["ONE", "TWO", "GATE", "ONE", "TWO"]
    targets = [Target(Level.SERIES, (series[n][0].series_uid,)) for n in (0, 1, 2, 0, 1)]
    with bench.engine() as engine, ThreadPoolExecutor(5) as pool:
        results = list(pool.map(engine.retrieve, targets, names))

    assert [(r.complete, r.verified) for r in results] == [(True, 6)] * 5
    assert gate.peak <= limit


def test_two_jobs_for_the_same_series_both_end_well(placed, engine):
    results = []
    threads = [threading.Thread(target=lambda: results.append(engine.retrieve(placed.study, "PACS"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [r.complete for r in results] == [True, True]
    assert engine.verify().rows == 43


# When something goes wrong


@pytest.fixture
def narrow(bench, gate, tmp_path, request) -> Iterator[tuple[Hospital, FaultProxy]]:
    """A PACS whose way to the proxy is faulty; the faults are the parameter."""
    require("dcmqrscp")
    gate.delete_all()
    with FaultProxy(gate.address, to_server=request.param) as link:
        made = Hospital(tmp_path, gate, "NARROW", 23, (20,), link.port)
        with made.peer:
            bench.add("GATE", gate)
            bench.add("PACS", made.peer, retrieve=MOVE, proxy="GATE", timeout=5.0)
            yield made, link


def test_an_unknown_destination_is_told_with_what_to_do(bench, gate, tmp_path):
    made = Hospital(tmp_path, gate, "STRICT", 24, (3,), 0)
    with made.peer:
        bench.add("GATE", gate)
        bench.add("PACS", made.peer, retrieve=MOVE, proxy="GATE")
        done = bench.run("retrieve", "--study", made.files[0].study_uid, "--server", "PACS")

    assert done.code == 1
    assert (done.document["requested"], done.document["received"]) == (3, 0)
    assert done.document["warnings"][0] == (
        "PACS: From PACS to the proxy GATE: PACS does not know the destination GATE: its administrator has to register"
        " it with address and port (status 0xA801)."
    )


def test_a_proxy_that_is_down_is_told_and_nothing_is_moved(placed, bench, engine, dead_port):
    bench.run("servers", "add", "DOWN", "--host", "127.0.0.1", "--port", dead_port, "--called-aet", "GATE")
    bench.add("OTHER", placed.peer, retrieve=MOVE, proxy="DOWN")
    result = engine.retrieve(placed.series_target(2), "OTHER")

    assert not result.complete
    assert result.warnings[0].startswith("OTHER: From the proxy DOWN to here: The server at 127.0.0.1")
    assert "nothing listens on this port" in result.warnings[0]
    assert placed.proxy.counts()[3] == 0


def test_a_proxy_that_refuses_c_get_is_told(bench, engine, tmp_path):
    ours = {"us": {"AET": "VISUALDICOM", "Host": "127.0.0.1", "Port": 104, "AllowGet": False, "AllowFind": True}}
    options = {"DicomAlwaysAllowGet": False, "DicomModalities": ours}
    (tmp_path / "closed").mkdir()
    with Orthanc(tmp_path / "closed", ae_title="CLOSED", options=options) as closed:
        made = Hospital(tmp_path, closed, "MOVER", 25, (3,))
        with made.peer:
            bench.add("GATE", closed)
            bench.add("PACS", made.peer, retrieve=MOVE, proxy="GATE")
            result = engine.retrieve(made.study, "PACS")

    assert (result.complete, result.received) == (False, 0)
    told = " ".join(result.warnings)
    assert "From the proxy GATE to here: The server aborted the association." in told
    assert "Perhaps it is not allowed to send to VISUALDICOM by C-GET." in told
    assert "Of 3 instances 3 came to the proxy GATE, and 0 from there to here." in told


@pytest.mark.parametrize("narrow", [[Cut(after=8 * SIZE)]], indirect=True)
def test_a_move_that_fails_half_way_leaves_what_came_and_is_completed_later(narrow, bench, engine):
    hospital, link = narrow
    first = engine.retrieve(hospital.study, "PACS")

    assert not first.complete
    assert 0 < first.received == hospital.proxy.counts()[3] < 20
    assert len(first.missing) == 20 - first.received
    assert {failure.subject for failure in first.failed} == set(first.missing)
    assert all("to the proxy GATE" in failure.reason for failure in first.failed)
    assert f"Of 20 instances {first.received} came to the proxy GATE" in first.warnings[0]

    link.heal()
    second = engine.retrieve(hospital.study, "PACS")
    assert second.complete
    assert second.received == 20 - first.received
    assert hospital.proxy.counts()[3] == 20
    assert leftovers(bench) == []


@pytest.mark.parametrize("narrow", [[Throttle(after=4 * SIZE, bytes_per_second=4 * SIZE)]], indirect=True)
def test_fetching_begins_while_the_move_runs_and_survives_the_end_of_the_pacs(narrow, engine):
    hospital, link = narrow
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.retrieve, hospital.study, "PACS")
        wait_until(lambda: engine.verify().rows >= 3, what="arrivals")
        assert hospital.proxy.counts()[3] < 20
        assert not running.done()
        hospital.peer.kill9()
        result = running.result(30)

    assert 3 <= result.received < 20
    assert len(result.missing) == 20 - result.received
    assert engine.verify().rows == result.received
    del link


@pytest.mark.parametrize("narrow", [[Throttle(after=2 * SIZE, bytes_per_second=SIZE / 4)]], indirect=True)
def test_a_cancel_while_the_move_runs_is_back_within_two_seconds(narrow, bench, engine):
    hospital, link = narrow
    token, threads = CancelToken(), set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.retrieve, hospital.study, "PACS", token=token)
        wait_until(link.happened.is_set, what="the slow part")
        with at_most(2.0):
            token.cancel()
            with pytest.raises(Cancelled):
                running.result(10)
    wait_until(lambda: "vdb-move" not in {t.name[:8] for t in set(threading.enumerate()) - threads})
    assert leftovers(bench) == []


@pytest.mark.parametrize("narrow", [[Throttle(after=4 * SIZE, bytes_per_second=4 * SIZE)]], indirect=True)
def test_a_move_whose_connection_is_cut_keeps_what_came_and_says_on_which_way(narrow, bench, engine):
    hospital, link = narrow
    with FaultProxy(hospital.peer.address) as wire, ThreadPoolExecutor(1) as pool:
        bench.add("CUT", wire.address, called_aet="NARROW", retrieve=MOVE, proxy="GATE", timeout=5.0)
        running = pool.submit(engine.retrieve, hospital.study, "CUT")
        wait_until(lambda: engine.verify().rows >= 3, what="arrivals")
        wire.close()
        result = running.result(30)

    assert 3 <= result.received < 20
    assert len(result.missing) == 20 - result.received
    assert result.warnings[0].startswith("CUT: From CUT to the proxy GATE: The server")
    link.heal()
    assert engine.retrieve(hospital.study, "PACS").complete


def test_fetching_in_the_background_goes_the_same_way(placed, engine):
    engine.query(QueryFilter(), Level.SERIES, servers=["PACS"])
    engine.fetch([placed.series[0][0].series_uid])
    wait_until(lambda: JobState.COMPLETED in [r.state for r in engine.jobs()], what="the end of the job")
    wait_until(lambda: engine.verify().rows == 12)
    assert engine.verify().ok


def gate_of(hospital: Hospital) -> tuple[tuple[str, int], str]:
    return hospital.proxy.address, hospital.proxy.ae_title


def test_a_pacs_without_pending_responses_is_waited_for_while_instances_arrive(placed, bench, engine, scripted_peer):
    mute = MutePacs(placed.series[0], gate_of(placed), pause=0.3)
    bench.add("MUTE", scripted_peer(mute).address, retrieve=MOVE, proxy="GATE", timeout=1.0)
    result = engine.retrieve(placed.series_target(0), "MUTE")

    assert (result.complete, result.received) == (True, 12)
    assert mute.moves == 1


def test_success_with_nothing_is_no_success(placed, bench, engine, scripted_peer):
    mute = MutePacs(placed.series[0], gate_of(placed), sends=0)
    bench.add("MUTE", scripted_peer(mute).address, retrieve=MOVE, proxy="GATE")
    result = engine.retrieve(placed.series_target(0), "MUTE")

    assert (result.complete, result.requested, result.received) == (False, 12, 0)
    assert {f.reason for f in result.failed} == {"MUTE reported success but did not send it to the proxy GATE."}
    assert "Of 12 instances 0 came to the proxy GATE, and 0 from there to here." in result.warnings[0]


def test_success_with_a_part_names_the_rest(placed, bench, engine, scripted_peer):
    bench.add(
        "MUTE",
        scripted_peer(MutePacs(placed.series[0], gate_of(placed), sends=10)).address,
        retrieve=MOVE,
        proxy="GATE",
    )
    result = engine.retrieve(placed.series_target(0), "MUTE")

    assert (result.complete, result.received) == (False, 10)
    assert set(result.missing) == {f.sop_uid for f in placed.series[0][10:]}


def test_descriptors_are_back_afterwards(placed, engine):
    engine.retrieve(placed.series_target(2), "PACS")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count is all
    for number in (0, 1):
        assert engine.retrieve(placed.series_target(number), "PACS").complete
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_an_engine_whose_rows_another_program_keeps_retrieves_so_too(placed, bench):
    host = HostOfRows(bench.database)
    try:
        with Engine(bench.database, bench.config, rows_by_host=True) as engine, ThreadPoolExecutor(1) as pool:
            running = pool.submit(engine.retrieve, placed.study, "PACS")
            wait_until(lambda: JobState.INDEXING in [r.state for r in engine.jobs()], what="files without rows")
            host.index(engine)
            result = running.result(20)
        assert (result.complete, result.verified) == (True, 43)
    finally:
        host.stop()
