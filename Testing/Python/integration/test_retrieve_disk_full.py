"""A disk that is full while a series comes, on each way: told, nothing half left behind, and made good later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp, Node
from support.orthanc import Orthanc
from support.peers import require
from support.processes import free_port
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod
from VisualDICOMBrowserLib.engine.configuration import Configuration

US = "VISUALDICOM"
COUNT, SIZE = 24, 500_000


@dataclass
class Archives:
    """An Orthanc that has a series, and a PACS that has another and only moves: to the Orthanc, and to us."""

    orthanc: Orthanc
    pacs: Dcmqrscp
    our_port: int
    of_orthanc: list[CorpusFile]
    of_pacs: list[CorpusFile]


@pytest.fixture(scope="module")
def archives(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archives]:
    require("dcmqrscp")
    root, port = tmp_path_factory.mktemp("archives"), free_port()
    first, second = (make_ct_series(root / f"{n}", COUNT, SIZE, study=60 + n) for n in (1, 2))
    assert orthanc.load([file.path for file in first]) == []
    (root / "pacs").mkdir()
    nodes = [Node(US, port), Node(orthanc.ae_title, orthanc.port)]
    pacs = Dcmqrscp(root / "pacs", ae_title="MOVER", disable_get=True, nodes=nodes)
    assert pacs.index([file.path for file in second]) == []
    with pacs:
        pacs.make_lasting()
        yield Archives(orthanc, pacs, port, first, second)


@pytest.mark.expects_log("Received files wait for their rows: The disk is full.")
@pytest.mark.parametrize("way", ["get", "move", "proxy"])
def test_what_fits_is_kept_and_the_rest_comes_when_there_is_room(
    bench, archives: Archives, small_disk: tuple[Path, Callable[[int], None]], way: str
):
    disk, resize = small_disk
    bench.add("GATE", archives.orthanc)
    moving = {"retrieve": RetrieveMethod.MOVE, "proxy": "GATE" if way == "proxy" else None}
    bench.add("PACS", archives.pacs, **moving)
    Configuration(bench.config).set_listener(ListenerSettings(aet=US, port=archives.our_port))
    name, files = ("GATE", archives.of_orthanc) if way == "get" else ("PACS", archives.of_pacs)
    target = Target(Level.SERIES, (files[0].series_uid,))

    with Engine(disk / "database", bench.config) as engine:
        engine.query(level=Level.SERIES)
        result = engine.retrieve(target, name)
        assert not result.complete
        assert 0 < result.verified < COUNT
        assert set(result.missing) < {file.sop_uid for file in files}
        assert len(result.missing) == COUNT - result.verified
        assert any("disk is full" in warning for warning in result.warnings), result.warnings
        resize(9)
        checked = engine.verify()  # which gives rows to files that are whole, and had no room for them
        assert checked.ok
        assert checked.rows >= result.verified
        assert [path for path in disk.rglob("*.part") if path.is_file()] == []

        resize(40)
        again = engine.retrieve(target, name)
        assert again.complete
        assert again.received == COUNT - checked.rows
