"""Small pictograms, drawn as vectors in any colour and size; no image files and no SVG library are needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import qt

#: The side of the square that the outlines below are written in.
_GRID = 24.0
_LINE_WIDTH = 2.0
_SCALES = (1, 2, 3)  # of displays


@dataclass(frozen=True)
class _Outline:
    """What is drawn as lines and what is filled, each in a small language of letters and numbers.

    ======================  ===============================================================================
    ``M x y``, ``L x y``    move, line
    ``A x y r from by``     arc around a centre; degrees, 0 at three o'clock, counter-clockwise
    ``O x y r``             circle
    ``R x y w h r``         rectangle with round corners
    ``Z``                   close; where filled outlines overlap, there is a hole
    ======================  ===============================================================================
    """

    lines: str = ""
    filled: str = ""


_TRAY = "M4 14.5 L4 19.5 L20 19.5 L20 14.5"
_TEETH = (
    "M18.5 12 L21.2 12 M5.5 12 L2.8 12 M12 18.5 L12 21.2 M12 5.5 L12 2.8 "
    "M16.6 16.6 L18.5 18.5 M7.4 7.4 L5.5 5.5 M7.4 16.6 L5.5 18.5 M16.6 7.4 L18.5 5.5"
)
_TICK_HOLE = "M6.6 12.3 L8.1 10.8 L10.7 13.4 L15.9 8.2 L17.4 9.7 L10.7 16.4 Z"

_OUTLINES = {
    # where something is, and how far it has got
    "cloud": _Outline("M7 18.5 A7 14.5 4 270 -180 A12 10.5 5 180 -165 A17 14.5 4 80 -170 Z"),
    "computer": _Outline("R3 4 18 12 1.5 M12 16 L12 20 M8 20 L16 20"),
    "queued": _Outline("O12 12 9 M12 7 L12 12.3 L15.5 14.2"),
    "arriving": _Outline("M12 3.5 L12 14.5 M7 9.8 L12 14.8 L17 9.8 M4.5 20 L19.5 20"),
    "partly": _Outline("O12 12 8.5", "M12 3.5 A12 12 8.5 90 180 Z"),
    "here": _Outline("", "O12 12 8"),
    "loaded": _Outline("", f"O12 12 10 {_TICK_HOLE}"),
    "failed": _Outline("M12 3.8 L21.3 19.8 L2.7 19.8 Z M12 9.8 L12 13.8", "O12 16.8 1.3"),
    # what can be done
    "search": _Outline("O10.3 10.3 6.3 M15 15 L20.5 20.5"),
    "gear": _Outline(f"O12 12 6.3 O12 12 2.2 {_TEETH}"),
    "folder": _Outline("M3 19 L3 5.5 L9 5.5 L11.2 8.3 L21 8.3 L21 19 Z"),
    "import": _Outline(f"M12 3.5 L12 14.5 M7.5 10.3 L12 14.8 L16.5 10.3 {_TRAY}"),
    "export": _Outline(f"M12 15 L12 4 M7.5 8.3 L12 3.8 L16.5 8.3 {_TRAY}"),
    "send": _Outline("M3.5 11 L20.5 3.5 L14 20.5 L11 13.2 Z M11 13.2 L20.5 3.5"),
    "trash": _Outline(
        "M4 6.5 L20 6.5 M9 6.5 L9 3.5 L15 3.5 L15 6.5 M6 6.5 L7 20.5 L17 20.5 L18 6.5 "
        "M10 10.5 L10 16.5 M14 10.5 L14 16.5"
    ),
    "play": _Outline("", "M7 4 L20 12 L7 20 Z"),
    "pause": _Outline("", "R6 4.5 4 15 1 R14 4.5 4 15 1"),
    "stop": _Outline("", "R5.5 5.5 13 13 1.5"),
    "close": _Outline("M6 6 L18 18 M18 6 L6 18"),
    "plus": _Outline("M12 5 L12 19 M5 12 L19 12"),
    "tick": _Outline("M4.5 12.5 L9.8 17.8 L19.5 7"),
    "refresh": _Outline("M19.4 9 A12 12 8 22 308 M20.5 4 L20.5 9 L15.5 9"),
    "undo": _Outline("M4 9 L14 9 A14 14 5 90 -180 L8 19 M8 4.8 L3.8 9 L8 13.2"),
    "filter": _Outline("M4 6 L20 6 M7 12 L17 12 M10 18 L14 18"),
    "more": _Outline("", "O5 12 1.9 O12 12 1.9 O19 12 1.9"),
    "rows": _Outline("M4 6.5 L20 6.5 M4 12 L20 12 M4 17.5 L20 17.5"),
    "picture": _Outline("R3 4 18 16 2 M3.5 17.5 L9.5 11.5 L13.5 15.5 L16 13.2 L20.5 17.5", "O15.5 8.8 1.6"),
    "pane-below": _Outline("R3 4 18 16 2", "R5 13.5 14 4.5 0.5"),
    "info": _Outline("O12 12 9 M12 11.3 L12 16.5", "O12 7.7 1.3"),
    "person": _Outline("O12 8 4 M4.5 20.5 A12 20.5 7.5 180 -180"),
    "namesake": _Outline(
        "O8.7 8.5 3.5 M2.5 19.8 A8.7 19.8 6.2 180 -180 "
        "M14.6 5.2 A15.2 8.5 3.4 100 -200 M16.8 13.7 A15.3 19.8 6.2 76 -76"
    ),
    "chevron-down": _Outline("M6 9 L12 15 L18 9"),
    "chevron-up": _Outline("M6 15 L12 9 L18 15"),
    "chevron-right": _Outline("M9 6 L15 12 L9 18"),
    "chevron-left": _Outline("M15 6 L9 12 L15 18"),
}

#: The names that can be painted.
GLYPHS = tuple(_OUTLINES)


def paint_glyph(painter: qt.QPainter, name: str, rect: qt.QRect, color: qt.QColor) -> None:
    """Paint a pictogram as large as fits into the middle of ``rect``.

    :raises KeyError: there is none of that name; :data:`GLYPHS` has them all.
    """
    lines, filled = _paths(name)
    side = min(rect.width(), rect.height())
    painter.save()
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    painter.translate(rect.x() + (rect.width() - side) / 2.0, rect.y() + (rect.height() - side) / 2.0)
    painter.scale(side / _GRID, side / _GRID)
    painter.fillPath(filled, qt.QBrush(color))
    painter.setBrush(qt.QBrush())
    painter.setPen(_pen(color))
    painter.drawPath(lines)
    painter.restore()


def glyph_icon(name: str, color: qt.QColor, extent: int = 16) -> qt.QIcon:
    """Return a pictogram as an icon of ``extent`` pixels, also for displays of double and triple density.

    :raises KeyError: there is none of that name.
    """
    _paths(name)  # an unknown one fails here: a pixmap that goes while it is painted on takes the process with it
    icon = qt.QIcon()
    for scale in _SCALES:
        icon.addPixmap(_pixmap(name, color, extent * scale, scale))
    return icon


def _pixmap(name: str, color: qt.QColor, side: int, scale: int) -> qt.QPixmap:
    pixmap = qt.QPixmap(side, side)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter()
    painter.begin(pixmap)
    try:
        paint_glyph(painter, name, qt.QRect(0, 0, side, side), color)
    finally:
        painter.end()
    pixmap.setDevicePixelRatio(float(scale))
    return pixmap


def _pen(color: qt.QColor) -> qt.QPen:
    pen = qt.QPen(color)
    pen.setWidthF(_LINE_WIDTH)
    pen.setCapStyle(qt.Qt.RoundCap)
    pen.setJoinStyle(qt.Qt.RoundJoin)
    return pen


@cache
def _paths(name: str) -> tuple[Any, Any]:
    outline = _OUTLINES[name]
    return _path(outline.lines), _path(outline.filled)


def _path(text: str) -> qt.QPainterPath:
    path = qt.QPainterPath()
    for letter, values in _steps(text):
        _STEPS[letter](path, *values)
    return path


def _steps(text: str) -> list[tuple[str, list[float]]]:
    steps: list[tuple[str, list[float]]] = []
    for word in text.split():
        if word[0].isalpha():
            steps.append((word[0], []))
            word = word[1:]  # noqa: PLW2901
        if word:
            steps[-1][1].append(float(word))
    return steps


def _square(x: float, y: float, r: float) -> qt.QRectF:
    return qt.QRectF(x - r, y - r, 2 * r, 2 * r)


_STEPS: dict[str, Any] = {
    "M": lambda path, x, y: path.moveTo(x, y),
    "L": lambda path, x, y: path.lineTo(x, y),
    "A": lambda path, x, y, r, start, sweep: path.arcTo(_square(x, y, r), start, sweep),
    "O": lambda path, x, y, r: path.addEllipse(_square(x, y, r)),
    "R": lambda path, x, y, w, h, r: path.addRoundedRect(qt.QRectF(x, y, w, h), r, r),
    "Z": lambda path: path.closeSubpath(),
}
