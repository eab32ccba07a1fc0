"""Searching one server, with a finder that answers from a list and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, OperationRefused
from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter, matches
from VisualDICOMBrowserLib.domain.model import Instance, Level, Patient, Series, Study
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine import search as module
from VisualDICOMBrowserLib.engine.search import Findings, search_server

SERVER = Server("PACS", "localhost", 104, "PACS")


class FakeFinder:
    """A server that matches names and descriptions with or without regard to case, and tells modalities or not."""

    def __init__(self, *, ignores_case: bool = True, tells_modalities: bool = True, patient_root: bool = True) -> None:
        self.ignores_case = ignores_case
        self.tells_modalities = tells_modalities
        self.has_patient_root = patient_root
        self.unusable: list[Study | Series | Instance] = []
        self.damaged = 0
        self.asked: list[tuple[str, dict]] = []
        self.held: dict[Study, list[Series]] = {}
        self.left_out: list[Study] = []

    def add(self, uid: str, name: str, *modalities: str, **more) -> None:
        study = Study(uid, Patient(name, name), modalities=modalities, **more)
        self.held[study] = [Series(f"{uid}.{n}", uid, n, m) for n, m in enumerate(modalities)]

    def patients(self, keys: dict, limit: int) -> tuple[list[Patient], bool]:
        self.asked.append(("patient", keys))
        found = list(dict.fromkeys(s.patient for s in self.held if self._matches(keys["PatientName"], s.patient.name)))
        return found[:limit], len(found) > limit

    def studies(self, keys: dict, limit: int) -> tuple[list[Study], bool]:
        self.asked.append(("study", keys))
        self.unusable += self.left_out
        found = [s for s in self.held if self._fits(s, keys)]
        told = found if self.tells_modalities else [replace(s, modalities=()) for s in found]
        return told[:limit], len(told) > limit

    def series(self, study_uid: str, keys: dict, limit: int) -> tuple[list[Series], bool]:
        self.asked.append(("series", keys))
        return [s for study, held in self.held.items() if study.study_uid == study_uid for s in held][:limit], False

    def instances(self, study_uid: str, series_uid: str, keys: dict, limit: int) -> tuple[list[Instance], bool]:
        self.asked.append(("image", keys))
        return [Instance(f"{series_uid}.1", series_uid, study_uid)], False

    def _fits(self, study: Study, keys: dict) -> bool:
        modality = keys["ModalitiesInStudy"]
        return (
            self._matches(keys["PatientName"], study.patient.name)
            and self._matches(keys["StudyDescription"], study.description)
            and (not self.tells_modalities or modality in ("", *study.modalities))
        )

    def _matches(self, pattern: str, value: str) -> bool:
        plain = pattern.strip("*")
        return matches(pattern, value) and (self.ignores_case or plain in value)


@pytest.fixture
def finder(monkeypatch) -> FakeFinder:
    made = FakeFinder()

    @contextmanager
    def connect(server: Server, token: CancelToken, associate: object = None) -> Iterator[FakeFinder]:
        yield made

    monkeypatch.setattr(module.Finder, "connect", connect)
    return made


def search(query: QueryFilter, level: Level = Level.STUDY, token: CancelToken | None = None) -> Findings:
    return search_server(SERVER, query, level, token or CancelToken())


def uids(found: Findings) -> list[str]:
    return [study.study_uid for study in found.studies]


def test_nothing_below_the_level_is_asked_for(finder):
    finder.add("1.1", "Doe", "CT")
    for level, asked in (
        (Level.PATIENT, ["patient"]),
        (Level.STUDY, ["study"]),
        (Level.SERIES, ["study", "series"]),
        (Level.IMAGE, ["study", "series", "image"]),
    ):
        finder.asked.clear()
        search(QueryFilter(), level)
        assert [word for word, _ in finder.asked] == asked


def test_patients_are_found_by_their_studies_where_there_is_no_patient_root(finder):
    finder.has_patient_root = False
    finder.add("1.1", "Doe", "CT")

    assert search(QueryFilter(), Level.PATIENT).patients == [Patient("Doe", "Doe")]
    assert [word for word, _ in finder.asked] == ["study"]


def test_a_server_that_refuses_to_tell_patients_is_asked_for_studies(finder, monkeypatch):
    def refuse(keys: dict, limit: int) -> tuple[list[Patient], bool]:
        raise OperationRefused("No.", 0xA900, retryable=False)

    monkeypatch.setattr(finder, "patients", refuse)
    finder.add("1.1", "Doe", "CT")
    assert search(QueryFilter(text="doe"), Level.PATIENT).patients == [Patient("Doe", "Doe")]


def test_a_study_key_makes_a_search_for_patients_one_for_studies(finder):
    finder.add("1.1", "Doe", "CT", date="20200101")
    finder.add("1.2", "Roe", "CT", date="20210101")
    found = search(QueryFilter(study_date=DateRange("2020", "20201231")), Level.PATIENT)

    assert [p.name for p in found.patients] == ["Doe"]


def test_keys_that_the_server_ignores_are_checked_again(finder):
    finder.tells_modalities = False
    finder.add("1.1", "Doe", "CT")
    finder.add("1.2", "Doe", "MR")
    found = search(QueryFilter(modalities=("MR",)))

    assert uids(found) == ["1.2"]
    assert found.studies[0].modalities == ("MR",)


def test_several_modalities_are_asked_for_one_by_one_and_found_once(finder):
    finder.add("1.1", "Doe", "CT", "SR")
    finder.add("1.2", "Doe", "US")
    found = search(QueryFilter(modalities=("CT", "SR")))

    assert uids(found) == ["1.1"]
    assert [keys["ModalitiesInStudy"] for _, keys in finder.asked] == ["CT", "SR"]


def test_the_limit_holds_over_all_questions(finder):
    for number in range(4):
        finder.add(f"1.{number}", "Doe", "CT")
        finder.add(f"2.{number}", "Doe", "MR")
    found = search(QueryFilter(modalities=("CT", "MR"), limit=5))

    assert len(found.studies) == 5
    assert found.truncated
    assert not search(QueryFilter(modalities=("CT", "MR"), limit=8)).truncated


@pytest.mark.parametrize("level", [Level.PATIENT, Level.STUDY])
def test_a_server_that_tells_capitals_from_small_letters_is_asked_in_several_spellings(finder, level):
    finder.ignores_case = False
    for number, name in enumerate(("Doe^Jane", "DOE^JOHN", "doe^joe", "Roe")):
        finder.add(f"1.{number}", name, "CT")
    found = search(QueryFilter(patient_name="doe"), level)

    assert sorted(p.name for p in found.patients) == ["DOE^JOHN", "Doe^Jane", "doe^joe"]


def test_a_server_that_ignores_case_is_asked_once(finder):
    finder.add("1.1", "Doe^Jane", "CT", description="CT Head")
    for query in (QueryFilter(patient_name="doe"), QueryFilter(study_description="head")):
        finder.asked.clear()
        assert uids(search(query)) == ["1.1"]
        assert len(finder.asked) == 1


@pytest.mark.parametrize("typed", ["doe*", "d?e", "山田", ""])
def test_wildcards_and_scripts_without_capitals_are_asked_for_as_they_are(finder, typed):
    search(QueryFilter(patient_name=typed))

    assert len(finder.asked) == 1


def test_matches_without_a_usable_uid_are_counted_once_and_only_if_they_match(finder):
    finder.left_out = [Study("", Patient("1", "Doe")), Study("", Patient("2", "Roe"))]

    assert search(QueryFilter(patient_name="Doe", modalities=("CT", "MR"))).unusable == 1
    assert search(QueryFilter()).unusable == 2


def test_a_series_is_looked_for_in_every_study(finder):
    finder.add("1.1", "Doe", "CT")
    finder.add("1.2", "Doe", "MR", "SR")
    found = search(QueryFilter(series_uid="1.2.1"), Level.SERIES)

    assert uids(found) == ["1.2"]
    assert [s.series_uid for s in found.series] == ["1.2.1"]


def test_a_raised_token_ends_the_descent(finder):
    finder.add("1.1", "Doe", "CT")
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        search(QueryFilter(), Level.SERIES, token)
