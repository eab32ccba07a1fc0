"""Saving servers, retrying jobs from their description, limits that change, and what jobs are about."""

from __future__ import annotations

import threading

import pytest

from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import BadData, PeerError, UsageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.engine.job_targets import Overlap, job_params, target_of
from VisualDICOMBrowserLib.engine.runner import JobRunner
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind
from VisualDICOMBrowserLib.jobs.lanes import Limits
from VisualDICOMBrowserLib.jobs.queue import InMemoryJobQueueStore
from VisualDICOMBrowserLib.store.importer import Importer
from VisualDICOMBrowserLib.store.local import LocalStore


def server(name: str, port: int = 104, **options) -> Server:
    return Server(name, "localhost", port, "AET", **options)


@pytest.fixture
def configuration(tmp_path) -> Configuration:
    made = Configuration(tmp_path / "config.json")
    for name in ("A", "B", "C"):
        made.save(server(name, proxy="B" if name == "C" else None))
    return made


def names(configuration: Configuration) -> list[str]:
    return [one.name for one in configuration.servers()]


def test_a_server_that_is_changed_keeps_its_place(configuration):
    assert configuration.save(server("B", 105), "B") == server("B")
    assert names(configuration) == ["A", "B", "C"]
    assert configuration.server("B").port == 105


def test_a_server_that_is_renamed_keeps_its_place_and_its_users(configuration):
    configuration.save(server("PROXY"), "B")

    assert names(configuration) == ["A", "PROXY", "C"]
    assert configuration.server("C").proxy == "PROXY"


@pytest.mark.parametrize(
    ("saved", "replaces", "sentence"),
    [
        (server("A"), None, "already"),
        (server("A"), "B", "already"),
        (server("D"), "X", "any more"),
        (server("D", proxy="X"), None, "is not another configured server"),
        (server("D", proxy="B"), "B", "is not another configured server"),
    ],
)
def test_what_makes_no_sense_is_not_saved(configuration, saved, replaces, sentence):
    before = configuration.path.read_bytes()
    with pytest.raises(UsageError, match=sentence):
        configuration.save(saved, replaces)
    assert configuration.path.read_bytes() == before


# Jobs


class Work:
    """A runner whose retrieves do what they are told by a list of errors."""

    def __init__(self) -> None:
        self.problems: list[Exception | None] = []
        self.asked: list[dict] = []
        self.gate = threading.Event()
        self.gate.set()
        self.runner = JobRunner(
            Limits(servers={"ONE": 1}), None, InMemoryJobQueueStore(), lambda _: None, lambda _: None
        )

    def task(self, description: JobDescription):
        def run(context):
            self.asked.append(dict(description.params))
            self.gate.wait(10)
            problem = self.problems.pop(0) if self.problems else None
            if problem is not None:
                raise problem

        return run

    def submit(self, **params):
        description = JobDescription("unused", JobKind.RETRIEVE, "ONE", params)
        return self.runner.submit(JobKind.RETRIEVE, self.task(description), server="ONE", params=params)


@pytest.fixture
def work():
    made = Work()
    made.runner.learn(JobKind.RETRIEVE, made.task)
    yield made
    made.gate.set()
    made.runner.close(2.0)


def test_a_failed_job_is_made_anew_from_its_description(work):
    work.problems = [PeerError("No.")]
    handle = work.submit(uids=["1.2"])
    assert handle.wait(5).state.value == "failed"
    work.runner.retry(handle.job_id)

    assert handle.wait(5).state.value == "completed"
    assert work.asked == [{"uids": ["1.2"]}, {"uids": ["1.2"]}]
    with pytest.raises(UsageError, match="Only what failed"):
        work.runner.retry(handle.job_id)


def test_what_nobody_learned_is_not_retried(work):
    handle = work.runner.submit(JobKind.VERIFY, work.task(JobDescription("x", JobKind.VERIFY)))
    handle.wait(5)
    with pytest.raises(UsageError, match="not retried"):
        work.runner.retry(handle.job_id)


def test_clearing_leaves_what_is_under_way(work):
    done = work.submit(uids=["1"])
    done.wait(5)
    work.gate.clear()
    running = work.submit(uids=["2"])
    wait_until(lambda: len(work.asked) == 2, what="the second job to run")

    assert work.runner.clear() == [done.job_id]
    assert [record.job_id for record in work.runner.records()] == [running.job_id]


def test_a_higher_limit_lets_a_queued_job_start_at_once(work):
    work.gate.clear()
    for number in range(3):
        work.submit(uids=[str(number)])
    wait_until(lambda: len(work.asked) == 1, what="the first job to run")
    work.runner.set_limits(Limits(servers={"ONE": 4}))

    wait_until(lambda: len(work.asked) == 3, what="the others to run")
    assert [record.state.value for record in work.runner.records()] == ["running"] * 3


def test_a_lower_limit_leaves_what_runs_alone(work):
    work.gate.clear()
    work.runner.set_limits(Limits(servers={"ONE": 3}))
    handles = [work.submit(uids=[str(number)]) for number in range(3)]
    wait_until(lambda: len(work.asked) == 2, what="two jobs to run beside the reserved place")
    work.runner.set_limits(Limits(servers={"ONE": 1}))
    work.gate.set()

    assert all(handle.wait(5).state.value == "completed" for handle in handles)


def test_unwanted_jobs_have_stopped_when_stop_returns(work):
    work.gate.clear()
    handles = [work.submit(uids=[str(number)]) for number in range(2)]
    wait_until(lambda: len(work.asked) == 1, what="the first job to run")
    stopper = threading.Thread(target=work.runner.stop, args=(lambda job: job.params["uids"] == ["1"],))
    stopper.start()
    stopper.join(5)

    assert not stopper.is_alive()
    assert handles[1].record().state.value == "cancelled"
    assert handles[0].record().state.value == "running"


# What jobs are about


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "database") as opened:
        for series in (1, 2):
            make_ct_series(
                tmp_path / "ct" / str(series), 2, 200, patient_id="4711", patient_name="Doe^Jane", series=series
            )
        Importer(opened, link=False, token=CancelToken()).run([tmp_path / "ct"])
        yield opened


@pytest.fixture
def uids(store) -> dict[str, str]:
    series = sorted(store.catalogue.series_uids_of(Level.PATIENT, ["4711"]))
    study, _ = store.catalogue.parents(Level.SERIES, series[0])
    image = store.catalogue.local_files(Level.SERIES, [series[0]])[0].instance.sop_uid
    return {"patient": "4711", "study": study, "series": series[0], "second": series[1], "image": image}


def about(store, level: str, uid: str, kind: JobKind = JobKind.RETRIEVE) -> JobDescription:
    return JobDescription("x", kind, "A", job_params(store.catalogue, Target(Level.from_word(level), (uid,))))


@pytest.mark.parametrize("level", ["patient", "study", "series", "image"])
def test_a_job_says_what_it_is_about_and_how_to_call_it(store, uids, level):
    job = about(store, level, uids[level])

    assert target_of(job) == Target(Level.from_word(level), (uids[level],))
    assert job.params["label"]


def test_labels_are_short_and_say_how_many(store, uids):
    params = job_params(store.catalogue, Target(Level.SERIES, (uids["series"], uids["second"])))
    assert params["label"] == "Doe, Jane · CT · Series 1 and 1 more"
    assert "label" not in job_params(store.catalogue, Target(Level.SERIES, ("9.9",)))
    assert "label" not in job_params(store.catalogue, Target(Level.SERIES, ()))


@pytest.mark.parametrize(
    "params", [{}, {"level": "study"}, {"level": "x", "uids": []}, {"level": "study", "uids": [1]}]
)
def test_a_job_about_something_else_is_told_apart(params):
    with pytest.raises(BadData):
        target_of(JobDescription("x", JobKind.RETRIEVE, None, params))


@pytest.mark.parametrize("above", ["patient", "study", "series"])
@pytest.mark.parametrize("below", ["patient", "study", "series"])
def test_levels_above_and_below_overlap(store, uids, above, below):
    overlap = Overlap(store.catalogue, Target(Level.from_word(above), (uids[above],)))

    assert overlap(about(store, below, uids[below]))
    assert overlap(about(store, below, uids[below], JobKind.THUMBNAIL))
    assert overlap(about(store, below, uids[below], JobKind.EXPORT))
    assert not overlap(about(store, below, uids[below], JobKind.REMOVE))


def test_neighbours_do_not_overlap(store, uids):
    overlap = Overlap(store.catalogue, Target(Level.SERIES, (uids["series"],)))

    assert not overlap(about(store, "series", uids["second"]))
    assert overlap(about(store, "image", uids["image"]))
    assert not overlap(JobDescription("x", JobKind.RETRIEVE, None, {}))


def test_an_engine_that_cannot_be_made_gives_the_folder_back(tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("VisualDICOMBrowserLib.engine.engine.Viewer", lambda *_, **__: pytest.fail("no viewer"))
        with pytest.raises(pytest.fail.Exception):
            Engine(tmp_path / "database", tmp_path / "config.json")
    with Engine(tmp_path / "database", tmp_path / "config.json") as engine:
        assert not engine.read_only
