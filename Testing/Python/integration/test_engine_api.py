"""The engine in this process: events, cancelling, threads, thumbnails, and the example of its documentation."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.fault_proxy import FaultProxy, Stall, Throttle
from support.orthanc import Orthanc
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, FolderInUse, PeerError, UsageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.engine import engine as engine_module

COUNT = 12
SIZE = 50_000


class Filled:
    """A server with four series of one study each."""

    def __init__(self, peer: Orthanc, root: Path) -> None:
        self.peer = peer
        self.series = [
            make_ct_series(root / str(n), COUNT, SIZE, patient_id=f"API{n}", patient_name=f"Api^{n}", study=30 + n)
            for n in range(4)
        ]
        assert peer.load([file.path for files in self.series for file in files]) == []

    def study(self, number: int) -> Target:
        return Target(Level.STUDY, (self.series[number][0].study_uid,))


@pytest.fixture(scope="module")
def filled(orthanc, tmp_path_factory) -> Filled:
    return Filled(orthanc, tmp_path_factory.mktemp("api"))


@pytest.fixture
def known(bench, filled) -> Filled:
    bench.add("PACS", filled.peer)
    return filled


class Events:
    """Keeps what an engine tells."""

    def __init__(self, engine: Engine) -> None:
        self.all: list[tuple[str, str, dict]] = []
        self.unsubscribe = engine.subscribe(lambda *event: self.all.append(event))

    def wait_for_end(self) -> None:
        """The last event may come just after the call has returned."""
        wait_until(lambda: self.named("job") and self.named("job")[-1][1]["ended"], what="the job's last event")

    def named(self, name: str) -> list[tuple[str, dict]]:
        return [(subject, data) for event, subject, data in self.all if event == name]


def test_a_retrieve_is_heard_from_queue_to_end(known, engine):
    events = Events(engine)
    engine.retrieve(known.study(0))
    events.wait_for_end()
    states = [(data["old"], data["state"]) for _, data in events.named("job")]

    assert states == [(None, "queued"), ("queued", "running"), ("running", "completed")]
    assert len({subject for subject, _ in events.named("job")}) == 1
    done = [data["done"] for _, data in events.named("progress")]
    assert done == sorted(done)
    assert events.named("progress")[-1][1]["total"] == COUNT


def test_a_stored_series_is_heard_with_its_count_growing_to_the_end(known, engine):
    events = Events(engine)
    engine.retrieve(known.study(1))
    changes = events.named("series-changed")

    assert {subject for subject, _ in changes} == {known.series[1][0].series_uid}
    counts = [data["local_instances"] for _, data in changes]
    assert counts == sorted(counts)
    assert counts[-1] == COUNT


def test_who_unsubscribes_hears_nothing_more(known, engine):
    events = Events(engine)
    events.unsubscribe()
    events.unsubscribe()
    engine.echo("PACS")

    assert events.all == []


@pytest.mark.expects_log("A subscriber failed")
def test_a_subscriber_that_fails_harms_nobody(known, engine):
    def fail(*_: object) -> None:
        raise ValueError

    engine.subscribe(fail)
    events = Events(engine)

    assert engine.echo("PACS").ok
    events.wait_for_end()


@pytest.mark.parametrize("fault", [Throttle(after=4 * SIZE, bytes_per_second=SIZE / 4), Stall(after=4 * SIZE)])
def test_a_cancelled_retrieve_returns_within_two_seconds_and_keeps_what_came(bench, filled, engine, fault):
    token = CancelToken()
    with FaultProxy(filled.peer.address, to_client=[fault]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("PACS", proxy.address)
        running = pool.submit(engine.retrieve, filled.study(0), token=token)
        wait_until(proxy.happened.is_set, what="the transfer to slow down")
        started = time.monotonic()
        token.cancel()
        with pytest.raises(Cancelled):
            running.result(5)
        assert time.monotonic() - started < 2
    checked = engine.verify()

    assert checked.ok
    assert 0 < checked.rows < COUNT
    assert [job.state.value for job in engine.jobs()] == ["cancelled", "completed"]


def test_a_query_of_silent_servers_is_cancelled_at_once_and_leaves_nothing_running(bench, filled, engine):
    token = CancelToken()
    faults = [Stall(after=0)]
    with FaultProxy(filled.peer.address, to_client=faults) as one, FaultProxy(
        filled.peer.address, to_client=faults
    ) as two, ThreadPoolExecutor(1) as pool:  # fmt: skip
        bench.add("ONE", one.address)
        bench.add("TWO", two.address)
        running = pool.submit(engine.query, token=token)
        wait_until(lambda: one.happened.is_set() and two.happened.is_set(), what="both servers to be asked")
        started = time.monotonic()
        token.cancel()
        with pytest.raises(Cancelled):
            running.result(5)
        assert time.monotonic() - started < 2
        wait_until(lambda: {job.state.value for job in engine.jobs()} == {"cancelled"}, 2, "both searches to end")


def test_a_token_that_was_raised_before_starts_nothing(known, engine):
    token = CancelToken()
    token.cancel()
    for work in (
        lambda: engine.retrieve(known.study(0), token=token),
        lambda: engine.query(token=token),
        lambda: engine.verify(token=token),
    ):
        with pytest.raises(Cancelled):
            work()
    assert engine.verify().rows == 0


def test_closing_in_mid_transfer_is_quick_and_keeps_what_came(bench, filled):
    with FaultProxy(filled.peer.address, to_client=[Stall(after=4 * SIZE)]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("PACS", proxy.address)
        engine = bench.engine()
        running = pool.submit(engine.retrieve, filled.study(0))
        wait_until(proxy.happened.is_set, what="the transfer to stall")
        started = time.monotonic()
        engine.close()
        with pytest.raises(Cancelled):
            running.result(5)
        assert time.monotonic() - started < 3
    with bench.engine() as again:
        assert again.verify().ok
        assert again.verify().rows > 0


def test_retrieves_and_queries_of_several_threads_at_once_all_come_right(known, engine):
    def retrieve(number: int) -> bool:
        return engine.retrieve(known.study(number)).complete

    def query(number: int) -> bool:
        found = engine.query(QueryFilter(patient_id=f"API{number}"), Level.SERIES)
        return found.complete and len(found.patients) == 1

    with ThreadPoolExecutor(12) as pool:
        tasks = [pool.submit(work, n) for n in range(4) for work in (retrieve, query, query)]
        assert all(task.result(30) for task in tasks)
    checked = engine.verify()

    assert checked.ok
    assert checked.rows == 4 * COUNT


def test_a_search_is_answered_while_a_retrieve_runs(bench, filled, engine):
    """Bulk work leaves a place to quick questions."""
    with FaultProxy(filled.peer.address, to_client=[Stall(after=4 * SIZE)], only_first=2) as proxy:
        bench.add("PACS", proxy.address)
        token = CancelToken()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(engine.retrieve, filled.study(0), token=token)
            wait_until(proxy.happened.is_set, what="the retrieve to stall")
            started = time.monotonic()
            assert engine.query(QueryFilter(patient_id="API1")).patients
            assert time.monotonic() - started < 2
            token.cancel()
            assert isinstance(running.exception(5), Cancelled)


def test_a_second_engine_on_the_folder_reads_and_does_not_write(known, bench, engine):
    engine.retrieve(known.study(0))
    with bench.engine() as second:
        assert second.read_only
        assert second.verify().rows == COUNT
        assert second.local().patients
        assert second.query(QueryFilter(patient_id="API1")).patients
        assert second.echo("PACS").ok
        for work in (
            lambda: second.retrieve(known.study(1)),
            lambda: second.remove(known.study(0)),
            lambda: second.import_paths([Path()]),
            lambda: second.thumbnail("1.2.3"),
        ):
            with pytest.raises(FolderInUse, match="in use by process"):
                work()
    assert engine.verify().rows == COUNT


def test_the_example_of_the_documentation_runs(orthanc_with_corpus, tmp_path, monkeypatch, capsys, bench):
    """It searches for Doe and fetches the first one."""
    bench.add("PACS", orthanc_with_corpus)
    monkeypatch.chdir(tmp_path)
    example = re.search(r"Example::\n\n((?:    .*\n|\n)+)", engine_module.__doc__ or "")
    assert example
    exec(compile(re.sub(r"^    ", "", example[1], flags=re.M), "example", "exec"), {})

    assert re.fullmatch(r"(\d+) of \1\n", capsys.readouterr().out)


def test_importing_the_package_loads_no_dicom_library():
    code = (
        "import sys, VisualDICOMBrowserLib; print([m for m in ('pydicom', 'pynetdicom', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=20,
        env={"PYTHONPATH": str(Path(engine_module.__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


# Thumbnails


def test_a_thumbnail_of_a_remote_series_fetches_exactly_one_instance(known, engine):
    series_uid = known.series[2][0].series_uid
    engine.query(QueryFilter(patient_id="API2"), Level.SERIES)
    made = engine.thumbnail(series_uid)
    here = engine.local(QueryFilter(patient_id="API2"), Level.IMAGE).patients[0]["studies"][0]["series"][0]["images"]

    assert not made.placeholder
    assert Path(made.path).read_bytes().startswith(b"\x89PNG")
    assert [image["sop_uid"] for image in here] == [made.sop_uid]
    assert made.sop_uid == known.series[2][COUNT // 2].sop_uid
    rest = engine.retrieve(Target(Level.SERIES, (series_uid,)))
    assert (rest.received, rest.verified) == (COUNT - 1, COUNT)


def test_a_thumbnail_is_made_once_and_again_when_more_is_here(known, engine):
    engine.query(QueryFilter(patient_id="API3"), Level.SERIES)
    series_uid = known.series[3][0].series_uid
    first = engine.thumbnail(series_uid)
    stamp = Path(first.path).stat().st_mtime_ns
    assert engine.thumbnail(series_uid) == first
    assert Path(first.path).stat().st_mtime_ns == stamp


def test_a_thumbnail_comes_from_another_server_if_the_first_is_gone(known, bench, engine, dead_port):
    bench.add("AAA", known.peer)
    engine.query(QueryFilter(patient_id="API0"), Level.SERIES)
    bench.add("AAA", ("127.0.0.1", dead_port))
    bench.add("PACS", ("127.0.0.1", dead_port))
    with pytest.raises(PeerError, match="cannot be reached"):
        engine.thumbnail(known.series[0][0].series_uid)
    bench.add("PACS", known.peer)

    assert not engine.thumbnail(known.series[0][0].series_uid).placeholder


def test_a_thumbnail_of_the_unknown_is_refused(known, engine):
    with pytest.raises(UsageError, match="search for it first"):
        engine.thumbnail("1.2.3.4")


def test_every_local_series_of_the_corpus_has_a_picture_or_a_placeholder_that_says_why(engine, corpus):
    engine.import_paths(corpus.paths)
    found = engine.local(level=Level.SERIES).patients
    series = [s["series_uid"] for p in found for study in p["studies"] for s in study["series"]]
    made = [engine.thumbnail(uid) for uid in series]

    assert len(series) > 50
    assert all(Path(one.path).read_bytes().startswith(b"\x89PNG") for one in made)
    assert all(bool(one.reason) == one.placeholder for one in made)
    assert sum(one.placeholder for one in made) < len(made) * 0.6
    assert all(engine.thumbnail(uid) == one for uid, one in zip(series[:5], made[:5], strict=True))


def test_completed_jobs_leave_nothing_in_the_folder(known, engine):
    for _ in range(3):
        engine.retrieve(known.study(0))

    wait_until(lambda: engine._store.catalogue.jobs() == [], what="the queue to be empty")
    assert threading.active_count() < 40
