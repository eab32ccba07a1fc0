"""The folder of one series cannot be written: real senders are told, and all others are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp, Node
from support.listened import AET, listening, sent, storescu
from support.processes import free_port
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod

WHY = "Could not create the folder: Not a directory."


def spoil(engine: Engine, file: CorpusFile, above: int) -> Path:
    """Put a file where the folder of a series has to be, or one above it."""
    path = engine._store.folder.instance_path(file.study_uid, file.series_uid, file.sop_uid).parents[above]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.mark.expects_log(f"wait for their folder: {WHY}")
def test_senders_of_other_series_are_served_and_what_was_confirmed_comes_when_the_folder_is_mended(
    engine: Engine, tmp_path: Path
):
    bad, good = make_ct_series(tmp_path / "1", 4, 20_000, study=1), make_ct_series(tmp_path / "2", 4, 20_000, study=2)
    store = engine._store
    in_the_way = spoil(engine, bad[0], 1)
    with listening(engine) as listened:
        assert sent(storescu(listened.port, bad[:1])) == [0]
        store.safekeeping.settle()
        refused = storescu(listened.port, bad[1:], "-d")
        told = refused.communicate(timeout=60)[0].decode()
        assert "DIMSE Status                  : 0xa700" in told, told
        assert f"[{WHY}" in told
        assert sent(storescu(listened.port, good)) == [0]
        assert WHY in engine.listener().problem
        assert "one series" in engine.listener().problem
        store.safekeeping.settle()
        assert store.readable([file.sop_uid for file in (*bad, *good)]) == {file.sop_uid for file in good}
        in_the_way.unlink()
        store.safekeeping.settle()
        assert engine.listener().problem == ""
        assert store.readable([bad[0].sop_uid]) == {bad[0].sop_uid}
        assert sent(storescu(listened.port, bad)) == [0]
    result = listened.end()
    assert (result.stored, result.duplicates, result.failed) == (8, 1, 1)
    assert engine.verify().rows == 8


@pytest.mark.expects_log("wait for their folder: Could not create the folder: File exists.")
@pytest.mark.parametrize("method", [RetrieveMethod.GET, RetrieveMethod.MOVE])
def test_a_study_is_fetched_but_for_the_series_whose_folder_cannot_be_written(
    bench: Any, tmp_path: Path, method: RetrieveMethod
):
    bad, good = (make_ct_series(tmp_path / str(n), 3, 20_000, study=3, series=n) for n in (1, 2))
    port = free_port()
    with Dcmqrscp(tmp_path / "pacs", nodes=[Node(AET, port)]) as pacs, bench.engine() as engine:
        pacs.load([*bad, *good])
        bench.add("PACS", pacs, retrieve=method)
        engine.set_listener(ListenerSettings(AET, port))
        in_the_way = spoil(engine, bad[0], 0)
        result = engine.retrieve(Target(Level.STUDY, (bad[0].study_uid,)))
        assert (result.requested, result.verified) == (6, 3)
        assert {failure.subject for failure in result.failed} <= {file.sop_uid for file in bad}
        assert any("File exists" in failure.reason for failure in result.failed)
        assert engine._store.readable([file.sop_uid for file in good]) == {file.sop_uid for file in good}
        in_the_way.unlink()
        assert engine.retrieve(Target(Level.STUDY, (bad[0].study_uid,))).complete
        assert engine.verify().rows == 6
