"""``kill -9`` of the whole process group at random points: the next start finishes or undoes; nothing is left over."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.cli_processes import CliProcesses, Command
from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.peers import require
from support.processes import answers, free_port
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.store.catalogue import Catalogue
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

INSTANCES = 20
STAYING = 3
FIRST_GUESS_S = 0.3
SIZE = 8_000


class Ground:
    """A database folder in which commands are killed, with a series that is there before and must stay.

    :ivar files: what is received, imported and removed.
    :ivar span: how long a command was at work when nobody disturbed it, in seconds.
    """

    def __init__(self, bench: Any, processes: CliProcesses, *, fresh: bool = False) -> None:
        self.bench = bench
        self.folder = DatabaseFolder(bench.database)
        self.source = bench.root / "coming"
        self.files = make_ct_series(self.source, INSTANCES, SIZE, series=1)
        self.staying = make_ct_series(bench.root / "staying", STAYING, SIZE, series=2)
        self.span = FIRST_GUESS_S
        self._processes = processes
        self._always_fresh = fresh
        self._started = False
        assert bench.run("import", bench.root / "staying").code == 0

    @property
    def series(self) -> str:
        return self.files[0].series_uid

    def start(self, *words: object, doomed: bool = False) -> Command:
        """Start a command; the first of those that will be killed is never a forked one."""
        fresh = doomed and (self._always_fresh or not self._started)
        self._started |= doomed
        return self._processes.start([*words, *self.bench.options], fresh=fresh)

    def at_work(self, command: Command) -> None:
        """Wait until a command has the folder: before that, it touches nothing."""
        wait_until(lambda: self._holder() == command.pid or command.has_ended, what="a command to begin")

    def _holder(self) -> int:
        try:
            return int(json.loads(self.folder.lock_file.read_bytes())["pid"])
        except (OSError, ValueError):
            return 0

    def killed(self, generator: random.Random, *words: object) -> bool:
        """Kill a command somewhere in its work; tell whether it had not ended by then."""
        command = self.start(*words, doomed=True)
        self.at_work(command)
        return command.kill_after(generator.uniform(0, self.span)) == -signal.SIGKILL

    def done(self, *words: object) -> Any:
        """Run a command to its end, and return its document."""
        command = self.start(*words)
        self.at_work(command)
        started = time.monotonic()
        command.wait()
        self.span = time.monotonic() - started
        return command.document

    def listener(self, *, doomed: bool = False) -> tuple[Command, int]:
        """Start ``listen``; return it with its port once it answers."""
        port = free_port()
        who = ("--aet", "US", "--allow", "STORESCU@127.0.0.1", "--unsolicited")
        command = self.start("listen", *who, "--port", port, doomed=doomed)
        wait_until(lambda: answers(port), 30, "the listener")
        return command, port

    def picture(self) -> None:
        """Give the series a thumbnail."""
        file = self.files[0]
        path = self.folder.thumbnail_path(file.study_uid, file.series_uid, file.sop_uid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture that nobody looks at")
        with closing(Catalogue.open(self.folder.catalogue)) as catalogue:
            catalogue.set_thumbnail(file.series_uid, file.sop_uid, self.folder.stored_name(path), False, "")

    def at_rest(self) -> set[str]:
        """Have the next start tidy up, and check that all agrees then; return the local instances."""
        assert self.bench.run("verify").document["ok"]
        local = {uid for (uid,) in _rows(self.folder.ctk_database, "SELECT SOPInstanceUID FROM Images")}
        self._check_files(local)
        self._check_databases(local)
        self._check_leftovers()
        assert local >= {file.sop_uid for file in self.staying}
        assert not list(self._processes.temporary.iterdir())
        return local

    def _check_files(self, local: set[str]) -> None:
        names = dict(_rows(self.folder.ctk_database, "SELECT Filename, SOPInstanceUID FROM Images"))
        assert len(names) == len(local)
        below = [path for path in self.folder.dicom_folder.rglob("*") if path.is_file()]
        assert {self.folder.stored_name(path) for path in below} == set(names)
        for path in below:
            assert read_header(path).sop_uid == names[self.folder.stored_name(path)]
            assert path.stat().st_size >= SIZE

    def _check_databases(self, local: set[str]) -> None:
        folder = self.folder
        for path in (folder.ctk_database, folder.ctk_tag_cache, folder.catalogue):
            assert _rows(path, "PRAGMA integrity_check") == [("ok",)], path.name
        assert _column(folder.ctk_tag_cache, "SELECT DISTINCT SOPInstanceUID FROM TagCache") == local
        assert _column(folder.catalogue, "SELECT sop_uid FROM instances WHERE file IS NOT NULL") == local
        assert _rows(folder.catalogue, "SELECT * FROM intents") == []
        assert _rows(folder.ctk_database, "SELECT count(*) FROM Patients") == [(1,)]
        assert _rows(folder.catalogue, "SELECT count(*) FROM patients") == [(1,)]
        series = "SELECT SeriesInstanceUID, DisplayedCount FROM Series"
        images = "SELECT SeriesInstanceUID, count(*) FROM Images GROUP BY SeriesInstanceUID"
        assert sorted(_rows(folder.ctk_database, series)) == sorted(_rows(folder.ctk_database, images))

    def _check_leftovers(self) -> None:
        names = {path.name for path in self.folder.root.iterdir()}
        assert names <= {
            "ctkDICOM.sql",
            "ctkDICOMTagCache.sql",
            "visual-dicom-browser.sqlite",
            "visual-dicom-browser.lock",
            "dicom",
            "thumbs",
        }
        assert self.folder.lock_file.read_bytes() == b""
        folders = {path for path in self.folder.root.rglob("*") if path.is_dir()}
        empty = {path for path in folders if not any(path.iterdir())}
        assert empty <= {self.folder.incoming_folder, self.folder.thumbs_folder}
        pictures = {self.folder.stored_name(p) for p in self.folder.thumbs_folder.rglob("*") if p.is_file()}
        assert pictures == _column(self.folder.catalogue, "SELECT file FROM thumbnails")


def _rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def _column(path: Path, statement: str) -> set[Any]:
    return {value for (value,) in _rows(path, statement)}


class Sender:
    """Sends files with storescu, with TCP_NODELAY, as a process of its own."""

    def __init__(self, port: int, files: Sequence[CorpusFile]) -> None:
        self._names = {str(file.path): file.sop_uid for file in files}
        command = [require("storescu"), "-v", "-aec", "US", "127.0.0.1", str(port), *self._names]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def confirmed(self) -> set[str]:
        """Wait for its end, and return the SOP Instance UIDs of what it was told is stored."""
        said, _ = self._process.communicate(timeout=60)
        turns = (turn.partition("\n") for turn in said.split("Sending file: ")[1:])
        return {self._names[name] for name, _, answer in turns if "Store Response (Success)" in answer}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliProcesses]:
    package = Path(__file__).resolve().parents[3] / "VisualDICOMBrowser"
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONUTF8": "1"}
    with CliProcesses(tmp_path_factory.mktemp("processes"), environment) as made:
        yield made


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, dcmqrscp: Dcmqrscp) -> Dcmqrscp:
    """A dcmqrscp, with TCP_NODELAY, that has the series."""
    dcmqrscp.load(make_ct_series(tmp_path_factory.mktemp("pacs"), INSTANCES, SIZE, series=1))
    return dcmqrscp


def importing(ground: Ground, generator: random.Random) -> bool:
    killed = ground.killed(generator, "import", ground.source)
    before = ground.at_rest()
    assert ground.done("import", ground.source)["imported"] == INSTANCES + STAYING - len(before)
    return killed


def retrieving(ground: Ground, generator: random.Random) -> bool:
    words = ("retrieve", "--series", ground.series)
    killed = ground.killed(generator, *words)
    before = ground.at_rest()
    document = ground.done(*words)
    assert (document["verified"], document["missing"]) == (INSTANCES, [])
    assert document["received"] == INSTANCES + STAYING - len(before)
    return killed


def receiving(ground: Ground, generator: random.Random) -> bool:
    command, port = ground.listener(doomed=True)
    sender = Sender(port, ground.files)
    killed = command.kill_after(generator.uniform(0, ground.span)) == -signal.SIGKILL
    confirmed = sender.confirmed()
    assert ground.at_rest() >= confirmed

    command, port = ground.listener()
    started = time.monotonic()
    assert Sender(port, ground.files).confirmed() == {file.sop_uid for file in ground.files}
    ground.span = time.monotonic() - started
    assert command.signal(signal.SIGINT) == 0
    return killed


def removing(ground: Ground, generator: random.Random) -> bool:
    words = ("remove", "--series", ground.series)
    assert ground.bench.run("import", ground.source).code == 0
    ground.picture()
    killed = ground.killed(generator, *words)
    left = ground.at_rest()
    assert len(left) in (STAYING, STAYING + INSTANCES)  # all of it, or nothing
    assert ground.done(*words)["instances"] == len(left) - STAYING
    assert len(ground.at_rest()) == STAYING
    return killed


WORK = {"receive by C-GET": retrieving, "receive by C-STORE": receiving, "import": importing, "remove": removing}


def rounds(ground: Ground, work: str, number: int, seed: int) -> int:
    """Do some work so often, and return in how many rounds it was killed before its end."""
    generator, killed = random.Random(f"{work} {seed}"), 0
    for turn in range(number):
        try:
            killed += WORK[work](ground, generator)
            if work != "remove":
                assert len(ground.at_rest()) == INSTANCES + STAYING
                assert ground.bench.run("remove", "--series", ground.series).code == 0
        except Exception as error:
            raise AssertionError(f"{work}: round {turn + 1} of seed {seed}") from error
    return killed


@pytest.mark.parametrize("work", WORK)
def test_after_ten_kills_nothing_is_lost_and_nothing_left_over(
    bench: Any, processes: CliProcesses, pacs: Dcmqrscp, work: str
):
    bench.add("pacs", pacs)
    assert rounds(Ground(bench, processes), work, 10, seed=1) >= 5


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("work", WORK)
def test_after_a_hundred_kills_nothing_is_lost_and_nothing_left_over(
    bench: Any, processes: CliProcesses, pacs: Dcmqrscp, work: str, seed: int
):
    bench.add("pacs", pacs)
    assert rounds(Ground(bench, processes, fresh=True), work, 10, seed) >= 5
