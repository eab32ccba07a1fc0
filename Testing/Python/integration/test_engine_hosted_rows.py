"""An engine whose rows another program keeps: jobs wait for them, and say what was refused."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pydicom
import pytest

from support.host_of_rows import HostOfRows
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.errors import Cancelled, StorageError, UsageError, VisualDicomError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.engine.child import SubprocessTransport
from VisualDICOMBrowserLib.engine.client import EngineClient, engine_command, engine_environment
from VisualDICOMBrowserLib.jobs.states import JobState
from VisualDICOMBrowserLib.store import host_swaps
from VisualDICOMBrowserLib.store.index_queue import REFUSED

COUNT = 12


@pytest.fixture(scope="module")
def files(orthanc, tmp_path_factory):
    made = make_ct_series(tmp_path_factory.mktemp("hosted"), COUNT, 20_000, patient_id="HOSTED", study=61)
    assert orthanc.load([file.path for file in made]) == []
    return made


@pytest.fixture
def host(bench):
    return HostOfRows(bench.database)


@pytest.fixture
def engine(bench, orthanc, files, host):
    bench.add("PACS", orthanc)
    with Engine(bench.database, bench.config, rows_by_host=True) as engine:
        yield engine
        host.stop()  # before the engine ends


def patient(engine: Engine) -> Target:
    engine.query(QueryFilter(patient_id="HOSTED"), Level.SERIES)
    return Target(Level.PATIENT, ("HOSTED",))


def states(engine: Engine) -> list[JobState]:
    return [record.state for record in engine.jobs() if record.description.kind.value == "retrieve"]


def in_thread(work):
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def error_of(work):
    try:
        return work()
    except VisualDicomError as error:
        return error


def test_a_retrieve_waits_for_the_rows_and_is_verified_then(engine, host):
    target = patient(engine)
    thread, results = in_thread(lambda: engine.retrieve(target))
    wait_until(lambda: states(engine) == [JobState.INDEXING])
    wait_until(lambda: engine._store.host.queue.wish() == (COUNT, True))
    batch = engine.index_batch()
    assert batch.urgent
    assert len(batch.files) == COUNT
    host.write_rows(list(batch.files[:5]))
    engine.index_done(batch.number)
    assert states(engine) == [JobState.INDEXING]
    host.index(engine)
    thread.join(20)
    assert states(engine) == [JobState.COMPLETED]
    assert (results[0].requested, results[0].verified, results[0].complete) == (COUNT, COUNT, True)
    assert engine.verify().ok


def test_what_the_database_refuses_is_missing_and_named(engine, host, files):
    target = patient(engine)
    thread, results = in_thread(lambda: engine.retrieve(target))
    wait_until(lambda: states(engine) == [JobState.INDEXING])
    first = engine.index_batch().files[0]
    engine.index_done(1)
    host.refuses = lambda name: name == first
    host.start(engine)
    thread.join(20)
    [failure] = results[0].failed
    assert states(engine) == [JobState.INCOMPLETE]
    assert (results[0].verified, failure.reason) == (COUNT - 1, REFUSED)
    assert results[0].missing == (failure.subject,)
    assert engine._store.folder.absolute(first).is_file()  # nothing is lost


def test_a_cancelled_wait_leaves_the_files_and_their_rows_come_later(engine, host):
    target = patient(engine)
    thread, errors = in_thread(lambda: error_of(lambda: engine.retrieve(target)))
    wait_until(lambda: states(engine) == [JobState.INDEXING])
    [job] = [record for record in engine.jobs() if record.state is JobState.INDEXING]
    assert engine.cancel_job(job.job_id)
    thread.join(20)
    assert isinstance(errors[0], Cancelled)
    assert states(engine) == [JobState.CANCELLED]
    assert host.index(engine).settled == COUNT
    assert engine.verify().ok


def test_an_import_tells_of_files_that_were_refused(engine, host, files):
    one = files[3]
    place = engine._store.folder.instance_path(one.study_uid, one.series_uid, one.sop_uid)
    host.refuses = lambda name: name == engine._store.folder.stored_name(place)
    host.start(engine)
    result = engine.import_paths([file.path for file in files])
    assert (result.files, result.imported) == (COUNT, COUNT - 1)
    assert [failure.reason for failure in result.rejected] == [REFUSED]


def test_fetching_in_the_background_and_removing_go_by_the_host(engine, host):
    host.start(engine)
    patient(engine)
    found = engine.query(QueryFilter(patient_id="HOSTED"), Level.SERIES).patients[0]
    series_uid = found["studies"][0]["series"][0]["series_uid"]
    engine.fetch([series_uid])
    wait_until(lambda: states(engine) == [JobState.COMPLETED])
    result = engine.remove(Target(Level.SERIES, (series_uid,)), undoable=True)
    assert (result.instances, result.files) == (COUNT, COUNT)
    assert host.removed == [series_uid]
    assert engine.undo_remove(result.trash).instances == COUNT
    wait_until(lambda: engine.verify().rows == COUNT)
    assert engine.verify().ok
    host.lets_go = False
    with pytest.raises(StorageError, match="did not let go"):
        engine.remove(Target(Level.SERIES, (series_uid,)))
    assert engine.verify().ok


@pytest.fixture
def corrected(tmp_path):
    """The same instances, after somebody had corrected the name."""
    return make_ct_series(
        tmp_path / "corrected", COUNT, 20_000, patient_id="HOSTED", patient_name="Merged^Patient", study=61
    )


def assert_corrected(engine: Engine, files) -> None:
    store = engine._store
    here = store.catalogue.local_files(Level.STUDY, [files[0].study_uid])
    assert {str(pydicom.dcmread(store.path_of(file)).PatientName) for file in here} == {"Merged^Patient"}
    assert [patient["name"] for patient in engine.local().patients] == ["Merged^Patient"]
    checked = engine.verify()
    assert (checked.ok, checked.rows) == (True, COUNT)


def test_an_import_replaces_on_purpose_and_waits_for_the_rows(engine, host, files, corrected):
    host.start(engine)
    assert engine.import_paths([file.path for file in files]).imported == COUNT
    before = Path(engine.thumbnail(files[0].series_uid).path).read_bytes()
    kept = engine.import_paths([file.path for file in corrected])
    assert (len(kept.conflicts), kept.replaced) == (COUNT, 0)
    result = engine.import_paths([file.path for file in corrected], replace=True)
    assert (result.imported, result.replaced, result.conflicts, result.rejected) == (0, COUNT, (), ())
    assert files[0].series_uid in host.removed
    assert_corrected(engine, files)
    assert Path(engine.thumbnail(files[0].series_uid).path).read_bytes() == before  # of the same pixels, made anew


def test_what_is_fetched_again_is_complete_when_the_rows_are_of_the_new_files(
    bench, orthanc, files, corrected, host, engine
):
    host.start(engine)
    target = patient(engine)
    assert engine.retrieve(target).verified == COUNT
    orthanc.delete_all()
    assert orthanc.load([file.path for file in corrected]) == []
    try:
        result = engine.retrieve(target, force=True)
    finally:
        orthanc.delete_all()
        assert orthanc.load([file.path for file in files]) == []
    assert (result.requested, result.received, result.replaced, result.verified) == (COUNT, COUNT, COUNT, COUNT)
    assert result.complete
    assert states(engine) == [JobState.COMPLETED] * 2
    assert_corrected(engine, files)


@pytest.mark.expects_log("Images are not replaced yet")
def test_what_the_database_does_not_let_go_of_is_missing_and_stays_as_it_was(
    engine, host, files, corrected, monkeypatch
):
    monkeypatch.setattr(host_swaps, "_RETRY_DELAYS_S", (0.0,))
    host.start(engine)
    engine.import_paths([file.path for file in files])
    host.lets_go = False
    result = engine.import_paths([file.path for file in corrected], replace=True)
    assert (result.replaced, {failure.reason for failure in result.rejected}) == (0, {REFUSED})
    assert {patient["name"] for patient in engine.local().patients} == {"Synthetic^Series"}
    assert engine.verify().ok


@pytest.mark.expects_log("took in other content")
def test_what_the_database_took_in_with_other_content_is_a_conflict(engine, host, files, corrected):
    thread, results = in_thread(lambda: engine.import_paths([file.path for file in files]))
    batch = wait_until(lambda: (found := engine.index_batch()).files and found)
    host.write_rows([str(corrected[0].path), *batch.files[1:]])
    engine.index_done(batch.number)
    while thread.is_alive():
        host.index(engine)
        thread.join(0.05)
    (result,) = results
    assert (result.imported, result.rejected) == (COUNT - 1, ())
    uid = corrected[0].sop_uid
    assert [(c.sop_uid, c.tags, c.source) for c in result.conflicts] == [
        (uid, ("(0010,0010) PatientName",), str(files[0].path))
    ]
    assert engine.verify().ok


def test_what_others_change_in_the_database_appears(engine, host, files):
    path = str(files[0].path)
    events: list[str] = []
    engine.subscribe(lambda name, *_: events.append(name))
    host.write_rows([path])
    assert engine.refresh_local() == {"changed": True}
    assert events == ["catalogue-changed"]
    assert engine.refresh_local() == {"changed": False}
    assert engine.local().patients[0]["patient_id"] == "HOSTED"


def test_an_engine_that_keeps_its_rows_offers_none(engine_alone):
    with pytest.raises(UsageError, match="itself"):
        engine_alone.index_batch()


def test_an_engine_that_only_reads_has_nothing_to_be_done(engine_alone, bench):
    assert not engine_alone.read_only
    with Engine(bench.database, bench.config, rows_by_host=True) as second:
        assert second.read_only
        assert second.index_batch().files == ()
        assert second.index_batch().number == 0
        assert second.series_to_remove() == {"removal": "", "series": []}


@pytest.fixture
def engine_alone(bench):
    with Engine(bench.database, bench.config) as engine:
        yield engine


def test_the_process_takes_the_same_calls(bench, host, files, tmp_path):
    command = engine_command(sys.executable, bench.database, bench.config, rows_by_host=True)
    transport = SubprocessTransport(command, tmp_path / "engine.log", engine_environment())
    with EngineClient(transport) as client:
        heard: list[str] = []
        client.on_event(lambda event: heard.append(event.name))
        importing = client.call_async("import_paths", {"paths": [str(file.path) for file in files]})
        wait_until(lambda: "index-wanted" in heard)
        settled = 0
        while settled < COUNT:
            batch = client.call("index_batch", {"limit": 5}, 10)
            host.write_rows(batch["files"])
            settled += client.call("index_done", {"batch": batch["batch"]}, 10)["settled"]
        assert importing.result(20)["imported"] == COUNT
        assert client.call("series_to_remove", {}, 10) == {"removal": "", "series": []}
        assert client.call("refresh_local", {}, 10)["changed"] in (True, False)
