"""What the search bar is set to becomes a filter, places and words."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.engine.methods import query_filter
from VisualDICOMBrowserLib.gui.search.search_terms import (
    HERE,
    OTHER_MODALITIES,
    USUAL_MODALITIES,
    Days,
    PlaceChoice,
    SearchTerms,
    days_label,
    modality_label,
    wire,
)

TODAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (Days.ANY, DateRange()),
        (Days.TODAY, DateRange("20260302", "20260302")),
        (Days.YESTERDAY, DateRange("20260301", "20260301")),
        (Days.WEEK, DateRange("20260223", "20260302")),
        (Days.MONTH, DateRange("20260131", "20260302")),
        (Days.YEAR, DateRange("20250302", "20260302")),
    ],
)
def test_a_preset_is_counted_from_today(days, expected):
    assert SearchTerms(days=days).date_range(TODAY) == expected


def test_custom_dates_in_the_wrong_order_are_taken_in_the_right_one():
    terms = SearchTerms(days=Days.CUSTOM, first="20250105", last="20240101")
    assert terms.date_range(TODAY) == DateRange("20240101", "20250105")


def test_custom_dates_count_only_while_custom_is_chosen():
    assert SearchTerms(days=Days.ANY, first="20250105").query(TODAY).study_date == DateRange()


def test_everything_set_arrives_in_the_filter():
    terms = SearchTerms("  doe   jane ", ("CT",), Days.TODAY, "", "", " abdomen ", "axial")
    assert terms.query(TODAY) == QueryFilter(
        text="doe jane",
        modalities=("CT",),
        study_date=DateRange("20260302", "20260302"),
        study_description="abdomen",
        series_description="axial",
    )


def test_nothing_set_is_the_empty_filter():
    assert SearchTerms().query(TODAY) == QueryFilter()


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (SearchTerms(text="doe"), ""),
        (SearchTerms(modalities=("CT",), days=Days.MONTH), "CT · last 30 days"),
        (SearchTerms(days=Days.CUSTOM, first="20240101", last="20240101"), "2024-01-01"),
        (SearchTerms(days=Days.CUSTOM, first="20240101", last="20240301"), "from 2024-01-01 until 2024-03-01"),
        (SearchTerms(days=Days.CUSTOM, last="20240301"), "until 2024-03-01"),
        (SearchTerms(study_description="knee", series_description="t1"), "study “knee” · series “t1”"),
    ],
)
def test_the_filters_are_told_in_words(terms, words):
    assert terms.summary() == words


def test_buttons_say_what_is_chosen():
    assert [modality_label(m) for m in ((), ("CT", "MR"), ("CT", "MR", "US", "XA"))] == [
        "Modality",
        "CT, MR",
        "4 modalities",
    ]
    assert [days_label(d) for d in (Days.ANY, Days.WEEK, Days.CUSTOM)] == ["Study date", "Last 7 days", "Custom dates"]


def test_the_usual_modalities_are_not_among_the_others():
    assert len(USUAL_MODALITIES) == 12
    assert not set(USUAL_MODALITIES) & set(OTHER_MODALITIES)
    assert len(set(OTHER_MODALITIES)) == len(OTHER_MODALITIES)


def test_new_servers_are_ticked_and_unticked_ones_stay_so_even_after_they_were_away():
    choice = PlaceChoice().known(["A", "B"]).ticked("B", False)
    assert choice.places() == Places(True, ("A",))
    choice = choice.known(["A", "C"])
    assert choice.places() == Places(True, None)
    choice = choice.known(["A", "B", "C"])
    assert choice.places() == Places(True, ("A", "C"))


def test_places_are_told_in_words():
    both = PlaceChoice().known(["A", "B"])
    assert (PlaceChoice().label(), PlaceChoice().summary()) == ("This computer", "")
    assert (both.label(), both.summary()) == ("All servers", "")
    one = both.ticked("A", False)
    assert (one.label(), one.summary()) == ("2 of 3 places", "only This computer, B")
    server = one.ticked(HERE, False)
    assert (server.label(), server.summary()) == ("B", "only B")
    nothing = server.ticked("B", False)
    assert (nothing.label(), nothing.summary()) == ("Nowhere", "no place to look is ticked")
    assert nothing.places() == Places(False, ())
    assert nothing.all_ticked() == both


_TERMS = st.builds(
    SearchTerms,
    text=st.text(max_size=20),
    modalities=st.lists(st.sampled_from(sorted(USUAL_MODALITIES)), unique=True).map(tuple),
    days=st.sampled_from(Days),
    first=st.dates(date(1900, 1, 1)).map(lambda day: day.strftime("%Y%m%d")),
    last=st.dates(date(1900, 1, 1)).map(lambda day: day.strftime("%Y%m%d")) | st.just(""),
    study_description=st.text(max_size=20),
)


@given(_TERMS)
def test_the_engine_reads_the_filter_that_was_meant(terms):
    query = terms.query(TODAY)
    assert query_filter(wire(query)) == query
