from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.imaging.order import InstanceGeometry, middle_index

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (1.0, 0.0, 0.0, 0.0, math.cos(0.3), math.sin(0.3))


def _slice(place: float, number: int | None = None, orientation=AXIAL) -> InstanceGeometry:
    return InstanceGeometry(str(place), number, (0.0, 0.0, float(place)), orientation)


def test_the_middle_is_found_along_the_normal_whatever_the_numbers():
    slices = [_slice(place, number) for number, place in enumerate(range(0, 50, 5))]
    random.Random(3).shuffle(slices)
    assert slices[middle_index(slices)].position == (0, 0, 25)


def test_the_normal_of_an_oblique_stack_counts_not_one_axis():
    normal = (0.0, -math.sin(0.3), math.cos(0.3))
    # the slices slide sideways, within their planes, against the order of their planes
    slices = [
        InstanceGeometry(str(step), None, (0.0, normal[1] * step, normal[2] * step), OBLIQUE)
        for step in (4, 0, 3, 1, 2)
    ]
    assert slices[middle_index(slices)].sop_uid == "2"


def test_of_several_orientations_the_most_frequent_counts():
    slices = [_slice(0, 1, CORONAL), _slice(1, 2), _slice(9, 3, CORONAL), _slice(2, 4), _slice(3, 5)]
    assert middle_index(slices) == 3


def test_without_positions_the_number_decides():
    slices = [InstanceGeometry(str(number), number) for number in (9, 1, 5, 7, 3)]
    assert middle_index(slices) == 2


def test_at_one_place_the_number_decides():
    assert middle_index([_slice(0, 30), _slice(0, 10), _slice(0, 20)]) == 2


def test_without_anything_the_order_given_decides():
    assert middle_index([InstanceGeometry(str(index)) for index in range(5)]) == 2


def test_a_few_positions_among_many_instances_are_not_believed():
    slices = [InstanceGeometry(str(number), number) for number in range(1, 8)] + [_slice(0, 8)]
    assert slices[middle_index(slices)].number == 5


@pytest.mark.parametrize(
    "useless",
    [
        InstanceGeometry("a", 1, (math.nan, 0.0, 0.0), AXIAL),
        InstanceGeometry("a", 1, (0.0, 0.0, math.inf), AXIAL),
        InstanceGeometry("a", 1, (0.0, 0.0, 1e300), AXIAL),
        InstanceGeometry("a", 1, (0.0, 0.0, 0.0), (0.0,) * 6),
        InstanceGeometry("a", 1, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
        InstanceGeometry("a", 1, (0.0, 0.0, 0.0), (1e308,) * 6),
        InstanceGeometry("a", 1, None, AXIAL),
    ],
)
def test_useless_geometry_is_left_out(useless):
    assert middle_index([useless, _slice(0, 2), _slice(1, 3), _slice(2, 4)]) == 2


def test_there_is_no_middle_of_nothing():
    with pytest.raises(ValueError, match="nothing"):
        middle_index([])


_numbers = st.floats() | st.sampled_from([0.0, 1.0, -1.0])
_instances = st.builds(
    InstanceGeometry,
    st.just("1"),
    st.none() | st.integers(),
    st.none() | st.tuples(*[_numbers] * 3),
    st.none() | st.tuples(*[_numbers] * 6),
)


@given(instances=st.lists(_instances, min_size=1, max_size=12))
def test_any_geometry_has_a_middle(instances):
    assert 0 <= middle_index(instances) < len(instances)
