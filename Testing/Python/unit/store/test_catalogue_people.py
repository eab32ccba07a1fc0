"""Whose the studies are, whatever is known first, and what becomes of the keys that windows hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.store.store_kit import catalogue_in_memory
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Instance, Patient, Series, Study
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.store.catalogue import Catalogue, LocalInstance
from VisualDICOMBrowserLib.store.catalogue_pieces import pieces_of
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.reader import CatalogueReader

DOE = Patient("1", "Doe^Jane", "19700101", "F")
NOBODY = Patient("1")
ROE = Patient("1", "Roe^Richard", "19800101", "M")
HERE = "here"

Saying = tuple[str, int, Patient]


@pytest.fixture
def catalogue(folder: DatabaseFolder):
    folder.root.mkdir()
    opened = Catalogue.open(folder.catalogue)
    yield opened
    opened.close()


def _local(study: int, patient: Patient) -> LocalInstance:
    uid = f"1.{study}"
    return LocalInstance(Study(uid, patient), Series(f"2.{study}", uid), Instance(f"3.{study}", f"2.{study}", uid), uid)


def _say(catalogue: Catalogue, *sayings: Saying) -> None:
    for source, study, patient in sayings:
        if source == HERE:
            catalogue.add_local([_local(study, patient)])
        elif study < 0:
            catalogue.note_found(source, patients=[patient])
        else:
            catalogue.note_found(source, [Study(f"1.{study}", patient)])


def _people(catalogue: Catalogue) -> list[tuple[Patient, list[str]]]:
    """Return each person with the studies, whatever the keys."""
    rows = catalogue._rows("SELECT id, patient_id, name, birth_date, sex, issuer FROM patients")
    found = [(Patient(*values), sorted(catalogue.study_uids_of_patient(row))) for row, *values in rows]
    return sorted(found, key=lambda person: (person[1], str(person[0])))


def _check(catalogue: Catalogue) -> None:
    """See that nothing is without what it needs, and nothing is left over."""
    for nothing in (
        "SELECT 1 FROM studies WHERE record NOT IN (SELECT id FROM records)",
        "SELECT 1 FROM studies t JOIN records r ON r.id = t.record WHERE r.patient <> t.patient",
        "SELECT 1 FROM patient_servers m LEFT JOIN records r ON r.id = m.record WHERE r.patient IS NOT m.patient",
        "SELECT 1 FROM records WHERE patient NOT IN (SELECT id FROM patients)",
        "SELECT 1 FROM records WHERE id NOT IN (SELECT record FROM studies UNION SELECT record FROM patient_servers)",
        "SELECT 1 FROM patients WHERE id NOT IN (SELECT patient FROM records)",
        "SELECT 1 FROM moved WHERE patient NOT IN (SELECT id FROM patients) OR old IN (SELECT id FROM patients)",
    ):
        assert catalogue._rows(nothing) == [], nothing
    people = catalogue._rows("SELECT id, search_text FROM patients")
    pieces = {(piece, person) for person, text in people for piece in pieces_of(text)}
    assert pieces == set(catalogue._rows("SELECT piece, patient FROM pieces"))


_PATIENTS = st.builds(
    Patient,
    st.sampled_from(["", "1", "1", "1", "2"]),
    st.sampled_from(["", "Doe^Jane", "DOE^JANE", "Roe^R", "Doe^Jane=山", "=山"]),
    st.sampled_from(["", "19700101", "19710101"]),
    st.sampled_from(["", "F"]),
    st.sampled_from(["", "", "H", "K"]),
)
_SOURCES = st.sampled_from([HERE, "A", "B", "C"])
_SAYINGS = st.dictionaries(st.tuples(_SOURCES, st.integers(-1, 3)), _PATIENTS, max_size=8).map(
    lambda said: [(source, study, who) for (source, study), who in said.items() if source != HERE or study >= 0]
)


def _made_of(sayings: Iterable[Saying]) -> Catalogue:
    catalogue = catalogue_in_memory()
    _say(catalogue, *sayings)
    return catalogue


@settings(max_examples=150, deadline=None)
@given(_SAYINGS, st.randoms())
def test_who_has_which_studies_does_not_depend_on_what_is_known_first(sayings, chance):
    shuffled = chance.sample(sayings, len(sayings))
    one, other = _made_of(sayings), _made_of(shuffled)
    _check(one)
    assert _people(one) == _people(other)


@settings(max_examples=150, deadline=None)
@given(_SAYINGS)
def test_what_is_forgotten_leaves_persons_as_if_it_had_never_been_said(sayings):
    catalogue = _made_of(sayings)
    catalogue.forget_server("B")
    catalogue.remove_local([f"3.{study}" for source, study, _ in sayings if source == HERE])
    _check(catalogue)
    assert _people(catalogue) == _people(_made_of(s for s in sayings if s[0] not in ("B", HERE)))


@settings(max_examples=100, deadline=None)
@given(_SAYINGS, _SAYINGS)
def test_no_study_is_lost_and_no_file_changes_hands_by_what_servers_say(local, remote):
    local = [(HERE, study, who) for _, study, who in local if study >= 0]
    remote = [saying for saying in remote if saying[0] != HERE]
    catalogue = _made_of(local)
    whose = {study: catalogue.find_study(f"1.{study}").patient for _, study, _ in local}
    _say(catalogue, *remote)
    for study, before in whose.items():
        now = catalogue.find_study(f"1.{study}").patient
        assert now.patient_id == before.patient_id
    said = {f"1.{study}" for _, study, _ in [*local, *remote] if study >= 0}
    assert {uid for _, uids in _people(catalogue) for uid in uids} == said


def test_a_name_that_could_not_be_decoded_separates_nobody_and_is_shown_last(catalogue):
    whole = dataclasses.replace(DOE, name="Yamada^Hanako=山田^花子")
    _say(catalogue, (HERE, 1, dataclasses.replace(DOE, name="Yamada^Hanako=\x1b$B;3ED\x1b(B^?")), ("A", 2, whole))
    assert _people(catalogue) == [(whole, ["1.1", "1.2"])]


# Keys


def _key(catalogue: Catalogue, study: int) -> int:
    return catalogue._rows("SELECT patient FROM studies WHERE study_uid = ?", (f"1.{study}",))[0][0]


def test_the_key_stays_while_a_person_is_completed_from_elsewhere(catalogue):
    _say(catalogue, ("A", 1, NOBODY))
    key = _key(catalogue, 1)
    _say(catalogue, ("B", 1, DOE), (HERE, 1, dataclasses.replace(DOE, issuer="H")))
    assert _key(catalogue, 1) == key
    assert catalogue.person(key) == dataclasses.replace(DOE, issuer="H")
    _check(catalogue)


def test_a_key_that_is_given_up_leads_to_the_person_it_became(catalogue, folder):
    _say(catalogue, ("A", 1, DOE), ("A", 2, Patient("1", "=山^山")))
    keys = (_key(catalogue, 1), _key(catalogue, 2))
    assert keys[0] != keys[1]
    _say(catalogue, (HERE, 2, DOE))
    assert _key(catalogue, 2) == keys[0]
    assert catalogue.person(keys[1]) == DOE
    assert catalogue.study_uids_of_patient(keys[1]) == ["1.1", "1.2"]
    reader = CatalogueReader(folder.root)
    assert reader.row_now(keys[1]) == keys[0]
    assert [row.study.study_uid for row in reader.studies(keys[1], QueryFilter(), Places())] == ["1.1", "1.2"]
    assert [row.row for row in reader.patients([keys[1], keys[0]])] == [keys[0]]
    reader.close()
    catalogue.note_studies_of("A", keys[1], [])
    assert catalogue.study_uids_of_patient(keys[1]) == ["1.2"]
    catalogue.remove_local(["3.2"])
    assert catalogue.person(keys[1]) is None
    _check(catalogue)


def test_a_contradiction_that_comes_later_splits_and_one_that_goes_joins(catalogue):
    _say(catalogue, ("A", 1, DOE), ("B", 2, NOBODY))
    key = _key(catalogue, 1)
    assert _key(catalogue, 2) == key
    _say(catalogue, ("C", 3, ROE))
    assert (_key(catalogue, 1), len({_key(catalogue, n) for n in (1, 2, 3)})) == (key, 3)
    other = _key(catalogue, 2)
    catalogue.forget_server("C")
    assert {_key(catalogue, n) for n in (1, 2)} == {key}
    assert catalogue.person(other) == DOE
    _check(catalogue)


def test_a_study_that_a_file_gives_to_another_takes_only_its_own_along(catalogue):
    _say(catalogue, ("A", 1, DOE), ("A", 2, DOE))
    key = _key(catalogue, 1)
    _say(catalogue, (HERE, 2, ROE))
    assert _key(catalogue, 1) == key
    assert _people(catalogue) == [(DOE, ["1.1"]), (ROE, ["1.2"])]


def test_one_more_with_an_id_that_thousands_have_is_little_work(catalogue):
    catalogue.note_found("A", patients=[Patient("0", f"Doe^{number}", "19700101") for number in range(2000)])
    assert len(_people(catalogue)) == 2000
    statements: list[str] = []
    catalogue._connection.set_trace_callback(statements.append)
    _say(catalogue, ("A", 1, Patient("0", "Roe^R")))
    catalogue._connection.set_trace_callback(None)
    assert len(statements) < 60
    assert len(_people(catalogue)) == 2001


# One study, several opinions


@pytest.mark.parametrize("first", ["A", "B"])
def test_of_servers_that_contradict_each_other_the_first_by_name_says_whose_a_study_is(catalogue, first):
    said = {"A": DOE, "B": ROE}
    _say(catalogue, (first, 1, said.pop(first)), *((server, 1, who) for server, who in said.items()))
    assert _people(catalogue) == [(DOE, ["1.1"])]
    catalogue.rename_server("A", "Z")
    assert _people(catalogue) == [(ROE, ["1.1"])]
    catalogue.forget_server("B")
    assert _people(catalogue) == [(DOE, ["1.1"])]


def test_a_record_that_says_too_little_stays_one_when_its_server_gets_another_name(catalogue):
    _say(catalogue, ("A", -1, Patient("")))
    catalogue.rename_server("A", "Z")
    _say(catalogue, ("Z", -1, Patient("")))
    assert _people(catalogue) == [(Patient(""), [])]


def test_a_server_that_changes_its_mind_is_followed(catalogue):
    _say(catalogue, ("A", 1, ROE), ("A", 1, DOE))
    assert _people(catalogue) == [(DOE, ["1.1"])]


def test_of_files_of_one_study_that_contradict_each_other_the_first_is_right(catalogue):
    _say(catalogue, (HERE, 1, NOBODY))
    catalogue.add_local([dataclasses.replace(_local(1, DOE), instance=Instance("9", "2.1", "1.1"))])
    catalogue.add_local([dataclasses.replace(_local(1, ROE), instance=Instance("10", "2.1", "1.1"))])
    assert _people(catalogue) == [(DOE, ["1.1"])]


# Marks


def test_persons_who_share_an_id_are_marked(catalogue, folder):
    _say(catalogue, ("A", 1, DOE), ("B", -1, Patient("2", "Alone^A")), ("A", 5, Patient("", "X")))
    _say(catalogue, ("B", 6, Patient("", "Y")))
    reader = CatalogueReader(folder.root)

    def marked() -> dict[str, bool]:
        return {
            row.patient.name: row.shares_id for row in reader.patients(reader.patient_rows(QueryFilter(), Places()))
        }

    assert set(marked().values()) == {False}
    _say(catalogue, ("B", 3, ROE))
    assert [name for name, shares in marked().items() if shares] == ["Doe^Jane", "Roe^Richard"]
    assert catalogue.shared_ids(["1", " 1 ", "2", "", "none"]) == {"1"}
    catalogue.forget_server("B")
    assert set(marked().values()) == {False}
    reader.close()
