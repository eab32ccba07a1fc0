"""Draws a person of the list: the name, below it what tells apart, at the right where the images are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import qt

from ...domain.overview import PatientRow
from ..parts.tints import hover, mix, muted
from ..studies.sheet_look import Look, ThumbnailSize
from . import patient_text
from .patient_model import PatientModel

_PAD_X = 12
_PAD_Y = 7
_GAP = 3
_ROUND = 6
_INSET = 4
_LEFT = int(qt.Qt.AlignLeft | qt.Qt.AlignVCenter)
_RIGHT = int(qt.Qt.AlignRight | qt.Qt.AlignVCenter)


@dataclass(frozen=True)
class _Inks:
    """The colours of one row."""

    name: Any
    facts: Any
    background: Any = None


class _Look:
    """What painting needs again and again, for one palette, font and display."""

    def __init__(self, palette: Any, font: Any, ratio: float) -> None:
        self.font, self.bold = qt.QFont(font), _name_font(font)
        self.of_font, self.of_bold = qt.QFontMetrics(self.font), qt.QFontMetrics(self.bold)
        self.high, self.low = self.of_bold.height(), self.of_font.height()
        self.stamps = Look(palette, font, ThumbnailSize.HIDDEN, ratio)
        self._palette = qt.QPalette(palette)
        self._inks: dict[tuple[bool, bool, bool], _Inks] = {}

    def inks(self, selected: bool, active: bool, pointed: bool) -> _Inks:
        """Return the colours of a row in a state."""
        key = (selected, active, pointed)
        if key not in self._inks:
            self._inks[key] = self._mixed(selected, active, pointed)
        return self._inks[key]

    def _mixed(self, selected: bool, active: bool, pointed: bool) -> _Inks:
        palette = self._palette
        if selected:
            group = qt.QPalette.Active if active else qt.QPalette.Inactive
            text = palette.color(group, qt.QPalette.HighlightedText)
            background = palette.color(group, qt.QPalette.Highlight)
            return _Inks(text, mix(text, background, 0.15), background)
        return _Inks(palette.color(qt.QPalette.Text), muted(palette), hover(palette) if pointed else None)


class PatientDelegate(qt.QStyledItemDelegate):
    """Two lines a person. All rows are equally high."""

    def __init__(self, model: PatientModel, parent: Any = None) -> None:
        qt.QStyledItemDelegate.__init__(self, parent)
        self._model = model
        self._look: _Look | None = None
        self._look_key: tuple[Any, ...] = ()

    def sizeHint(self, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> qt.QSize:
        """Return the height of two lines; the width is the view's."""
        return qt.QSize(120, row_height(option.font))

    def paint(self, painter: qt.QPainter, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> None:
        """Draw one person; a bar where the row is not read yet."""
        row, look = self._model.row_at(index.row()), self._look_of(painter, option)
        rect, state = option.rect, option.state
        inks = look.inks(
            bool(state & qt.QStyle.State_Selected),
            bool(state & qt.QStyle.State_Active),
            bool(state & qt.QStyle.State_MouseOver),
        )
        area = rect.adjusted(_PAD_X, _PAD_Y, -_PAD_X, -_PAD_Y)
        painter.save()
        if inks.background is not None:
            _fill(painter, rect, inks.background)
        if row is None:
            _paint_unread(painter, look, option.palette, area)
        else:
            _paint_row(painter, look, area, row, inks)
        painter.restore()

    def _look_of(self, painter: qt.QPainter, option: qt.QStyleOptionViewItem) -> _Look:
        """Return the look for this palette, font and display, made once for as long as they stay."""
        palette, font, ratio = option.palette, option.font, float(painter.device().devicePixelRatioF())
        key = (palette.cacheKey(), font.key(), ratio)
        if self._look is None or key != self._look_key:
            self._look, self._look_key = _Look(palette, font, ratio), key
        return self._look


def row_height(font: qt.QFont) -> int:
    """Return the height of a row in pixels."""
    metrics, small = qt.QFontMetrics(_name_font(font)), qt.QFontMetrics(font)
    return metrics.height() + small.height() + _GAP + 2 * _PAD_Y


def _fill(painter: qt.QPainter, rect: qt.QRect, color: qt.QColor) -> None:
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    path = qt.QPainterPath()
    path.addRoundedRect(qt.QRectF(rect.adjusted(_INSET, 1, -_INSET, -1)), float(_ROUND), float(_ROUND))
    painter.fillPath(path, qt.QBrush(color))


def _paint_row(painter: Any, look: _Look, area: Any, row: PatientRow, inks: _Inks) -> None:
    upper, lower = _lines(area, look)
    marks = _paint_marks(painter, look, upper, row, inks)
    painter.setFont(look.bold)
    painter.setPen(inks.name)
    title = look.stamps.shortened(patient_text.title(row), upper.width() - marks, look.of_bold)
    painter.drawText(upper, _LEFT, title)
    painter.setFont(look.font)
    painter.setPen(inks.facts)
    _paint_facts(painter, look, lower, row)


def _paint_facts(painter: Any, look: _Look, line: Any, row: PatientRow) -> None:
    """Draw the facts and, at the right, how many studies; in words only if the facts leave room for them."""
    stamps, metrics = look.stamps, look.of_font
    facts, studies = patient_text.facts(row), patient_text.studies(row)
    if stamps.width_of(facts, metrics) + _PAD_X + stamps.width_of(studies, metrics) > line.width():
        studies = str(row.studies or "")
    taken = stamps.width_of(studies, metrics) + _PAD_X if studies else 0
    painter.drawText(line, _RIGHT, studies)
    painter.drawText(line, _LEFT, stamps.shortened(facts, line.width() - taken, metrics))


def _paint_marks(painter: Any, look: _Look, line: Any, row: PatientRow, inks: _Inks) -> int:
    """Draw from the right where the person's images are, and whether another has the same ID; return the width used."""
    side = min(16, line.height())
    marks = (("cloud", bool(row.servers)), ("computer", row.local), ("namesake", row.shares_id))
    names = [name for name, shown in marks if shown]
    for at, name in enumerate(names, 1):
        left = line.right() + 1 - at * side - (at - 1) * 5
        top = line.top() + (line.height() - side) // 2
        painter.drawPixmap(left, top, look.stamps.glyph(name, inks.facts, side))
    return len(names) * (side + 5) + 5 if names else 0


def _paint_unread(painter: Any, look: _Look, palette: Any, area: Any) -> None:
    upper, lower = _lines(area, look)
    pale = mix(muted(palette), palette.color(qt.QPalette.Base), 0.75)
    for line, share in ((upper, 0.5), (lower, 0.35)):
        bar = qt.QRect(line.left(), line.top() + line.height() // 3, int(line.width() * share), line.height() // 3)
        painter.fillRect(bar, pale)


def _lines(area: Any, look: _Look) -> tuple[Any, Any]:
    upper = qt.QRect(area.left(), area.top(), area.width(), look.high)
    return upper, qt.QRect(area.left(), area.top() + look.high + _GAP, area.width(), look.low)


def _name_font(font: Any) -> Any:
    bold = qt.QFont(font)
    bold.setWeight(qt.QFont.DemiBold)
    return bold
