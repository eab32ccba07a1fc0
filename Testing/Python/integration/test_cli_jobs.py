"""``jobs``: what failed or was killed is listed, retried, cancelled and cleared by later commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.fault_proxy import FaultProxy, Throttle
from support.synthetic import make_ct_series
from support.waiting import wait_until
from unit.store.store_kit import rows
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.jobs import scheduler
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy
from VisualDICOMBrowserLib.jobs.states import JobState
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

COUNT = 12
SIZE = 40_000


@pytest.fixture(scope="module")
def series(orthanc, tmp_path_factory):
    """Files that the server has."""
    files = make_ct_series(tmp_path_factory.mktemp("jobs"), COUNT, SIZE, patient_id="JOB-1", study=71)
    assert orthanc.load([file.path for file in files]) == []
    return files


@pytest.fixture
def failed(bench, series, dead_port) -> str:
    """A retrieve that failed in an earlier process; its id."""
    bench.add("PACS", ("127.0.0.1", dead_port))
    with bench.engine() as engine:
        (job_id,) = retrieve_and_fail(engine, series)
    return job_id


def retrieve_and_fail(engine, series) -> list[str]:
    engine.retrieve(Target(Level.SERIES, (series[0].series_uid,)))
    return [record.job_id for record in engine.jobs()]


@contextmanager
def killed_in_the_middle(bench, orthanc, series) -> Iterator[int]:
    """Kill a command while a series comes slowly; give how many instances are here then."""
    with FaultProxy(orthanc.address) as proxy:
        proxy.to_client = (Throttle(bytes_per_second=200_000),)
        bench.add("PACS", proxy.address, called_aet=orthanc.ae_title)
        process = bench.start("retrieve", "--series", series[0].series_uid)
        folder = DatabaseFolder(bench.database)
        files = folder.dicom_folder
        wait_until(lambda: len(list(files.rglob("*.dcm"))) >= 3, what="a part of the series to come")
        wait_until(lambda: "announces" in str(rows(folder.catalogue, "SELECT record FROM jobs")), what="its log")
        process.kill()
        process.communicate()
        proxy.heal()
        yield len(list(files.rglob("*.dcm")))


@pytest.fixture
def impatient(monkeypatch):
    """Have commands try again sooner."""
    monkeypatch.setattr(scheduler, "RetryStrategy", lambda: RetryStrategy((0.05, 0.1, 0.2)))


def listed(bench, *words):
    run = bench.run("jobs", "list", *words)
    assert run.code == 0
    return run.document["jobs"]


def test_nothing_is_listed_in_an_empty_folder(bench):
    assert bench.run("jobs", "list").document == {"jobs": [], "unreadable": 0, "held_by": None}
    assert bench.run("jobs", "retry", "--all").document == {"jobs": []}


def test_what_failed_is_listed_with_its_reason_and_retried_when_the_server_is_back(
    bench, orthanc, series, failed, impatient
):
    (job,) = listed(bench)
    assert (job["job"]["job_id"], job["state"], job["interrupted"]) == (failed, "failed", False)
    assert "nothing listens on this port" in job["reason"]

    again = bench.run("jobs", "retry", "--all")
    assert (again.code, again.document["jobs"][0]["state"]) == (1, "failed")
    assert f"Error: {failed[:8]}: The server at 127.0.0.1" in again.err

    bench.add("PACS", orthanc)
    done = bench.run("jobs", "retry", failed[:6])
    assert (done.code, done.document["jobs"][0]["state"], done.document["jobs"][0]["done"]) == (0, "completed", COUNT)
    assert listed(bench, "--all") == []


def test_what_was_killed_is_unfinished_until_somebody_says_go_on_and_nothing_comes_twice(bench, orthanc, series):
    with killed_in_the_middle(bench, orthanc, series) as here:
        assert 3 <= here < COUNT
        assert bench.run("list").code == 0  # finishes what was under way in the folder, and goes on with no job
        (job,) = listed(bench)
        assert (job["state"], job["interrupted"]) == ("running", True)
        log = bench.run("jobs", "log", job["job"]["job_id"]).document["lines"]
        assert f"PACS announces {COUNT} instances" in " ".join(line["text"] for line in log)

        done = bench.run("jobs", "retry", "--all")
        assert (done.code, done.document["jobs"][0]["state"]) == (0, "completed")
        assert bench.run("verify").document["rows"] == COUNT


def renewed(bench) -> int:
    """Return how many instances the only job in the queue has noted as fetched again."""
    ((record,),) = rows(DatabaseFolder(bench.database).catalogue, "SELECT record FROM jobs")
    return len(json.loads(record)["log"].get("memo", []))


def test_what_was_fetched_again_before_a_crash_is_not_fetched_once_more(bench, orthanc, series):
    with FaultProxy(orthanc.address) as proxy:
        bench.add("PACS", proxy.address, called_aet=orthanc.ae_title)
        assert bench.run("retrieve", "--series", series[0].series_uid).code == 0
        proxy.to_client = (Throttle(bytes_per_second=200_000),)
        process = bench.start("retrieve", "--force", "--series", series[0].series_uid)
        queue = DatabaseFolder(bench.database).catalogue
        wait_until(lambda: rows(queue, "SELECT record FROM jobs") and renewed(bench) >= 3, what="a part to come again")
        process.kill()
        process.communicate()
        proxy.heal()
        came = renewed(bench)
        with bench.engine() as engine:
            (job_id,) = engine.resume_jobs()
            (record,) = engine.wait_for_jobs([job_id])
            lines = [line["text"] for line in engine.job_log(job_id)["lines"]]
    assert (record.state, record.done) == (JobState.COMPLETED, COUNT)
    assert 3 <= came < COUNT
    assert f"C-GET of {COUNT - came} instances of series {series[0].series_uid}." in lines


def test_a_retry_asks_for_exactly_what_is_missing(bench, orthanc, series):
    with killed_in_the_middle(bench, orthanc, series):
        here = bench.run("verify").document["rows"]
        with bench.engine() as engine:
            (job_id,) = engine.resume_jobs()
            engine.wait_for_jobs([job_id])
            lines = [line["text"] for line in engine.job_log(job_id)["lines"]]
    assert f"C-GET of {COUNT - here} instances of series {series[0].series_uid}." in lines
    asked = [line for line in lines if line.startswith("C-GET of ")]
    assert asked[0] == f"C-GET of series {series[0].series_uid}."  # of the one that was killed
    assert len(asked) == 2


def test_what_is_unfinished_can_be_given_up(bench, orthanc, series):
    with killed_in_the_middle(bench, orthanc, series):
        (job,) = listed(bench)
        given_up = bench.run("jobs", "cancel", "--all")
        assert (given_up.code, given_up.document) == (0, {"cancelled": [job["job"]["job_id"]]})
        assert listed(bench) == []
        assert [job["state"] for job in listed(bench, "--all")] == ["cancelled"]
        assert bench.run("jobs", "retry", "--all").document == {"jobs": []}
        assert bench.run("jobs", "retry", job["job"]["job_id"]).code == 0


def test_what_ended_is_cleared(bench, failed):
    assert bench.run("jobs", "clear").document == {"cleared": [failed]}
    assert listed(bench, "--all") == []


def test_a_later_success_makes_an_earlier_failure_uninteresting(bench, orthanc, series, failed):
    bench.add("PACS", orthanc)
    assert bench.run("retrieve", "--series", series[0].series_uid).code == 0
    assert listed(bench, "--all") == []


def test_jobs_of_a_folder_in_use_are_shown_and_left_to_whoever_holds_it(bench, failed):
    with bench.engine():
        shown = bench.run("jobs", "list")
        assert (shown.code, len(shown.document["jobs"])) == (0, 1)
        assert "is in use by process" in shown.document["held_by"]
        assert bench.run("jobs", "log", failed).document["lines"]
        for words in (("retry", failed), ("cancel", failed), ("clear",)):
            refused = bench.run("jobs", *words)
            assert refused.code == 2
            assert "is in use by process" in refused.document["error"]
    assert len(listed(bench)) == 1


@pytest.mark.parametrize("words", [("retry",), ("cancel",), ("retry", "zzz"), ("log", "zzz"), ("cancel", "")])
def test_jobs_that_are_not_there_are_wrong_usage(bench, failed, words):
    second_of_that_id(bench)
    assert bench.run("jobs", *words).code == 2


def second_of_that_id(bench) -> None:
    """Have two jobs, so that an empty beginning names both."""
    with bench.engine() as engine:
        engine._store.catalogue.save_job("odd", "queued", 0.0, "{}")
        record = engine.jobs()[0]
        values = record.to_dict()
        engine._queue.save(type(record).from_dict({**values, "job": {**values["job"], "job_id": "f" * 32}}))


def test_a_record_that_cannot_be_read_is_told_of_and_holds_up_nobody(bench, failed):
    with bench.engine() as engine:
        engine._store.catalogue.save_job("odd", "queued", 0.0, "from a newer release")
    shown = bench.run("jobs", "list")
    assert (len(shown.document["jobs"]), shown.document["unreadable"]) == (1, 1)
    assert "Warning: 1 records in the queue cannot be read" in shown.err
    assert bench.run("jobs", "clear").code == 0
    assert bench.run("jobs", "list").document["unreadable"] == 1


def test_an_import_of_nothing_is_kept_and_goes_on_from_another_folder(bench, series, tmp_path, monkeypatch):
    folder = tmp_path / "incoming"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (folder / "note.txt").write_text("not yet")
    assert bench.run("import", "incoming").code == 1
    (folder / "1.dcm").write_bytes(series[0].path.read_bytes())
    monkeypatch.chdir("/")
    done = bench.run("jobs", "retry", "--all")
    assert (done.code, bench.run("verify").document["rows"]) == (0, 1)


def test_an_export_that_failed_is_retried(bench, series, tmp_path):
    assert bench.run("import", series[0].path.parent).code == 0
    (tmp_path / "stick").write_text("in the way")
    assert bench.run("export", "--series", series[0].series_uid, tmp_path / "stick").code == 1
    (tmp_path / "stick").unlink()
    assert bench.run("jobs", "retry", "--all").code == 0
    assert len(list((tmp_path / "stick").rglob("*.dcm"))) == COUNT


def test_people_get_lines(bench, series, failed):
    options = bench.options[1:]
    text = bench.main("jobs", "list", *options).out
    assert f"{failed[:8]}  " in text
    assert f"retrieve  PACS  failed  series {series[0].series_uid}\n" in text
    log = bench.main("jobs", "log", failed[:8], *options).out
    assert "  The job is failed: The server at 127.0.0.1" in log
    assert bench.main("jobs", "clear", *options).out == "cleared: 1 job\n"
    assert bench.main("jobs", "list", *options).out == "No jobs.\n"
