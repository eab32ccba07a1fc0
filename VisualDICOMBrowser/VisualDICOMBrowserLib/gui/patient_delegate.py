"""Draws a person of the list: the name, below it what tells apart, at the right where the images are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import qt

from ..domain.overview import PatientRow
from . import patient_text
from .glyphs import paint_glyph
from .patient_model import PatientModel
from .tints import hover, mix, muted

_PAD_X = 12
_PAD_Y = 7
_GAP = 3
_ROUND = 6
_INSET = 4


@dataclass(frozen=True)
class _Inks:
    """The colours of one row."""

    name: Any
    facts: Any
    background: Any = None


class PatientDelegate(qt.QStyledItemDelegate):
    """Two lines a person. All rows are equally high."""

    def __init__(self, model: PatientModel, parent: Any = None) -> None:
        qt.QStyledItemDelegate.__init__(self, parent)
        self._model = model

    def sizeHint(self, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> qt.QSize:
        """Return the height of two lines; the width is the view's."""
        return qt.QSize(120, row_height(option.font))

    def paint(self, painter: qt.QPainter, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> None:
        """Draw one person; a bar where the row is not read yet."""
        row = self._model.row_at(index.row())
        inks = _inks(option)
        area = option.rect.adjusted(_PAD_X, _PAD_Y, -_PAD_X, -_PAD_Y)
        painter.save()
        if inks.background is not None:
            _fill(painter, option.rect, inks.background)
        if row is None:
            _paint_unread(painter, option, area)
        else:
            _paint_row(painter, option, area, row, inks)
        painter.restore()


def row_height(font: qt.QFont) -> int:
    """Return the height of a row in pixels."""
    metrics, small = qt.QFontMetrics(_name_font(font)), qt.QFontMetrics(font)
    return metrics.height() + small.height() + _GAP + 2 * _PAD_Y


def _inks(option: qt.QStyleOptionViewItem) -> _Inks:
    palette = option.palette
    if option.state & qt.QStyle.State_Selected:
        group = qt.QPalette.Active if option.state & qt.QStyle.State_Active else qt.QPalette.Inactive
        text = palette.color(group, qt.QPalette.HighlightedText)
        background = palette.color(group, qt.QPalette.Highlight)
        return _Inks(text, mix(text, background, 0.15), background)
    background = hover(palette) if option.state & qt.QStyle.State_MouseOver else None
    return _Inks(palette.color(qt.QPalette.Text), muted(palette), background)


def _fill(painter: qt.QPainter, rect: qt.QRect, color: qt.QColor) -> None:
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    path = qt.QPainterPath()
    path.addRoundedRect(qt.QRectF(rect.adjusted(_INSET, 1, -_INSET, -1)), float(_ROUND), float(_ROUND))
    painter.fillPath(path, qt.QBrush(color))


def _paint_row(painter: Any, option: Any, area: Any, row: PatientRow, inks: _Inks) -> None:
    bold = _name_font(option.font)
    upper, lower = _lines(area, bold, option.font)
    marks = _paint_marks(painter, upper, row, inks)
    painter.setFont(bold)
    painter.setPen(inks.name)
    _text(painter, upper.adjusted(0, 0, -marks, 0), bold, patient_text.title(row))
    painter.setFont(option.font)
    painter.setPen(inks.facts)
    _paint_facts(painter, lower, option.font, row)


def _paint_facts(painter: Any, line: Any, font: Any, row: PatientRow) -> None:
    """Draw the facts and, at the right, how many studies; in words only if the facts leave room for them."""
    metrics, facts, studies = qt.QFontMetrics(font), patient_text.facts(row), patient_text.studies(row)
    if metrics.horizontalAdvance(facts) + _PAD_X + metrics.horizontalAdvance(studies) > line.width():
        studies = str(row.studies or "")
    taken = metrics.horizontalAdvance(studies) + _PAD_X if studies else 0
    painter.drawText(line, int(qt.Qt.AlignRight | qt.Qt.AlignVCenter), studies)
    _text(painter, line.adjusted(0, 0, -taken, 0), font, facts)


def _paint_marks(painter: Any, line: Any, row: PatientRow, inks: _Inks) -> int:
    """Draw where the person's images are, from the right; return the width used."""
    side = min(16, line.height())
    names = (*(["cloud"] if row.servers else []), *(["computer"] if row.local else []))
    for at, name in enumerate(names, 1):
        left = line.right() + 1 - at * side - (at - 1) * 5
        top = line.top() + (line.height() - side) // 2
        paint_glyph(painter, name, qt.QRect(left, top, side, side), inks.facts)
    return len(names) * (side + 5) + 5 if names else 0


def _paint_unread(painter: Any, option: Any, area: Any) -> None:
    upper, lower = _lines(area, _name_font(option.font), option.font)
    pale = mix(muted(option.palette), option.palette.color(qt.QPalette.Base), 0.75)
    for line, share in ((upper, 0.5), (lower, 0.35)):
        bar = qt.QRect(line.left(), line.top() + line.height() // 3, int(line.width() * share), line.height() // 3)
        painter.fillRect(bar, pale)


def _lines(area: Any, bold: Any, font: Any) -> tuple[Any, Any]:
    high, low = qt.QFontMetrics(bold).height(), qt.QFontMetrics(font).height()
    upper = qt.QRect(area.left(), area.top(), area.width(), high)
    return upper, qt.QRect(area.left(), area.top() + high + _GAP, area.width(), low)


def _text(painter: Any, rect: Any, font: Any, text: str) -> None:
    shown = qt.QFontMetrics(font).elidedText(text, qt.Qt.ElideRight, rect.width())
    painter.drawText(rect, int(qt.Qt.AlignLeft | qt.Qt.AlignVCenter), shown)


def _name_font(font: Any) -> Any:
    bold = qt.QFont(font)
    bold.setWeight(qt.QFont.DemiBold)
    return bold
