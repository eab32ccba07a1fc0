"""Searches: each filter against real servers, the limit, the levels, and what is here already."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from support.corpus import Corpus
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.demo import people
from VisualDICOMBrowserLib.demo.pacs import AE_TITLE, HOST, DemoPacs
from VisualDICOMBrowserLib.demo.part10 import SeriesWriter
from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.results import QueryResult
from VisualDICOMBrowserLib.domain.servers import Server


@dataclass(frozen=True)
class Told:
    """What an object says of itself."""

    study_uid: str
    series_uid: str
    sop_uid: str
    patient_id: str
    name: str
    date: str
    description: str
    accession: str
    modality: str


@pytest.fixture(scope="module")
def told(corpus: Corpus) -> list[Told]:
    return [entry for file in corpus.files if (entry := read(file.path)).study_uid.replace(".", "").isdigit()]


def read(path) -> Told:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pydicom.dcmread(path, stop_before_pixels=True)
        words = (
            found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID, found.get("PatientID"),
            found.get("PatientName"), found.get("StudyDate"), found.get("StudyDescription"),
            found.get("AccessionNumber"), found.get("Modality"),
        )  # fmt: skip
        return Told(*("" if word is None else str(word) for word in words))


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def pacs(request, tmp_path_factory) -> Iterator[Engine]:
    """An engine that knows one server with the corpus."""
    peer = request.getfixturevalue(f"{request.param}_with_corpus")
    root = tmp_path_factory.mktemp(f"query-{request.param}")
    with Engine(root / "database", root / "config.json") as engine:
        engine.configuration.add(Server("PACS", peer.host, peer.port, peer.ae_title))
        engine._core.associations._idle_s = 0.02  # each test is watched for what it leaves open
        yield engine


def studies(result: QueryResult) -> set[str]:
    return {study["study_uid"] for patient in result.patients for study in patient["studies"]}


def all_series(result: QueryResult) -> list[dict]:
    return [s for patient in result.patients for study in patient["studies"] for s in study["series"]]


FILTERS: dict[str, tuple[QueryFilter, Callable[[Told], bool]]] = {
    "patient id": (QueryFilter(patient_id="77654033"), lambda t: t.patient_id == "77654033"),
    "patient id with a wildcard": (QueryFilter(patient_id="9889*"), lambda t: t.patient_id.startswith("9889")),
    "name": (QueryFilter(patient_name="Doe"), lambda t: "Doe" in t.name),
    "name in small letters": (QueryFilter(patient_name="doe"), lambda t: "Doe" in t.name),
    "name with comma": (QueryFilter(patient_name="Doe, Peter"), lambda t: t.name == "Doe^Peter"),
    "name with wildcards": (QueryFilter(patient_name="Compressed*^?R1"), lambda t: t.name.endswith("^MR1")),
    "accession number": (QueryFilter(accession_number="03086212"), lambda t: t.accession == "03086212"),
    "one day": (QueryFilter(study_date=DateRange.parse("20040826")), lambda t: t.date == "20040826"),
    "days": (
        QueryFilter(study_date=DateRange.parse("2003-01-01-2004-12-31")),
        lambda t: t.date[:4] in ("2003", "2004") and "." not in t.date,
    ),
    "until a day": (
        QueryFilter(study_date=DateRange.parse("-20001231"), patient_name="Doe"),
        lambda t: "Doe" in t.name and bool(t.date) and t.date < "20010101",
    ),
    "modality": (QueryFilter(modalities=("NM",)), lambda t: t.modality == "NM"),
    "modalities": (QueryFilter(modalities=("MR", "US")), lambda t: t.modality in ("MR", "US")),
    "description": (QueryFilter(study_description="brain"), lambda t: "brain" in t.description.lower()),
    "study": (QueryFilter(study_uid="1.2.276.0.7230010.3.200.1"), lambda t: t.study_uid == "1.2.276.0.7230010.3.200.1"),
    "nothing": (QueryFilter(patient_id="NOBODY"), lambda _: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_finds_the_studies_that_match_and_no_others(pacs, told, name):
    query, expected = FILTERS[name]
    result = pacs.query(query, Level.STUDY)

    assert studies(result) == {t.study_uid for t in told if expected(t)}
    assert (result.servers_asked, result.servers_failed) == (1, 0)


@pytest.mark.parametrize("name", ["name", "modalities", "days", "description"])
def test_a_filter_of_studies_narrows_the_patients_too(pacs, told, name):
    query, expected = FILTERS[name]
    found = {p["patient_id"] for p in pacs.query(query, Level.PATIENT).patients}

    assert found == {t.patient_id for t in told if expected(t)}


def test_a_series_is_found_by_its_uid_alone(pacs, told):
    wanted = next(t for t in told if t.modality == "NM")
    result = pacs.query(QueryFilter(series_uid=wanted.series_uid), Level.SERIES)

    assert [s["series_uid"] for s in all_series(result)] == [wanted.series_uid]
    assert studies(result) == {wanted.study_uid}


def test_a_patient_filter_lists_the_series_and_instances_of_that_patient(pacs, told):
    mine = [t for t in told if t.patient_id == "98890234"]
    by_series = pacs.query(QueryFilter(patient_id="98890234"), Level.SERIES)
    by_image = pacs.query(QueryFilter(patient_id="98890234"), Level.IMAGE)

    assert {s["series_uid"] for s in all_series(by_series)} == {t.series_uid for t in mine}
    assert all("images" not in s for s in all_series(by_series))
    assert {i["sop_uid"] for s in all_series(by_image) for i in s["images"]} == {t.sop_uid for t in mine}
    assert sum(s["instances"] for s in all_series(by_image)) == len(mine)


def test_levels_not_asked_for_are_absent(pacs):
    assert all("studies" not in p for p in pacs.query(QueryFilter(patient_name="Doe"), Level.PATIENT).patients)
    found = pacs.query(QueryFilter(patient_name="Doe"), Level.STUDY).patients
    assert all("series" not in study for p in found for study in p["studies"])


def test_a_modality_filter_keeps_other_series_of_a_study_out(pacs, told):
    result = pacs.query(QueryFilter(modalities=("MR",)), Level.SERIES)

    assert {s["series_uid"] for s in all_series(result)} == {t.series_uid for t in told if t.modality == "MR"}
    assert {s["modality"] for s in all_series(result)} == {"MR"}


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("limit", [1, 7])
def test_the_limit_holds_and_is_told(pacs, level, limit):
    result = pacs.query(QueryFilter(limit=limit), level)
    count = len(result.patients) if level is Level.PATIENT else len(studies(result))

    assert 0 < count <= limit
    assert not result.complete
    assert result.warnings[0] == f"PACS: more than {limit} matches exist; narrow the search or raise the limit."


def test_the_limit_holds_for_all_modalities_together(pacs):
    result = pacs.query(QueryFilter(modalities=("MR", "CT", "US"), limit=8), Level.STUDY)

    assert 0 < len(studies(result)) <= 8
    assert "more than 8 matches" in result.warnings[0]


def test_a_limit_that_just_suffices_is_no_shortage(pacs, told):
    count = len({t.study_uid for t in told if t.patient_id == "77654033"})
    result = pacs.query(QueryFilter(patient_id="77654033", limit=count), Level.STUDY)

    assert len(studies(result)) == count
    assert result.complete


def test_nobody_is_listed_twice_and_nobody_without_what_was_asked_for(pacs):
    found = pacs.query(QueryFilter(), Level.STUDY).patients

    assert all(patient["studies"] for patient in found)
    uids = [study["study_uid"] for patient in found for study in patient["studies"]]
    assert len(uids) == len(set(uids))


@pytest.mark.parametrize(("typed", "whole"), [("Buc^J", "Buc^Jérôme"), ("Äneas", "Äneas^Rüdiger")])
def test_names_with_accents_are_found_and_shown_right(pacs, typed, whole):
    assert [p["name"] for p in pacs.query(QueryFilter(patient_name=typed), Level.PATIENT).patients] == [whole]


SCRIPTS = (
    "Люкceмбypг",
    "Διονυσιος",
    "שרון^דבורה",
    "قباني^لنزار",
    "Wang^XiaoDong=王^小东",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
)


def test_names_of_every_script_are_shown_right(dcmqrscp_with_corpus, bench, engine):
    bench.add("PACS", dcmqrscp_with_corpus)

    assert names(engine.query(QueryFilter(), Level.PATIENT)) >= set(SCRIPTS)


def test_names_of_every_script_are_shown_right_by_an_orthanc_that_answers_in_unicode(orthanc, corpus, bench, engine):
    """As it comes, Orthanc answers in Latin 1, without what that does not have."""
    orthanc.set_default_encoding("Utf8")
    orthanc.load([file.path for file in corpus.files if file.path.name.startswith("chr")])
    bench.add("PACS", orthanc)
    assert names(engine.query(QueryFilter(), Level.PATIENT)) >= set(SCRIPTS)
    assert names(engine.query(QueryFilter(patient_name="Διονυσιος"), Level.STUDY)) == {"Διονυσιος"}


def names(result: QueryResult) -> set[str]:
    """Component groups at the end of a name may be left out or empty (PS3.5, 6.2.1.1)."""
    return {unicodedata.normalize("NFC", patient["name"].rstrip("^=")) for patient in result.patients}


# Merging with what is here


def test_what_is_here_is_marked_and_found_without_the_server(orthanc_with_corpus, bench, engine, told):
    bench.add("PACS", orthanc_with_corpus)
    mine = [t for t in told if t.patient_id == "77654033"]
    one = mine[0].series_uid
    engine.retrieve(Target(Level.SERIES, (one,)))
    merged = all_series(engine.query(QueryFilter(patient_id="77654033"), Level.SERIES))
    here = all_series(engine.local(QueryFilter(patient_id="77654033"), Level.SERIES))

    counts = {uid: sum(t.series_uid == uid for t in mine) for uid in {t.series_uid for t in mine}}
    assert {s["series_uid"]: s["instances"] for s in merged} == counts
    assert {s["series_uid"]: s["local_instances"] for s in merged} == {u: n * (u == one) for u, n in counts.items()}
    assert all(s["servers"] == ["PACS"] for s in merged)
    assert [(s["series_uid"], s["local_instances"], s["servers"]) for s in here] == [(one, counts[one], [])]


def test_two_servers_with_the_same_studies_make_one_list(orthanc_with_corpus, dcmqrscp_with_corpus, bench, engine):
    bench.add("A", orthanc_with_corpus)
    bench.add("B", dcmqrscp_with_corpus)
    result = engine.query(QueryFilter(patient_id="98890234"), Level.SERIES)

    assert len(result.patients) == 1
    assert {tuple(study["servers"]) for study in result.patients[0]["studies"]} == {("A", "B")}
    assert all(s["servers"] == ["A", "B"] and s["instances"] for s in all_series(result))


def test_counts_that_no_server_tells_are_unknown_and_not_zero(dcmqrscp_with_corpus, bench, engine):
    bench.add("PACS", dcmqrscp_with_corpus)
    found = all_series(engine.query(QueryFilter(patient_id="77654033"), Level.SERIES))

    assert found
    assert {s["instances"] for s in found} == {None}
    assert {s["local_instances"] for s in found} == {0}


# Names in their own script, on the embedded PACS


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Iterator[Server]:
    """The embedded PACS with one small object of each person of the demo, in that person's character set."""
    folder = tmp_path_factory.mktemp("demo")
    held = [
        SeriesWriter(ExplicitVRLittleEndian).write(portrait(person), folder / f"{number}.dcm")
        for number, person in enumerate(people.EVERYBODY)
    ]
    with DemoPacs(folder, held) as running:
        yield Server("DEMO", HOST, running.port, AE_TITLE)


def portrait(person: people.Person) -> Dataset:
    found = Dataset()
    found.SpecificCharacterSet = list(person.charset) or ""
    found.SOPClassUID, found.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    found.StudyInstanceUID, found.SeriesInstanceUID, found.Modality = generate_uid(), generate_uid(), "OT"
    found.StudyDate, found.StudyTime, found.AccessionNumber, found.StudyID = "20240101", "120000", "A", "1"
    found.PatientID, found.PatientName, found.PatientSex = person.patient_id, person.name, person.sex
    found.PatientBirthDate, found.SeriesNumber, found.InstanceNumber = person.birth_date, 1, 1
    return found


@pytest.mark.parametrize(
    ("typed", "person"),
    [
        ("Образцова", people.OBRAZTSOVA),
        ("образцова, анна", people.OBRAZTSOVA),
        ("山田", people.YAMADA),
        ("やまだ", people.YAMADA),
        ("yamada", people.YAMADA),
        ("洪", people.HONG),
        ("홍^길동", people.HONG),
        ("王^小东", people.WANG),
        ("παράδειγμα", people.ELENI),
        ("müller", people.MUELLER),
    ],
)
def test_a_name_is_found_in_its_own_script(demo, bench, engine, typed, person):
    bench.add("DEMO", demo)
    result = engine.query(QueryFilter(patient_name=typed), Level.STUDY)

    assert [(p["patient_id"], p["name"]) for p in result.patients] == [(person.patient_id, person.name)]
    assert result.complete
