"""A head: labelled anatomy, and what CT and the usual MR sequences make of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from .painting import Canvas, Floats, Grid, band_noise, intensities, noise, smooth


class Tissue(IntEnum):
    """Labels of the head."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4
    MARROW = 5
    CSF = 6
    GREY = 7
    WHITE = 8
    DEEP_GREY = 9
    SINUS = 10
    VITREOUS = 11
    LENS = 12
    VESSEL = 13
    DURA = 14
    LESION = 15
    OEDEMA = 16
    RIM = 17
    CALCIUM = 18


CT_HU: dict[int, float] = {
    Tissue.AIR: -1000, Tissue.SKIN: 40, Tissue.FAT: -90, Tissue.MUSCLE: 55, Tissue.BONE: 1150, Tissue.MARROW: 480,
    Tissue.CSF: 6, Tissue.GREY: 39, Tissue.WHITE: 28, Tissue.DEEP_GREY: 38, Tissue.SINUS: -980,
    Tissue.VITREOUS: 8, Tissue.LENS: 85, Tissue.VESSEL: 46, Tissue.DURA: 55, Tissue.LESION: 62, Tissue.OEDEMA: 18,
    Tissue.RIM: 40, Tissue.CALCIUM: 160,
}  # fmt: skip
_NO_SIGNAL: dict[int, float] = {Tissue.BONE: 20, Tissue.SINUS: 5, Tissue.CALCIUM: 60}
T1: dict[int, float] = _NO_SIGNAL | {
    Tissue.SKIN: 420, Tissue.FAT: 900, Tissue.MUSCLE: 330, Tissue.MARROW: 420, Tissue.CSF: 120, Tissue.GREY: 400,
    Tissue.WHITE: 600, Tissue.DEEP_GREY: 460, Tissue.VITREOUS: 110, Tissue.LENS: 300, Tissue.VESSEL: 80,
    Tissue.DURA: 250, Tissue.LESION: 330, Tissue.OEDEMA: 400, Tissue.RIM: 360,
}  # fmt: skip
T1_CONTRAST: dict[int, float] = T1 | {Tissue.VESSEL: 950, Tissue.DURA: 620, Tissue.RIM: 1000, Tissue.LESION: 260}
T2: dict[int, float] = _NO_SIGNAL | {
    Tissue.SKIN: 260, Tissue.FAT: 560, Tissue.MUSCLE: 160, Tissue.MARROW: 260, Tissue.CSF: 1000, Tissue.GREY: 440,
    Tissue.WHITE: 300, Tissue.DEEP_GREY: 350, Tissue.VITREOUS: 1000, Tissue.LENS: 120, Tissue.VESSEL: 40,
    Tissue.DURA: 120, Tissue.LESION: 820, Tissue.OEDEMA: 640, Tissue.RIM: 420,
}  # fmt: skip
FLAIR: dict[int, float] = T2 | {
    Tissue.CSF: 50, Tissue.GREY: 480, Tissue.WHITE: 360, Tissue.DEEP_GREY: 420, Tissue.VITREOUS: 60,
    Tissue.LESION: 500, Tissue.OEDEMA: 800, Tissue.RIM: 620, Tissue.FAT: 420,
}  # fmt: skip
DIFFUSION: dict[int, float] = {
    Tissue.CSF: 45, Tissue.GREY: 330, Tissue.WHITE: 300, Tissue.DEEP_GREY: 310, Tissue.LESION: 180,
    Tissue.OEDEMA: 330, Tissue.RIM: 520, Tissue.MUSCLE: 40, Tissue.FAT: 60, Tissue.VITREOUS: 40,
}  # fmt: skip
#: Apparent diffusion coefficient, 1e-6 mm2/s.
ADC: dict[int, float] = {
    Tissue.CSF: 3000, Tissue.GREY: 830, Tissue.WHITE: 740, Tissue.DEEP_GREY: 760, Tissue.LESION: 1900,
    Tissue.OEDEMA: 1350, Tissue.RIM: 700, Tissue.VITREOUS: 2900,
}  # fmt: skip

GRID = Grid.centred((72, 208, 176), (2.4, 1.1, 1.1), (8.0, 0.0, 0.0))
_BRAIN = (Tissue.GREY, Tissue.WHITE, Tissue.DEEP_GREY)


@dataclass(frozen=True)
class Head:
    """The labelled anatomy on its grid."""

    canvas: Canvas

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return self.canvas.grid

    def hounsfield(self, seed: int, sigma: float = 4.0) -> Floats:
        """Return CT numbers of the whole volume."""
        return smooth(intensities(self.canvas.labels, CT_HU)) + smooth(noise(self.grid.shape, seed, sigma * 2.2))

    def signal(self, values: dict[int, float], seed: int, heights: slice = slice(None)) -> Floats:
        """Return MR magnitude of the chosen slices: coil shading, noise that is never negative."""
        labels = self.canvas.labels[heights]
        clean = smooth(intensities(labels, values)) * self._shading()[heights]
        return np.asarray(np.hypot(clean + noise(labels.shape, seed, 14.0), noise(labels.shape, seed + 1, 14.0)))

    def with_lesion(self, radius: float) -> Head:
        """Return the same head with a ring-shaped lesion (radius in mm) in the left parietal lobe."""
        canvas = self.canvas.copy()
        _lesion(canvas, radius)
        return Head(canvas)

    def _shading(self) -> Floats:
        z, y, x = self.grid.mesh()
        return np.asarray(1.12 - 0.0011 * y - 0.0007 * x - ((x**2 + y**2 + z**2) / 190**2) * 0.35, np.float32)


def build() -> Head:
    """Paint a healthy head."""
    canvas = Canvas(GRID)
    depth = _skull(canvas)
    _cortex(canvas, depth)
    _cerebellum(canvas)
    _ventricles(canvas)
    _face(canvas)
    _vessels(canvas)
    return Head(canvas)


def _skull(canvas: Canvas) -> Floats:
    """Paint the layers of the head; return the depth (mm) below the brain's surface, negative outside."""
    z, y, x = canvas.grid.mesh()
    narrow = 1 - 0.0011 * np.clip(-y, 0, None)
    up = np.where(z > 10, (z - 10) / 78, (z - 10) / 118).astype(np.float32)
    rho = np.sqrt((x / (78 * narrow)) ** 2 + ((y - 2) / 97) ** 2 + up**2)
    depth = (1 - rho) * 84
    low = z < -38  # the face and neck under the skull
    neck = np.sqrt((x / 66) ** 2 + ((y - 6) / 88) ** 2)
    canvas.fill(Tissue.SKIN, (rho < 1) | (low & (neck < 1)))
    canvas.fill(Tissue.FAT, (depth > 1.6) | (low & (neck < 0.97)))
    canvas.fill(Tissue.MUSCLE, low & (neck < 0.9))
    vault = (depth > 5) & (z > -48)
    canvas.fill(Tissue.BONE, vault)
    canvas.fill(Tissue.MARROW, vault & (depth > 7) & (depth < 9.6) & (z > -10))
    base = np.interp(y, [-95, -20, 5, 100], [-10, -26, -46, -46]).astype(np.float32)
    brain = (depth > 12) & (z > base)
    canvas.fill(Tissue.MUSCLE, (depth > 12) & (z <= base - 3))
    canvas.fill(Tissue.CSF, brain)
    return np.where(brain, depth - 13.2, np.float32(-1))


def _cortex(canvas: Canvas, depth: Floats) -> None:
    """Fold the cerebral surface: the zero crossings of band noise are the sulci, a grey ribbon lines them."""
    z, y, x = canvas.grid.mesh()
    fold = np.abs(band_noise(canvas.grid, 21.0, seed=3))
    tentorium = z > -24 + 0.20 * np.clip(y, 0, 60)
    cerebrum = (depth > 0) & tentorium
    fade = np.clip(1 - depth / 21, 0, 1)  # how deep the sulci reach
    sulcus = fold < 0.13 * fade
    ribbon = (fold < 0.20 + 0.30 * fade) & (depth < 21)
    canvas.fill(Tissue.WHITE, cerebrum)
    canvas.fill(Tissue.GREY, cerebrum & ((depth < 3.0) | ribbon))
    canvas.fill(Tissue.CSF, cerebrum & sulcus & (depth < 19))
    gap = 1.0 + 1.3 * np.clip(1 - depth / 14, 0, 1)
    middle = ((y - 4) / 46) ** 2 + ((z - 8) / 31) ** 2  # corpus callosum and what it spans
    split = cerebrum & (middle > 1)
    canvas.fill(Tissue.GREY, split & (np.abs(x) < gap + 3.2) & (middle > 1.1))
    fissure = split & (np.abs(x) < gap) & ((np.abs(x) > 0.8) | (fold < 0.35))
    canvas.fill(Tissue.CSF, fissure)
    canvas.fill(Tissue.DURA, fissure & (np.abs(x) < 0.7) & (depth > 3) & (middle > 1.6))
    for side in (-1, 1):
        sylvian = [(side * 44, -40, -18), (side * 55, -16, -8), (side * 60, 22, 8)]
        canvas.tube(Tissue.GREY, sylvian, [5, 6, 5], (Tissue.WHITE,))
        canvas.tube(Tissue.CSF, sylvian, [2, 2.8, 2])


def _cerebellum(canvas: Canvas) -> None:
    z, y, _ = canvas.grid.mesh()
    below = (Tissue.CSF, Tissue.MUSCLE, Tissue.BONE)
    for side in (-1, 1):
        canvas.ellipsoid(Tissue.GREY, (side * 25, 50, -32), (28, 28, 20), only=below)
        canvas.ellipsoid(Tissue.WHITE, (side * 22, 46, -32), (16, 16, 11))
        canvas.ellipsoid(Tissue.GREY, (side * 40, -8, -26), (20, 32, 15), only=below)
        canvas.ellipsoid(Tissue.WHITE, (side * 40, -8, -26), (14, 26, 9))
    folia = ((np.hypot(y - 44, z + 30) % 5.2) < 1.5) & (y > 24) & (z < -14)
    canvas.fill(Tissue.CSF, folia, only=(Tissue.GREY,))
    canvas.tube(Tissue.WHITE, [(0, 4, -10), (0, 14, -28), (0, 22, -78)], [15, 16, 8])
    canvas.ellipsoid(Tissue.CSF, (0, 30, -32), (7, 5, 9))
    canvas.ellipsoid(Tissue.BONE, (0, 0, -58), (34, 22, 9), only=(Tissue.MUSCLE,))
    for side in (-1, 1):
        canvas.tube(Tissue.BONE, [(side * 22, 4, -40), (side * 66, 22, -44)], [8, 12], (Tissue.CSF, Tissue.MUSCLE))
        canvas.ellipsoid(Tissue.SINUS, (side * 60, 30, -48), (8, 10, 10))


def _ventricles(canvas: Canvas) -> None:
    inside = _BRAIN
    for side in (-1, 1):
        canvas.ellipsoid(Tissue.DEEP_GREY, (side * 15, -16, 14), (6.5, 16, 12), turn=side * 14, only=inside)
        canvas.ellipsoid(Tissue.DEEP_GREY, (side * 24, -4, 6), (7.5, 19, 12), turn=side * 12, only=inside)
        canvas.ellipsoid(Tissue.DEEP_GREY, (side * 11, 12, 8), (9, 15, 11), turn=side * -24, only=inside)
        canvas.ellipsoid(Tissue.GREY, (side * 40, -6, 4), (3, 24, 16), turn=side * 4, only=inside)
        body = [(side * 11, -34, 12), (side * 9, -14, 24), (side * 12, 12, 27), (side * 22, 36, 14), (side * 26, 54, 8)]
        canvas.tube(Tissue.CSF, body, [5, 5.5, 6, 6, 2.5])
        canvas.tube(Tissue.CSF, [(side * 22, 36, 14), (side * 30, 20, -8), (side * 32, 0, -16)], [6, 3.5, 3])
        canvas.ellipsoid(Tissue.CALCIUM, (side * 22, 38, 12), (2.6, 3.4, 3))
    canvas.ellipsoid(Tissue.CSF, (0, 4, 6), (2.6, 16, 13))
    canvas.ellipsoid(Tissue.CALCIUM, (0, 26, 8), (2, 2, 2.4))
    canvas.tube(Tissue.WHITE, [(0, -38, 14), (0, -22, 34), (0, 14, 38), (0, 36, 24)], [5, 4.5, 4.5, 5.5])


def _face(canvas: Canvas) -> None:
    for side in (-1, 1):
        canvas.ellipsoid(Tissue.BONE, (side * 32, -72, -30), (22, 24, 21))
        canvas.ellipsoid(Tissue.FAT, (side * 32, -76, -30), (19, 26, 18))
        canvas.ellipsoid(Tissue.MUSCLE, (side * 26, -58, -30), (3, 20, 4), turn=side * -14)
        canvas.ellipsoid(Tissue.VITREOUS, (side * 33, -82, -30), (12.5, 12.5, 12.5))
        canvas.ellipsoid(Tissue.LENS, (side * 33, -92, -30), (5, 2.2, 5))
        canvas.ellipsoid(Tissue.BONE, (side * 30, -66, -68), (20, 20, 18))
        canvas.ellipsoid(Tissue.SINUS, (side * 30, -66, -68), (17.5, 17.5, 16))
        canvas.ellipsoid(Tissue.SINUS, (side * 12, -86, -6), (9, 4, 9), only=(Tissue.BONE, Tissue.MARROW))
    canvas.ellipsoid(Tissue.BONE, (0, -62, -36), (11, 28, 18))
    for side in (-1, 1):
        for y in (-82, -72, -62, -52, -42):
            canvas.ellipsoid(Tissue.SINUS, (side * 5.2, y, -36), (4.2, 4.4, 14))
    canvas.ellipsoid(Tissue.SKIN, (0, -98, -56), (14, 18, 22), only=(Tissue.AIR,))
    canvas.ellipsoid(Tissue.SINUS, (-6, -78, -64), (4, 22, 16))
    canvas.ellipsoid(Tissue.SINUS, (6, -78, -64), (4, 22, 16))


def _vessels(canvas: Canvas) -> None:
    where = (Tissue.CSF, Tissue.DURA, Tissue.GREY, Tissue.WHITE)
    arc = np.linspace(-1.1, 2.2, 20)
    points = [(0.0, float(4 + 84 * np.sin(a)), float(8 + 66 * np.cos(a))) for a in arc]
    canvas.tube(Tissue.VESSEL, points, [3.6] * 20, where)
    for side in (-1, 1):
        middle = [(side * 10, -14, -28), (side * 28, -18, -8), (side * 46, -6, 0)]
        anterior = [(side * 10, -16, -20), (side * 1, -34, 0), (side * 1, -44, 22)]
        canvas.tube(Tissue.VESSEL, middle, [2.4, 2, 1.6], where)
        canvas.tube(Tissue.VESSEL, anterior, [2, 1.8, 1.5], where)
        canvas.tube(Tissue.VESSEL, [(0, 82, -8), (side * 40, 70, -14), (side * 62, 30, -30)], [4, 4, 4], where)
    canvas.tube(Tissue.VESSEL, [(0, -2, -46), (0, -3, -18)], [2.2, 2.2], (*where, Tissue.BONE))


def _lesion(canvas: Canvas, radius: float) -> None:
    centre = (36.0, 32.0, 30.0)
    spread = radius * 1.9
    canvas.ellipsoid(Tissue.OEDEMA, centre, (spread, spread * 1.3, spread), turn=20, only=(Tissue.WHITE,))
    canvas.ellipsoid(Tissue.RIM, centre, (radius, radius * 1.1, radius))
    canvas.ellipsoid(Tissue.LESION, centre, (radius - 3.5, radius * 1.1 - 3.5, radius - 3.5))
    for x, y, z in ((-24, -30, 28), (-27, 14, 32), (22, -34, 26), (-30, 42, 22)):
        canvas.ellipsoid(Tissue.OEDEMA, (x, y, z), (3, 5, 3), only=(Tissue.WHITE,))
