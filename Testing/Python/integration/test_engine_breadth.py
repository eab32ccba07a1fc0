"""Of a server is asked what is looked at, and nothing below; what is said where it has nothing, or sends a part."""

from __future__ import annotations

import pytest

from support.counting_server import CountingServer
from support.messages import C_GET, find_rsp
from support.mute_pacs import answer_about
from support.pdu import EXPLICIT_LITTLE
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.jobs.description import JobKind
from VisualDICOMBrowserLib.jobs.states import JobState

PEOPLE, STUDIES, SERIES, INSTANCES = 5, 2, 2, 3


_UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


class Asked(CountingServer):
    """A server that keeps what it is asked: for each C-FIND the level and the UIDs above, for each C-GET the UIDs."""

    def __init__(self, people) -> None:
        super().__init__([file for series in people.values() for files in series for file in files])
        self.patient_of = {
            file.sop_uid: patient_id for patient_id, series in people.items() for files in series for file in files
        }
        self.finds: list[tuple[str, str, str]] = []
        self.gets: list[tuple[str, str, object]] = []

    def _find(self, peer, message) -> None:
        keys = message.dataset(EXPLICIT_LITTLE)
        level = keys.QueryRetrieveLevel
        self.finds.append((level, keys.get("StudyInstanceUID", ""), keys.get("SeriesInstanceUID", "")))
        answers = {}
        for file in self._wanted(message):
            answer = answer_about(file, level)
            answer.PatientID = answer.PatientName = self.patient_of[file.sop_uid]
            answer.ModalitiesInStudy = "CT"
            if keys.get("PatientID", "") in ("", answer.PatientID):
                answers[str(answer.PatientID if level == "PATIENT" else answer[_UNIQUE[level]].value)] = answer
        for answer in answers.values():
            peer.send(find_rsp(message, answer, transfer_syntax=EXPLICIT_LITTLE))
        peer.send(self.end(message))

    def _get(self, peer, message) -> None:
        keys = message.dataset(EXPLICIT_LITTLE)
        if keys.QueryRetrieveLevel == "PATIENT":  # a C-FIND in the other model
            self._find(peer, message)
            return
        self.gets.append((keys.QueryRetrieveLevel, keys.SeriesInstanceUID, keys.get("SOPInstanceUID", "")))
        super()._get(peer, message)

    def levels(self) -> list[str]:
        return [level for level, _, _ in self.finds]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Files of each person, by patient ID and series."""
    root = tmp_path_factory.mktemp("breadth")
    return {
        f"P{person}": [
            make_ct_series(
                root / f"{person}-{study}-{series}",
                INSTANCES,
                2_000,
                patient_id=f"P{person}",
                study=10 * person + study,
                series=series,
            )
            for study in range(STUDIES)
            for series in range(1, SERIES + 1)
        ]
        for person in range(1, PEOPLE + 1)
    }


@pytest.fixture
def server(people, bench, scripted_peer):
    asked = Asked(people)
    bench.add("PACS", scripted_peer(asked).address)
    return asked


def row_of(engine, patient_id):
    return engine._store.catalogue._rows("SELECT id FROM patients WHERE patient_id = ?", (patient_id,))[0][0]


def test_a_search_asks_for_no_series_and_no_instances(server, engine):
    assert engine.search().complete
    assert server.levels() == ["PATIENT"]
    assert engine.search(QueryFilter(modalities=("CT",))).complete
    assert set(server.levels()[1:]) == {"STUDY"}
    assert server.gets == []


def test_opening_one_person_asks_for_that_one_only(server, people, engine):
    engine.search()
    server.finds.clear()
    engine.explore(row_of(engine, "P3"))
    own = {files[0].study_uid for files in people["P3"]}
    assert sorted(server.levels()) == ["SERIES"] * STUDIES + ["STUDY"]
    assert {study for level, study, _ in server.finds if level == "SERIES"} == own
    assert server.gets == []


def test_instances_are_asked_for_where_a_picture_is_looked_at_and_one_comes(server, people, engine):
    engine.search()
    engine.explore(row_of(engine, "P3"))
    server.finds.clear()
    series_uid = people["P3"][0][0].series_uid
    engine.thumbnail(series_uid)
    assert server.finds == [("IMAGE", people["P3"][0][0].study_uid, series_uid)]
    assert [(level, uid) for level, uid, _ in server.gets] == [("IMAGE", series_uid)]
    assert isinstance(server.gets[0][2], str)  # one instance
    assert engine._store.catalogue.local_totals()[3] == 1


def test_a_retrieve_asks_for_its_series_and_no_other(server, people, engine):
    series_uid = people["P2"][0][0].series_uid
    assert engine.retrieve(Target(Level.SERIES, (series_uid,))).complete
    assert {uid for level, _, uid in server.finds if level == "IMAGE"} == {series_uid}
    assert server.gets == [("SERIES", series_uid, "")]


def test_the_command_line_descends_as_far_as_its_level_says(server, engine):
    engine.query(QueryFilter(), Level.SERIES)
    assert set(server.levels()) == {"STUDY", "SERIES"}
    assert len(server.finds) == 1 + PEOPLE * STUDIES


# What is said of nothing, and of a part


class Stingy(Asked):
    """A server that sends one instance in all, whatever it is asked for, and calls that a success."""

    def _wanted(self, message):
        wanted = super()._wanted(message)
        return wanted[: len(self.gets) == 1] if message.field == C_GET else wanted


def retrieves(engine):
    return [record for record in engine.jobs() if record.description.kind is JobKind.RETRIEVE]


def test_a_part_is_incomplete_whatever_the_server_says_and_the_job_names_the_rest(people, bench, engine, scripted_peer):
    stingy = Stingy({"P1": people["P1"]})
    bench.add("PACS", scripted_peer(stingy).address)
    files = people["P1"][0]
    assert not engine.retrieve(Target(Level.SERIES, (files[0].series_uid,))).complete
    (record,) = retrieves(engine)
    assert record.state is JobState.INCOMPLETE
    assert record.reason == f"{record.missing.count} of {INSTANCES} instances are missing."
    here = engine._store.readable([file.sop_uid for file in files])
    assert here
    assert set(record.missing.uids) == {file.sop_uid for file in files} - here
    lines = [line["text"] for line in engine.job_log(record.job_id)["lines"]]
    assert any("reported success but did not send it" in line for line in lines), lines


def test_to_have_nothing_is_no_success(server, engine):
    assert not engine.retrieve(Target(Level.SERIES, ("1.2.3",))).complete
    (record,) = retrieves(engine)
    assert (record.state, record.reason) == (JobState.INCOMPLETE, "PACS has nothing of what was asked for.")


def test_of_several_servers_to_have_nothing_is_an_answer_like_any_other(server, people, bench, engine, scripted_peer):
    bench.add("EMPTY", scripted_peer(Asked({})).address)
    assert engine.retrieve(Target(Level.PATIENT, ("P4",))).complete
    assert {r.description.server: (r.state, r.reason) for r in retrieves(engine)} == {
        "PACS": (JobState.COMPLETED, ""),
        "EMPTY": (JobState.COMPLETED, "EMPTY has nothing of what was asked for."),
    }
