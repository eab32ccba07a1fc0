"""Small instances come without the pauses of delayed acknowledgements, though the peers leave Nagle's algorithm on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.client import NullHandler, fetch, server_at, storage
from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from support.peers import require
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.dimse import transport

COUNT = 100
SIZE = 8192


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[CorpusFile]:
    return make_ct_series(tmp_path_factory.mktemp("small"), COUNT, SIZE)


@pytest.fixture(params=[Orthanc, Dcmqrscp])
def peer(request: pytest.FixtureRequest, tmp_path: Path, files: list[CorpusFile]) -> Iterator[Orthanc | Dcmqrscp]:
    require(request.param.__name__ if request.param is Orthanc else "dcmqrscp")
    with request.param(tmp_path, nodelay=False) as running:
        paths = [file.path for file in files]
        refused = running.index(paths) if isinstance(running, Dcmqrscp) else running.load(paths)
        assert not refused
        yield running


@pytest.mark.skipif(transport._QUICKACK is None, reason="This system has no TCP_QUICKACK.")
def test_a_hundred_small_instances_come_without_pauses(peer: Orthanc | Dcmqrscp, files: list[CorpusFile]):
    keys = {"StudyInstanceUID": files[0].study_uid, "SeriesInstanceUID": files[0].series_uid}
    seconds = []
    for _ in range(3):
        handler, start = NullHandler(), time.monotonic()
        fetch(server_at(peer.address, peer.ae_title, timeout=10), keys, handler, storage(files[0].sop_class))
        seconds.append(time.monotonic() - start)
        assert handler.count == COUNT
        assert handler.bytes > COUNT * SIZE * 0.98
        if seconds[-1] < 2.0:
            return
    pytest.fail(f"It took {seconds} s; with a pause of 40 ms for each it would take 4 s.")
