from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.model import Patient
from VisualDICOMBrowserLib.domain.people import (
    completed,
    display_name,
    grouped,
    is_tellable,
    name_group,
    put_together,
    same_person,
)

JANE = Patient("4711", "Doe^Jane", "19700101", "F", "HOSPITAL")


@pytest.mark.parametrize(
    "other",
    [
        JANE,
        Patient("4711"),
        Patient(" 4711 ", "DOE^JANE"),
        Patient("4711", "Doe^Jane^^^", "19700101"),
        Patient("4711", " doe ^ jane "),
        Patient("4711", "Döe^Jané"),
        Patient("4711", "Doe^Jane=山田^太郎", issuer=" HOSPITAL "),
        Patient("4711", "=="),
        Patient("4711", "", "19700101", "M"),
        Patient("4711", "Doe^Jane", "1970.01.01"),
        Patient("4711", "Doe^Jane", " 19700101 "),
        Patient("4711", "Doe^Jane", "00000000"),
        Patient("4711", "Doe^Jane", "19703901"),
        Patient("4711", "Doe^Jane", "unknown"),
        Patient("4711", "Ｄｏｅ^Ｊａｎｅ"),
        Patient("4711", "D\ufffde^Jane"),
        Patient("4711", "Doe^Jane=\ufffd\ufffd^\ufffd"),
        Patient("4711", "Doe^Jane=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
        Patient("4711", "????^??"),
        Patient("4711", "Doe^Jane", issuer="hospital"),
    ],
)
def test_these_are_the_same_person(other):
    assert same_person(JANE, other)
    assert same_person(other, JANE)


@pytest.mark.parametrize(
    "other",
    [
        Patient("4712", "Doe^Jane", "19700101", "F", "HOSPITAL"),
        Patient("", "Doe^Jane", "19700101"),
        Patient("4711", "Doe^John", "19700101"),
        Patient("4711", "Doe^Jane", "19700102"),
        Patient("4711", "Doe^Jane", "19700101", "F", "CLINIC"),
        Patient("4711", "Doe^Jane^M"),
        Patient("4711", "=山田^太郎"),
        Patient("04711", "Doe^Jane"),
    ],
)
def test_these_are_different_persons(other):
    assert not same_person(JANE, other)
    assert not same_person(other, JANE)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Patient("", "Doe^Jane", "19700101"), Patient(" ", "DOE^JANE", "19700101"), True),
        (Patient("", "Doe^Jane", ""), Patient("", "Doe^Jane", ""), False),
        (Patient("", "", "19700101"), Patient("", "", "19700101"), False),
        (Patient("", "^^", "19700101"), Patient("", " = ", "19700101"), False),
        (Patient("", "Doe^Jane", "19700101"), Patient("", "Doe^Jane", "19700102"), False),
        (Patient("", "Doe^Jane", "19700101", issuer="A"), Patient("", "Doe^Jane", "19700101", issuer="B"), False),
    ],
)
def test_without_an_id_name_and_birth_date_must_both_be_there_and_agree(one, other, expected):
    assert same_person(one, other) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Yamada^Taro=山田^太郎", "Yamada^Taro=山田^太郎=やまだ^たろう", True),
        ("Yamada^Taro=山田^太郎", "=山田^太郎", True),
        ("Yamada^Taro=山田^太郎", "Yamada^Taro=田中^太郎", False),
        ("Yamada^Taro", "=山田^太郎", False),
    ],
)
def test_names_are_compared_group_by_group(one, other, expected):
    assert same_person(Patient("1", one), Patient("1", other)) is expected


_NAMES = st.sampled_from(["", "^", "Doe^Jane", "DOE^JANE^^", "Doe", "Doe=山", "=山", "=山=や", "==や", "D\ufffd=山"])
_PATIENTS = st.builds(
    Patient,
    st.sampled_from(["", " ", "1", "1 ", "2"]),
    _NAMES | st.text(alphabet="aÄ^= 山\u0301", max_size=8),
    st.sampled_from(["", "19700101", "1970.01.01", "19710101", "x", "²²²²²²²²"]),
    st.sampled_from(["", "M"]),
    st.sampled_from(["", "", "H", "h ", "K"]),
)
_RECORDS = st.lists(_PATIENTS, max_size=9)


def _groups_of(records):
    return {frozenset(group) for group in grouped(records)}


@given(_PATIENTS, _PATIENTS)
def test_the_rule_is_the_same_both_ways(one, other):
    assert same_person(one, other) == same_person(other, one)


@given(_RECORDS)
def test_records_are_one_person_if_they_agree_with_each_other_and_with_the_same_others(records):
    agreeing = [
        {at for at, other in enumerate(records) if at == here or same_person(one, other)}
        for here, one in enumerate(records)
    ]
    expected = {frozenset(at for at in range(len(records)) if agreeing[at] == own) for own in agreeing}
    assert _groups_of(records) == expected


@given(_RECORDS)
def test_nobody_is_one_person_with_somebody_who_contradicts(records):
    for group in grouped(records):
        assert all(same_person(records[a], records[b]) for a in group for b in group if a != b)


@given(_RECORDS, st.randoms())
def test_who_is_one_person_does_not_depend_on_the_order(records, chance):
    order = list(range(len(records)))
    chance.shuffle(order)
    shuffled = {frozenset(order[at] for at in group) for group in grouped([records[at] for at in order])}
    assert shuffled == _groups_of(records)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([Patient("1", "Doe"), Patient("1"), Patient("1", "", "19700101")], [[0, 1, 2]]),
        ([Patient("1", "Doe"), Patient("1"), Patient("1", "Roe")], [[0], [1], [2]]),
        ([Patient("1", "Doe", "19700101"), Patient("1", "Doe"), Patient("1", "Doe", "19710101")], [[0], [1], [2]]),
        ([Patient("1", "Doe", issuer="A"), Patient("1", "Doe"), Patient("1", "Doe", issuer="B")], [[0], [1], [2]]),
        ([Patient("1", "Doe"), Patient("1", "Roe"), Patient("1", "DOE^")], [[0, 2], [1]]),
        ([Patient("1", "Doe"), Patient("1"), Patient("1", "Roe"), Patient("1", "", "", "M")], [[0], [1, 3], [2]]),
        (
            [Patient(""), Patient(""), Patient("", "Doe", "19700101"), Patient("", "DOE", "19700101")],
            [[0], [1], [2, 3]],
        ),
        ([], []),
    ],
)
def test_a_record_that_fits_two_who_contradict_each_other_joins_neither(records, expected):
    assert grouped(records) == expected


def test_thousands_of_persons_with_one_id_are_told_apart_quickly():
    records = [Patient("1", f"Doe^{number}", f"{1900 + number % 100}0101") for number in range(3000)]
    assert len(grouped([*records, Patient("1")])) == 3001


@given(_PATIENTS | st.none(), st.dictionaries(st.sampled_from("ABC"), _PATIENTS))
def test_of_one_study_the_file_is_right_and_servers_only_complete_it(local, by_servers):
    found = put_together(local, by_servers)
    if local is not None:
        assert all(getattr(found, name) == said for name, said in vars(local).items() if said.strip())
        assert found.patient_id == local.patient_id
        assert found == local or is_tellable(local)
    elif by_servers:
        assert is_tellable(found) == any(map(is_tellable, by_servers.values()))
    else:
        assert found is None
    assert put_together(local, dict(reversed(by_servers.items()))) == found


def test_a_study_is_not_completed_by_servers_who_contradict_each_other():
    bare = Patient("1", "", "", "F")
    assert put_together(bare, {"A": Patient("1", "Doe"), "B": Patient("1", "", "19700101")}) == Patient(
        "1", "Doe", "19700101", "F"
    )
    assert put_together(bare, {"A": Patient("1", "Doe"), "B": Patient("1", "Roe")}) == bare
    assert put_together(Patient("1", "Doe"), {"A": Patient("1", "Roe", "19700101")}) == Patient("1", "Doe")
    assert put_together(None, {"B": Patient("1", "Roe"), "A": Patient("1", "Doe")}) == Patient("1", "Doe")
    assert put_together(None, {"A": Patient(""), "B": Patient("1", "Roe")}) == Patient("1", "Roe")


def test_a_record_is_completed_field_by_field():
    assert completed(Patient("1", " "), [Patient("1", "", "19700101"), Patient("1", "Doe", "x", "F", "H")]) == Patient(
        "1", "Doe", "19700101", "F", "H"
    )


@given(_PATIENTS)
def test_everybody_with_an_id_is_himself(one):
    assert same_person(one, one) or not one.patient_id.strip()


@given(_PATIENTS)
def test_who_can_be_told_from_others_is_who_agrees_with_himself(one):
    assert is_tellable(one) == same_person(one, one)


@pytest.mark.parametrize(
    ("name", "index", "group"),
    [("Doe^Jane", 0, "doe^jane"), ("Doe^Jane", 1, ""), ("A=B^c^^=D ", 1, "b^c"), ("A=B=C=D", 2, "c"), ("", 0, ""),
     ("A  B^^", 0, "a b")],
)  # fmt: skip
def test_groups_of_names(name, index, group):
    assert name_group(name, index) == group


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Doe^Jane", "Doe, Jane"), ("Doe^Jane^M^Dr", "Doe, Jane M Dr"), ("Doe", "Doe"), ("^Jane", "Jane"), ("", ""),
     ("Yamada^Taro=山田^太郎=やまだ", "Yamada, Taro (山田太郎)"), ("=山田^太郎", "山田太郎"), ("김^민수", "김민수"),
     ("Doe=Doe", "Doe")],
)  # fmt: skip
def test_names_for_people(name, shown):
    assert display_name(name) == shown
