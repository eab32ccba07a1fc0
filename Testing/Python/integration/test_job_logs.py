"""What each job keeps of its conversations: enough to see what went wrong, and nothing of a patient."""

from __future__ import annotations

import threading

import pytest

from support.processes import free_port
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod
from VisualDICOMBrowserLib.engine.configuration import Configuration

PEOPLE = {"LOG-4711": "Okonkwo^Adaeze", "LOG-4712": "Øster^Åse", "LOG-4713": "Ibáñez^Íñigo"}


@pytest.fixture(scope="module")
def pacs(orthanc, tmp_path_factory):
    """A server with a study of each of the people."""
    root = tmp_path_factory.mktemp("logs")
    for number, (patient_id, name) in enumerate(PEOPLE.items(), 51):
        files = make_ct_series(root / patient_id, 3, 5_000, patient_id=patient_id, patient_name=name, study=number)
        assert orthanc.load([file.path for file in files]) == []
    return orthanc


def log_of(engine, kind: str) -> list[str]:
    """Return the lines of the newest job of a kind."""
    record = [record for record in engine.jobs() if record.description.kind.value == kind][-1]
    return [line["text"] for line in engine.job_log(record.job_id)["lines"]]


def has(lines: list[str], *parts: str) -> bool:
    """Tell whether the parts are found in lines, in this order."""
    rest = iter(lines)
    return all(any(part in line for line in rest) for part in parts)


def test_the_log_of_a_retrieve_tells_its_conversation(pacs, bench, engine):
    server = bench.add("PACS", pacs)
    found = engine.query(QueryFilter(patient_id="LOG-4711"), Level.SERIES)
    series = found.patients[0]["studies"][0]["series"][0]
    engine.retrieve(Target(Level.SERIES, (series["series_uid"],)))
    lines = log_of(engine, "retrieve")
    assert has(
        lines,
        "The job is running, try 1.",
        "C-FIND at STUDY level with StudyInstanceUID",
        "C-FIND: 1 answers; success (status 0x0000).",
        "counted by image-find. They are fetched by C-GET.",
        f"at {server.host}:{server.port}.",
        f"{server.name} accepted the association with",
        f"C-GET of series {series['series_uid']}.",
        "completed, 0 failed, 0 with warnings; success (status 0x0000).",
        "The job is completed.",
    ), lines


def test_a_retrieve_by_move_tells_who_called(orthanc_with_corpus, corpus, bench, engine):
    settings = ListenerSettings(port=free_port())
    orthanc_with_corpus.set_modality("VDB", settings.aet, settings.port)
    bench.add("PACS", orthanc_with_corpus, retrieve=RetrieveMethod.MOVE)
    Configuration(bench.config).set_listener(settings)
    engine.retrieve(Target(Level.SERIES, (corpus.files[0].series_uid,)))
    lines = log_of(engine, "retrieve")
    assert has(lines, "by C-MOVE to our listener", "C-MOVE of series", "has called us", "The job is completed"), lines


def test_a_failure_keeps_its_log_over_a_restart_until_it_is_cleared(bench, dead_port):
    bench.add("PACS", ("127.0.0.1", dead_port))
    with bench.engine() as engine:
        engine.retrieve(Target(Level.SERIES, ("1.2.3",)))
        (record,) = engine.jobs()
        before = engine.job_log(record.job_id)
        wait_until(lambda: engine._queue.log(record.job_id) == before)
    with bench.engine() as engine:
        assert engine.job_log(record.job_id) == before
        texts = [line["text"] for line in before["lines"]]
        assert has(texts, "No association: The server at", "The job is waiting: ", "try 2", "The job is failed: "), (
            texts
        )
        engine.clear_jobs()
        with pytest.raises(UsageError):
            engine.job_log(record.job_id)


def test_no_log_names_a_patient(pacs, bench, engine, dead_port):
    bench.add("PACS", pacs)
    bench.add("MUTE", ("127.0.0.1", dead_port))
    lines: list[str] = []
    done = threading.Lock()

    def keep(name, subject, data):
        if name == "job" and data["state"] in ("completed", "incomplete", "failed"):
            with done:
                lines.extend(line["text"] for line in engine.job_log(subject)["lines"])

    unsubscribe = engine.subscribe(keep)
    somebody = Target(Level.PATIENT, ("LOG-4712",))
    engine.retrieve(somebody, "PACS")
    engine.send(somebody, "MUTE")
    engine.remove(somebody)
    for patient_id, name in PEOPLE.items():
        engine.search(QueryFilter(text=name), ["PACS"])
        engine.search(QueryFilter(text=patient_id), ["PACS"])
        engine.query(QueryFilter(patient_id=patient_id), Level.STUDY)
    for row in [r[0] for r in engine._store.catalogue._rows("SELECT id FROM patients")]:
        engine.explore(row, ["PACS"])
    unsubscribe()

    assert has(lines, "C-GET of", "C-FIND at PATIENT level with PatientName", "level with PatientID")
    text = "\n".join(lines).casefold()
    for patient_id, name in PEOPLE.items():
        assert not [part for part in (patient_id, *name.split("^")) if part.casefold() in text]
