"""Stacks of parallel image planes cut from a volume, with what the Image Plane module says about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .phantoms.painting import Floats, Grid, Point, sample

Vector = NDArray[np.float64]
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Stack:
    """Parallel slices (PS3.3 C.7.6.2).

    :ivar pixels: ``(slices, rows, columns)``.
    :ivar positions: ``(slices, 3)``: patient coordinates of the centre of each first pixel, mm.
    :ivar orientation: direction cosines of a row, then of a column.
    :ivar spacing: distance of rows, then of columns, mm.
    :ivar step: distance of the slices, mm.
    """

    pixels: Floats
    positions: Vector
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    step: float


def axial(volume: Floats, grid: Grid) -> Stack:
    """Return all axial slices, feet first."""
    heights = grid.axis(0)
    positions = np.column_stack([np.full((len(heights), 2), (grid.first[2], grid.first[1])), heights])
    return Stack(volume, positions, AXIAL, (grid.spacing[1], grid.spacing[2]), grid.spacing[0])


def coronal(volume: Floats, grid: Grid, indices: range) -> Stack:
    """Return coronal slices, front first when ``indices`` grow, with square pixels."""
    pixels = _stretched(volume[::-1, indices.start : indices.stop : indices.step], grid.spacing[0] / grid.spacing[2])
    top = float(grid.axis(0)[-1])
    positions = np.array([(grid.first[2], grid.axis(1)[n], top) for n in indices])
    spacing = (grid.spacing[2], grid.spacing[2])
    return Stack(np.moveaxis(pixels, 1, 0), positions, CORONAL, spacing, grid.spacing[1] * indices.step)


def sagittal(volume: Floats, grid: Grid, indices: range) -> Stack:
    """Return sagittal slices, right side first when ``indices`` grow, with square pixels."""
    part = volume[::-1, :, indices.start : indices.stop : indices.step]
    pixels = _stretched(part, grid.spacing[0] / grid.spacing[1])
    top = float(grid.axis(0)[-1])
    positions = np.array([(grid.axis(2)[n], grid.first[1], top) for n in indices])
    spacing = (grid.spacing[1], grid.spacing[1])
    return Stack(np.moveaxis(pixels, 2, 0), positions, SAGITTAL, spacing, grid.spacing[2] * indices.step)


def oblique(
    volume: Floats, grid: Grid, centre: Point, orientation: tuple[float, ...], *, size: int, spacing: float,
    count: int, step: float, outside: float,
) -> Stack:  # fmt: skip
    """Return ``count`` square slices around ``centre`` (x, y, z), in any orientation."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    offsets = (np.arange(count) - (count - 1) / 2) * step
    corner = np.array(centre) - (row + column) * spacing * (size - 1) / 2
    positions = corner + offsets[:, None] * np.cross(row, column)
    steps = np.arange(size) * spacing
    plane = steps[None, :, None] * row + steps[:, None, None] * column
    points = (positions[:, None, None, :] + plane[None]).astype(np.float32)
    pixels = sample(volume, grid, (points[..., 0], points[..., 1], points[..., 2]), outside)
    return Stack(pixels, positions, orientation, (spacing, spacing), step)


def tilted(degrees: float, towards: float = 0.0) -> tuple[float, ...]:
    """Return a coronal orientation leaned back by ``degrees``, then turned about the body's axis."""
    lean, turn = np.radians(degrees), np.radians(towards)
    row = np.array([np.cos(turn), np.sin(turn), 0.0])
    back = np.array([-np.sin(turn), np.cos(turn), 0.0])
    column = -np.cos(lean) * np.array([0.0, 0.0, 1.0]) + np.sin(lean) * back
    return (*(float(v) for v in row), *(float(v) for v in column))


def _stretched(volume: Floats, ratio: float) -> Floats:
    """Interpolate along the first axis so that its spacing shrinks by ``ratio``; the first slice stays."""
    count = int((len(volume) - 1) * ratio) + 1
    where = np.arange(count, dtype=np.float32) / np.float32(ratio)
    low = np.clip(where.astype(np.intp), 0, len(volume) - 2)
    share = (where - low).astype(np.float32).reshape(-1, *[1] * (volume.ndim - 1))
    return np.asarray(volume[low] * (1 - share) + volume[low + 1] * share)
