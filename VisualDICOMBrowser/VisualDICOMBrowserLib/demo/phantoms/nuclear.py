"""Positron emission tomography of the torso."""

from __future__ import annotations

import numpy as np

from .painting import Floats, Grid, intensities, smooth
from .torso import UPTAKE, Torso


def emission(torso: Torso, seed: int) -> tuple[Floats, Grid]:
    """Return standardised uptake values at half the resolution of the CT, blurred and noisy, with their grid."""
    uptake = intensities(torso.canvas.labels, UPTAKE)
    nz, ny, nx = (size // 2 for size in uptake.shape)
    coarse = uptake[: 2 * nz, : 2 * ny, : 2 * nx].reshape(nz, 2, ny, 2, nx, 2).mean(axis=(1, 3, 5), dtype=np.float32)
    blurred = smooth(coarse, passes=2, axes=(0, 1, 2))
    rng = np.random.default_rng(seed)
    counts = rng.poisson(blurred * 40 + 0.4).astype(np.float32) / np.float32(40)
    spacing = torso.grid.spacing
    first = (
        torso.grid.first[0] + spacing[0] / 2,
        torso.grid.first[1] + spacing[1] / 2,
        torso.grid.first[2] + spacing[2] / 2,
    )
    grid = Grid((nz, ny, nx), (spacing[0] * 2, spacing[1] * 2, spacing[2] * 2), first)
    return smooth(counts, axes=(0, 1, 2)), grid


def rotating_projections(uptake: Floats, grid: Grid, count: int) -> Floats:
    """Return maximum intensity projections from ``count`` directions around the body, head first."""
    ny, nx = uptake.shape[1:]
    wide = nx
    along, across = np.meshgrid(np.arange(ny) - ny / 2 + 0.5, np.arange(wide) - wide / 2 + 0.5, indexing="ij")
    views = []
    for angle in np.arange(count) * (2 * np.pi / count):
        row = np.rint(along * np.cos(angle) + across * np.sin(angle) + ny / 2 - 0.5).astype(np.intp)
        column = np.rint(across * np.cos(angle) - along * np.sin(angle) + nx / 2 - 0.5).astype(np.intp)
        inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
        turned = uptake[:, np.clip(row, 0, ny - 1), np.clip(column, 0, nx - 1)] * inside
        views.append(turned.max(axis=1)[::-1])
    stretched = np.stack(views)
    rows = np.rint(np.linspace(0, stretched.shape[1] - 1, int(stretched.shape[1] * grid.spacing[0] / grid.spacing[2])))
    return stretched[:, rows.astype(np.intp)]
