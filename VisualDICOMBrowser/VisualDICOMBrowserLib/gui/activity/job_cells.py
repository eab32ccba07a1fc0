"""How a table of jobs paints states and progress."""

from __future__ import annotations

from typing import Any

import qt

from ..parts.glyphs import paint_glyph
from .jobs_model import FRACTION_ROLE, GLYPH_ROLE

_GLYPH = 14
_GAP = 6
_MARGIN = 3  # that of the texts beside it
_BAR = 6


class JobCells(qt.QStyledItemDelegate):
    """Pictogram and text for states, a bar and a figure for progress, text for all else."""

    def paint(self, painter: qt.QPainter, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> None:
        """Paint a cell."""
        glyph, fraction = index.data(GLYPH_ROLE), index.data(FRACTION_ROLE)
        if glyph is None and fraction is None:
            qt.QStyledItemDelegate.paint(self, painter, option, index)
            return
        selected = bool(option.state & qt.QStyle.State_Selected)
        area, palette = option.rect, option.palette
        group = qt.QPalette.Active if option.state & qt.QStyle.State_Active else qt.QPalette.Inactive
        color = palette.color(group, qt.QPalette.HighlightedText if selected else qt.QPalette.Text)
        painter.save()
        if selected:
            painter.fillRect(area, palette.color(group, qt.QPalette.Highlight))
        inside = area.adjusted(_MARGIN, 0, -2 * _GAP, 0)
        if glyph is not None:
            _paint_state(painter, inside, glyph, str(index.data()), color)
        else:
            accent = color if selected else palette.color(qt.QPalette.Highlight)
            _paint_progress(painter, inside, float(fraction), color, accent)
        painter.restore()

    def sizeHint(self, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> qt.QSize:
        """Leave room for the pictogram."""
        size = qt.QStyledItemDelegate.sizeHint(self, option, index)
        return qt.QSize(size.width() + (_GLYPH + _GAP if index.data(GLYPH_ROLE) else 0), size.height())


def _paint_state(painter: qt.QPainter, area: qt.QRect, glyph: str, text: str, color: qt.QColor) -> None:
    top = area.y() + (area.height() - _GLYPH) // 2
    paint_glyph(painter, glyph, qt.QRect(area.x(), top, _GLYPH, _GLYPH), color)
    painter.setPen(color)
    rest = area.adjusted(_GLYPH + _GAP, 0, 0, 0)
    painter.drawText(rest, int(qt.Qt.AlignLeft | qt.Qt.AlignVCenter), text)


def _paint_progress(painter: qt.QPainter, area: qt.QRect, fraction: float, color: qt.QColor, accent: qt.QColor) -> None:
    figure = painter.fontMetrics().horizontalAdvance("100%") + _GAP
    painter.setPen(color)
    painter.drawText(area, int(qt.Qt.AlignRight | qt.Qt.AlignVCenter), f"{fraction:.0%}")
    top = area.y() + (area.height() - _BAR) // 2
    paint_bar(painter, qt.QRect(area.x(), top, max(0, area.width() - figure), _BAR), fraction, color, accent)


def paint_bar(painter: qt.QPainter, area: qt.QRect, fraction: float, color: qt.QColor, accent: qt.QColor) -> None:
    """Paint a progress bar: the way to go faintly, the way gone in the accent colour."""
    groove = qt.QColor(color)
    groove.setAlpha(45)
    radius = area.height() / 2
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    painter.setPen(qt.QPen(qt.Qt.NoPen))
    for width, fill in ((area.width(), groove), (round(area.width() * fraction), accent)):
        if width > 0:
            painter.setBrush(qt.QBrush(fill))
            painter.drawRoundedRect(qt.QRect(area.x(), area.y(), width, area.height()), radius, radius)


def bar_of(widget: Any, fraction: float, palette: qt.QPalette, area: qt.QRect) -> None:
    """Paint a progress bar as the whole of a widget."""
    painter = qt.QPainter()
    painter.begin(widget)
    try:
        text, accent = palette.color(qt.QPalette.WindowText), palette.color(qt.QPalette.Highlight)
        paint_bar(painter, area, fraction, text, accent)
    finally:
        painter.end()
