from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement

from VisualDICOMBrowserLib.demo.matching import matches, texts, wildcard

ALPHABET = st.text(alphabet="ab.*?\\", max_size=12)


def reference(pattern: str) -> re.Pattern[str]:
    words = {"*": ".*", "?": "."}
    return re.compile("".join(words.get(c, re.escape(c)) for c in pattern), re.DOTALL)


@given(ALPHABET, ALPHABET)
def test_wildcards_agree_with_a_plain_regular_expression(pattern, value):
    assert wildcard(pattern, value) == (reference(pattern).fullmatch(value) is not None)


@given(st.text(max_size=30))
def test_every_value_matches_itself_and_the_star(value):
    assert wildcard("*", value)
    assert wildcard(value.replace("*", "?"), value)


def test_a_pattern_of_many_stars_is_decided_at_once():
    assert not wildcard("*a" * 2000 + "*b", "a" * 5000)


@pytest.mark.parametrize(
    ("keyword", "vr", "key", "value", "expected"),
    [
        ("StudyDate", "DA", "20200101-20201231", "20200630", True),
        ("StudyDate", "DA", "20200101-20200101", "20200102", False),
        ("StudyDate", "DA", "-20200101", "20200101", True),
        ("StudyDate", "DA", "20200102-", "20200101", False),
        ("StudyDate", "DA", "20200101", "20200101", True),
        ("StudyTime", "TM", "1000-1100", "110030.5", True),
        ("StudyTime", "TM", "1000-1100", "110101", False),
        ("StudyTime", "TM", "101530", "101530", True),
        ("PatientName", "PN", "müller*", "Müller^Jörg", True),
        ("PatientName", "PN", "*太郎*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "PN", "山田^太郎", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "PN", "Yamada", "Yamada^Tarou", False),
        ("StudyDescription", "LO", "ct*", "CT Abdomen", False),
        ("StudyDescription", "LO", "CT*", "CT Abdomen", True),
        ("InstanceNumber", "IS", "07", "7", True),
        ("StudyInstanceUID", "UI", ["1.2", "1.3"], "1.3", True),
        ("ModalitiesInStudy", "CS", ["MR", "PT"], "PT", True),
        ("PatientID", "LO", "", "anything", True),
    ],
)
def test_keys_match_as_the_standard_says(keyword, vr, key, value, expected):
    assert matches(DataElement(keyword, vr, key), [value]) is expected


def test_a_key_with_a_value_does_not_match_an_absent_attribute():
    assert not matches(DataElement("AccessionNumber", "SH", "A1"), [])
    assert matches(DataElement("AccessionNumber", "SH", None), [])


def test_an_absent_element_has_no_texts():
    assert texts(None) == []
    assert texts(DataElement("PatientName", "PN", None)) == []
