"""Real files of many vendors, compressed ones among them, come the same by every way there is."""

from __future__ import annotations

from support.orthanc import Orthanc
from support.processes import free_port
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.results import RetrieveResult
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod
from VisualDICOMBrowserLib.engine.configuration import Configuration

WAYS = {
    "get": {},
    "move": {"retrieve": RetrieveMethod.MOVE},
    "proxy": {"retrieve": RetrieveMethod.MOVE, "proxy": "GATE"},
}


def test_every_way_brings_the_same(orthanc_with_corpus, tmp_path, benches, corpus):
    port = free_port()
    studies = Target(Level.STUDY, tuple(dict.fromkeys(file.study_uid for file in corpus.files)))
    results: dict[str, RetrieveResult] = {}
    (tmp_path / "gate").mkdir()
    with Orthanc(tmp_path / "gate", ae_title="GATE") as gate:
        orthanc_with_corpus.set_modality("gate", gate.ae_title, gate.port)
        orthanc_with_corpus.set_modality("us", "VISUALDICOM", port)
        for way, options in WAYS.items():
            bench = benches(way)
            bench.add("GATE", gate)
            bench.add("PACS", orthanc_with_corpus, **options)
            Configuration(bench.config).set_listener(ListenerSettings(port=port))
            with bench.engine() as engine:
                results[way] = engine.retrieve(studies, "PACS")
                assert engine.verify().ok

    assert results["get"].received > 0.9 * len(corpus.files)
    for result in results.values():
        assert (result.requested, result.received) == (results["get"].requested, results["get"].received)
        assert result.missing == results["get"].missing
        assert abs(result.bytes - results["get"].bytes) < 1000  # what is sent in another syntax has other lengths
