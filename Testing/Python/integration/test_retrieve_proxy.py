"""Retrieves from servers that only move, by way of a proxy: both ways told apart, whatever goes wrong."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp, Node
from support.fault_proxy import Cut, FaultProxy, Throttle
from support.orthanc import Orthanc
from support.peers import require
from support.processes import free_port
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod

MOVE = RetrieveMethod.MOVE
SIZE = 20_000


class Hospital:
    """A PACS that only moves, and the proxy that it knows."""

    def __init__(self, root: Path, proxy: Orthanc, name: str, study: int, counts: tuple[int, ...]) -> None:
        self.proxy = proxy
        self.name = name
        self.series = [
            make_ct_series(root / f"{name}-{n}", count, SIZE, patient_id=name, study=study, series=n)
            for n, count in enumerate(counts, 1)
        ]
        (root / name).mkdir()
        self.pacs = Dcmqrscp(root / name, ae_title=name, disable_get=True, nodes=[Node(proxy.ae_title, proxy.port)])
        assert self.pacs.index([f.path for f in self.files]) == []

    @property
    def files(self) -> list[CorpusFile]:
        return [file for series in self.series for file in series]

    @property
    def study(self) -> Target:
        return Target(Level.STUDY, (self.files[0].study_uid,))

    def series_target(self, number: int) -> Target:
        return Target(Level.SERIES, (self.series[number][0].series_uid,))


@pytest.fixture(scope="module")
def gate(tmp_path_factory) -> Iterator[Orthanc]:
    require("Orthanc")
    with Orthanc(tmp_path_factory.mktemp("gate"), ae_title="GATE") as peer:
        yield peer.make_lasting()


@pytest.fixture(scope="module")
def hospital(gate, tmp_path_factory) -> Iterator[Hospital]:
    require("dcmqrscp")
    made = Hospital(tmp_path_factory.mktemp("hospital"), gate, "MOVER", 21, (12, 30, 1))
    with made.pacs:
        made.pacs.make_lasting()
        yield made


@pytest.fixture(scope="module")
def clinic(gate, tmp_path_factory) -> Iterator[Hospital]:
    made = Hospital(tmp_path_factory.mktemp("clinic"), gate, "CLINIC", 22, (7,))
    with made.pacs:
        made.pacs.make_lasting()
        yield made


@pytest.fixture
def placed(bench, hospital) -> Hospital:
    """The PACS and its proxy, which is empty."""
    hospital.proxy.delete_all()
    bench.add("GATE", hospital.proxy)
    bench.add("PACS", hospital.pacs, retrieve=MOVE, proxy="GATE", timeout=5.0)
    return hospital


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


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
    placed.pacs.stop()
    try:
        assert placed.proxy.load([f.path for f in placed.series[0]]) == []
    finally:
        placed.pacs.start().make_lasting()
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
    bench.add("CLINIC", clinic.pacs, retrieve=MOVE, proxy="GATE")
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


def test_two_jobs_for_the_same_series_both_end_well(placed, engine):
    results = []
    threads = [threading.Thread(target=lambda: results.append(engine.retrieve(placed.study, "PACS"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [r.complete for r in results] == [True, True]
    assert engine.verify().rows == 43
