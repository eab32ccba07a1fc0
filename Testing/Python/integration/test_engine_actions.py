"""What the window asks of the engine, against real servers: search, explore, jobs, servers, removal and undo."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.fault_proxy import Cut, FaultProxy, Stall, Throttle
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, PeerError, StorageError, UsageError, VisualDicomError
from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine import local_actions
from VisualDICOMBrowserLib.store import importer

COUNT = 8
SIZE = 50_000


class Content:
    """A patient with two studies, and a patient with one."""

    def __init__(self, peer, root: Path) -> None:
        self.peer = peer
        self.one = make_ct_series(root / "1", COUNT, SIZE, patient_id="ACT-1", patient_name="Actor^Ann", study=41)
        self.two = make_ct_series(root / "2", COUNT, SIZE, patient_id="ACT-1", patient_name="Actor^Ann", study=42)
        self.other = make_ct_series(root / "3", COUNT, SIZE, patient_id="ACT-2", patient_name="Berg^Åsa", study=43)
        files = [*self.one, *self.two, *self.other]
        assert peer.load([file.path for file in files]) == []


@pytest.fixture(scope="module")
def content(orthanc, tmp_path_factory) -> Content:
    return Content(orthanc, tmp_path_factory.mktemp("actions"))


@pytest.fixture
def known(bench, content) -> Content:
    bench.add("PACS", content.peer)
    return content


class Heard:
    def __init__(self, engine) -> None:
        self.events: list[tuple[str, str, dict]] = []
        engine.subscribe(lambda *event: self.events.append(event))

    def names(self) -> set[str]:
        return {name for name, _, _ in self.events}

    def of(self, name: str) -> list[tuple[str, dict]]:
        return [(subject, data) for event, subject, data in self.events if event == name]


def persons(engine) -> list[str]:
    return [r[0] for r in engine._store.catalogue._rows("SELECT patient_id FROM patients ORDER BY patient_id")]


def row_of(engine, patient_id: str) -> int:
    return engine._store.catalogue._rows("SELECT id FROM patients WHERE patient_id = ?", (patient_id,))[0][0]


def series_known(engine) -> set[str]:
    return {r[0] for r in engine._store.catalogue._rows("SELECT series_uid FROM series")}


def job(engine, kind: str):
    return next(record for record in engine.jobs() if record.description.kind.value == kind)


# Search and explore


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("actor", ["ACT-1"]),
        ("ANN", ["ACT-1"]),
        ("Actor, Ann", ["ACT-1"]),
        ("ACT-", ["ACT-1", "ACT-2"]),
        ("CT-2", ["ACT-2"]),
        ("act-2", ["ACT-2"]),
        ("åsa", ["ACT-2"]),
        ("A43", ["ACT-2"]),
        ("a43", ["ACT-2"]),
        ("nobody", []),
    ],
)
def test_one_text_finds_by_part_of_a_name_or_of_an_id_or_by_accession_number(known, engine, text, expected):
    result = engine.search(QueryFilter(text=text))

    assert result.to_dict() == {"complete": True, "warnings": (), "errors": (), "servers_asked": 1}
    assert persons(engine) == expected


def test_a_search_for_patients_asks_for_nothing_below(known, engine):
    engine.search(QueryFilter(patient_name="actor"))

    assert persons(engine) == ["ACT-1"]
    assert engine._store.catalogue._rows("SELECT study_uid FROM studies") == []


def test_a_search_with_a_key_of_studies_notes_studies_and_no_series(known, engine):
    engine.search(QueryFilter(text="actor", modalities=("CT",), series_description="anything"))

    assert persons(engine) == ["ACT-1"]
    assert len(engine._store.catalogue._rows("SELECT study_uid FROM studies")) == 2
    assert series_known(engine) == set()


def test_a_search_by_date_finds_nobody_on_another_day(known, engine):
    engine.search(QueryFilter(text="actor", study_date=DateRange("19000101", "19000102")))

    assert persons(engine) == []


def test_every_server_that_answers_is_heard_and_those_that_fail_are_named(known, bench, engine, dead_port):
    bench.add("DEAD", ("127.0.0.1", dead_port))
    heard = Heard(engine)
    result = engine.search(QueryFilter(text="actor")).to_dict()

    assert not result["complete"]
    assert result["servers_asked"] == 2
    assert [error["server"] for error in result["errors"]] == ["DEAD"]
    assert "nothing listens" in result["errors"][0]["reason"]
    assert len(heard.of("catalogue-changed")) == 1
    assert persons(engine) == ["ACT-1"]


def test_only_the_chosen_servers_are_asked(known, bench, engine, dead_port):
    bench.add("DEAD", ("127.0.0.1", dead_port))

    assert engine.search(QueryFilter(text="actor"), ["PACS"]).complete
    with pytest.raises(UsageError, match="no server 'NONE'"):
        engine.search(QueryFilter(), ["NONE"])


def test_more_matches_than_the_limit_are_said_to_exist(known, engine):
    result = engine.search(QueryFilter(text="ACT-", limit=1))

    assert not result.complete
    assert "more than 1 matches" in result.warnings[0]


def test_a_search_of_a_silent_server_is_cancelled_within_two_seconds(bench, content, engine):
    token = CancelToken()
    with FaultProxy(content.peer.address, to_client=[Stall(after=0)]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("PACS", proxy.address)
        running = pool.submit(engine.search, QueryFilter(text="x"), token=token)
        wait_until(proxy.happened.is_set, what="the server to be asked")
        started = time.monotonic()
        token.cancel()
        with pytest.raises(Cancelled):
            running.result(5)
        assert time.monotonic() - started < 2


def test_a_person_is_explored_down_to_series_and_no_further(known, engine):
    engine.search(QueryFilter(text="actor"))
    heard = Heard(engine)
    result = engine.explore(row_of(engine, "ACT-1"))

    assert result.to_dict() == {"errors": (), "warnings": ()}
    assert series_known(engine) == {known.one[0].series_uid, known.two[0].series_uid}
    assert engine._store.catalogue._rows("SELECT sop_uid FROM instances") == []
    assert len(heard.of("catalogue-changed")) == 3
    assert engine._store.catalogue.servers_of_series(known.one[0].series_uid) == ["PACS"]


def test_exploring_uses_the_association_that_searched(bench, content, engine):
    with FaultProxy(content.peer.address) as proxy:
        bench.add("PACS", proxy.address)
        engine.search(QueryFilter(text="actor"))
        before = proxy.connections
        assert before >= 1
        assert engine.explore(row_of(engine, "ACT-1")).errors == ()
        assert proxy.connections == before


def test_nobody_is_explored_who_is_not_known(known, engine):
    with pytest.raises(UsageError, match="search again"):
        engine.explore(4711)


def test_a_reader_searches_and_explores_and_notes_nothing(known, bench, engine):
    engine.search(QueryFilter(text="actor"))
    row = row_of(engine, "ACT-1")
    with bench.engine() as reader:
        assert reader.read_only
        assert reader.search(QueryFilter(text="ACT-2")).complete
        assert reader.explore(row).errors == ()
    assert persons(engine) == ["ACT-1"]
    assert series_known(engine) == set()


def test_a_server_that_breaks_off_leaves_what_it_said_before(bench, content, engine):
    bench.add("PACS", content.peer)
    engine.search(QueryFilter(text="actor"))
    with FaultProxy(content.peer.address, to_client=[Cut(after=700)]) as proxy:
        bench.add("PACS", proxy.address)
        result = engine.explore(row_of(engine, "ACT-1"))

    assert [error.server for error in result.errors] == ["PACS"]


# Thumbnails


def test_a_thumbnail_takes_one_association_and_is_heard(bench, content, engine):
    with FaultProxy(content.peer.address) as proxy:
        bench.add("PACS", proxy.address)
        engine.query(QueryFilter(patient_id="ACT-2"), Level.SERIES)
        before = proxy.connections
        heard = Heard(engine)
        made = engine.thumbnail(content.other[0].series_uid)
        assert proxy.connections == before + 1
    assert not made.placeholder
    assert ({"local_instances": 1}) in [data for _, data in heard.of("series-changed")]
    assert len(heard.of("series-changed")) == 2
    assert "catalogue-changed" in heard.names()


def test_thumbnails_of_a_server_that_sends_uncompressed_only(dcmqrscp_with_corpus, corpus, bench, engine):
    bench.add("PACS", dcmqrscp_with_corpus)
    engine.query(QueryFilter(), Level.SERIES)
    series = sorted(series_known(engine))
    made, failed = 0, []
    for uid in series[:12]:
        try:
            made += Path(engine.thumbnail(uid).path).is_file()
        except VisualDicomError as error:
            failed.append(str(error))

    assert made >= 10, failed


def test_two_pictures_of_one_server_are_fetched_at_once(bench, content, engine):
    with FaultProxy(content.peer.address) as proxy:
        bench.add("PACS", proxy.address)
        engine.query(QueryFilter(patient_id="ACT-1"), Level.SERIES)
        busy: set[str] = set()
        together = threading.Event()

        def note(name: str, subject: str, data: dict) -> None:
            if name == "job" and data["job"]["server"] == "PACS":
                (busy.add if data["state"] == "running" else busy.discard)(subject)
                if len(busy) == 2:
                    together.set()

        engine.subscribe(note)
        with ThreadPoolExecutor(2) as pool:
            uids = [content.one[0].series_uid, content.two[0].series_uid]
            assert all(not made.placeholder for made in pool.map(engine.thumbnail, uids))
    assert together.is_set()


# Jobs


def test_a_cancelled_retrieve_is_retried_under_its_id_and_asks_for_what_is_missing(bench, content, engine):
    target = Target(Level.STUDY, (content.one[0].study_uid,))
    with FaultProxy(content.peer.address, to_client=[Stall(after=3 * SIZE)]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("PACS", proxy.address)
        running = pool.submit(engine.retrieve, target)
        wait_until(proxy.happened.is_set, what="the transfer to stall")
        record = job(engine, "retrieve")
        assert record.description.params["level"] == "study"
        assert record.description.params["uids"] == [content.one[0].study_uid]
        started = time.monotonic()
        assert engine.cancel_job(record.job_id)
        with pytest.raises(Cancelled):
            running.result(5)
        assert time.monotonic() - started < 2
    here = engine.verify().rows
    assert 0 < here < COUNT
    bench.add("PACS", content.peer)
    engine.retry_job(record.job_id)
    wait_until(lambda: job(engine, "retrieve").state.terminal, what="the retry to end")

    assert job(engine, "retrieve").state.value == "completed"
    assert job(engine, "retrieve").job_id == record.job_id
    assert job(engine, "retrieve").bytes < (COUNT - here + 1) * (SIZE + 2000)
    assert engine.verify().rows == COUNT


def test_series_are_fetched_in_the_background_by_one_job_each(known, engine):
    engine.search(QueryFilter(text="actor"))
    engine.explore(row_of(engine, "ACT-1"))
    uids = [known.one[0].series_uid, known.two[0].series_uid]
    job_ids = engine.fetch([*uids, uids[0]])
    assert len(job_ids) == 2
    wait_until(lambda: all(record.state.terminal for record in engine.jobs()), what="both retrieves to end")
    jobs = {r.job_id: r for r in engine.jobs()}
    assert {jobs[job_id].state.value for job_id in job_ids} == {"completed"}
    assert sorted(uid for job_id in job_ids for uid in jobs[job_id].description.params["uids"]) == sorted(uids)
    assert engine.verify().rows == 2 * COUNT


def test_what_one_server_does_not_provide_the_next_is_asked_for(bench, content, engine, dead_port):
    bench.add("PACS", content.peer)
    bench.add("Other", content.peer)
    engine.search(QueryFilter(text="actor"))
    engine.explore(row_of(engine, "ACT-1"))
    bench.add("PACS", ("127.0.0.1", dead_port))
    engine.fetch([content.one[0].series_uid])
    wait_until(lambda: engine.verify().rows == COUNT, what="the other server to provide it")
    by_server = {r.description.server: r for r in engine.jobs() if r.description.kind.value == "retrieve"}
    wait_until(lambda: job_of(engine, "Other").state.terminal, what="the second job to end")
    assert by_server["PACS"].state.value == "incomplete"
    assert "Other is asked next." in by_server["PACS"].reason
    assert job_of(engine, "Other").state.value == "completed"


def job_of(engine, server):
    kinds = [r for r in engine.jobs() if r.description.kind.value == "retrieve"]
    return next(r for r in kinds if r.description.server == server)


def test_a_series_that_no_server_is_known_to_have_is_not_fetched(known, engine):
    with pytest.raises(UsageError, match="no server is known"):
        engine.fetch(["1.2.3.4"])
    assert engine.jobs() == []


def test_a_failed_retrieve_is_retried_with_the_settings_of_now(bench, content, engine, dead_port):
    bench.add("PACS", ("127.0.0.1", dead_port))
    assert not engine.retrieve(Target(Level.SERIES, (content.one[0].series_uid,))).complete
    record = job(engine, "retrieve")
    assert record.state.value == "failed"
    bench.add("PACS", content.peer)
    engine.retry_job(record.job_id)
    wait_until(lambda: job(engine, "retrieve").state.value == "completed", what="the retry to succeed")

    assert engine.verify().rows == COUNT


def test_what_is_done_or_not_there_cannot_be_retried(known, engine):
    engine.retrieve(Target(Level.SERIES, (known.one[0].series_uid,)))
    engine.echo("PACS")

    with pytest.raises(UsageError, match="Only what failed"):
        engine.retry_job(job(engine, "retrieve").job_id)
    with pytest.raises(UsageError, match="not retried"):
        engine.retry_job(job(engine, "echo").job_id)
    for call in (engine.retry_job, engine.cancel_job):
        with pytest.raises(UsageError, match="no such job"):
            call("0" * 32)
    assert not engine.cancel_job(job(engine, "retrieve").job_id)


def test_ended_jobs_are_cleared_here_and_in_the_queue(bench, content, engine, dead_port):
    bench.add("PACS", ("127.0.0.1", dead_port))
    engine.retrieve(Target(Level.SERIES, (content.one[0].series_uid,)))
    wait_until(lambda: len(engine._store.catalogue.jobs()) == 1, what="the failure to be kept")
    cleared = engine.clear_jobs()

    assert len(cleared) == 1
    assert engine.jobs() == []
    wait_until(lambda: engine._store.catalogue.jobs() == [], what="the failure to be forgotten")
    assert engine.clear_jobs() == cleared[:0]


def test_an_import_that_failed_is_retried_and_copies_only_the_rest(engine, content, monkeypatch):
    folder = content.one[0].path.parent
    engine.import_paths([path.path for path in content.one[:3]])
    heard = Heard(engine)

    def fail(*_: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(local_actions.Importer, "run", fail)
        with pytest.raises(StorageError):
            engine.import_paths([folder])
    record = engine.jobs()[-1]
    assert (record.description.kind.value, record.state.value) == ("import", "failed")
    copied = []
    copy = importer._copy
    monkeypatch.setattr(importer, "_copy", lambda path, part: (copied.append(path), copy(path, part)))
    engine.retry_job(record.job_id)
    wait_until(lambda: engine.jobs()[-1].state.value == "completed", what="the retry to succeed")

    assert engine.jobs()[-1].job_id == record.job_id
    assert engine.verify().rows == COUNT
    assert len(copied) == COUNT - 3
    assert heard.of("series-changed")[-1][1] == {"local_instances": COUNT}


# Servers


def test_a_server_is_saved_renamed_and_removed(known, bench, engine):
    engine.search(QueryFilter(text="actor"))
    engine.explore(row_of(engine, "ACT-1"))
    heard = Heard(engine)
    old = engine.servers()[0]
    extra = Server("SECOND", "localhost", 104, "X", proxy="PACS")
    engine.save_server(extra)
    engine.save_server(Server("NEW", old.host, old.port, old.called_aet), "PACS")

    assert [server.name for server in engine.servers()] == ["NEW", "SECOND"]
    assert engine.servers()[1].proxy == "NEW"
    assert engine._store.catalogue.servers_of_series(known.one[0].series_uid) == ["NEW"]
    with pytest.raises(UsageError, match="is the proxy of"):
        engine.remove_server("NEW")
    engine.remove_server("SECOND")
    engine.remove_server("NEW")
    assert engine.servers() == []
    assert persons(engine) == []
    assert len(heard.of("servers-changed")) == 4


def test_what_another_address_has_is_not_what_the_old_one_had(known, engine):
    engine.search(QueryFilter(text="actor"))
    engine.save_server(Server("PACS", "elsewhere.example", 104, "X"), "PACS")

    assert persons(engine) == []


def test_a_server_is_tried_before_it_is_saved(known, engine, dead_port, scripted_peer):
    peer = known.peer
    good = engine.test_server(Server("TRY", peer.host, peer.port, peer.ae_title))
    dead = engine.test_server(Server("TRY", "127.0.0.1", dead_port, "ANY"))

    assert (good.ok, good.server, good.message) == (True, "TRY", "The server answers.")
    assert not dead.ok
    assert "nothing listens on this port" in dead.message
    assert [server.name for server in engine.servers()] == ["PACS"]


def test_the_limit_of_a_server_follows_its_settings_and_running_work_goes_on(bench, content, engine):
    with FaultProxy(content.peer.address, to_client=[Stall(after=3 * SIZE)]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("PACS", proxy.address)
        running = pool.submit(engine.retrieve, Target(Level.STUDY, (content.one[0].study_uid,)))
        wait_until(proxy.happened.is_set, what="the transfer to stall")
        server = engine.servers()[0]
        engine.save_server(Server("PACS", server.host, server.port, "ANY", max_associations=7), "PACS")
        assert engine._jobs._scheduler.limits.of_server("PACS") == 7
        assert job(engine, "retrieve").state.value == "running"
        engine.cancel_job(job(engine, "retrieve").job_id)
        assert isinstance(running.exception(5), Cancelled)


# Removal


def test_a_removal_is_undone_and_both_are_heard(known, engine):
    uid = known.one[0].series_uid
    engine.retrieve(Target(Level.SERIES, (uid,)))
    heard = Heard(engine)
    removed = engine.remove(Target(Level.SERIES, (uid,)), undoable=True)

    assert heard.of("series-changed")[-1] == (uid, {"local_instances": 0})
    assert "catalogue-changed" in heard.names()
    assert engine.undo_remove(removed.trash).instances == COUNT
    assert heard.of("series-changed")[-1] == (uid, {"local_instances": COUNT})
    assert engine.verify().ok
    assert engine.verify().rows == COUNT


def test_a_retrieve_of_what_is_removed_is_cancelled_first(bench, content, engine):
    study = content.one[0].study_uid
    with FaultProxy(content.peer.address, to_client=[Stall(after=3 * SIZE)]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("PACS", proxy.address)
        running = pool.submit(engine.retrieve, Target(Level.STUDY, (study,)))
        wait_until(lambda: proxy.happened.is_set() and engine.verify().rows > 0, what="something to be here")
        removed = engine.remove(Target(Level.SERIES, (content.one[0].series_uid,)), undoable=True)
        assert isinstance(running.exception(5), Cancelled)
    assert removed.instances > 0
    assert engine.verify().rows == 0
    assert engine.undo_remove(removed.trash).instances == removed.instances


def test_a_retrieve_of_something_else_goes_on(bench, content, engine):
    engine.import_paths([content.other[0].path.parent])
    with FaultProxy(content.peer.address, to_client=[Stall(after=3 * SIZE)]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("PACS", proxy.address)
        running = pool.submit(engine.retrieve, Target(Level.STUDY, (content.one[0].study_uid,)))
        wait_until(proxy.happened.is_set, what="the transfer to stall")
        assert engine.remove(Target(Level.PATIENT, ("ACT-2",))).instances == COUNT
        assert job(engine, "retrieve").state.value == "running"
        engine.cancel_job(job(engine, "retrieve").job_id)
        assert isinstance(running.exception(5), Cancelled)


def test_an_export_is_a_job_with_progress(known, engine, tmp_path):
    engine.import_paths([known.one[0].path.parent])
    heard = Heard(engine)
    result = engine.export(Target(Level.PATIENT, ("ACT-1",)), tmp_path / "out")

    assert result.files == COUNT
    assert result.to_dict()["failed"] == []
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == COUNT
    assert heard.of("progress")[-1][1]["done"] == COUNT
    assert job(engine, "export").state.value == "completed"
    assert (tmp_path / "out" / "ACT-1-Actor, Ann").is_dir()


def test_peer_errors_stay_peer_errors(known, bench, engine, dead_port):
    engine.query(QueryFilter(patient_id="ACT-1"), Level.SERIES)
    bench.add("PACS", ("127.0.0.1", dead_port))
    with pytest.raises(PeerError, match="cannot be reached"):
        engine.thumbnail(known.one[0].series_uid)


# What an earlier engine left


def test_jobs_that_were_cut_off_are_offered_and_taken_up_again(bench, known):
    uids = [file.sop_uid for file in known.one]
    with FaultProxy(known.peer.address) as proxy:
        host, port = proxy.address
        bench.add("SLOW", Server("SLOW", host, port, known.peer.ae_title))
        with bench.engine() as engine:
            engine.query(QueryFilter(patient_id="ACT-1"), Level.SERIES, ["SLOW"])
            proxy.to_client = (Throttle(bytes_per_second=100_000),)
            (job_id,) = engine.fetch([known.one[0].series_uid])
            wait_until(lambda: engine._store.readable(uids))
        proxy.heal()
        with bench.engine() as engine:
            here = len(engine._store.readable(uids))
            assert 0 < here < COUNT
            assert [record.job_id for record in engine.unfinished_jobs()] == [job_id]
            assert engine.jobs() == []  # nothing goes on by itself
            assert engine.resume_jobs() == [job_id]
            assert engine.unfinished_jobs() == engine.resume_jobs() == []
            wait_until(lambda: job(engine, "retrieve").state.value == "completed")
            assert engine._store.readable(uids) == set(uids)
        with bench.engine() as engine:
            assert engine.unfinished_jobs() == []


def test_what_is_left_can_be_forgotten(bench, known):
    with FaultProxy(known.peer.address) as proxy:
        host, port = proxy.address
        bench.add("SLOW", Server("SLOW", host, port, known.peer.ae_title))
        with bench.engine() as engine:
            engine.query(QueryFilter(patient_id="ACT-1"), Level.SERIES, ["SLOW"])
            proxy.to_client = (Stall(after=0),)
            (job_id,) = engine.fetch([known.one[0].series_uid])
        with bench.engine() as engine:
            assert engine.drop_jobs() == [job_id]
            assert engine.resume_jobs() == []
    with bench.engine() as engine:
        assert engine.unfinished_jobs() == []
