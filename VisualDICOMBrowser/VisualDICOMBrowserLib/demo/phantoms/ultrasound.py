"""An echocardiogram: a beating heart in a sector, drawn in the transducer's own polar coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .painting import Floats, noise, smooth

Pixels = NDArray[np.uint8]

FRAMES = 30
FRAME_TIME_MS = 33.3
HEIGHT, WIDTH = 300, 360
#: Size of a pixel of the sector, mm.
PIXEL_MM = 0.55
_DEPTH_MM = 150.0
_HALF_ANGLE = np.radians(40)
_BEAMS, _SAMPLES = 160, 320


def four_chamber(frames: int = FRAMES) -> Pixels:
    """Return ``(frames, rows, columns)`` of grey values: one heart beat in the apical four-chamber view."""
    echo = _speckle(71)
    pictures = [_scan_convert(_log_compress(_echogenicity(n / frames) * echo)) for n in range(frames)]
    return np.stack(pictures)


def colour_doppler(frames: int = 12) -> Pixels:
    """Return ``(frames, rows, columns, 3)``: the same view with the flow through the mitral valve in colour."""
    grey = four_chamber(frames)
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    depth, angle = _polar()
    for number in range(frames):
        velocity = _scan_convert_values(_flow(number / frames, depth, angle))
        toward, away = velocity > 0.12, velocity < -0.12
        speed = np.clip(np.abs(velocity), 0, 1)
        rgb[number][toward] = np.stack([170 + 85 * speed, 230 * speed**2, 20 * speed], -1)[toward].astype(np.uint8)
        rgb[number][away] = np.stack([20 * speed, 230 * speed**2, 170 + 85 * speed], -1)[away].astype(np.uint8)
    return rgb


def _polar() -> tuple[Floats, Floats]:
    """Return depth (mm) down the rows and beam angle (radians) along the columns."""
    depth = np.linspace(0, _DEPTH_MM, _SAMPLES, dtype=np.float32)[:, None]
    angle = np.linspace(-_HALF_ANGLE, _HALF_ANGLE, _BEAMS, dtype=np.float32)[None, :]
    return depth, angle


def _speckle(seed: int) -> Floats:
    """Return fully developed speckle: Rayleigh amplitude, broader across the beams than along them."""
    parts = [smooth(smooth(noise((_SAMPLES, _BEAMS), seed + n), passes=2, axes=(1,)), axes=(0,)) for n in range(2)]
    amplitude = np.hypot(*parts)
    return np.asarray(amplitude / amplitude.mean(), np.float32)


def _chambers(phase: float) -> list[tuple[float, float, float, float]]:
    """Return (x, depth, half width, half length) in mm of the ventricles and atria at a phase of the beat (0..1)."""
    systole, diastole = np.sin(np.pi * phase) ** 2, np.sin(np.pi * (1 - phase) / 0.9) ** 2
    squeeze = float(systole if phase < 0.55 else diastole)
    return [
        (17.0, 62.0, 20.0 - 6.5 * squeeze, 36.0 - 5.0 * squeeze),
        (-21.0, 66.0, 14.0 - 3.5 * squeeze, 31.0 - 4.0 * squeeze),
        (19.0, 117.0, 18.0 + 3.0 * squeeze, 17.0 + 3.0 * squeeze),
        (-22.0, 116.0, 17.0 + 2.0 * squeeze, 16.0 + 2.0 * squeeze),
    ]


def _echogenicity(phase: float) -> Floats:
    """Return how strongly each place scatters at a phase of the beat."""
    depth, angle = _polar()
    x, down = depth * np.sin(angle), depth * np.cos(angle)
    heart = np.hypot((x + 1) / 52, (down - 86) / 66)
    scatter = np.where(heart < 1, 0.42, 0.16).astype(np.float32)
    scatter = np.where((heart > 0.97) & (heart < 1.04), 1.6, scatter)
    chambers = _chambers(phase)
    for cx, cy, half_width, half_length in chambers:
        radius = np.hypot((x - cx) / half_width, (down - cy) / half_length)
        scatter = np.where(radius < 1, 0.022, scatter)
        scatter = np.where((radius >= 1) & (radius < 1.07), 0.8, scatter)
    opening = float(np.clip(np.sin(np.pi * (phase - 0.5) / 0.5), 0, 1)) if phase > 0.5 else 0.0
    for (cx, _, half_width, _), hinge in zip(chambers[:2], (97.0, 98.0), strict=True):
        for side in (-1, 1):
            leaflet = _leaflet((x - cx - side * half_width, down - hinge), side, half_width, opening)
            scatter = np.where(leaflet, np.float32(1.3), scatter)
    near = np.exp(-((depth / 9) ** 2)) * 1.4
    fall = np.exp(-depth / 190) * (1 - 0.25 * (angle / _HALF_ANGLE) ** 2)
    return np.asarray((scatter + near) * fall, np.float32)


def _leaflet(from_hinge: tuple[Floats, Floats], side: int, length: float, opening: float) -> NDArray[np.bool_]:
    """Return where a valve leaflet lies that swings up (towards the probe) as the valve opens."""
    swing = np.radians(12 + 62 * opening)
    ex, ey = -side * np.cos(swing), -np.sin(swing)
    px, py = from_hinge
    along = np.clip(px * ex + py * ey, 0, length * 0.95)
    return np.asarray(np.hypot(px - along * ex, py - along * ey) < 1.3)


def _flow(phase: float, depth: Floats, angle: Floats) -> Floats:
    """Return blood velocity towards the probe, -1 to 1, inside the colour box."""
    x, down = depth * np.sin(angle), depth * np.cos(angle)
    fill = float(np.clip(np.sin(np.pi * (phase - 0.5) / 0.5), 0, 1)) if phase > 0.5 else 0.0
    leak = float(np.sin(np.pi * phase / 0.5)) if phase < 0.5 else 0.0
    inflow = fill * np.exp(-(((x - 17) / 8) ** 2) - (((down - 84) / 22) ** 2))
    jet = leak * np.exp(-(((x - 20 - 0.1 * (down - 100)) / (2 + 0.12 * np.clip(down - 98, 0, None))) ** 2))
    jet = jet * ((down > 98) & (down < 128))
    return np.asarray(inflow - jet, np.float32)


def _log_compress(amplitude: Floats) -> Floats:
    """Show 50 dB of amplitude as grey values 0 to 255."""
    decibel = 20 * np.log10(np.maximum(amplitude, 1e-4))
    return np.asarray(np.clip((decibel + 44) / 50, 0, 1) * 255, np.float32)


def _lookup() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    x, down = (columns - WIDTH / 2 + 0.5) * PIXEL_MM, (rows - 8) * PIXEL_MM
    depth, angle = np.hypot(x, down), np.arctan2(x, down)
    inside = (np.abs(angle) <= _HALF_ANGLE) & (depth < _DEPTH_MM) & (down > 0)
    row = np.clip(depth / _DEPTH_MM * (_SAMPLES - 1), 0, _SAMPLES - 1).astype(np.intp)
    column = np.clip((angle / _HALF_ANGLE + 1) / 2 * (_BEAMS - 1), 0, _BEAMS - 1).astype(np.intp)
    return row, column, inside


_ROW, _COLUMN, _INSIDE = _lookup()


def _scan_convert_values(polar: Floats) -> Floats:
    return np.where(_INSIDE, polar[_ROW, _COLUMN], np.float32(0))


def _scan_convert(polar: Floats) -> Pixels:
    """Bring a polar picture to the screen: a sector on black."""
    return _scan_convert_values(polar).astype(np.uint8)
