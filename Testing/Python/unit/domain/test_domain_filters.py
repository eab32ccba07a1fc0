from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter, as_part, fold, matches
from VisualDICOMBrowserLib.domain.model import Patient, Series, Study


@pytest.mark.parametrize(
    ("text", "first", "last", "dicom"),
    [
        ("20260101", "20260101", "20260101", "20260101"),
        ("2026-01-01", "20260101", "20260101", "20260101"),
        ("20260101-20260131", "20260101", "20260131", "20260101-20260131"),
        ("2026-01-01-2026-01-31", "20260101", "20260131", "20260101-20260131"),
        ("2026-01-01 - 20260131", "20260101", "20260131", "20260101-20260131"),
        ("20260101-", "20260101", "", "20260101-"),
        ("2026-01-01-", "20260101", "", "20260101-"),
        ("-20260131", "", "20260131", "-20260131"),
        (" -2026-01-31 ", "", "20260131", "-20260131"),
        ("20240229", "20240229", "20240229", "20240229"),
    ],
)
def test_dates_and_ranges_are_read(text, first, last, dicom):
    found = DateRange.parse(text)
    assert (found.first, found.last, found.dicom()) == (first, last, dicom)


@pytest.mark.parametrize(
    "text",
    ["", "-", " - ", "2026", "20260229", "20261301", "2026-1-1", "20260131-20260101", "2026010120260131", "today",
     "٢٠٢٦٠١٠١", "20260101--20260102", "20260101-2026", "00000101", "20260101\\20260102", "*", "2026\n0101"],
)  # fmt: skip
def test_what_is_no_date_is_wrong_usage(text):
    with pytest.raises(UsageError):
        DateRange.parse(text)


@given(st.text(alphabet="0123456789-– *\n٢", max_size=24))
def test_any_text_is_a_range_of_ascii_digits_or_wrong_usage(text):
    try:
        found = DateRange.parse(text)
    except UsageError:
        return
    assert re.fullmatch(r"[0-9]{8}|[0-9]{8}-|-[0-9]{8}|[0-9]{8}-[0-9]{8}", found.dicom())
    assert DateRange.parse(found.dicom()) == found


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("20260101-20260131", ["20260101", "20260115", "20260131", "2026.01.15"], ["20251231", "20260201", ""]),
        ("20260101-", ["20260101", "99991231"], ["20251231", "", "unknown", "2026", "२०२६०१०१"]),
        ("-20260131", ["00010101", "20260131"], ["20260201", "", "0"]),
        ("20260101", ["20260101"], ["20260102", "20251231"]),
    ],
)
def test_days_lie_in_a_range_with_both_its_ends_or_not(text, inside, outside):
    found = DateRange.parse(text)
    assert [day for day in inside if not found.holds(day)] == []
    assert [day for day in outside if found.holds(day)] == []


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("", "anything"),
        ("", ""),
        ("*", ""),
        ("doe", "DOE"),
        ("d?e", "Doe"),
        ("D*E", "DOE^JANE"),
        ("*jane*", "DOE^JANE"),
        ("d*o*e", "dooooe"),
        ("a*a", "aa"),
        ("*ab", "abab"),
        ("ab*ba", "abba"),
        ("mu?ler", "MULLER"),
        ("Müller", "MULLER"),
        ("muller", "Mu\u0308ller"),
        ("straße", "STRASSE"),
        ("Ærø", "ærø"),
        ("山田*", "山田^太郎"),
        ("김*", "김^희중"),
        ("a.c", "A.C"),
        ("(x)[y]", "(X)[Y]"),
        ("*\n*", "two\nlines"),
        ("***", "x"),
        ("???", "abc"),
        ("＊", "＊"),
    ],
)
def test_patterns_match_without_case_and_accents(pattern, value):
    assert matches(pattern, value)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [("doe", "does"), ("doe", ""), ("?", ""), ("??", "a"), ("a*a", "a"), ("ab*ba", "aba"), ("a.c", "abc"),
     ("*ab*ab", "ab"), ("a*b*c", "acb"), ("d?e", "de"), ("x*", "ax"), ("*x", "xa"), ("＊", "abc")],
)  # fmt: skip
def test_patterns_do_not_match_more_than_they_say(pattern, value):
    assert not matches(pattern, value)


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab^", max_size=10))
def test_wildcards_mean_what_the_regular_expression_means(pattern, value):
    regex = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    assert matches(pattern, value) == (not pattern or re.fullmatch(regex, value, re.DOTALL) is not None)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_texts_match_or_not_and_every_text_contains_itself(pattern, value):
    assert matches(pattern, value) in (True, False)
    if "*" not in value and "?" not in value:
        assert matches(value, value)
        assert matches(as_part(value), f"x{value}y") or not value


@pytest.mark.parametrize(
    "pattern", ["*a" * 40, "*a" * 40 + "b", "?*" * 100 + "b", "*" * 5000 + "b", "*aa?a" * 40 + "c"]
)
def test_no_pattern_takes_long(pattern):
    started = time.perf_counter()
    for _ in range(20):
        matches(pattern, "a" * 20_000)
    assert time.perf_counter() - started < 5


def test_folding_is_done_once_and_for_all():
    assert fold("ÀÉÎõü ẞ") == "aeiou ss"
    assert fold(fold("Ångström ﬁ")) == fold("Ångström ﬁ")


@pytest.mark.parametrize("wanted", ["doe", "Doe, Jane", "DOE^JANE", "jane", "d?e^*", "山田", "やまだ", "*太郎", "^ja"])
def test_a_name_is_found_by_a_part_of_any_of_its_groups(wanted):
    patient = Patient("1", "Doe^Jane^^=山田^太郎=やまだ^たろう")
    assert QueryFilter(patient_name=wanted).matches_patient(patient)


@pytest.mark.parametrize("wanted", ["roe", "Doe, John", "doe", "jane?", "d*^john"])
def test_another_name_is_not_found(wanted):
    name = "" if wanted == "doe" else "Doe^Jane"
    assert not QueryFilter(patient_name=wanted).matches_patient(Patient("1", name))


def test_padding_of_names_does_not_count():
    assert QueryFilter(patient_name="*^jane").matches_patient(Patient("1", "Doe^Jane^^^"))
    assert QueryFilter(patient_name="*^jane").matches_patient(Patient("1", "Doe^Jane ^^=="))


_STUDY = Study("1.2", Patient("4711", "Doe^Jane"), date="20260115", description="CT Abdomen", accession_number="A1",
               modalities=("CT", "SR"))  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, True),
        ({"patient_id": "4711"}, True),
        ({"patient_id": "471"}, False),
        ({"patient_id": "471?"}, True),
        ({"accession_number": "a1"}, True),
        ({"accession_number": "A"}, False),
        ({"study_description": "abdo"}, True),
        ({"study_description": "thorax"}, False),
        ({"study_uid": "1.2"}, True),
        ({"study_uid": "1.2.3"}, False),
        ({"modalities": ("SR",)}, True),
        ({"modalities": ("MR", "US")}, False),
        ({"study_date": DateRange("20260101", "")}, True),
        ({"study_date": DateRange("", "20260101")}, False),
        ({"patient_name": "roe"}, False),
    ],
)
def test_a_study_is_checked_by_every_key(keys, expected):
    query = QueryFilter(**keys)
    assert query.matches_study(_STUDY) is expected
    assert query.needs_study_level is (not set(keys) <= {"patient_id", "patient_name"})


def test_modalities_count_only_where_the_study_has_any():
    assert QueryFilter(modalities=("MR",)).matches_study(Study("1.2", Patient("1")))
    assert not QueryFilter(modalities=("MR",)).matches_series(Series("1.3", "1.2"))
    assert QueryFilter(modalities=("MR",)).matches_series(Series("1.3", "1.2", modality="MR"))
    assert not QueryFilter(series_uid="1.4").matches_series(Series("1.3", "1.2"))


def test_a_study_without_date_lies_in_no_range():
    assert not QueryFilter(study_date=DateRange("20260101", "")).matches_study(Study("1.2", Patient("1")))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_wrong_usage(limit):
    with pytest.raises(UsageError):
        QueryFilter(limit=limit)
