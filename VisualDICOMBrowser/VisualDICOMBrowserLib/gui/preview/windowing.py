"""From stored values to grey: window centre and width, presets, and the lookup table (DICOM PS3.3, C.11.2.1.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: Stored values are 16 bit wide, so a table has as many entries.
ENTRIES = 65536
#: Pixels from which on a picture is large.
_LARGE = 2048 * 2048
#: Pixels of mouse way that change the window by its own width.
_DRAG_PIXELS = 250.0


@dataclass(frozen=True)
class Window:
    """Which values become grey, in modality values (Hounsfield units for CT)."""

    center: float
    width: float

    def dragged(self, right: float, down: float) -> Window:
        """Return the window after a way of the mouse, in pixels: to the right is wider, down is darker."""
        step = max(self.width, 2.0) / _DRAG_PIXELS
        return Window(self.center + down * step, max(1.0, self.width + right * step))

    @property
    def words(self) -> str:
        """Width and level as radiologists write them."""
        return f"W {_number(self.width)}  L {_number(self.center)}"


@dataclass(frozen=True)
class Preset:
    """A window with a name."""

    name: str
    window: Window


#: Windows in common use for CT, in Hounsfield units.
CT_PRESETS = (
    Preset("Abdomen", Window(40, 400)),
    Preset("Bone", Window(400, 1800)),
    Preset("Brain", Window(40, 80)),
    Preset("Liver", Window(60, 160)),
    Preset("Lung", Window(-600, 1500)),
    Preset("Mediastinum", Window(50, 350)),
    Preset("Stroke", Window(35, 40)),
    Preset("Vessels", Window(300, 600)),
)


def presets_for(modality: str) -> tuple[Preset, ...]:
    """Return the presets that make sense: only the values of CT mean the same on every machine."""
    return CT_PRESETS if modality == "CT" else ()


def lookup_table(slope: float, intercept: float, window: Window, inverted: bool) -> Any:
    """Return 65,536 greys of 8 bit, one for each stored value.

    The function LINEAR of PS3.3, C.11.2.1.2.1, on ``stored * slope + intercept``.
    """
    import numpy as np  # noqa: PLC0415

    values = np.arange(ENTRIES, dtype=np.float32) * slope + (intercept - window.center + 0.5)
    if window.width <= 1:
        greys = np.where(values > 0, 255.0, 0.0)
    else:
        greys = np.clip((values / (window.width - 1) + 0.5) * 255.0 + 0.5, 0.0, 255.0)
    table = greys.astype(np.uint8)
    return 255 - table if inverted else table


def reduced(pixels: Any, factor: int) -> Any:
    """Return a picture at a ``factor``-th of its size, each pixel the mean of four of its block.

    :param pixels: ``(rows, columns)`` or ``(rows, columns, 3)``, unsigned.
    """
    import numpy as np  # noqa: PLC0415

    if factor < 2:
        return pixels
    rows, columns = (size - size % factor for size in pixels.shape[:2])
    whole, half = pixels[:rows, :columns], factor // 2
    total = whole[::factor, ::factor].astype(np.uint32)
    for down, right in ((0, half), (half, 0), (half, half)):
        total += whole[down::factor, right::factor]
    return (total >> 2).astype(pixels.dtype)


def reduction(rows: int, columns: int, height: float, width: float) -> int:
    """Return by how much a picture may be reduced before it is drawn ``height`` by ``width`` screen pixels large.

    Large ones are rather reduced a little too far than put through the window whole, which the user would feel.
    """
    if height < 1 or width < 1:
        return 1
    ratio = min(rows / height, columns / width)
    factor = math.ceil(ratio) if rows * columns > _LARGE else int(ratio)
    return max(1, min(factor, rows, columns))


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the screen."""

    left: float
    top: float
    width: float
    height: float


def fitted(columns: int, rows: int, aspect: float, width: float, height: float) -> Box:
    """Return where a picture goes in an area so that all of it is seen, undistorted and centred.

    :param aspect: height of a pixel by its width.
    """
    tall = rows * aspect
    scale = min(width / columns, height / tall)
    box_width, box_height = columns * scale, tall * scale
    return Box((width - box_width) / 2, (height - box_height) / 2, box_width, box_height)


def _number(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 10 or number == int(number) else f"{number:.2g}"
