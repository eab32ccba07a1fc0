"""One SOP Instance UID, other content: the first is kept, the second named, and replaces it on purpose only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest

from support.caller import ask, calling, release, status_of
from support.corpus import CorpusFile
from support.fault_proxy import Cut
from support.listened import AET, listening
from support.messages import store_rq
from support.orthanc import Orthanc
from support.pdu import AssociateAccept, ProposedContext
from support.processes import free_port
from support.sender import data_set_bytes
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.jobs.description import JobKind, JobRecord
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy
from VisualDICOMBrowserLib.jobs.states import JobState

NAME = "(0010,0010) PatientName"
OLD, NEW = "Synthetic^Series", "Merged^Patient"


@pytest.fixture
def old(tmp_path: Path) -> list[CorpusFile]:
    return make_ct_series(tmp_path / "old", 6, 5_000)


@pytest.fixture
def new(tmp_path: Path) -> list[CorpusFile]:
    """The same instances, after somebody had corrected the name."""
    return make_ct_series(tmp_path / "new", 6, 5_000, patient_name=NEW)


def study_of(files: Sequence[CorpusFile]) -> Target:
    return Target(Level.STUDY, (files[0].study_uid,))


def names(engine: Engine) -> list[str]:
    """Return the names in the files that are here."""
    store = engine._store
    files = store.catalogue.local_files(Level.STUDY, [study.study_uid for study in store.catalogue.local_studies()])
    return [str(pydicom.dcmread(store.path_of(file)).PatientName) for file in files]


def listed(engine: Engine) -> list[str]:
    return [patient["name"] for patient in engine.local().patients]


# Import


def test_an_import_names_what_is_here_with_other_content_and_replaces_it_on_purpose(bench, old, new):
    assert bench.run("import", old[0].path.parent).code == 0
    again = bench.run("import", old[0].path.parent, new[0].path.parent)
    assert again.code == 1
    assert "6 instances are here with other content, which was kept." in again.err
    assert (again.document["imported"], again.document["duplicates"], again.document["replaced"]) == (0, 6, 0)
    assert [(c["tags"], c["source"]) for c in again.document["conflicts"]] == [
        ([NAME], str(file.path)) for file in sorted(new, key=lambda file: file.path)
    ]
    with bench.engine() as engine:
        assert (listed(engine), set(names(engine))) == ([OLD], {OLD})

    replaced = bench.run("import", "--replace", new[0].path.parent)
    assert replaced.code == 0
    assert (replaced.document["replaced"], replaced.document["conflicts"]) == (6, [])
    with bench.engine() as engine:
        assert (listed(engine), set(names(engine))) == ([NEW], {NEW})
        assert engine.verify().ok


def test_an_import_that_only_replaces_or_only_meets_what_is_here_is_not_taken_for_one_of_no_dicom(engine, old, new):
    engine.import_paths([old[0].path])
    assert engine.import_paths([new[0].path], replace=True).replaced == 1
    assert len(engine.import_paths([old[0].path]).conflicts) == 1
    said = "1 instance that came has other content than what is here, which was kept."
    assert [(record.state.value, record.reason) for record in engine.jobs()] == [("completed", "")] * 2 + [
        ("completed", said)
    ]
    assert [record.conflicts for record in engine.jobs()] == [0, 0, 1]
    lines = [line["text"] for line in engine.job_log(engine.jobs()[-1].job_id)["lines"]]
    (line,) = (line for line in lines if NAME in line)
    assert old[0].sop_uid in line
    assert str(old[0].path.parent) not in line


def test_the_text_of_an_import_says_what_differs_but_no_value(bench, old, new):
    bench.run("import", old[0].path)
    shown = bench.main("import", new[0].path, "--database", bench.database, "--config", bench.config)
    assert f"  {old[0].sop_uid} from {new[0].path}: It has other content" in shown.out
    assert f"Different: {NAME}." in shown.out
    assert not any(word in shown.out + shown.err for word in ("Synthetic", "Merged"))


def test_the_picture_of_a_series_is_the_new_one_once_it_was_replaced(engine, tmp_path):
    files = [make_ct_series(tmp_path / str(size), 1, size)[0] for size in (5_000, 20_000)]
    uid = files[0].series_uid
    engine.import_paths([files[0].path])
    before = Path(engine.thumbnail(uid).path).read_bytes()
    sizes = [engine.frame(files[0].sop_uid).width]
    engine.import_paths([files[1].path], replace=True)
    assert Path(engine.thumbnail(uid).path).read_bytes() != before
    sizes.append(engine.frame(files[0].sop_uid).width)
    assert sizes[1] == 2 * sizes[0]


# The listener


def test_a_sender_of_other_content_is_not_told_that_it_was_stored(engine, old, new):
    context = ProposedContext(1, old[0].sop_class, (old[0].transfer_syntax,))
    with listening(engine) as listened, calling(listened.port) as peer:
        assert isinstance(ask(peer, [context], called=AET, title="SENDER"), AssociateAccept)
        answers = [
            status_of(peer, store_rq(1, file.sop_class, file.sop_uid, data_set_bytes(file.path.read_bytes())))
            for file in (old[0], old[0], new[0], old[1])
        ]
        release(peer)
    result = listened.end()
    assert answers == [0x0000, 0x0000, 0x0111, 0x0000]
    assert (result.stored, result.duplicates, result.failed, result.refused) == (2, 1, 0, 0)
    assert [(c.sop_uid, c.tags, c.source) for c in result.conflicts] == [(old[0].sop_uid, (NAME,), "SENDER")]
    assert result.to_dict()["conflicts"][0]["tags"] == [NAME]
    job = next(record for record in engine.jobs() if record.description.kind is JobKind.LISTENER)
    lines = [line["text"] for line in engine.job_log(job.job_id)["lines"]]
    assert any(old[0].sop_uid in line and NAME in line for line in lines), lines
    assert set(names(engine)) == {OLD}


# Fetching again


@pytest.fixture
def corrected(bench, orthanc, old, new) -> Callable[..., Orthanc]:
    """Have the old study fetched, and then corrected on the server."""

    def correct(engine: Engine, **how: object) -> Orthanc:
        orthanc.delete_all()
        assert orthanc.load([file.path for file in old]) == []
        bench.add("PACS", orthanc, **how)
        assert engine.retrieve(study_of(old), "PACS").received == 6
        orthanc.delete_all()
        assert orthanc.load([file.path for file in new]) == []
        return orthanc

    return correct


def test_what_is_here_is_fetched_again_only_on_purpose(bench, engine, corrected, old):
    corrected(engine)
    engine.close()
    as_ever = bench.run("retrieve", "--study", old[0].study_uid)
    assert (as_ever.code, as_ever.document["received"], as_ever.document["verified"]) == (0, 0, 6)
    forced = bench.run("retrieve", "--study", old[0].study_uid, "--force")
    assert forced.code == 0
    assert [forced.document[key] for key in ("requested", "received", "replaced", "verified")] == [6] * 4
    assert (forced.document["missing"], forced.document["conflicts"]) == ([], [])
    with bench.engine() as after:
        assert (listed(after), set(names(after))) == ([NEW], {NEW})
        assert after.verify().ok


def test_a_server_that_only_moves_replaces_what_is_here_too(bench, engine, orthanc, corrected, old):
    port = free_port()
    orthanc.set_modality("us", "VISUALDICOM", port)
    Configuration(bench.config).set_listener(ListenerSettings(port=port))
    corrected(engine, retrieve=RetrieveMethod.MOVE)
    result = engine.retrieve(study_of(old), "PACS", force=True)
    assert (result.complete, result.received, result.replaced, result.conflicts) == (True, 6, 6, ())
    assert set(names(engine)) == {NEW}


def test_by_way_of_a_proxy_everything_is_moved_there_again(bench, engine, orthanc, corrected, old, tmp_path):
    (tmp_path / "gate").mkdir()
    with Orthanc(tmp_path / "gate", ae_title="GATE", options={"OverwriteInstances": True}) as gate:
        orthanc.set_modality("gate", gate.ae_title, gate.port)
        bench.add("GATE", gate)
        corrected(engine, retrieve=RetrieveMethod.MOVE, proxy="GATE")
        result = engine.retrieve(study_of(old), "PACS", force=True)
        gate.kill9()  # Orthanc takes seconds to end in order
    assert (result.complete, result.received, result.replaced) == (True, 6, 6)
    assert result.warnings == ("PACS: whether it replaces what it had is up to the proxy GATE.",)
    assert set(names(engine)) == {NEW}


@pytest.fixture
def narrow(bench, fault_proxy) -> Callable[[Orthanc], str]:
    """Make a way to the server on which every connection breaks after some three instances."""

    def make(orthanc: Orthanc) -> str:
        link = fault_proxy(orthanc.address, to_client=[Cut(after=20_000)])
        bench.add("NARROW", link.address, called_aet=orthanc.ae_title)
        return "NARROW"

    return make


def retrieve_of(engine: Engine) -> JobRecord:
    return [record for record in engine.jobs() if record.description.kind is JobKind.RETRIEVE][-1]


def test_a_fetch_that_breaks_off_leaves_each_instance_old_or_new_and_says_which_are_old(
    bench, engine, corrected, narrow, old
):
    way = narrow(corrected(engine))
    engine.close()
    with Engine(bench.database, bench.config, retry=RetryStrategy(())) as impatient:
        result = impatient.retrieve(study_of(old), way, force=True)
        assert not result.complete
        assert 0 < result.replaced == result.received == result.verified < 6
        assert len(result.missing) == 6 - result.replaced
        assert sorted(names(impatient)) == [NEW] * result.replaced + [OLD] * len(result.missing)
        assert impatient.verify().ok

        while (job := retrieve_of(impatient)).state is not JobState.COMPLETED:
            before = names(impatient).count(NEW)
            impatient.retry_job(job.job_id)
            wait_until(lambda: retrieve_of(impatient).state.terminal)
            # It goes on where the last one broke off; after all instances, the server's last word may be missing.
            assert names(impatient).count(NEW) > before or before == 6
        assert set(names(impatient)) == {NEW}


def test_the_next_tries_fetch_what_is_still_the_old(engine, corrected, narrow, old):
    result = engine.retrieve(study_of(old), narrow(corrected(engine)), force=True)
    assert (result.complete, result.received, result.replaced) == (True, 6, 6)
    assert result.bytes < 6 * 7_000  # none twice
    assert set(names(engine)) == {NEW}


def test_instances_that_came_meanwhile_with_other_content_are_named_by_the_retrieve(engine, corrected, old, new):
    corrected(engine)
    engine.remove(study_of(old))
    imported: list[CorpusFile] = []

    def import_old(name: str, _subject: str, data: dict[str, Any]) -> None:
        if name == "progress" and data["job"]["kind"] == "retrieve" and not imported:
            imported.append(old[2])
            engine.import_paths([old[2].path])

    unsubscribe = engine.subscribe(import_old)
    result = engine.retrieve(study_of(old), "PACS")
    unsubscribe()
    job = retrieve_of(engine)
    assert (job.state, job.conflicts) == (JobState.COMPLETED, 1)
    assert job.reason == "1 instance that came has other content than what is here, which was kept."
    lines = [line["text"] for line in engine.job_log(job.job_id)["lines"]]
    assert any(old[2].sop_uid in line and NAME in line for line in lines), lines
    assert (result.complete, result.received, result.replaced) == (True, 5, 0)
    assert [(c.sop_uid, c.tags) for c in result.conflicts] == [(old[2].sop_uid, (NAME,))]
    assert sorted(names(engine)) == [NEW] * 5 + [OLD]
