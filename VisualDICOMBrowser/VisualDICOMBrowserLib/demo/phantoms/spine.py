"""A lumbar spine for MR: thick sagittal slices, each painted as anatomy that changes from slice to slice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from .painting import Canvas, Floats, Grid, intensities, noise, smooth


class Tissue(IntEnum):
    """Labels of the back."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    CORTEX = 4
    MARROW = 5
    NUCLEUS = 6
    ANNULUS = 7
    DRY_DISC = 8
    CSF = 9
    NERVE = 10
    VESSEL = 11
    LIGAMENT = 12
    BOWEL = 13


T1: dict[int, float] = {
    Tissue.SKIN: 380, Tissue.FAT: 950, Tissue.MUSCLE: 330, Tissue.CORTEX: 60, Tissue.MARROW: 560,
    Tissue.NUCLEUS: 330, Tissue.ANNULUS: 240, Tissue.DRY_DISC: 250, Tissue.CSF: 150, Tissue.NERVE: 330,
    Tissue.VESSEL: 70, Tissue.LIGAMENT: 90, Tissue.BOWEL: 340,
}  # fmt: skip
T2: dict[int, float] = {
    Tissue.SKIN: 300, Tissue.FAT: 760, Tissue.MUSCLE: 180, Tissue.CORTEX: 50, Tissue.MARROW: 400,
    Tissue.NUCLEUS: 800, Tissue.ANNULUS: 130, Tissue.DRY_DISC: 150, Tissue.CSF: 1000, Tissue.NERVE: 330,
    Tissue.VESSEL: 50, Tissue.LIGAMENT: 70, Tissue.BOWEL: 420,
}  # fmt: skip
STIR: dict[int, float] = T2 | {Tissue.FAT: 70, Tissue.MARROW: 120, Tissue.SKIN: 140, Tissue.MUSCLE: 220}

SAGITTAL_GRID = Grid.centred((224, 208, 13), (1.25, 1.25, 5.0))
AXIAL_GRID = Grid.centred((18, 176, 176), (4.0, 1.1, 1.1), (-92.0, 2.0, 0.0))
_LEVELS = 7
_PITCH = 36.0


@dataclass(frozen=True)
class Spine:
    """The labelled anatomy on its grid."""

    canvas: Canvas

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return self.canvas.grid

    def signal(self, values: dict[int, float], seed: int, sigma: float = 16.0) -> Floats:
        """Return MR magnitude: bright near the coil under the back, noise that is never negative."""
        _, y, _ = self.grid.mesh()
        shading = np.clip(0.6 + 0.4 * np.exp((y - 60) / 150), 0, 1.3)
        within = (0, 1) if self.grid.spacing[2] > self.grid.spacing[0] else (1, 2)
        clean = smooth(intensities(self.canvas.labels, values), axes=within) * shading
        return np.hypot(clean + noise(self.grid.shape, seed, sigma), noise(self.grid.shape, seed + 1, sigma))


def build(grid: Grid) -> Spine:
    """Paint the lower back, with a dry and bulging disc at the second level from below."""
    canvas = Canvas(grid)
    _soft_tissue(canvas)
    for level in range(-1, _LEVELS):
        _vertebra(canvas, level)
    _canal(canvas)
    _posterior_elements(canvas)
    return Spine(canvas)


def _curve(z: Floats | np.floating[Any]) -> Floats:
    """Return where (y) the front wall of the canal runs at height z: the lumbar lordosis."""
    return np.asarray(6 - 16 * np.cos((z + 24) / 62) + 0.0012 * np.clip(-z - 40, 0, None) ** 2, np.float32)


def _soft_tissue(canvas: Canvas) -> None:
    z, y, x = canvas.grid.mesh()
    back = 84 + _curve(z) * 0.6 - (x / 34) ** 2
    front = -112 + 8 * np.cos(z / 90)
    canvas.fill(Tissue.SKIN, (y < back) & (y > front))
    canvas.fill(Tissue.FAT, (y < back - 3) & (y > front + 3))
    behind, aside = y - _curve(z), np.abs(x)
    along_spine = ((aside - 30) / 44) ** 2 + ((behind - 34) / 24) ** 2 < 1
    psoas = ((aside - 42) / 17) ** 2 + ((behind + 12) / 20) ** 2 < 1
    canvas.fill(Tissue.MUSCLE, (along_spine & (y < back - 14)) | psoas)
    canvas.fill(Tissue.MUSCLE, (y > front + 16) & (y < front + 25))
    canvas.fill(Tissue.BOWEL, (y > front + 25) & (behind < -56 - (x / 30) ** 2))
    rng = np.random.default_rng(8)
    for cy, cz in zip(rng.uniform(-90, -62, 70), rng.uniform(-140, 140, 70), strict=True):
        size = rng.uniform(5, 11)
        label = Tissue.FAT if rng.random() < 0.45 else Tissue.LIGAMENT if rng.random() < 0.3 else Tissue.BOWEL
        canvas.ellipsoid(label, (rng.uniform(-30, 30), cy, cz), (14, size, size * 1.3), only=(Tissue.BOWEL,))
    for side, wide in ((10, 9.0), (-14, 10.0)):
        spots = [(float(side), float(_curve(np.float32(h)) - 50), float(h)) for h in range(-150, 160, 20)]
        canvas.tube(Tissue.VESSEL, [p for p in spots if p[2] > -60], [wide] * len(spots))


def _vertebra(canvas: Canvas, level: int) -> None:
    """Paint one vertebral body and the disc under it, tilted along the curve; level -1 is the sacrum."""
    z, y, x = canvas.grid.mesh()
    height = np.float32(-92 + level * _PITCH)
    slope = float(_curve(height + 1) - _curve(height - 1)) / 2
    forward = (y - _curve(height) + 19) - slope * (z - height)
    upward = (z - height) + slope * (y - _curve(height) + 19)
    waist = 1 - 0.07 * np.cos(np.clip(upward / 13, -1, 1) * np.pi / 2)
    across = np.sqrt((forward / 17.5) ** 4 + (x / 25) ** 4) ** 0.5 / waist
    body = (across < 1) & (np.abs(upward) < 12.5)
    dry = level == 0
    canvas.fill(Tissue.ANNULUS, (across < (1.10 if dry else 1.04)) & (upward > -24.5) & (upward < -11))
    ball = np.sqrt((forward / 13) ** 2 + (x / 19) ** 2 + ((upward + 18) / (3.6 if dry else 5.4)) ** 2)
    canvas.fill(Tissue.DRY_DISC if dry else Tissue.NUCLEUS, ball < 1)
    canvas.fill(Tissue.CORTEX, body)
    canvas.fill(Tissue.MARROW, (across < 0.92) & (np.abs(upward) < 11.2))
    vein = (np.abs(upward) < 1.4) & (forward > 5) & (np.abs(x) < 5) & (across < 0.95)
    canvas.fill(Tissue.NUCLEUS, vein)


def _canal(canvas: Canvas) -> None:
    z, y, x = canvas.grid.mesh()
    wall = _curve(z)
    behind = y - wall
    bulge = 5.5 * np.exp(-(((z + 112) / 5.5) ** 2))
    keep = np.abs(x) < 10
    canvas.fill(Tissue.FAT, keep & (behind > 0) & (behind < 19))
    canvas.fill(Tissue.LIGAMENT, keep & (behind > -1) & (behind < 1.6))
    canvas.fill(Tissue.CSF, keep & (behind > 1.6 + bulge) & (behind < 15))
    canvas.fill(Tissue.DRY_DISC, keep & (behind > -2) & (behind < bulge) & (bulge > 1.5))
    cord = keep & (np.abs(x) < 7) & (np.abs(behind - 7.5) < np.clip((z - 44) / 6, 0, 4.2))
    canvas.fill(Tissue.NERVE, cord)
    strands = np.abs(np.sin((behind - 9) * 1.9)) < 0.42
    roots = (np.abs(x) < 8) & (behind > 8.2 - np.clip(-z / 60, 0, 2)) & (behind < 14) & (z < 62) & strands
    canvas.fill(Tissue.NERVE, roots)


def _posterior_elements(canvas: Canvas) -> None:
    z, y, x = canvas.grid.mesh()
    behind = y - _curve(z)
    for level in range(_LEVELS):
        height = -92 + level * _PITCH
        sag = z - height + 10 + (behind - 19) * 0.35
        spinous = (np.abs(x) < 4.5) & (behind > 18) & (behind < 46)
        canvas.fill(Tissue.CORTEX, spinous & (np.abs(sag) < 10.5))
        canvas.fill(Tissue.MARROW, spinous & (np.abs(sag) < 9) & (behind > 20) & (behind < 44))
        pedicle = (np.abs(np.abs(x) - 14) < 5) & (behind > -2) & (behind < 14) & (np.abs(z - height - 4) < 8)
        canvas.fill(Tissue.MARROW, pedicle)
        facet = (np.abs(np.abs(x) - 16) < 6) & (np.abs(behind - 19) < 6) & (np.abs(z - height + 12) < 15)
        canvas.fill(Tissue.CORTEX, facet)
        canvas.fill(Tissue.MARROW, facet & (np.abs(behind - 19) < 4) & (np.abs(z - height + 12) < 13))
        foramen = np.abs(np.abs(x) - 14) < 5
        canvas.fill(Tissue.FAT, foramen & (((behind - 5) / 7) ** 2 + ((z - height + 12) / 9) ** 2 < 1))
        canvas.fill(Tissue.NERVE, foramen & (((behind - 5) / 4) ** 2 + ((z - height + 10) / 5) ** 2 < 1))
