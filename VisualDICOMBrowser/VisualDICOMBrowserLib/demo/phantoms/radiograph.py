"""Radiographs, scout views and whole-body projections: line integrals through the torso."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .painting import Floats, noise, sharpen, smooth
from .torso import NATIVE_HU, Tissue, Torso

#: Linear attenuation of water at about 70 keV, 1/mm.
_MU_WATER = 0.0193
_NO_TABLE = NATIVE_HU | {Tissue.TABLE: -1000, Tissue.FOAM: -1000}


#: Attenuation summed along y (frontal) and along x (lateral), head first.
Projections = tuple[Floats, Floats]


def project(torso: Torso) -> Projections:
    """Return the line integrals of the torso without the table, in both directions."""
    hounsfield = torso.attenuation(_NO_TABLE)
    mu = np.clip(hounsfield + 1000, 0, None) * np.float32(_MU_WATER / 1000)
    mu[hounsfield > 250] *= np.float32(1.3)  # the softer part of the spectrum, which bone stops
    _, dy, dx = torso.grid.spacing
    return mu.sum(axis=1)[::-1] * np.float32(dy), mu.sum(axis=2)[::-1] * np.float32(dx)


def radiograph(projection: Floats, size: int, seed: int) -> NDArray[np.uint16]:
    """Return a square 12 bit radiograph, bone bright (MONOCHROME2), of the chest."""
    chest = projection[:96]
    dose = np.exp(-_enlarge(chest, size) * np.float32(0.72)) * np.float32(9e4)
    counts = np.clip(dose + np.sqrt(dose + 1) * noise(dose.shape, seed), 1, None)
    density = sharpen(-np.log(counts / np.float32(9e4)), 1.2)
    density = density - np.float32(0.3) * _enlarge(smooth(density[::8, ::8], passes=6), size)
    low, high = np.percentile(density, (3, 99.7))
    scaled = np.clip((density - low) / (high - low), 0, 1) ** np.float32(0.85)
    return np.asarray(scaled * 4095, np.uint16)


def scout(projection: Floats, size: int = 256) -> NDArray[np.int16]:
    """Return a CT localizer radiograph, frontal, in the scanner's own units around those of CT numbers."""
    view = smooth(_enlarge(projection, size))
    return np.clip(view * 260 - 1000, -1024, 3000).astype(np.int16)


def _enlarge(picture: Floats, size: int) -> Floats:
    """Interpolate to ``size`` x ``size``, smoothly enough not to show the slices."""
    for axis in (0, 1):
        count = picture.shape[axis]
        where = np.linspace(0, count - 1, size, dtype=np.float32)
        low = np.clip(where.astype(np.intp), 0, count - 2)
        t = where - low
        share = t * t * (3 - 2 * t) if axis else t
        shape = (-1, 1) if axis == 0 else (1, -1)
        before, after = np.take(picture, low, axis), np.take(picture, low + 1, axis)
        picture = before + (after - before) * share.reshape(shape)
    return smooth(picture)
