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


def _key(instance: InstanceGeometry, place: float | None, index: int) -> tuple[int, bool, int, int]:
    slot = 0 if place is None else round(place / _SAME_PLACE)
    return slot, instance.number is None, instance.number or 0, index


def _places(instances: Sequence[InstanceGeometry]) -> dict[int, float]:
    """Return the place along the normal, in millimetres, of each instance in the most frequent orientation."""
    normals = {index: normal for index, one in enumerate(instances) if (normal := _normal(one)) is not None}
    if 2 * len(normals) < len(instances):
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
