"""In what order the images of a series are looked through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.imaging.order import InstanceGeometry, display_order

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def at(z: float, number: int | None, orientation: tuple[float, ...] = AXIAL) -> InstanceGeometry:
    position = (0.0, z, 0.0) if orientation == CORONAL else (0.0, 0.0, z)
    return InstanceGeometry("", number, position, orientation)  # type: ignore[arg-type]


def test_slices_follow_their_normal_whatever_their_numbers_say():
    assert display_order([at(20, 1), at(-5, 2), at(3.5, 3)]) == [1, 2, 0]


def test_slices_at_one_place_follow_their_numbers():
    assert display_order([at(1, 4), at(0, 3), at(1, 2), at(0, 1)]) == [3, 1, 2, 0]


def test_orientations_do_not_mix_and_the_lowest_number_comes_first():
    mixed = [at(9, 4, CORONAL), at(5, 3), at(8, 2, CORONAL), at(4, 5)]
    order = display_order(mixed)
    assert sorted(order[:2]) == [0, 2]
    assert order[2:] == [3, 1]


def test_without_geometry_the_number_counts_and_those_without_one_are_last():
    bare = [InstanceGeometry("", number) for number in (3, None, 1)]
    assert display_order(bare) == [2, 0, 1]
    assert display_order([*bare, at(0, 2)]) == [2, 3, 0, 1]


def test_an_image_without_a_place_among_slices_is_last():
    assert display_order([InstanceGeometry("", 0), at(2, 1), at(1, 2)]) == [2, 1, 0]


def test_nothing_has_no_order():
    assert display_order([]) == []


places = st.one_of(st.none(), st.tuples(*[st.floats(width=32)] * 3))
cosines = st.one_of(st.none(), st.just(AXIAL), st.just(CORONAL), st.tuples(*[st.floats(-1, 1)] * 6))


@given(st.lists(st.builds(InstanceGeometry, st.just(""), st.none() | st.integers(0, 9), places, cosines), max_size=12))
def test_every_image_has_one_place_in_the_order(instances):
    assert sorted(display_order(instances)) == list(range(len(instances)))
