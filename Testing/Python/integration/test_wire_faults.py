"""A line that stops or breaks in the middle of a PDU, in either direction: told in time, taken up again, nothing lost.

With Orthanc, which serves others while it waits for a line that stands still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.client import at_most
from support.corpus import CorpusFile
from support.fault_proxy import Cut, Fault, FaultProxy, Stall
from support.orthanc import Orthanc
from support.processes import PeerProcess
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.model import Level, Target

COUNT, SIZE = 40, 5_000
FAULTS: list[Callable[[int], Fault]] = [Stall, Cut, lambda after: Cut(after, reset=False)]
NAMES = ["stalled", "reset", "closed"]
Line = Callable[..., FaultProxy]


@dataclass
class Place:
    """A server, a series, and how many bytes go either way when that is fetched from it or sent to it undisturbed."""

    peer: PeerProcess
    files: list[CorpusFile]
    bytes: dict[str, int]

    def fault(self, direction: str, make: Callable[[int], Fault]) -> dict[str, list[Fault]]:
        """Put a fault in the midst of the instances, or of our answers to them: no other conversation gets that far."""
        before_the_end = {"to_client": COUNT * SIZE // 3, "to_server": 3001}[direction]
        return {direction: [make(self.bytes[direction] - before_the_end)]}


def measured(peer: PeerProcess, files: list[CorpusFile], do: Callable[[tuple[str, int]], None]) -> Place:
    with FaultProxy(peer.address) as line:
        do(line.address)
        return Place(peer, files, {"to_server": line.bytes_to_server, "to_client": line.bytes_to_client})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[CorpusFile]:
    return make_ct_series(tmp_path_factory.mktemp("wire") / "ct", COUNT, SIZE)


@pytest.fixture
def archive(orthanc: Orthanc, files: list[CorpusFile]) -> Orthanc:
    orthanc.delete_all()
    assert orthanc.load([file.path for file in files]) == []
    return orthanc


def fetched(engine: Engine, files: list[CorpusFile]) -> Any:
    return engine.retrieve(Target(Level.SERIES, (files[0].series_uid,)), "PEER")


@pytest.fixture
def source(archive: Orthanc, files: list[CorpusFile], benches: Any) -> Place:
    bench = benches("measuring")

    def fetch(address: tuple[str, int]) -> None:
        bench.add("PEER", address, called_aet=archive.ae_title)
        with bench.engine() as engine:
            assert fetched(engine, files).complete

    return measured(archive, files, fetch)


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("make", FAULTS, ids=NAMES)
def test_a_get_goes_on_where_it_was(
    bench: Any, engine: Engine, source: Place, fault_proxy: Line, direction: str, make: Callable[[int], Fault]
):
    line = fault_proxy(source.peer.address, **source.fault(direction, make), only_first=2)
    bench.add("PEER", line.address, called_aet=source.peer.ae_title, timeout=1.0)
    with at_most(10):
        result = fetched(engine, source.files)

    assert line.happened.is_set()
    assert (result.complete, result.received, result.verified) == (True, COUNT, COUNT)
    assert line.bytes_to_client < 2 * COUNT * SIZE  # what was here already did not come again
    assert engine.verify().ok


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("make", FAULTS, ids=NAMES)
def test_a_transfer_goes_on_where_it_was(
    bench: Any,
    engine: Engine,
    orthanc: Orthanc,
    tmp_path: Path,
    fault_proxy: Line,
    direction: str,
    make: Callable[[int], Fault],
):
    after = {"to_server": 7 * SIZE + 777, "to_client": 1001}[direction]
    make_ct_series(tmp_path / "new", COUNT, SIZE, study=33)
    orthanc.delete_all()
    line = fault_proxy(orthanc.address, **{direction: [make(after)]}, only_first=1)
    bench.add("PEER", line.address, called_aet=orthanc.ae_title, timeout=1.0)
    with at_most(10):
        result = engine.send_files([tmp_path / "new"], "PEER")

    assert line.happened.is_set()
    assert (result.complete, result.sent) == (True, COUNT)
    assert orthanc.counts()[3] == COUNT
    assert line.bytes_to_server < 1.5 * COUNT * SIZE


@pytest.mark.parametrize(("direction", "after"), [("to_client", 777), ("to_server", 400)])
@pytest.mark.parametrize("make", FAULTS, ids=NAMES)
def test_a_query_fails_in_time_and_the_next_one_works(
    bench: Any,
    engine: Engine,
    archive: Orthanc,
    fault_proxy: Line,
    direction: str,
    after: int,
    make: Callable[[int], Fault],
):
    line = fault_proxy(archive.address, **{direction: [make(after)]}, only_first=1)
    bench.add("PEER", line.address, called_aet=archive.ae_title, timeout=1.0)
    with at_most(5):
        failed = engine.query(level=Level.IMAGE)

    assert line.happened.is_set()
    assert (failed.servers_failed, failed.complete) == (1, False)
    assert failed.warnings[0].startswith("PEER: The server")
    assert engine.query(level=Level.IMAGE).servers_failed == 0
