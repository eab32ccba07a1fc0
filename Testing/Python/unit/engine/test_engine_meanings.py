"""One text for several keys, and what a server has of a person, with finders that answer from lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, OperationRefused
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Patient, Series, Study
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine import explore as explore_module
from VisualDICOMBrowserLib.engine import search as search_module
from VisualDICOMBrowserLib.engine.explore import Explorer
from VisualDICOMBrowserLib.engine.search import search_server

SERVER = Server("PACS", "localhost", 104, "PACS")


class FakeFinder:
    """Answers each kind of question from a function, and remembers what it was asked."""

    def __init__(self) -> None:
        self.has_patient_root = True
        self.unusable: list[Study] = []
        self.damaged = 0
        self.asked: list[tuple[str, dict]] = []
        self.answer_patients = lambda keys: []
        self.answer_studies = lambda keys: []
        self.answer_series = lambda study_uid: []
        self.truncated = False

    def patients(self, keys, limit):
        self.asked.append(("patient", keys))
        return self.answer_patients(keys), self.truncated

    def studies(self, keys, limit):
        self.asked.append(("study", keys))
        return self.answer_studies(keys), self.truncated

    def series(self, study_uid, keys, limit):
        self.asked.append(("series", {"StudyInstanceUID": study_uid}))
        return self.answer_series(study_uid), self.truncated

    def keys(self, kind: str, name: str) -> list[str]:
        return [keys[name] for asked, keys in self.asked if asked == kind and keys.get(name)]


@pytest.fixture
def finder(monkeypatch) -> FakeFinder:
    made = FakeFinder()

    @contextmanager
    def connect(server: Server, token: CancelToken, associate: object = None) -> Iterator[FakeFinder]:
        yield made

    monkeypatch.setattr(search_module.Finder, "connect", connect)
    monkeypatch.setattr(explore_module.Finder, "connect", connect)
    return made


def search(query: QueryFilter, level: Level = Level.PATIENT, **options):
    return search_server(SERVER, query, level, CancelToken(), **options)


def test_a_text_is_asked_for_as_a_name_and_as_an_id(finder):
    search(QueryFilter(text="doe"))

    assert finder.keys("patient", "PatientName") == ["*doe*", "*DOE*", "*Doe*"]
    assert finder.keys("patient", "PatientID") == ["*doe*", "*DOE*", "doe"]
    assert finder.keys("study", "AccessionNumber") == []


def test_a_text_with_a_digit_may_be_an_accession_number(finder):
    search(QueryFilter(text="a7"))

    assert finder.keys("study", "AccessionNumber") == ["a7", "A7"]


@pytest.mark.parametrize("text", ["doe 7", "doe"])
def test_a_text_with_a_blank_or_without_a_digit_is_no_accession_number(finder, text):
    search(QueryFilter(text=text))

    assert not [kind for kind, _ in finder.asked if kind == "study"]


@pytest.mark.parametrize("text", ["Doe, Jane", "Doe^Jane"])
def test_a_name_in_parts_is_no_id(finder, text):
    search(QueryFilter(text=text))

    assert "*Doe^Jane*" in finder.keys("patient", "PatientName")
    assert finder.keys("patient", "PatientID") == []


def test_answers_are_checked_against_the_text_again(finder):
    finder.answer_patients = lambda keys: [Patient("1", "Doe^Jane"), Patient("2", "Roe^Jim"), Patient("xDOEx", "Poe")]
    found = search(QueryFilter(text="doe"))

    assert [patient.patient_id for patient in found.patients] == ["1", "xDOEx"]


def test_with_another_key_beside_it_the_text_only_narrows(finder):
    finder.answer_patients = lambda keys: [Patient("4711", "Doe^Jane"), Patient("4711", "Roe^Jim")]
    found = search(QueryFilter(text="doe", patient_id="4711"))

    assert {keys["PatientID"] for _, keys in finder.asked} == {"4711"}
    assert [patient.name for patient in found.patients] == ["Doe^Jane"]


def test_who_is_found_by_accession_number_comes_with_the_study(finder):
    study = Study("1.2", Patient("1", "Doe"), accession_number="A7")
    finder.answer_studies = lambda keys: [study] if keys["AccessionNumber"] == "A7" else []
    found = search(QueryFilter(text="A7"))

    assert found.studies == [study]
    assert found.patients == [study.patient]


def test_the_studies_of_all_spellings_of_an_accession_number_are_found(finder):
    studies = {text: Study(f"1.{n}", Patient("1", "Doe"), accession_number=text) for n, text in enumerate(("a7", "A7"))}
    finder.answer_studies = lambda keys: [studies[keys["AccessionNumber"]]]
    found = search(QueryFilter(text="a7"))

    assert found.studies == list(studies.values())
    assert found.patients == [Patient("1", "Doe")]


def test_a_server_may_refuse_one_of_the_questions(finder):
    def answer(keys):
        if "*" in keys.get("PatientID", ""):
            raise OperationRefused("No wildcards.", 0xA900)
        return [Patient("doe", "Nobody")] if keys["PatientID"] == "doe" else []

    finder.answer_patients = answer

    assert [patient.patient_id for patient in search(QueryFilter(text="doe")).patients] == ["doe"]


def test_a_server_that_refuses_all_of_them_has_failed(finder):
    def refuse(keys):
        raise OperationRefused("No.", 0xA900)

    finder.answer_patients = finder.answer_studies = refuse
    with pytest.raises(OperationRefused):
        search(QueryFilter(text="doe"))


def test_at_study_level_each_meaning_goes_with_the_other_keys(finder):
    search(QueryFilter(text="A7", modalities=("CT",)), Level.STUDY)

    assert {kind for kind, _ in finder.asked} == {"study"}
    assert set(finder.keys("study", "ModalitiesInStudy")) == {"CT"}
    assert {"*A7*"} <= set(finder.keys("study", "PatientID"))
    assert finder.keys("study", "AccessionNumber") == ["A7"]


def test_a_server_that_tells_no_modalities_is_looked_into_only_so_far(finder):
    finder.answer_studies = lambda keys: [Study(f"1.{n}", Patient("1", "Doe")) for n in range(20)]
    finder.answer_series = lambda uid: [Series(f"{uid}.1", uid, modality="CT")]
    found = search(QueryFilter(modalities=("CT",)), Level.STUDY, max_looks=5)

    assert len(found.studies) == 5
    assert found.truncated
    assert len([kind for kind, _ in finder.asked if kind == "series"]) == 5


# A person


class Told:
    def __init__(self, explorer: Explorer) -> None:
        self.studies: list[str] = []
        self.series: list[str] = []
        self.complete: list[bool] = []
        explorer.on_studies = self._studies
        explorer.on_series = self._series

    def _studies(self, studies, complete):
        self.studies = [study.study_uid for study in studies]
        self.complete.append(complete)

    def _series(self, study_uid, series, complete):
        self.series.append(study_uid)
        self.complete.append(complete)


def explore(finder, person: Patient, known=(), token: CancelToken | None = None):
    explorer = Explorer(SERVER, person, known, token or CancelToken())
    told = Told(explorer)
    return told, explorer.run()


JANE = Patient("4711", "Doe^Jane", "19700101")


def test_a_person_is_asked_for_by_id_and_series_come_newest_first(finder):
    finder.answer_studies = lambda keys: [
        Study("1.1", JANE, "20200101"),
        Study("1.2", JANE, "20240101", "0900"),
        Study("1.3", JANE, "20240101", "1000"),
    ]
    told, explored = explore(finder, Patient(" 4711 ", "Doe^Jane", "19700101"))

    assert finder.keys("study", "PatientID") == ["4711"]
    assert told.series == ["1.3", "1.2", "1.1"]
    assert told.complete == [True] * 4
    assert explored.warnings == []


@pytest.mark.parametrize(
    "stranger",
    [
        Patient("4711", "Roe^Jim", "19700101"),
        Patient("4711", "Doe^Jane", "19800101"),
        Patient("47110", "Doe^Jane", "19700101"),
        Patient("4711", "Doe^Jane", "19700101", issuer="Elsewhere"),
    ],
)
def test_somebody_else_is_not_taken_for_the_person(finder, stranger):
    finder.answer_studies = lambda keys: [Study("1.1", JANE), Study("1.2", stranger)]
    told, _ = explore(finder, Patient("4711", "Doe^Jane", "19700101", issuer="Here"))

    assert told.studies == ["1.1"]


def test_a_study_that_is_known_to_be_theirs_is_theirs_whatever_the_server_says(finder):
    finder.answer_studies = lambda keys: [Study("1.1", Patient("4711", "Misspelt"))]

    assert explore(finder, JANE, ["1.1"])[0].studies == ["1.1"]


def test_without_an_id_name_and_birth_date_have_to_do(finder):
    person = Patient("", "Doe^Jane", "19700101")
    finder.answer_studies = lambda keys: [Study("1.1", person), Study("1.2", Patient("", "Doe^Jane", "19800101"))]
    told, _ = explore(finder, person)

    assert finder.asked[0][1] == {"PatientName": "Doe^Jane", "PatientBirthDate": "19700101"}
    assert told.studies == ["1.1"]


def test_with_nothing_to_tell_a_person_by_only_known_studies_are_asked_for(finder):
    finder.answer_studies = lambda keys: [Study(keys["StudyInstanceUID"], Patient("", ""))]
    told, _ = explore(finder, Patient("", "Anonymous"), ["1.5"])

    assert finder.keys("study", "StudyInstanceUID") == ["1.5"]
    assert told.studies == ["1.5"]


def test_an_answer_that_was_cut_off_is_not_taken_for_all_there_is(finder):
    finder.truncated = True
    finder.answer_studies = lambda keys: [Study("1.1", JANE)]
    told, explored = explore(finder, JANE)

    assert told.complete == [False, False]
    assert len(explored.warnings) == 2
    assert all(sentence.startswith("PACS: ") for sentence in explored.warnings)


def test_a_study_that_the_server_stumbles_over_hides_no_other(finder):
    def answer(uid):
        if uid == "1.2":
            raise OperationRefused("No.", 0xC000)
        return []

    finder.answer_series = answer
    finder.answer_studies = lambda keys: [Study("1.1", JANE, "20200101"), Study("1.2", JANE, "20240101")]
    told, explored = explore(finder, JANE)

    assert told.series == ["1.1"]
    assert "could not be listed" in explored.warnings[0]


def test_exploring_ends_when_nobody_wants_it(finder):
    token = CancelToken()
    token.cancel()
    finder.answer_studies = lambda keys: [Study("1.1", JANE)]
    with pytest.raises(Cancelled):
        explore(finder, JANE, token=token)
