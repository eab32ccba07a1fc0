"""Where headers and cells lie, and where the keys lead."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.gui.studies.sheet_layout import HEADER, LINE, Block, Box, Measures, SheetLayout, Spot, Way

MEASURES = Measures(header=40, line=30, cell_width=100, cell_height=150, gap=10, margin=10)


def layout(*blocks: Block, width: int = 450) -> SheetLayout:
    made = SheetLayout(MEASURES)
    made.set_width(width)
    made.set_blocks(blocks)
    return made


def test_as_many_cells_stand_side_by_side_as_fit():
    assert layout(width=450).columns == 4
    assert layout(width=10).columns == 1


def test_a_folded_study_is_only_as_high_as_its_header():
    assert layout(Block("a", 9)).height == 40


def test_the_next_study_begins_below_the_last_row_of_cells():
    made = layout(Block("a", 5, True), Block("b"))
    assert made.box(Spot(1)).y == 40 + 2 * 160 + 10
    assert made.box(Spot(0, 4)) == Box(10, 40 + 160, 100, 150)


def test_an_unfolded_study_without_series_has_a_line():
    made = layout(Block("a", 0, True))
    assert made.height == 70
    assert made.at(20, 50) == Spot(0, LINE)


def test_without_pictures_a_cell_is_as_wide_as_the_sheet():
    made = layout(Block("a", 3, True))
    made.set_measures(Measures(40, 30, 0, 20, 2, 10))
    assert made.columns == 1
    assert made.box(Spot(0, 2)) == Box(10, 40 + 2 * 22, 430, 20)


def test_between_two_cells_there_is_nothing():
    made = layout(Block("a", 4, True))
    assert made.at(115, 60) is None
    assert made.at(125, 60) == Spot(0, 1)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12),
    st.integers(50, 900),
    st.integers(0, 4000),
    st.integers(1, 900),
)
def test_what_is_seen_is_just_what_meets_the_part_that_is_seen(studies, width, top, seen):
    made = layout(*(Block(str(i), cells, unfolded) for i, (cells, unfolded) in enumerate(studies)), width=width)
    everything = list(made.within(0, made.height + 1))
    expected = [spot for spot, box in everything if box.y < top + seen and box.bottom > top]
    found = [spot for spot, box in made.within(top, top + seen) if box.y < top + seen and box.bottom > top]
    assert found == expected
    assert len(everything) == sum(1 + (max(1, cells) if unfolded else 0) for cells, unfolded in studies)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=6), st.integers(50, 900))
def test_every_cell_is_found_at_its_own_middle(studies, width):
    made = layout(*(Block(str(i), cells, unfolded) for i, (cells, unfolded) in enumerate(studies)), width=width)
    for spot, box in made.within(0, made.height):
        assert made.at(box.x + box.width // 2, box.y + box.height // 2) == spot


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=6), st.integers(50, 900))
def test_down_leads_from_the_first_header_to_the_end_and_up_leads_back(studies, width):
    made = layout(*(Block(str(i), cells, unfolded) for i, (cells, unfolded) in enumerate(studies)), width=width)
    spot, seen = Spot(0), [Spot(0)]
    while (following := made.step(spot, Way.DOWN)) != spot:
        spot = following
        seen.append(spot)
    assert len(set(seen)) == len(seen)
    assert spot.block == len(studies) - 1
    while (before := made.step(spot, Way.UP)) != spot:
        spot = before
    assert spot == Spot(0)


@pytest.mark.parametrize(
    ("start", "way", "end"),
    [
        (Spot(0), Way.DOWN, Spot(0, 0)),
        (Spot(0, 1), Way.DOWN, Spot(0, 5)),
        (Spot(0, 3), Way.DOWN, Spot(0, 5)),
        (Spot(0, 5), Way.DOWN, Spot(1)),
        (Spot(0, 5), Way.UP, Spot(0, 1)),
        (Spot(0, 1), Way.UP, Spot(0)),
        (Spot(1), Way.UP, Spot(0, 5)),
        (Spot(0), Way.RIGHT, Spot(0, 0)),
        (Spot(0, 0), Way.LEFT, Spot(0)),
        (Spot(0, 5), Way.RIGHT, Spot(1)),
        (Spot(0), Way.LEFT, Spot(0)),
        (Spot(1), Way.RIGHT, Spot(1)),
        (Spot(0, 3), Way.FIRST, Spot(0)),
        (Spot(0), Way.LAST, Spot(1)),
        (Spot(0), Way.PAGE_DOWN, Spot(0, 4)),
        (Spot(1), Way.PAGE_UP, Spot(0, 5)),
    ],
)
def test_keys_lead_along_rows_and_columns(start, way, end):
    made = layout(Block("a", 6, True), Block("b", 2))
    assert made.step(start, way, page=320) == end


def test_a_rubber_band_meets_cells_but_no_headers():
    made = layout(Block("a", 6, True), Block("b"))
    assert made.inside(Box(0, 0, 115, 400)) == [Spot(0, 0), Spot(0, 4)]
    assert made.inside(Box(0, 0, 500, 30)) == []


def test_the_line_at_the_end_has_no_header():
    made = layout(Block("a"), Block("others", 0, True, header=False))
    assert made.at(20, 45) == Spot(1, LINE)
    assert made.step(Spot(0), Way.DOWN) == Spot(1, LINE)
    assert made.box(Spot(1, LINE)).y == 40
    assert made.at(20, 5) == Spot(0, HEADER)


def test_ten_thousand_series_are_laid_out_in_little_time():
    blocks = [Block(str(index), 10, True) for index in range(1000)]
    made = layout()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        made.set_blocks(blocks)
        assert len(list(made.within(made.height // 2, made.height // 2 + 1000))) < 60
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005
