"""A chest and abdomen: labelled anatomy, and what a CT, an X-ray and a PET scanner make of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from .painting import Canvas, Floats, Grid, Mask, Point, intensities, noise, sharpen, smooth


class Tissue(IntEnum):
    """Labels of the torso."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    LUNG = 4
    AIRWAY = 5
    LUNG_VESSEL = 6
    CORTEX = 7
    MARROW = 8
    DISC = 9
    CANAL = 10
    MYOCARDIUM = 11
    ARTERY = 12
    VEIN = 13
    LIVER = 14
    SPLEEN = 15
    RENAL_CORTEX = 16
    RENAL_MEDULLA = 17
    RENAL_PELVIS = 18
    BOWEL = 19
    FLUID = 20
    GAS = 21
    PANCREAS = 22
    LIVER_LESION = 23
    NODULE = 24
    TABLE = 25
    FOAM = 26
    LIVER_VESSEL = 27
    CORD = 28


#: Hounsfield units without contrast medium.
NATIVE_HU: dict[int, float] = {
    Tissue.AIR: -1000, Tissue.SKIN: 20, Tissue.FAT: -105, Tissue.MUSCLE: 55, Tissue.LUNG: -860,
    Tissue.AIRWAY: -1000, Tissue.LUNG_VESSEL: 40, Tissue.CORTEX: 780, Tissue.MARROW: 190, Tissue.DISC: 85,
    Tissue.CANAL: 12, Tissue.MYOCARDIUM: 48, Tissue.ARTERY: 42, Tissue.VEIN: 40, Tissue.LIVER: 58,
    Tissue.SPLEEN: 48, Tissue.RENAL_CORTEX: 34, Tissue.RENAL_MEDULLA: 30, Tissue.RENAL_PELVIS: 6,
    Tissue.BOWEL: 40, Tissue.FLUID: 8, Tissue.GAS: -990, Tissue.PANCREAS: 40, Tissue.LIVER_LESION: 38,
    Tissue.NODULE: 35, Tissue.TABLE: 150, Tissue.FOAM: -880, Tissue.LIVER_VESSEL: 42, Tissue.CORD: 38,
}  # fmt: skip
#: Hounsfield units about 30 s after injection: bright arteries and renal cortex.
ARTERIAL_HU: dict[int, float] = NATIVE_HU | {
    Tissue.LUNG_VESSEL: 240, Tissue.MYOCARDIUM: 105, Tissue.ARTERY: 330, Tissue.VEIN: 95, Tissue.LIVER: 74,
    Tissue.SPLEEN: 140, Tissue.RENAL_CORTEX: 190, Tissue.RENAL_MEDULLA: 65, Tissue.PANCREAS: 105,
    Tissue.LIVER_LESION: 105, Tissue.LIVER_VESSEL: 85, Tissue.BOWEL: 80, Tissue.NODULE: 75,
}  # fmt: skip
#: Hounsfield units about 70 s after injection: bright liver and veins.
VENOUS_HU: dict[int, float] = NATIVE_HU | {
    Tissue.LUNG_VESSEL: 150, Tissue.MYOCARDIUM: 110, Tissue.ARTERY: 165, Tissue.VEIN: 160, Tissue.LIVER: 112,
    Tissue.SPLEEN: 122, Tissue.RENAL_CORTEX: 185, Tissue.RENAL_MEDULLA: 165, Tissue.PANCREAS: 92,
    Tissue.LIVER_LESION: 62, Tissue.LIVER_VESSEL: 172, Tissue.BOWEL: 90, Tissue.NODULE: 80,
}  # fmt: skip
#: Standardised uptake of a glucose tracer.
UPTAKE: dict[int, float] = {
    Tissue.SKIN: 0.4, Tissue.FAT: 0.3, Tissue.MUSCLE: 0.7, Tissue.LUNG: 0.4, Tissue.AIRWAY: 0.1,
    Tissue.LUNG_VESSEL: 1.3, Tissue.CORTEX: 0.6, Tissue.MARROW: 1.7, Tissue.DISC: 0.5, Tissue.CANAL: 0.8,
    Tissue.CORD: 1.4, Tissue.MYOCARDIUM: 6.5, Tissue.ARTERY: 1.6, Tissue.VEIN: 1.6, Tissue.LIVER: 2.4,
    Tissue.SPLEEN: 2.0, Tissue.RENAL_CORTEX: 3.0, Tissue.RENAL_MEDULLA: 3.5, Tissue.RENAL_PELVIS: 16,
    Tissue.BOWEL: 2.2, Tissue.FLUID: 0.5, Tissue.PANCREAS: 1.5, Tissue.LIVER_LESION: 9.0, Tissue.NODULE: 11,
    Tissue.LIVER_VESSEL: 1.7,
}  # fmt: skip

GRID = Grid.centred((116, 256, 256), (3.0, 1.5, 1.5))
NODULE_CENTRE: Point = (88.0, 18.0, 62.0)
LESION_CENTRE: Point = (-95.0, -20.0, -62.0)
_SOFT = (Tissue.FAT, Tissue.MUSCLE)


@dataclass(frozen=True)
class Torso:
    """The labelled anatomy on its grid."""

    canvas: Canvas

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return self.canvas.grid

    def with_nodule(self, radius: float) -> Torso:
        """Return the same torso with another nodule, which must not be smaller than the present one."""
        canvas = self.canvas.copy()
        canvas.ellipsoid(Tissue.NODULE, NODULE_CENTRE, (radius, radius * 0.9, radius))
        return Torso(canvas)

    def attenuation(self, values: dict[int, float], slices: slice = slice(None)) -> Floats:
        """Return Hounsfield units of the chosen slices, free of noise, with soft edges."""
        hounsfield = intensities(self.canvas.labels[slices], values)
        depth = np.linspace(-1, 1, hounsfield.shape[1], dtype=np.float32)[None, :, None]
        lung = self.canvas.labels[slices] == Tissue.LUNG
        return smooth(hounsfield + np.where(lung, 45 * depth, np.float32(0)))


def build() -> Torso:
    """Paint the torso, with a small nodule in the left lung and two lesions in the liver."""
    canvas = Canvas(GRID)
    rho = _outline(canvas)
    dome = _diaphragm(canvas)
    _body(canvas, rho)
    _lungs(canvas, rho, dome)
    _liver(canvas, rho, dome)
    _abdomen(canvas)
    _heart(canvas)
    _bronchial_tree(canvas)
    _spine(canvas)
    _ribs(canvas, rho)
    _shoulder_girdle(canvas)
    _table(canvas)
    return Torso(canvas).with_nodule(4.0)


def _outline(canvas: Canvas) -> Floats:
    """Return 0 on the body's axis, 1 on the skin."""
    z, y, x = canvas.grid.mesh()
    levels = [-175, -90, 0, 80, 130, 175]
    width = np.interp(z, levels, [150, 150, 158, 160, 152, 118]).astype(np.float32)
    depth = np.interp(z, levels, [102, 104, 110, 108, 98, 78]).astype(np.float32)
    flat_back = np.where(y > 0, np.float32(0.94), np.float32(1.0))
    power = np.float32(2.4)
    return np.asarray((np.abs(x / width) ** power + np.abs(y / (depth * flat_back)) ** power) ** (1 / power))


def _diaphragm(canvas: Canvas) -> Floats:
    """Return the height (z) of the diaphragm over each (y, x)."""
    _, y, x = canvas.grid.mesh()
    right = -8 - 62 * (((x + 70) / 88) ** 2 + ((y + 10) / 98) ** 2)
    left = -22 - 58 * (((x - 72) / 84) ** 2 + ((y + 8) / 96) ** 2)
    return np.asarray(np.maximum(np.maximum(right, left), -105), np.float32)


def _body(canvas: Canvas, rho: Floats) -> None:
    z = canvas.grid.mesh()[0]
    canvas.fill(Tissue.SKIN, rho < 1)
    canvas.fill(Tissue.FAT, rho < 0.985)
    canvas.fill(Tissue.MUSCLE, rho < 0.905)
    canvas.fill(Tissue.FAT, rho < 0.80 * np.sqrt(np.clip(1 - (np.clip(z - 40, 0, None) / 128) ** 2, 0, 1)))
    for side in (-1, 1):  # pectoral and back muscles
        canvas.ellipsoid(Tissue.MUSCLE, (side * 75, -92, 95), (52, 10, 50), turn=side * 14)
        canvas.ellipsoid(Tissue.MUSCLE, (side * 34, 84, 0), (28, 15, 240), turn=side * -12)


def _lungs(canvas: Canvas, rho: Floats, dome: Floats) -> None:
    z, y, x = canvas.grid.mesh()
    limit = np.where(z > 30, 0.80 * np.sqrt(np.clip(1 - ((z - 30) / 128) ** 2, 0, 1)), 0.80).astype(np.float32)
    inside = (rho < limit) & (z > dome) & (z < 152)
    half = np.interp(z, [-80, 0, 50, 90, 150], [46, 44, 34, 26, 30]).astype(np.float32)
    mediastinum = (np.abs(x - 6) / half) ** 2 + (np.abs(y + 4) / 88) ** 2 < 1
    canvas.fill(Tissue.LUNG, inside & ~mediastinum)


def _liver(canvas: Canvas, rho: Floats, dome: Floats) -> None:
    z, y, x = canvas.grid.mesh()
    under = (z < dome - 3) & (rho < 0.785)
    lower = -152 + 0.0024 * np.clip(x + 150, 0, None) ** 2 + 0.12 * y
    right = ((x + 62) / 92) ** 2 + ((y + 2) / 84) ** 2 < 1
    left = ((x - 8) / 62) ** 2 + ((y + 48) / 34) ** 2 < 1
    liver: Mask = under & (z > lower) & (right | left)
    canvas.fill(Tissue.LIVER, liver)
    for seed, start, heading in ((11, (-22, 18, -62), (-1.0, -0.25, 0.15)), (12, (-18, 22, -36), (-0.8, -0.5, -0.4))):
        _branches(
            canvas, Tissue.LIVER_VESSEL, start, heading,
            radius=5.2, length=45, only=(Tissue.LIVER,), seed=seed, generations=6,
        )  # fmt: skip
    canvas.ellipsoid(Tissue.LIVER_LESION, LESION_CENTRE, (17, 15, 16), only=(Tissue.LIVER, Tissue.LIVER_VESSEL))
    canvas.ellipsoid(Tissue.LIVER_LESION, (-60, 35, -84), (8, 8, 9), only=(Tissue.LIVER, Tissue.LIVER_VESSEL))
    canvas.ellipsoid(Tissue.BOWEL, (-48, -42, -108), (17, 15, 26), turn=25)
    canvas.ellipsoid(Tissue.FLUID, (-48, -42, -108), (15, 13, 24), turn=25)


def _abdomen(canvas: Canvas) -> None:
    fat = (Tissue.FAT,)
    canvas.ellipsoid(Tissue.SPLEEN, (104, 34, -62), (26, 42, 44), turn=35, only=(*fat, Tissue.MUSCLE))
    _stomach(canvas)
    canvas.tube(Tissue.PANCREAS, [(-22, -8, -118), (10, -14, -104), (48, 4, -92), (76, 16, -82)], [14, 11, 10, 8], fat)
    for side in (-1, 1):
        _kidney(canvas, (side * 62, 44, -104 + side * 4), side)
        canvas.tube(Tissue.MUSCLE, [(side * 30, 36, -100), (side * 44, 26, -180)], [13, 20], fat)
        canvas.tube(Tissue.FAT, [(side * 58, 44, -60), (side * 62, 44, -150)], [3, 3], fat)
    rng = np.random.default_rng(5)
    for x, y, z in zip(rng.uniform(-90, 95, 46), rng.uniform(-70, 0, 46), rng.uniform(-185, -125, 46), strict=True):
        _loop(canvas, (x, y, z), rng.uniform(9, 14), gas=bool(rng.random() < 0.3))
    for start, end in (((-112, 0, -175), (-108, -18, -130)), ((112, 10, -175), (110, 0, -110))):
        canvas.tube(Tissue.BOWEL, [start, end], [17, 18], (*fat, Tissue.BOWEL, Tissue.FLUID, Tissue.GAS))
        canvas.tube(Tissue.FLUID, [start, end], [14, 15], (Tissue.BOWEL,))
        canvas.tube(Tissue.GAS, [tuple(np.add(start, (0, -6, 0))), tuple(np.add(end, (0, -6, 0)))], [9, 10])


def _stomach(canvas: Canvas) -> None:
    canvas.ellipsoid(Tissue.BOWEL, (56, -36, -72), (42, 34, 34), turn=-25, only=(Tissue.FAT, Tissue.SPLEEN))
    canvas.ellipsoid(Tissue.FLUID, (56, -36, -72), (38, 30, 31), turn=-25, only=(Tissue.BOWEL,))
    upper = canvas.corner((0, -90, -120), (120, -48, -20))
    upper.ellipsoid(Tissue.GAS, (56, -36, -72), (38, 30, 31), turn=-25, only=(Tissue.FLUID,))


def _kidney(canvas: Canvas, centre: Point, side: int) -> None:
    x, y, z = centre
    canvas.ellipsoid(Tissue.RENAL_CORTEX, centre, (29, 25, 52), turn=side * 25)
    for level in (-34, -20, -7, 7, 20, 34):
        wide = 1 - (level / 60) ** 2
        canvas.ellipsoid(Tissue.RENAL_MEDULLA, (x + side * 9, y - 4, z + level), (10 * wide, 12 * wide, 5))
        canvas.ellipsoid(Tissue.RENAL_MEDULLA, (x + side * 2, y + 11, z + level), (10 * wide, 6 * wide, 5))
    canvas.ellipsoid(Tissue.FAT, (x - side * 16, y - 6, z), (17, 9, 26))
    canvas.ellipsoid(Tissue.RENAL_PELVIS, (x - side * 9, y - 4, z), (9, 5, 16))
    canvas.tube(Tissue.VEIN, [(x - side * 12, y - 8, z + 8), (side * 8, 8, z + 14)], [4.5, 4.5], (Tissue.FAT,))


def _loop(canvas: Canvas, centre: Point, radius: float, *, gas: bool) -> None:
    canvas.ellipsoid(Tissue.BOWEL, centre, (radius * 1.4, radius, radius), only=(Tissue.FAT,))
    content = Tissue.GAS if gas else Tissue.FLUID
    inner = radius - 3
    canvas.ellipsoid(content, centre, (inner * 1.4, inner, inner), only=(Tissue.BOWEL,))


def _heart(canvas: Canvas) -> None:
    canvas.ellipsoid(Tissue.FAT, (22, -28, 2), (64, 52, 50), turn=35)
    canvas.ellipsoid(Tissue.MYOCARDIUM, (36, -24, -6), (46, 37, 40), turn=40)
    canvas.ellipsoid(Tissue.ARTERY, (37, -22, -4), (34, 24, 29), turn=40)
    canvas.ellipsoid(Tissue.MYOCARDIUM, (2, -46, -4), (42, 29, 38), turn=28)
    canvas.ellipsoid(Tissue.VEIN, (2, -47, -4), (38, 25, 34), turn=28)
    canvas.tube(Tissue.MYOCARDIUM, [(18, -52, -4), (50, -10, -4)], [6, 6], (Tissue.VEIN,))
    canvas.ellipsoid(Tissue.VEIN, (-34, -24, 10), (25, 28, 32))
    canvas.ellipsoid(Tissue.ARTERY, (10, 16, 22), (37, 21, 27))
    descending = [(38, 40, -180), (16, 32, -120), (22, 42, -40), (30, 46, 30), (30, 42, 80)]
    ascending = [(8, -28, 20), (-12, -34, 60), (-6, -24, 88), (14, 6, 98), (30, 42, 80)]
    canvas.tube(Tissue.ARTERY, descending, [10, 11, 12, 12, 13])
    canvas.tube(Tissue.ARTERY, ascending, [16, 15, 14, 13, 13])
    for x, y in ((-12, -16), (8, -4), (22, 10)):
        canvas.tube(Tissue.ARTERY, [(x, y, 96), (x * 1.6, y + 2, 175)], [6, 4.5])
    canvas.tube(Tissue.VEIN, [(-34, -18, 20), (-32, -22, 110), (-36, -28, 175)], [9, 9, 8])
    canvas.tube(Tissue.VEIN, [(24, -26, 106), (-30, -24, 92)], [7, 7])
    canvas.tube(Tissue.VEIN, [(-24, 26, -180), (-26, 20, -80), (-32, 2, -20)], [11, 12, 13])
    canvas.tube(Tissue.VEIN, [(-4, 4, -112), (-26, 14, -66)], [7, 7])
    canvas.tube(Tissue.LUNG_VESSEL, [(6, -48, 24), (18, -30, 54), (2, 2, 56), (-44, 6, 50)], [14, 13, 11, 9])
    canvas.tube(Tissue.LUNG_VESSEL, [(18, -30, 54), (34, 8, 60), (48, 16, 56)], [12, 11, 9])


def _bronchial_tree(canvas: Canvas) -> None:
    for side, seed in ((-1, 21), (1, 31)):
        hilum = (side * 44 + 4, 8, 50)
        for number, heading in enumerate(_HEADINGS):
            toward = (side * heading[0], heading[1], heading[2])
            _branches(
                canvas, Tissue.LUNG_VESSEL, hilum, toward,
                radius=4.2, length=27, only=(Tissue.LUNG,), seed=seed + number, generations=7,
            )  # fmt: skip
    canvas.tube(Tissue.AIRWAY, [(0, 14, 175), (2, 20, 72)], [9, 8.5])
    for side in (-1, 1):
        canvas.tube(Tissue.AIRWAY, [(2, 20, 72), (side * 42, 20, 48), (side * 62, 26, 22)], [8, 5.5, 3])
    canvas.tube(Tissue.MUSCLE, [(6, 34, 175), (10, 38, 60), (14, 36, -20), (30, 10, -56)], [7, 7, 7, 7])


_HEADINGS = (
    (0.7, -0.8, 0.2), (0.4, -0.2, 1.0), (0.9, 0.2, 0.2), (0.6, -0.6, -0.6), (0.5, 0.5, -0.8), (0.5, 0.8, 0.3),
    (0.9, -0.3, -0.2), (0.4, 0.4, 0.8),
)  # fmt: skip


def _branches(
    canvas: Canvas, label: int, start: Point, heading: Point, *, radius: float, length: float,
    only: tuple[int, ...], seed: int, generations: int,
) -> None:  # fmt: skip
    """Grow a tree of vessels: every tube ends in two thinner and shorter ones."""
    rng = np.random.default_rng(seed)
    front = [(np.asarray(start, float), np.asarray(heading, float))]
    for _ in range(generations):
        following = []
        for base, direction in front:
            toward = direction / np.linalg.norm(direction)
            tip = base + toward * length * rng.uniform(0.75, 1.2)
            canvas.tube(label, [tuple(base), tuple(tip)], [radius, radius * 0.82], only)
            aside = rng.normal(0, 0.5, 3)
            following += [(tip, toward + aside), (tip, toward - aside * 0.8)]
        front, radius, length = following, max(radius * 0.8, 1.0), length * 0.8


def _spine(torso: Canvas) -> None:
    canvas = torso.corner((-42, 38, -200), (42, 110, 200))
    z, y, x = canvas.grid.mesh()
    phase = (z + 180) % 30
    waist = 1 - 0.10 * np.sin(np.pi * np.clip((phase - 5) / 25, 0, 1))
    body = np.sqrt((x / 20) ** 2 + ((y - 60) / 16) ** 2) / waist
    canvas.fill(Tissue.DISC, body < 1)
    bone = phase > 5
    canvas.fill(Tissue.CORTEX, (body < 1.02) & bone)
    canvas.fill(Tissue.MARROW, (body < 0.88) & (phase > 8) & (phase < 27))
    ring = np.sqrt((x / 17) ** 2 + ((y - 82) / 14) ** 2)
    arch = (phase > 8) & (phase < 24)
    canvas.fill(Tissue.CORTEX, (ring < 1) & arch)
    spinous = (np.abs(x) < 3.6) & (y > 90) & (y < 106 + 0 * z) & (phase > 6) & (phase < 20)
    transverse = (np.abs(y - 84 + np.abs(x) * -0.15) < 5.5) & (np.abs(x) < 38) & (phase > 12) & (phase < 22)
    canvas.fill(Tissue.CORTEX, spinous | transverse)
    canvas.fill(Tissue.MARROW, (np.abs(x) < 1.6) & (y > 96) & (y < 103) & (phase > 8) & (phase < 18))
    canal = np.sqrt((x / 10.5) ** 2 + ((y - 82) / 9) ** 2)
    canvas.fill(Tissue.CANAL, canal < 1)
    canvas.fill(Tissue.CORD, (canal < 0.6) & (z > -120))


def _ribs(canvas: Canvas, rho: Floats) -> None:
    """Paint ribs into the chest wall: slanting bands, as thick as round bones."""
    wall = np.nonzero((rho > 0.62) & (rho < 0.91))
    z, y, x = (canvas.grid.axis(n)[index] for n, index in enumerate(wall))
    here = rho[wall]
    angle = np.arctan2(np.abs(x), y)  # 0 at the back, pi at the front
    height = z + 14 * angle**1.25 - 6
    offset = (height + 15) % 28 - 14
    reach = np.interp(z, [-110, -60, 20], [1.3, 2.0, 2.65]).astype(np.float32)
    near = (angle > 0.42) & (angle < reach) & (z > -118) & (z < 150)
    centre = 0.835 * np.sqrt(np.clip(1 - (np.clip(z - 60, 0, None) / 150) ** 2, 0, 1))
    shape = np.sqrt(((here - centre) * np.hypot(x, y) / here / 4.4) ** 2 + (offset / 6.6) ** 2)
    labels = canvas.labels[wall]
    labels[near & (shape < 1)] = Tissue.CORTEX
    labels[near & (shape < 0.58)] = Tissue.MARROW
    canvas.labels[wall] = labels


def _shoulder_girdle(torso: Canvas) -> None:
    canvas = torso.corner((-180, -120, -15), (180, 120, 175))
    z, y, x = canvas.grid.mesh()
    sternum = (np.abs(x) < 17) & (z > -10) & (z < 130)
    front = y + 0.865 * np.interp(z, [-20, 60, 130], [108, 105, 88]).astype(np.float32)
    canvas.fill(Tissue.CORTEX, sternum & (np.abs(front) < 6))
    canvas.fill(Tissue.MARROW, sternum & (np.abs(x) < 14) & (np.abs(front) < 3.6))
    for side in (-1, 1):
        blade = [(side * 78, 78, 140), (side * 112, 62, 112), (side * 92, 76, 30)]
        canvas.tube(Tissue.CORTEX, blade, [4, 4.5, 3])
        canvas.ellipsoid(Tissue.CORTEX, (side * 100, 70, 92), (30, 3.2, 52), turn=side * -25)
        canvas.ellipsoid(Tissue.MARROW, (side * 100, 70, 92), (27, 1.6, 49), turn=side * -25)
        collar = [(side * 14, -66, 132), (side * 60, -58, 148), (side * 110, -26, 158)]
        canvas.tube(Tissue.CORTEX, collar, [6, 5.5, 5.5])
        canvas.tube(Tissue.MARROW, collar, [4, 3.4, 3.4])


def _table(canvas: Canvas) -> None:
    _, y, x = canvas.grid.mesh()
    curve = y - (118 - (x / 38) ** 2)
    width = np.abs(x) < 178
    canvas.fill(Tissue.FOAM, width & (curve > -6) & (curve < 22), only=(Tissue.AIR,))
    shell = width & ((np.abs(curve) < 1.6) | (np.abs(curve - 20) < 1.6))
    canvas.fill(Tissue.TABLE, shell, only=(Tissue.AIR, Tissue.FOAM))


def soft_kernel(clean: Floats, seed: int, sigma: float = 11.0) -> Floats:
    """Return what a soft reconstruction kernel shows: little noise, round edges."""
    return np.asarray(clean + smooth(noise(clean.shape, seed, sigma * 2.2)), np.float32)


def hard_kernel(clean: Floats, seed: int, sigma: float = 32.0) -> Floats:
    """Return what a lung or bone kernel shows: sharp edges, much fine noise."""
    return np.asarray(sharpen(clean, 1.1) + noise(clean.shape, seed, sigma), np.float32)
