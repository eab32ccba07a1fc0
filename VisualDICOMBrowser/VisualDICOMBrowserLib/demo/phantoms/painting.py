"""Painting labelled anatomy into a voxel grid, and turning labels into intensities.

Patient coordinates are those of DICOM (PS3.3 C.7.6.2.1.1), in mm: x to the patient's left, y to the
back, z to the head. Arrays are indexed ``[z, y, x]``; indices grow with the coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A regular grid; all triples in the order of the array axes: z, y, x.

    :param shape: number of voxels.
    :param spacing: distance of voxel centres, mm.
    :param first: patient coordinate of the centre of voxel ``[0, 0, 0]``, mm.
    """

    shape: tuple[int, int, int]
    spacing: Point
    first: Point

    @classmethod
    def centred(cls, shape: tuple[int, int, int], spacing: Point, centre: Point = (0.0, 0.0, 0.0)) -> Grid:
        """Make a grid whose middle lies at ``centre`` (z, y, x)."""
        z, y, x = (c - s * (n - 1) / 2 for c, s, n in zip(centre, spacing, shape, strict=True))
        return cls(shape, spacing, (z, y, x))

    def part(self, heights: slice, every: int = 1) -> Grid:
        """Return the grid of ``volume[heights, ::every, ::every]``."""
        chosen = range(self.shape[0])[heights]
        first = (self.first[0] + self.spacing[0] * chosen.start, self.first[1], self.first[2])
        shape = (len(chosen), -(-self.shape[1] // every), -(-self.shape[2] // every))
        spacing = (self.spacing[0] * chosen.step, self.spacing[1] * every, self.spacing[2] * every)
        return Grid(shape, spacing, first)

    def axis(self, number: int) -> Floats:
        """Return the patient coordinates along one array axis."""
        steps = np.arange(self.shape[number], dtype=np.float32)
        return np.asarray(self.first[number] + steps * np.float32(self.spacing[number]), np.float32)

    def mesh(self) -> tuple[Floats, Floats, Floats]:
        """Return z, y, x as arrays that broadcast against each other to the shape of the grid."""
        return self.axis(0)[:, None, None], self.axis(1)[None, :, None], self.axis(2)[None, None, :]


class Canvas:
    """A volume of labels to paint on. Points are (x, y, z) in mm, as an anatomist would say them."""

    def __init__(self, grid: Grid, labels: Labels | None = None) -> None:
        self.grid = grid
        self.labels: Labels = np.zeros(grid.shape, np.uint8) if labels is None else labels
        self._axes = tuple(grid.axis(n) for n in range(3))

    def copy(self) -> Canvas:
        """Return the same picture to paint on independently."""
        return Canvas(self.grid, self.labels.copy())

    def corner(self, low: Point, high: Point) -> Canvas:
        """Return the box between two points as a canvas of its own; what is painted there appears here too."""
        where, x, y, z = self._window(np.asarray(low), np.asarray(high))
        shape = (z.size, y.size, x.size)
        first = (float(z.flat[0]), float(y.flat[0]), float(x.flat[0]))
        return Canvas(Grid(shape, self.grid.spacing, first), self.labels[where])

    def fill(self, label: int, mask: Mask, only: Iterable[int] = ()) -> None:
        """Give ``label`` to the voxels of a mask (whole volume), or to those that had a label of ``only``."""
        self._put(self.labels, label, np.broadcast_to(mask, self.labels.shape), only)

    def ellipsoid(
        self, label: int, centre: Point, radii: Point, *, turn: float = 0.0, only: Iterable[int] = ()
    ) -> None:
        """Paint an ellipsoid, turned by ``turn`` degrees about the z axis."""
        reach = max(radii[0], radii[1]) if turn else 0.0
        half = (max(radii[0], reach), max(radii[1], reach), radii[2])
        where, x, y, z = self._window(np.subtract(centre, half), np.add(centre, half))
        x, y, z = x - centre[0], y - centre[1], z - centre[2]
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        along, across = x * cos + y * sin, y * cos - x * sin
        inside = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 + (z / radii[2]) ** 2 < 1
        self._put(self.labels[where], label, inside, only)

    def tube(self, label: int, points: Sequence[Point], radii: Sequence[float], only: Iterable[int] = ()) -> None:
        """Paint a round tube along a polyline, with a radius for each of its points."""
        for start, end, first, last in zip(points, points[1:], radii, radii[1:], strict=False):
            self._capsule(label, (np.asarray(start), np.asarray(end)), (first, last), only)

    def _capsule(
        self, label: int, ends: tuple[NDArray[Any], NDArray[Any]], radii: tuple[float, float], only: Iterable[int]
    ) -> None:
        (a, b), (first, last) = ends, radii
        thick = max(radii)
        where, x, y, z = self._window(np.minimum(a, b) - thick, np.maximum(a, b) + thick)
        d = b - a
        length2 = float(d @ d) or 1.0
        px, py, pz = x - a[0], y - a[1], z - a[2]
        t = np.clip((px * d[0] + py * d[1] + pz * d[2]) / length2, 0, 1)
        distance2 = (px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2
        self._put(self.labels[where], label, distance2 < (first + t * (last - first)) ** 2, only)

    def _window(self, low: NDArray[Any], high: NDArray[Any]) -> tuple[tuple[slice, ...], Floats, Floats, Floats]:
        """Return the part of the volume that a box (x, y, z) covers, and its coordinates."""
        spans = []
        for axis, first, last in zip(self._axes, low[::-1], high[::-1], strict=True):
            begin, end = np.searchsorted(axis, (first, last))
            spans.append(slice(int(begin), int(end)))
        z, y, x = (axis[span] for axis, span in zip(self._axes, spans, strict=True))
        return tuple(spans), x[None, None, :], y[None, :, None], z[:, None, None]

    @staticmethod
    def _put(part: Labels, label: int, mask: Mask, only: Iterable[int]) -> None:
        allowed = np.zeros(256, np.bool_)
        allowed[list(only)] = True
        part[mask & allowed[part] if allowed.any() else mask] = label


def intensities(labels: Labels, values: Mapping[int, float]) -> Floats:
    """Look up one value for each label; labels without a value become 0."""
    table = np.zeros(256, np.float32)
    table[list(values)] = list(values.values())
    return np.asarray(table[labels])


def smooth(volume: Floats, *, passes: int = 1, axes: tuple[int, ...] = (-2, -1)) -> Floats:
    """Blur with a 1-2-1 kernel along ``axes``, as often as ``passes`` says."""
    for axis in axes * passes:
        before, after = _shifted(volume, axis)
        volume = volume * np.float32(0.5) + (before + after) * np.float32(0.25)
    return volume


def _shifted(volume: Floats, axis: int) -> tuple[Floats, Floats]:
    """Return the neighbours on both sides along an axis; the border repeats."""
    moved = np.moveaxis(volume, axis, 0)
    before = np.concatenate([moved[:1], moved[:-1]])
    after = np.concatenate([moved[1:], moved[-1:]])
    return np.moveaxis(before, 0, axis), np.moveaxis(after, 0, axis)


def sharpen(volume: Floats, amount: float) -> Floats:
    """Raise edges, as a hard reconstruction kernel does."""
    return np.asarray(volume + np.float32(amount) * (volume - smooth(volume)), np.float32)


def noise(shape: tuple[int, ...], seed: int, sigma: float = 1.0) -> Floats:
    """Return white Gaussian noise, the same for the same seed, repeating after some millions of values."""
    pool = _noise_pool()
    count = int(np.prod(shape))
    start = seed * 7919 % len(pool)
    drawn = np.resize(np.concatenate([pool[start:], pool[:start]]), count)
    return np.asarray(drawn.reshape(shape) * np.float32(sigma), np.float32)


@lru_cache(maxsize=1)
def _noise_pool() -> Floats:
    """Drawing Gaussian numbers anew for each series would take longer than all the rest."""
    return np.random.default_rng(0).standard_normal(2_000_003, dtype=np.float32)


def band_noise(grid: Grid, wavelength: float, seed: int, width: float = 0.35) -> Floats:
    """Return noise of zero mean and unit deviation whose structures are about ``wavelength`` mm apart."""
    spectrum = np.fft.rfftn(noise(grid.shape, seed))
    frequencies = [np.fft.fftfreq(n, s) for n, s in zip(grid.shape[:2], grid.spacing[:2], strict=True)]
    fz, fy = frequencies
    fx = np.fft.rfftfreq(grid.shape[2], grid.spacing[2])
    length = np.sqrt(fz[:, None, None] ** 2 + fy[None, :, None] ** 2 + fx[None, None, :] ** 2) * wavelength
    field = np.fft.irfftn(spectrum * np.exp(-(((length - 1) / width) ** 2)), s=grid.shape, axes=(0, 1, 2))
    return np.asarray(field / field.std(), np.float32)


def sample(volume: Floats, grid: Grid, points: tuple[Floats, Floats, Floats], outside: float) -> Floats:
    """Interpolate a volume linearly at patient coordinates (x, y, z); points off the grid give ``outside``."""
    index = [(p - f) / np.float32(s) for p, f, s in zip(points[::-1], grid.first, grid.spacing, strict=True)]
    index = list(np.broadcast_arrays(*index))
    valid = np.ones(index[0].shape, np.bool_)
    corner, share = [], []
    for position, size in zip(index, grid.shape, strict=True):
        valid &= (position >= 0) & (position <= size - 1)
        low = np.clip(position.astype(np.int32), 0, size - 2)
        corner.append(low)
        share.append(np.clip(position - low, 0, 1).astype(np.float32))
    result = np.zeros(valid.shape, np.float32)
    for number in range(8):
        bits = [number >> 2 & 1, number >> 1 & 1, number & 1]
        deep, high, wide = (part if bit else 1 - part for bit, part in zip(bits, share, strict=True))
        z, y, x = (low + bit for low, bit in zip(corner, bits, strict=True))
        result += deep * high * wide * volume[z, y, x]
    return np.where(valid, result, np.float32(outside))
