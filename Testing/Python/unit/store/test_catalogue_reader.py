"""What windows read of the catalogue: matching as records do it, counts, places, a file that comes and goes."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.catalogue_filler import Filling, fill
from unit.store.store_kit import catalogue_in_memory, child
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter, fold
from VisualDICOMBrowserLib.domain.model import Instance, Patient, Series, Study
from VisualDICOMBrowserLib.domain.overview import Places, SeriesRow, StudyRow
from VisualDICOMBrowserLib.domain.people import display_name
from VisualDICOMBrowserLib.store import catalogue_matching
from VisualDICOMBrowserLib.store.catalogue import Catalogue, LocalInstance
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.reader import CatalogueReader

JANE = Patient("4711", "Doe^Jane=山田^花子", "19700101", "F")
STUDY = Study("1.1", JANE, "20260101", "1200", "Abdomen", "A1", "S1")
SERIES = Series("1.1.1", "1.1", 3, "CT", "Axial", "ABDOMEN")
INSTANCE = Instance("1.1.1.1", "1.1.1", "1.1", 7, "1.2.840.10008.5.1.4.1.1.2")
LOCAL = LocalInstance(STUDY, SERIES, INSTANCE, "dicom/a/b/c.dcm")
ANYWHERE = Places()


@pytest.fixture
def catalogue(folder: DatabaseFolder):
    folder.root.mkdir()
    opened = Catalogue.open(folder.catalogue)
    yield opened
    opened.close()


@pytest.fixture
def reader(folder: DatabaseFolder):
    opened = CatalogueReader(folder.root)
    yield opened
    opened.close()


def _names(reader: CatalogueReader, query: QueryFilter, places: Places = ANYWHERE) -> list[str]:
    return [row.patient.name for row in reader.patients(reader.patient_rows(query, places))]


# The same as the records' own matching

_LETTERS = st.text("aAbÄß%_\\^=, .*?\0'\"山İ", max_size=6)
_WORDS = st.sampled_from(["doe", "Doe^Jane", "Müller^Jörg", "A1", "a 1", "ct", "山田^花子", "Doe^Jane=山田^花子", ""])
_TEXT = _LETTERS | _WORDS
_KEY = st.just("") | _TEXT | st.sampled_from(["d*", "*a*", "?oe*", "a?1", "doe^j", "Doe, J", "jane doe", "%", "*_*"])
_MODALITY = st.sampled_from(["CT", "MR", "", "C"])
_DATE = st.sampled_from(["20200101", "2020.06.01", "20261231", "", "nonsense"])
_SERIES = st.tuples(_MODALITY, _TEXT)
_STUDY = st.tuples(_DATE, _TEXT, _TEXT, st.lists(_MODALITY, max_size=2), st.lists(_SERIES, max_size=2))
_PERSON = st.tuples(_TEXT, st.lists(_STUDY, max_size=2))
_RANGES = st.sampled_from(
    [DateRange(), DateRange("20200101", "20200630"), DateRange("", "20200101"), DateRange("2026")]
)
_QUERIES = st.builds(
    QueryFilter,
    text=_KEY,
    patient_id=st.sampled_from(["", "", "P0", "p?", "P1*"]),
    patient_name=st.just("") | _KEY,
    accession_number=st.just("") | _KEY,
    study_date=_RANGES,
    modalities=st.lists(_MODALITY, max_size=2).map(tuple),
    study_description=st.just("") | _KEY,
    series_description=st.just("") | _KEY,
    study_uid=st.sampled_from(["", "", "", "1.0.0"]),
    series_uid=st.sampled_from(["", "", "", "1.0.0.1"]),
)


def _records(people: list) -> list[tuple[Patient, list[tuple[Study, list[Series]]]]]:
    return [
        (patient := Patient(f"P{p}", name), [_study(f"1.{p}.{n}", patient, values) for n, values in enumerate(studies)])
        for p, (name, studies) in enumerate(people)
    ]


def _study(uid: str, patient: Patient, values: tuple) -> tuple[Study, list[Series]]:
    date, description, accession, modalities, series = values
    found = [Series(f"{uid}.{n}", uid, n, modality, text) for n, (modality, text) in enumerate(series)]
    said = tuple(modality for modality in modalities if modality)
    return Study(uid, patient, date, "", description, accession, modalities=said), found


def _study_fits(query: QueryFilter, study: Study, series: list[Series]) -> bool:
    merged = tuple(dict.fromkeys((*study.modalities, *(s.modality for s in series if s.modality))))
    if not query.matches_study(dataclasses.replace(study, modalities=merged)):
        return False
    asked = query.series_uid or query.series_description
    return not asked or any(query.matches_series(one) for one in series)


def _fits(query: QueryFilter, patient: Patient, studies: list) -> bool:
    if any(_study_fits(query, *study) for study in studies):
        return True
    return not query.needs_study_level and query.matches_patient(patient)


@settings(max_examples=150, deadline=None)
@given(people=st.lists(_PERSON, max_size=4), queries=st.lists(_QUERIES, min_size=1, max_size=5))
def test_persons_and_studies_fit_exactly_if_their_records_do(tmp_path_factory, people, queries):
    records = _records(people)
    folder = DatabaseFolder(tmp_path_factory.mktemp("matching", numbered=True))
    catalogue, reader = Catalogue.open(folder.catalogue), CatalogueReader(folder.root)
    studies = [study for _, found in records for study in found]
    catalogue.note_found(
        "PACS", [s for s, _ in studies], [one for _, series in studies for one in series], (), [p for p, _ in records]
    )
    try:
        keys = {row.patient.patient_id: row.row for row in reader.patients(range(1, 10))}
        for query in queries:
            fitting = [(p, found) for p, found in records if _fits(query, p, found)]
            rows = reader.patients(reader.patient_rows(query, ANYWHERE))
            assert {row.patient.patient_id for row in rows} == {p.patient_id for p, _ in fitting}
            for patient, found in records:
                matching = {
                    r.study.study_uid for r in reader.studies(keys[patient.patient_id], query, ANYWHERE) if r.matches
                }
                assert matching == {study.study_uid for study, series in found if _study_fits(query, study, series)}
    finally:
        reader.close()
        catalogue.close()


_PLACES = st.builds(
    Places, here=st.booleans(), servers=st.sampled_from([None, None, (), ("PACS",), ("PACS", "B"), ("B",)])
)
_STRANGE = st.sampled_from(["\U0010ffff", "a\U0010ffffb", "\ud7ffx", "x" * 600, "Doe^" * 200, "\0\0a", "\n1", "=", "^"])


@settings(max_examples=80, deadline=None)
@given(
    people=st.lists(st.tuples(_TEXT | _STRANGE, st.lists(_STUDY, max_size=2)), max_size=4),
    queries=st.lists(
        st.builds(
            QueryFilter,
            text=_KEY | _STRANGE | _STRANGE.map(lambda text: f"{text}*"),
            patient_id=st.sampled_from(["", "", "P0", "p?", "*1*", "?2"]),
            patient_name=st.just("") | _KEY | _STRANGE,
            accession_number=st.just("") | _KEY | _STRANGE.map(lambda text: f"{text}?"),
            modalities=st.lists(_MODALITY, max_size=1).map(tuple),
            series_description=st.just("") | _KEY,
        ),
        min_size=1,
        max_size=5,
    ),
    places=_PLACES,
    few=st.integers(1, 3),
)
def test_with_the_index_the_same_are_found_as_without(tmp_path_factory, people, queries, places, few):
    records = _records(people)
    folder = DatabaseFolder(tmp_path_factory.mktemp("index", numbered=True))
    with closing(Catalogue.open(folder.catalogue)) as catalogue, closing(CatalogueReader(folder.root)) as reader:
        for server, some in (("PACS", records[::2]), ("B", records[1:3])):
            studies = [study for _, found in some for study, _ in found]
            series = [one for _, found in some for _, of_study in found for one in of_study]
            catalogue.note_found(server, studies, series, (), [patient for patient, _ in some])
        for query in queries:
            found = []
            for limit in (0, few, catalogue_matching.FEW):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(catalogue_matching, "FEW", limit)
                    found.append(reader.patient_rows(query, places))
            assert found[0] == found[1] == found[2]


@settings(max_examples=100, deadline=None)
@given(people=st.lists(_PERSON, max_size=4), queries=st.lists(_QUERIES, min_size=1, max_size=5))
def test_of_the_local_studies_those_that_match_are_never_left_out(people, queries):
    catalogue = catalogue_in_memory()
    for study, series in (one for _, found in _records(people) for one in found):
        for each in series or [Series(f"{study.study_uid}.9", study.study_uid)]:
            instance = Instance(f"{each.series_uid}.1", each.series_uid, study.study_uid)
            catalogue.add_local([LocalInstance(study, each, instance, "x")])
    every = list(catalogue.local_studies())
    for query in queries:
        listed = [study.study_uid for study in catalogue.local_studies(query) if query.matches_study(study)]
        assert listed == [study.study_uid for study in every if query.matches_study(study)]


def test_of_a_study_whose_series_here_have_no_modality_a_server_says_what_it_is():
    catalogue = catalogue_in_memory()
    catalogue.add_local([dataclasses.replace(LOCAL, series=dataclasses.replace(SERIES, modality=""))])
    assert [study.modalities for study in catalogue.local_studies(QueryFilter(modalities=("MR",)))] == [()]
    catalogue.note_found("PACS", [dataclasses.replace(STUDY, modalities=("CT",))])
    assert [study.modalities for study in catalogue.local_studies()] == [("CT",)]
    assert list(catalogue.local_studies(QueryFilter(modalities=("MR",)))) == []


@pytest.mark.parametrize(
    "text",
    [
        "doe",
        "DOE, jane",
        "doe^jane",
        "jane doe",
        "Jané",
        "田",
        "47",
        "jane 4711",
        " doe ",
        "do*",
        "*ane",
        "471?",
        "a1",
        "A?",
    ],
)
def test_one_field_finds_by_name_id_and_accession_number(catalogue, reader, text):
    catalogue.note_found("PACS", [STUDY, Study("1.2", Patient("815", "Roe^Richard"), accession_number="B1")])
    assert _names(reader, QueryFilter(text=text)) == [JANE.name]


@pytest.mark.parametrize(
    "text", ["jane roe", "oe*x", "%", "_", "4711 815", "A11", "' OR 1", "*" * 60_000 + "x", "x" * 60_000]
)
def test_one_field_finds_nobody_by_what_nobody_has(catalogue, reader, text):
    catalogue.note_found("PACS", [STUDY, Study("1.2", Patient("815", "Roe^Richard"), accession_number="B1")])
    assert _names(reader, QueryFilter(text=text)) == []


@pytest.mark.parametrize(
    "query", [QueryFilter(text="ende"), QueryFilter(patient_name="*Ende"), QueryFilter(text="end*")]
)
def test_whose_name_is_too_long_for_the_index_is_found_all_the_same(catalogue, reader, query):
    long = "x" * 60_000
    catalogue.note_found("PACS", [STUDY], patients=[Patient("2", f"{long} Ende"), Patient("3", f"End{long}")])
    assert {len(name) for name in _names(reader, query)} <= {60_003, 60_005}
    assert len(_names(reader, query)) == 1
    assert catalogue._rows("SELECT count(*) FROM pieces") < [(100,)]


def test_the_index_of_names_cannot_be_read(catalogue, folder):
    catalogue.note_found("PACS", patients=[Patient("Q-990017", "Zebulon^Quix")])
    rows = catalogue._rows("SELECT piece FROM pieces")
    stored = b"".join(piece.to_bytes(8, "big") for (piece,) in rows)
    assert len(rows) > 10
    assert not any(part in stored for part in (b"zeb", b"ulo", b"lon", b"qui", b"990", b"017"))


def test_many_words_and_modalities_are_no_trouble(catalogue, reader):
    catalogue.note_found("PACS", [STUDY])
    words = " ".join(str(number) for number in range(3000))
    assert _names(reader, QueryFilter(text=words, modalities=tuple(words.split()))) == []


def test_all_conditions_hold_in_the_same_study(catalogue, reader):
    other = dataclasses.replace(STUDY, study_uid="1.2", description="Head", date="20100101")
    catalogue.note_found("PACS", [STUDY, other])
    assert _names(reader, QueryFilter(study_description="head", study_date=DateRange("2010", "2011"))) == [JANE.name]
    assert _names(reader, QueryFilter(study_description="head", study_date=DateRange("2026", "2027"))) == []


def test_people_are_sorted_as_they_are_read_and_the_nameless_by_their_id(folder, reader):
    fill(folder.root, Filling(patients=50, series=10, instances=1))
    catalogue = Catalogue.open(folder.catalogue)
    catalogue.note_found("PACS", patients=[Patient("Kx", "")])
    catalogue.close()
    names = [
        fold(display_name(row.patient.name)) or fold(row.patient.patient_id)
        for row in reader.patients(reader.patient_rows(QueryFilter(), ANYWHERE))
    ]
    assert names == sorted(names)
    assert len(names) == 51
    assert "kx" in names


def test_steps_over_the_persons_come_to_the_same_list(folder, reader):
    fill(folder.root, Filling(patients=50, series=10, instances=1))
    for query in (QueryFilter(), QueryFilter(text="an"), QueryFilter(modalities=("CT",))):
        for among in (1, 7, 50, 51):
            found, place = [], None
            while True:
                keys, place = reader.some_patient_rows(query, ANYWHERE, place, among)
                assert len(keys) <= among
                found += keys
                if place is None:
                    break
            assert found == reader.patient_rows(query, ANYWHERE)


# Places


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (Places(), ["1.1", "1.2", "1.3"]),
        (Places(servers=()), ["1.1"]),
        (Places(here=False), ["1.2", "1.3"]),
        (Places(here=False, servers=("A",)), ["1.2"]),
        (Places(servers=("B",)), ["1.1", "1.3"]),
        (Places(here=False, servers=()), []),
        (Places(here=False, servers=("C",)), []),
    ],
)
def test_only_what_is_in_the_chosen_places_is_shown(catalogue, reader, places, found):
    catalogue.add_local([LOCAL])
    for server, uid in (("A", "1.2"), ("B", "1.3")):
        study = dataclasses.replace(STUDY, study_uid=uid)
        catalogue.note_found(server, [study], [Series(f"{uid}.1", uid)])
    rows = reader.patient_rows(QueryFilter(), places)
    assert len(rows) == bool(found)
    assert sorted(row.study.study_uid for row in reader.studies(1, QueryFilter(), places)) == found
    series = reader.series(["1.1", "1.2", "1.3"], QueryFilter(), places)
    assert sorted(uid for uid, of_study in series.items() if of_study) == found


def test_a_condition_and_a_place_have_to_meet_in_one_study(catalogue, reader):
    catalogue.add_local([LOCAL])
    catalogue.note_found("A", [dataclasses.replace(STUDY, study_uid="1.2", description="Head", accession_number="B2")])
    for query in (QueryFilter(study_description="head"), QueryFilter(text="B2")):
        assert _names(reader, query) == [JANE.name]
        assert _names(reader, query, Places(servers=())) == []
        assert _names(reader, query, Places(here=False, servers=("A",))) == [JANE.name]


def test_a_person_of_whom_no_study_is_known_is_found_where_it_was_said(catalogue, reader):
    catalogue.note_found("A", patients=[JANE])
    (row,) = reader.patient_rows(QueryFilter(text="doe"), Places(here=False, servers=("A",)))
    assert reader.patients([row])[0].servers == ("A",)
    assert reader.patients([row])[0].studies == 0
    assert reader.patient_rows(QueryFilter(), Places(servers=("B",))) == []
    assert reader.patient_rows(QueryFilter(study_description="x"), ANYWHERE) == []


# Rows


def test_rows_say_what_is_here_and_who_has_it(catalogue, reader):
    catalogue.add_local([LOCAL])
    study = dataclasses.replace(STUDY, modalities=("SR",), series_count=5, instance_count=40)
    catalogue.note_found("B", [study], [dataclasses.replace(SERIES, instance_count=9)])
    catalogue.note_found("A", [STUDY])
    (row,) = reader.patient_rows(QueryFilter(), ANYWHERE)
    (person,) = reader.patients([row, 99])
    assert (person.patient, person.studies, person.local, person.servers) == (JANE, 1, True, ("A", "B"))
    (found,) = reader.studies(row, QueryFilter(), ANYWHERE)
    assert found == StudyRow(dataclasses.replace(study, modalities=("CT", "SR")), 1, 5, ("A", "B"))
    (series,) = reader.series(["1.1"], QueryFilter(modalities=("MR",)), ANYWHERE)["1.1"]
    assert series == SeriesRow(dataclasses.replace(SERIES, instance_count=9), 9, 1, ("B",), matches=False)
    assert reader.series_by_uid(["1.1.1", "9"]) == {"1.1.1": dataclasses.replace(series, matches=True)}
    assert reader.instances("1.1.1") == [("1.1.1.1", 7, True)]
    assert reader.local_sops("1.1.1") == {"1.1.1.1"}
    assert reader.totals() == catalogue.local_totals() == (1, 1, 1, 1)
    assert reader.studies(99, QueryFilter(), ANYWHERE) == []


def test_the_number_of_instances_is_the_largest_that_anybody_knows_or_unknown(catalogue, reader):
    catalogue.add_local([LOCAL])
    assert reader.series_by_uid(["1.1.1"])["1.1.1"].instances == 1
    catalogue.note_found("A", [STUDY], [SERIES])
    assert reader.series_by_uid(["1.1.1"])["1.1.1"].instances is None
    catalogue.note_found("A", instances=[dataclasses.replace(INSTANCE, sop_uid=f"1.1.1.{n}") for n in range(1, 4)])
    assert reader.series_by_uid(["1.1.1"])["1.1.1"].instances == 3
    catalogue.note_found("B", [STUDY], [dataclasses.replace(SERIES, instance_count=8)])
    assert reader.series_by_uid(["1.1.1"])["1.1.1"].instances == 8


def test_studies_come_newest_first_and_series_by_number(catalogue, reader):
    dates = {"1.1": "20200101", "1.2": "2021.01.01", "1.3": "", "1.4": "20220101"}
    catalogue.note_found(
        "A",
        [dataclasses.replace(STUDY, study_uid=uid, date=date) for uid, date in dates.items()],
        [Series(f"1.1.{n}", "1.1", number) for n, number in enumerate([None, 12, 2, 2])],
    )
    assert [row.study.study_uid for row in reader.studies(1, QueryFilter(), ANYWHERE)] == ["1.4", "1.2", "1.1", "1.3"]
    assert [row.uid for row in reader.series(["1.1"], QueryFilter(), ANYWHERE)["1.1"]] == [
        "1.1.2",
        "1.1.3",
        "1.1.1",
        "1.1.0",
    ]


def test_a_thumbnail_is_shown_with_its_place_and_never_leads_out_of_the_folder(catalogue, reader, folder):
    catalogue.note_found("A", [STUDY], [SERIES])
    path = folder.thumbnail_path("1.1", "1.1.1", "1.1.1.1")
    catalogue.set_thumbnail("1.1.1", "1.1.1.1", folder.stored_name(path), placeholder=True, reason="no pixels")
    thumbnail = reader.series_by_uid(["1.1.1"])["1.1.1"].thumbnail
    assert (thumbnail.path, thumbnail.placeholder, thumbnail.reason) == (str(path), True, "no pixels")
    for evil in ("../x.png", "thumbs/../../x.png", "/etc/x.png", "C:\\x.png", "thumbs/..\\x.png", "thumbs/x.png\n", ""):
        catalogue.set_thumbnail("1.1.1", "1.1.1.1", evil, placeholder=False, reason="")
        assert reader.series_by_uid(["1.1.1"])["1.1.1"].thumbnail is None, evil


# The file


def test_a_catalogue_that_comes_goes_and_is_replaced_is_followed(folder, reader):
    assert reader.patient_rows(QueryFilter(), ANYWHERE) == []
    assert reader.totals() == (0, 0, 0, 0)
    fill(folder.root, Filling(patients=3, series=3, instances=1))
    assert len(reader.patient_rows(QueryFilter(), ANYWHERE)) == 3
    fresh = Catalogue.open_anew(folder.catalogue)
    assert reader.patient_rows(QueryFilter(), ANYWHERE) == []
    fresh.note_found("A", patients=[JANE])
    assert _names(reader, QueryFilter()) == [JANE.name]
    fresh.close()
    folder.catalogue.unlink()
    assert reader.patient_rows(QueryFilter(), ANYWHERE) == []


def test_a_file_that_is_no_catalogue_has_nothing_to_show(folder, reader):
    folder.root.mkdir()
    folder.catalogue.write_bytes(b"nonsense" * 1000)
    assert reader.patient_rows(QueryFilter(), ANYWHERE) == []
    assert reader.series(["1.1"], QueryFilter(), ANYWHERE) == {"1.1": []}


def test_reading_sees_every_commit_and_hinders_none(catalogue, reader, folder):
    for number in range(30):
        catalogue.note_found("A", [dataclasses.replace(STUDY, study_uid=f"1.{number}")])
        assert len(reader.studies(1, QueryFilter(), ANYWHERE)) == number + 1
        assert not catalogue._unscrubbed
    catalogue.forget_server("A")
    assert reader.patient_rows(QueryFilter(), ANYWHERE) == []
    traces = b"".join(file.read_bytes() for file in folder.root.glob("visual-dicom-browser.sqlite*"))
    assert b"Jane" not in traces


def test_a_locked_catalogue_is_said_soon_and_can_be_tried_again(folder, reader):
    fill(folder.root, Filling(patients=1, series=1, instances=1))
    code = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
    with child(code, folder.catalogue) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match="locked") as caught:
            reader.patient_rows(QueryFilter(), ANYWHERE)
        assert caught.value.retryable
        holder.stdin.close()
        assert holder.wait(10) == 0
    assert len(reader.patient_rows(QueryFilter(), ANYWHERE)) == 1


def test_damage_is_said_and_the_file_let_go_of(folder, reader):
    fill(folder.root, Filling(patients=300, series=300, instances=1))
    data = bytearray(folder.catalogue.read_bytes())
    data[32 * 4096 :] = b"\xa5" * (len(data) - 32 * 4096)
    Path(folder.catalogue).write_bytes(data)
    with pytest.raises(StorageError, match="damaged"):
        reader.patients(range(1, 301))
    assert reader._connection is None


def test_the_files_of_series_are_told_by_number_up_to_a_limit_and_only_where_there_are_any(catalogue, reader, folder):
    for number, name in ((2, "b.dcm"), (1, "a.dcm"), (3, "gone.dcm")):
        instance = dataclasses.replace(INSTANCE, sop_uid=f"1.1.1.{number}", number=number)
        catalogue.add_local([dataclasses.replace(LOCAL, instance=instance, file=f"dicom/{name}")])
        if number < 3:
            (folder.root / "dicom").mkdir(exist_ok=True)
            (folder.root / "dicom" / name).touch()
    found = reader.local_paths(["1.1.1", "9.9"], 10)
    assert [path.name for path in found] == ["a.dcm", "b.dcm"]
    assert [path.name for path in reader.local_paths(["1.1.1"], 1)] == ["a.dcm"]
