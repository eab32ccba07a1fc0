from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.model import Patient
from VisualDICOMBrowserLib.domain.people import display_name, name_group, same_person

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


_NAMES = st.text(alphabet="aÄ^= 山\u0301", max_size=8)
_PATIENTS = st.builds(Patient, st.sampled_from(["", " ", "1", "2"]), _NAMES, st.sampled_from(["", "19700101", "x"]))


@given(_PATIENTS, _PATIENTS)
def test_the_rule_is_the_same_both_ways(one, other):
    assert same_person(one, other) == same_person(other, one)


@given(_PATIENTS)
def test_everybody_with_an_id_is_himself(one):
    assert same_person(one, one) or not one.patient_id.strip()


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
