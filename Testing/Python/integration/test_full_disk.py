"""The disk is full: it is said, the databases stay whole, and what did not fit comes when there is room."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.client import Background
from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.peers import require
from support.small_disk import SmallDisk
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import DiskFull
from VisualDICOMBrowserLib.domain.listener import AllowedPeer, ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.jobs.states import JobState

FULL = "The disk is full"
KB = 1024
BIG, COUNT = 200 * KB, 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk", 2.5) as made:
        yield made


@pytest.fixture
def small_bench(bench: Any, disk: SmallDisk) -> Any:
    """A bench whose database folder lies on the small disk."""
    bench.database = disk.path / "database"
    return bench


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[CorpusFile]:
    """More than fits."""
    return make_ct_series(tmp_path_factory.mktemp("big"), COUNT, BIG, study=61)


@pytest.fixture(scope="module")
def pacs(dcmqrscp: Dcmqrscp, files: list[CorpusFile]) -> Dcmqrscp:
    """A dcmqrscp, with TCP_NODELAY, that has them."""
    dcmqrscp.load(files)
    return dcmqrscp


def assert_whole(bench: Any) -> int:
    """Check the databases and rows against files; return how many instances are here."""
    document = bench.run("verify").document
    assert document["ok"], document
    for name in ("ctkDICOM.sql", "ctkDICOMTagCache.sql", "visual-dicom-browser.sqlite"):
        with closing(sqlite3.connect(bench.database / name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if "intents" in {row[0] for row in connection.execute("SELECT name FROM sqlite_master").fetchall()}:
                assert connection.execute("SELECT * FROM intents").fetchall() == []
    assert not list(bench.database.rglob("*.part"))
    return int(document["rows"])


def test_an_import_says_what_did_not_fit_and_the_same_command_takes_in_the_rest(
    small_bench: Any, disk: SmallDisk, files: list[CorpusFile]
):
    source = files[0].path.parent
    run = small_bench.run("import", source)
    assert run.code == 1
    assert f"could not be kept: {FULL}" in run.err
    imported = run.document["imported"]
    assert 0 < imported < COUNT
    assert {one["reason"] for one in run.document["rejected"]} == {f"{FULL}."}
    assert len(run.document["rejected"]) == COUNT - imported
    here = assert_whole(small_bench)  # of what was not confirmed some may have got rows that nobody could note
    assert imported <= here < COUNT

    disk.resize(16)
    again = small_bench.run("import", source)
    assert (again.code, again.document["imported"], again.document["duplicates"]) == (0, COUNT - here, here)
    assert assert_whole(small_bench) == COUNT


def test_with_any_little_room_nothing_is_half_stored(small_bench: Any, disk: SmallDisk, tmp_path: Path):
    make_ct_series(tmp_path / "first", 3, 2_000, series=1)
    make_ct_series(tmp_path / "more", 12, 2_000, series=2)
    assert small_bench.run("import", tmp_path / "first").code == 0
    here, codes = 3, set()
    for leave in range(0, 320 * KB, 24 * KB):
        disk.fill(leave)
        run = small_bench.run("import", tmp_path / "more")
        codes.add(run.code)
        assert run.code == 0 or FULL in run.err, (leave, run)
        confirmed = here + run.document.get("imported", 0)
        listed = small_bench.run("list", "--level", "image")
        assert listed.code == 0, (leave, listed)
        disk.make_room()
        here = assert_whole(small_bench)  # what was not confirmed may have got a row that nobody could note
        assert confirmed <= here <= 15, leave
    assert codes == {0, 1}
    assert small_bench.run("import", tmp_path / "more").code == 0
    assert assert_whole(small_bench) == 15


def test_a_retrieve_fails_in_plain_words_and_its_job_can_be_retried(
    small_bench: Any, disk: SmallDisk, pacs: Dcmqrscp, files: list[CorpusFile]
):
    small_bench.add("pacs", pacs)
    with small_bench.engine() as engine:
        result = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))
        assert not result.complete
        assert 0 < result.verified < COUNT
        assert len(result.missing) == COUNT - result.verified
        assert any(FULL in warning for warning in result.warnings) or {f.reason for f in result.failed} == {f"{FULL}."}
        (job,) = engine.jobs()
        assert FULL in job.reason
        disk.resize(16)
        engine.retry_job(job.job_id)
        wait_until(lambda: engine.jobs()[0].state is JobState.COMPLETED, what="the job")
    assert assert_whole(small_bench) == COUNT


def storescu(port: int, files: list[CorpusFile]) -> set[str]:
    """Send files, each over an association of its own; return the names of those that were confirmed."""
    environment = {**os.environ, "TCP_NODELAY": "1"}
    command = [require("storescu"), "-aec", "US", "127.0.0.1", str(port)]
    done = [(f, subprocess.run([*command, str(f.path)], env=environment, timeout=60, check=False)) for f in files]
    return {file.sop_uid for file, process in done if process.returncode == 0}


@pytest.mark.expects_log("Received files wait for their rows: The disk is full.")
def test_a_sender_is_refused_what_does_not_fit_and_what_was_confirmed_is_here(
    small_bench: Any, disk: SmallDisk, files: list[CorpusFile]
):
    ports: list[int] = []
    settings = ListenerSettings("US", 0, "127.0.0.1", (AllowedPeer("*", "*"),), unsolicited=True)
    with small_bench.engine() as engine:
        token = CancelToken()
        work = Background(lambda: engine.listen(settings, token=token, ready=lambda one: ports.append(one.port)))
        wait_until(lambda: ports, what="the listener")
        confirmed = storescu(ports[0], files)
        assert 0 < len(confirmed) < COUNT
        sent = [file.sop_uid for file in files]
        assert engine._store.readable(sent) <= confirmed  # the rows of some may wait for room
        disk.resize(16)
        engine._store.safekeeping.settle()
        assert engine._store.readable(sent) == confirmed
        assert len(storescu(ports[0], files)) == COUNT
        token.cancel()
        assert work.ended_by(5.0) is None
    assert assert_whole(small_bench) == COUNT


def test_a_start_on_a_full_disk_is_for_looking_only_and_says_so(small_bench: Any, disk: SmallDisk, tmp_path: Path):
    files = make_ct_series(tmp_path / "first", 3, 2_000)
    assert small_bench.run("import", tmp_path / "first").code == 0
    disk.fill()
    with small_bench.engine() as engine:
        assert engine.read_only
        assert engine.verify().rows == 3
        assert engine.elements(files[0].sop_uid).total > 10
        with pytest.raises(DiskFull, match="when there is room"):
            engine.remove(Target(Level.SERIES, (files[0].series_uid,)))
    disk.make_room()
    assert small_bench.run("remove", "--series", files[0].series_uid).document["instances"] == 3


def test_without_room_for_a_new_folder_nothing_is_made(small_bench: Any, disk: SmallDisk, tmp_path: Path):
    make_ct_series(tmp_path / "first", 1, 2_000)
    disk.fill()
    run = small_bench.run("import", tmp_path / "first")
    assert (run.code, FULL in run.document["error"]) == (2, True)
    disk.make_room()
    assert small_bench.run("import", tmp_path / "first").code == 0
    assert assert_whole(small_bench) == 1


def test_a_removal_without_room_for_its_journal_is_all_or_nothing(small_bench: Any, disk: SmallDisk, tmp_path: Path):
    files = make_ct_series(tmp_path / "first", 12, 2_000)
    assert small_bench.run("import", tmp_path / "first").code == 0
    with Engine(small_bench.database, small_bench.config) as engine:
        disk.fill()
        with pytest.raises(DiskFull):
            engine.remove(Target(Level.SERIES, (files[0].series_uid,)))
        disk.make_room()
        assert engine.verify().ok
    assert assert_whole(small_bench) in (0, 12)
