"""Turns pixels into the picture on the screen, and does nothing twice."""

from __future__ import annotations

from typing import Any

import qt

from .frame_image import colour_image, grey_image
from .frame_loader import Pixels
from .windowing import Window, fitted, lookup_table, reduced, reduction


class FramePainter:
    """Makes the picture of a frame: reduced to what the screen can show, then through the window.

    Reducing comes first, so that a change of the window costs no more than the screen has pixels.
    """

    def __init__(self) -> None:
        self._small: tuple[Any, int, Any] | None = None  # pixels, factor, reduced values
        self._table: tuple[tuple[float, float, Window, bool], Any] | None = None

    def picture(self, pixels: Pixels, window: Window, inverted: bool, room: tuple[float, float]) -> qt.QImage:
        """Return the picture for a room of ``(width, height)`` pixels of the screen."""
        box = fitted(pixels.columns, pixels.rows, pixels.aspect, max(1.0, room[0]), max(1.0, room[1]))
        values = self._reduced(pixels, reduction(pixels.rows, pixels.columns, box.height, box.width))
        if pixels.coloured:
            return colour_image(values)
        return grey_image(values, self._lookup(pixels.slope, pixels.intercept, window, inverted))

    def _reduced(self, pixels: Pixels, factor: int) -> Any:
        if self._small is None or self._small[0] is not pixels.values or self._small[1] != factor:
            self._small = (pixels.values, factor, reduced(pixels.values, factor))
        return self._small[2]

    def _lookup(self, *key: Any) -> Any:
        if self._table is None or self._table[0] != key:
            self._table = (key, lookup_table(*key))
        return self._table[1]
