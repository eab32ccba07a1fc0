"""Which instance of a series stands for it: the one in the middle."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]
# Positions this close together, in millimetres, are one: then the instance number decides.
_SAME_PLACE = 1e-3
# Direction cosines that agree to so many digits are one orientation.
_COSINE_DIGITS = 3


@dataclass(frozen=True)
class InstanceGeometry:
    """Where an instance lies in its series.

    :ivar number: Instance Number (0020,0013).
    :ivar position: Image Position (Patient) (0020,0032), in millimetres.
    :ivar orientation: Image Orientation (Patient) (0020,0037): direction cosines of the rows, then of the columns.
    """

    sop_uid: str
    number: int | None = None
    position: Vector | None = None
    orientation: Orientation | None = None


def middle_index(instances: Sequence[InstanceGeometry]) -> int:
    """Return the index of the middle instance along the slice normal, else by number, else as given.

    Of several orientations, as in localizers, the most frequent one counts. Where fewer than half of the
    instances say where they lie, none is believed.

    :raises ValueError: there are no instances.
    """
    if not instances:
        raise ValueError("there is no middle of nothing")
    places = _places(instances)
    chosen = sorted(places or range(len(instances)), key=lambda index: _key(instances[index], places.get(index), index))
    return chosen[len(chosen) // 2]


def display_order(instances: Sequence[InstanceGeometry]) -> list[int]:
    """Return the indices of the instances in the order to look through them.

    Slices of one orientation follow each other along their normal; of several orientations, that of the lowest
    instance number comes first. Instances without a place come last. Where fewer than half of them say where they
    lie, the instance number alone counts.
    """
    normals = _normals(instances)
    first: dict[Vector, tuple[bool, int, int]] = {}
    for index, normal in normals.items():
        first[normal] = min(first.get(normal, _by_number(instances[index], index)), _by_number(instances[index], index))

    def key(index: int) -> tuple[bool, tuple[bool, int, int], int, tuple[bool, int, int]]:
        number, normal = _by_number(instances[index], index), normals.get(index)
        if normal is None:
            return True, (False, 0, 0), 0, number
        return False, first[normal], round(_dot(normal, instances[index].position) / _SAME_PLACE), number

    return sorted(range(len(instances)), key=key)


def _by_number(instance: InstanceGeometry, index: int) -> tuple[bool, int, int]:
    return instance.number is None, instance.number or 0, index


def _normals(instances: Sequence[InstanceGeometry]) -> dict[int, Vector]:
    """Return the slice normals of those that have one; of none if fewer than half do."""
    normals = {index: normal for index, one in enumerate(instances) if (normal := _normal(one)) is not None}
    return normals if 2 * len(normals) >= len(instances) else {}


def _key(instance: InstanceGeometry, place: float | None, index: int) -> tuple[int, tuple[bool, int, int]]:
    return 0 if place is None else round(place / _SAME_PLACE), _by_number(instance, index)


def _places(instances: Sequence[InstanceGeometry]) -> dict[int, float]:
    """Return the place along the normal, in millimetres, of each instance in the most frequent orientation."""
    normals = _normals(instances)
    if not normals:
        return {}
    common = Counter(normals.values()).most_common(1)[0][0]
    return {index: _dot(common, instances[index].position) for index, normal in normals.items() if normal == common}


def _normal(instance: InstanceGeometry) -> Vector | None:
    """Return the rounded unit vector across the slice; None if position or orientation are of no use."""
    position, cosines = instance.position, instance.orientation
    if position is None or cosines is None or not all(map(math.isfinite, (*position, *cosines))):
        return None
    if max(map(abs, position)) > 1e9:  # not in this room
        return None
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    cross = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.hypot(*cross)
    if not 1e-6 < length < math.inf:
        return None
    x, y, z = (round(value / length, _COSINE_DIGITS) + 0.0 for value in cross)
    return x, y, z


def _dot(normal: Vector, position: Vector | None) -> float:
    return sum(one * other for one, other in zip(normal, position or (0.0, 0.0, 0.0), strict=True))
