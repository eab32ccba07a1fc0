"""The folder of one series cannot be written: real senders are told, and all others are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.listened import listening, sent, storescu
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib import Engine

WHY = "Could not create the folder: Not a directory."


@pytest.mark.expects_log(f"wait for their folder: {WHY}")
def test_senders_of_other_series_are_served_and_what_was_confirmed_comes_when_the_folder_is_mended(
    engine: Engine, tmp_path: Path
):
    bad, good = make_ct_series(tmp_path / "1", 4, 20_000, study=1), make_ct_series(tmp_path / "2", 4, 20_000, study=2)
    store = engine._store
    in_the_way = store.folder.instance_path(bad[0].study_uid, bad[0].series_uid, bad[0].sop_uid).parents[1]
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_bytes(b"")
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
