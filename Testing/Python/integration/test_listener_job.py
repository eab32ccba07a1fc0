"""The listener is a job like others: it is listed while it is open, counts what comes, and can be ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from support.listened import AET, OPEN, listening
from support.processes import HOST, answers, free_port
from support.sender import send_files
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.jobs.description import JobKind
from VisualDICOMBrowserLib.jobs.states import JobState


def listener_jobs(engine: Engine):
    return [record for record in engine.jobs() if record.description.kind is JobKind.LISTENER]


def is_running(engine: Engine) -> bool:
    return bool(listener_jobs(engine)) and listener_jobs(engine)[-1].state is JobState.RUNNING


def test_it_counts_what_comes_and_ends_with_the_listener(engine: Engine, tmp_path):
    files = make_ct_series(tmp_path / "files", 4, 10_000)
    with listening(engine) as listened:
        wait_until(lambda: is_running(engine))
        assert listener_jobs(engine)[0].description.params["label"] == f"{AET} at {HOST}, port {listened.port}"
        assert send_files((HOST, listened.port), AET, files[:3]) == []
        assert send_files((HOST, listened.port), AET, files[2:]) == []
        wait_until(lambda: listener_jobs(engine)[0].done == 4)
    wait_until(lambda: listener_jobs(engine)[0].state is JobState.COMPLETED)
    (record,) = listener_jobs(engine)
    assert record.bytes > 4 * 10_000
    lines = [line["text"] for line in engine.job_log(record.job_id)["lines"]]
    assert any("3 stored, 0 duplicates" in line for line in lines), lines
    assert {call["asked_for"] for call in engine.calls()} == {0}
    assert listened.end().stored == 4


def test_cancelled_it_closes_the_port_and_the_result_is_not_lost(engine: Engine):
    with listening(engine) as listened:
        wait_until(lambda: is_running(engine))
        assert engine.cancel_job(listener_jobs(engine)[0].job_id)
        wait_until(lambda: listened.result is not None, 5)
        assert not answers(listened.port)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def permanent(bench, port) -> Iterator[Engine]:
    """An engine that listens all the time, as the window's does."""
    Configuration(bench.config).set_listener(replace(OPEN, port=port, enabled=True))
    with Engine(bench.database, bench.config, listen=True) as made:
        wait_until(lambda: is_running(made))
        yield made


def test_the_permanent_one_is_switched_off_when_it_is_cancelled(permanent: Engine, port: int):
    assert answers(port)
    assert permanent.cancel_job(listener_jobs(permanent)[0].job_id)
    wait_until(lambda: not permanent.listener().open)
    assert not permanent.listener().settings.enabled
    permanent.set_listener(replace(permanent.listener().settings, enabled=True))
    wait_until(lambda: is_running(permanent))
    assert [record.state for record in listener_jobs(permanent)] == [JobState.COMPLETED, JobState.RUNNING]


def test_the_end_of_the_program_does_not_switch_it_off(bench, permanent: Engine):
    permanent.close()
    assert Configuration(bench.config).listener().enabled


def test_an_engine_that_does_not_listen_has_no_such_job(engine: Engine):
    engine.set_listener(ListenerSettings(AET, 0))
    assert listener_jobs(engine) == []
