"""Paints the headers and cells of a sheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import qt

from ...domain.overview import SeriesRow, StudyRow
from .series_state import Presence, SeriesState
from .sheet_content import StudySummary
from .sheet_layout import Box
from .sheet_look import Look, ThumbnailSize
from .sheet_text import count_text, series_title, study_title

_PAD = 8
_CHIP = 22
_GLYPH = 14
_ROUND = 6.0
_ROOM_FOR_PLACES = 560

#: Each presence: its pictogram, the one under the mouse (what a click does), and the name of its colour in the look.
_CHIPS = {
    Presence.REMOTE: ("cloud", "import", "quiet"),
    Presence.QUEUED: ("queued", "close", "quiet"),
    Presence.ARRIVING: ("arriving", "close", "accent_ink"),
    Presence.PARTLY: ("partly", "import", "accent_ink"),
    Presence.HERE: ("here", "here", "green"),
    Presence.LOADED: ("loaded", "loaded", "green"),
    Presence.FAILED: ("failed", "refresh", "red"),
}


@dataclass(frozen=True)
class Cell:
    """A series as it is painted.

    :ivar pointed: the mouse is on it; ``chip_pointed``: on the pictogram of its state.
    """

    row: SeriesRow
    state: SeriesState
    picture: Any = None
    chosen: bool = False
    current: bool = False
    pointed: bool = False
    chip_pointed: bool = False


@dataclass(frozen=True)
class Header:
    """A study as it is painted.

    :ivar chosen: the share of its series that is chosen, 0 to 1.
    """

    row: StudyRow
    summary: StudySummary
    unfolded: bool
    chosen: float = 0.0
    current: bool = False
    pointed: bool = False


def check_box(header: Box) -> Box:
    """Return where the box that chooses a whole study is clicked."""
    return Box(header.x + 34, header.y + 4, _GLYPH + 10, header.height - 6)


def header_chip(header: Box) -> Box:
    """Return where the pictogram is clicked that fetches a study, or stops that."""
    return Box(header.right - 42, header.y + 4, 30, header.height - 6)


def chip_box(look: Look, cell: Box) -> Box:
    """Return where the pictogram of a series' state lies."""
    if look.size is ThumbnailSize.HIDDEN:
        return Box(cell.x + 4, cell.y + (cell.height - _CHIP) // 2, _CHIP, _CHIP)
    return Box(cell.right - _PAD - _CHIP - 4, cell.y + _PAD + 4, _CHIP, _CHIP)


class SheetPainter:
    """Paints with one look. All boxes are in the coordinates of the painter."""

    def __init__(self, painter: qt.QPainter, look: Look) -> None:
        self._painter = painter
        self._look = look
        painter.setRenderHint(qt.QPainter.Antialiasing, True)

    def header(self, box: Box, header: Header) -> None:
        """Paint the header of a study."""
        look, painter = self._look, self._painter
        band = Box(box.x + 6, box.y + 5, box.width - 12, box.height - 10)
        self._plate(band, look.hover if header.pointed else look.header)
        if header.current:
            self._ring(band)
        middle = band.y + band.height // 2
        faded = not header.row.matches
        ink, quiet = (look.faint if faded else look.ink), (look.faint if faded else look.quiet)
        chevron = "chevron-down" if header.unfolded else "chevron-right"
        self._glyph(chevron, quiet, Box(box.x + 14, middle - 7, _GLYPH, _GLYPH))
        self._check(Box(box.x + 39, middle - 7, _GLYPH, _GLYPH), header.chosen)
        left, right = box.x + 62, self._header_right(band, middle, header, quiet)
        painter.setFont(look.bold)
        left += self._text(study_title(header.row), left, right, middle, ink, look.of_bold) + 10
        painter.setFont(look.small)
        for modality in header.row.study.modalities[:4]:
            if left + 40 < right:
                left += self._badge(modality, left, middle) + 4
        painter.setFont(look.font)
        title = header.row.study.description or "No description"
        colour = ink if header.row.study.description else look.faint
        self._text(title, left + 6, right, middle, colour, look.of_font)

    def cell(self, box: Box, cell: Cell) -> None:
        """Paint a series."""
        self._background(box, cell)
        if not cell.row.matches:
            self._painter.setOpacity(0.4)
        if self._look.size is ThumbnailSize.HIDDEN:
            self._row(box, cell)
        else:
            self._tile(box, cell)
        self._painter.setOpacity(1.0)

    def line(self, box: Box, text: str, *, link: bool, current: bool = False) -> None:
        """Paint a line of text that stands where there is nothing else."""
        look = self._look
        self._painter.setFont(look.font)
        if current:
            self._ring(Box(box.x + 6, box.y + 2, box.width - 12, box.height - 4))
        colour = look.accent_ink if link else look.quiet
        self._text(text, box.x + (14 if link else 62), box.right - 14, box.y + box.height // 2, colour, look.of_font)

    def band(self, box: Box) -> None:
        """Paint the rubber band."""
        fill = qt.QColor(self._look.accent)
        fill.setAlpha(40)
        self._painter.setPen(qt.QPen(self._look.accent))
        self._painter.setBrush(qt.QBrush(fill))
        self._painter.drawRect(qt.QRectF(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1))

    def notice(self, box: Box, text: str) -> None:
        """Write in the middle of an empty sheet."""
        self._painter.setFont(self._look.font)
        self._painter.setPen(qt.QPen(self._look.quiet))
        flags = int(qt.Qt.AlignCenter) | int(qt.Qt.TextWordWrap)
        self._painter.drawText(box.x + 24, box.y, box.width - 48, box.height, flags, text)

    def _header_right(self, band: Box, middle: int, header: Header, colour: qt.QColor) -> int:
        """Paint the right-hand part of a header; return where it begins."""
        look, summary, painter = self._look, header.summary, self._painter
        right = band.right - 8
        name = "close" if summary.under_way and header.pointed else "arriving" if summary.under_way else "import"
        if summary.complete and not summary.under_way:
            self._glyph("here", look.green, Box(right - 18, middle - 5, 10, 10))
        else:
            ink = look.accent_ink if header.pointed or summary.under_way else colour
            self._glyph(name, ink, Box(right - 20, middle - 7, _GLYPH, _GLYPH))
        right -= 34
        painter.setFont(look.small)
        right -= max(look.width_of("88 series", look.of_small), self._right_text(summary.series, right, middle, colour))
        right -= 14
        if summary.fraction is not None:
            self._right_text(f"{summary.fraction:.0%}", right, middle, look.accent_ink)
            self._bar(Box(band.x + 5, band.bottom - 4, band.width - 10, 3), summary.fraction)
            right -= look.width_of("100%", look.of_small) + 14
        room = min(band.width * 3 // 10, 260) if band.width > _ROOM_FOR_PLACES else 0
        where = look.shortened(summary.where, room, look.of_small)
        return right - self._right_text(where, right, middle, colour) - 14

    def _background(self, box: Box, cell: Cell) -> None:
        look = self._look
        if cell.chosen:
            self._plate(box, look.chosen)
        elif cell.pointed:
            self._plate(box, look.hover)
        if cell.current:
            self._ring(box)

    def _tile(self, box: Box, cell: Cell) -> None:
        look, painter, side = self._look, self._painter, int(self._look.size)
        frame = Box(box.x + _PAD, box.y + _PAD, side, side)
        remote = cell.state.presence in (Presence.REMOTE, Presence.QUEUED, Presence.FAILED) and not cell.state.here
        self._picture(frame, cell, 0.72 if remote and cell.row.matches else 1.0 if cell.row.matches else 0.4)
        if cell.state.presence is Presence.ARRIVING and cell.state.fraction is not None:
            self._frame_bar(frame, cell.state.fraction)
        self._chip(chip_box(look, box), cell)
        top = frame.bottom + 7
        painter.setFont(look.font)
        painter.setPen(qt.QPen(look.ink if cell.row.series.description else look.faint))
        for index, line in enumerate(look.two_lines(series_title(cell.row), side)):
            painter.drawText(frame.x, top + index * look.line + look.of_font.ascent(), line)
        middle = top + 2 * look.line + 6 + look.small_line // 2
        painter.setFont(look.small)
        left = frame.x
        if cell.row.series.modality:
            left += self._badge(cell.row.series.modality, left, middle) + 6
        number = "" if cell.row.series.number is None else f"#{cell.row.series.number}"
        text, colour = self._count(cell)
        if look.width_of(number, look.of_small) + look.width_of(text, look.of_small) + 6 > frame.right - left:
            text = text.split(" ", maxsplit=1)[0]
        right = frame.right - self._right_text(text, frame.right, middle, colour) - 6
        self._text(number, left, right, middle, look.quiet, look.of_small)

    def _row(self, box: Box, cell: Cell) -> None:
        look, painter, middle = self._look, self._painter, box.y + box.height // 2
        self._chip(chip_box(look, box), cell)
        if cell.state.presence is Presence.ARRIVING and cell.state.fraction is not None:
            self._bar(Box(box.x + 34, box.bottom - 4, box.width - 44, 3), cell.state.fraction)
        painter.setFont(look.small)
        left = box.x + 34
        self._badge(cell.row.series.modality or "–", left, middle)
        left += look.width_of("RTSTRUCT", look.of_small) + 18
        number = "" if cell.row.series.number is None else f"#{cell.row.series.number}"
        wide = max(look.width_of(example, look.of_small) for example in ("#8888", number)) + 10
        self._text(number, left, left + wide, middle, look.quiet, look.of_small)
        text, colour = self._count(cell)
        right = box.right - 10 - self._right_text(text, box.right - 10, middle, colour)
        painter.setFont(look.font)
        ink = look.ink if cell.row.series.description else look.faint
        left += wide
        self._text(series_title(cell.row), left, right - 12, middle, ink, look.of_font)

    def _count(self, cell: Cell) -> tuple[str, Any]:
        look, presence = self._look, cell.state.presence
        if presence is Presence.FAILED:
            return "Failed", look.red
        if presence is Presence.QUEUED:
            return "Queued", look.quiet
        return count_text(cell.state), look.accent_ink if presence is Presence.ARRIVING else look.quiet

    def _picture(self, frame: Box, cell: Cell, opacity: float) -> None:
        painter, look = self._painter, self._look
        if cell.picture is not None:
            painter.setOpacity(opacity)
            painter.drawPixmap(frame.x, frame.y, cell.picture)
            painter.setOpacity(1.0 if cell.row.matches else 0.4)
            self._edge(frame)
            return
        self._plate(frame, look.blank)
        painter.setFont(look.bold)
        text = look.shortened(cell.row.series.modality or "?", frame.width - 16, look.of_bold)
        painter.setPen(qt.QPen(look.faint))
        x = frame.x + (frame.width - look.width_of(text, look.of_bold)) // 2
        painter.drawText(x, frame.y + (frame.height + look.of_bold.ascent()) // 2, text)

    def _edge(self, frame: Box) -> None:
        """Draw a fine line around a picture: one with a white background has no other end."""
        self._painter.setPen(qt.QPen(self._look.edge))
        self._painter.setBrush(qt.QBrush())
        rect = qt.QRectF(frame.x + 0.5, frame.y + 0.5, frame.width - 1, frame.height - 1)
        self._painter.drawRoundedRect(rect, _ROUND, _ROUND)

    def _chip(self, box: Box, cell: Cell) -> None:
        look = self._look
        name, pointed, colour = _CHIPS[cell.state.presence]
        inner = 10 if cell.state.presence is Presence.HERE else _GLYPH
        if cell.chip_pointed:
            stamp = look.chip(pointed, getattr(look, colour), look.hover, _CHIP, inner)
        elif look.size is ThumbnailSize.HIDDEN:
            edge = (_CHIP - inner) // 2
            self._glyph(name, getattr(look, colour), Box(box.x + edge, box.y + edge, inner, inner))
            return
        else:
            stamp = look.chip(name, getattr(look, colour), look.base, _CHIP, inner)
        self._painter.drawPixmap(box.x, box.y, stamp)

    def _frame_bar(self, frame: Box, fraction: float) -> None:
        bar = Box(frame.x + 8, frame.bottom - 13, frame.width - 16, 5)
        self._plate(Box(bar.x - 2, bar.y - 2, bar.width + 4, bar.height + 4), self._look.base, 4.5)
        self._bar(bar, fraction)

    def _bar(self, box: Box, fraction: float) -> None:
        radius = box.height / 2.0
        self._plate(box, self._look.badge, radius)
        done = round(box.width * fraction)
        if done > 0:
            self._plate(Box(box.x, box.y, max(box.height, done), box.height), self._look.accent, radius)

    def _badge(self, text: str, x: int, middle: int) -> int:
        look = self._look
        text = look.shortened(text, 80, look.of_small)
        width = look.width_of(text, look.of_small) + 10
        self._painter.drawPixmap(x, middle - (look.small_line + 3) // 2, look.badge_of(text, width))
        return width

    def _check(self, box: Box, share: float) -> None:
        look, painter = self._look, self._painter
        if share == 0:
            painter.setPen(qt.QPen(look.faint))
            painter.setBrush(qt.QBrush(look.base))
            painter.drawRoundedRect(qt.QRectF(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1), 3.0, 3.0)
            return
        self._plate(box, look.accent, 3.0)
        if share == 1:
            self._glyph("tick", look.base, Box(box.x + 2, box.y + 2, box.width - 4, box.height - 4))
        else:
            self._plate(Box(box.x + 3, box.y + box.height // 2 - 1, box.width - 6, 2), look.base, 1.0)

    def _plate(self, box: Box, colour: qt.QColor, radius: float = _ROUND) -> None:
        self._painter.setPen(qt.Qt.NoPen)
        self._painter.setBrush(qt.QBrush(colour))
        self._painter.drawRoundedRect(qt.QRectF(box.x, box.y, box.width, box.height), radius, radius)

    def _ring(self, box: Box) -> None:
        pen = qt.QPen(self._look.accent)
        pen.setWidthF(2.0)
        self._painter.setPen(pen)
        self._painter.setBrush(qt.QBrush())
        self._painter.drawRoundedRect(qt.QRectF(box.x + 1, box.y + 1, box.width - 2, box.height - 2), _ROUND, _ROUND)

    def _glyph(self, name: str, colour: qt.QColor, box: Box) -> None:
        self._painter.drawPixmap(box.x, box.y, self._look.glyph(name, colour, box.width))

    def _text(self, text: str, left: int, right: int, middle: int, colour: qt.QColor, metrics: qt.QFontMetrics) -> int:
        """Write one line, its middle at a height; return how wide it became."""
        if right - left < 8 or not text:
            return 0
        shown = self._look.shortened(text, right - left, metrics)
        self._painter.setPen(qt.QPen(colour))
        self._painter.drawText(left, middle + (metrics.ascent() - metrics.descent()) // 2, shown)
        return self._look.width_of(shown, metrics)

    def _right_text(self, text: str, right: int, middle: int, colour: qt.QColor) -> int:
        """Write one line of small text that ends at ``right``; return how wide it is."""
        width = self._look.width_of(text, self._look.of_small)
        return self._text(text, right - width, right + 8, middle, colour, self._look.of_small)
