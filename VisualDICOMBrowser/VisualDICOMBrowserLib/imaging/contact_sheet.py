"""One picture that shows all thumbnails of a patient, or of several, with captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from .fonts import Typesetter, system_typesetter
from .placeholder import write_png

#: More cells than this are counted instead of drawn.
MAX_CELLS = 600

_PICTURE = 192  # side of the square a thumbnail is fitted into, in pixels
_GAP = 16
_MARGIN = 28
_CELL_PADDING = 8
_LINE = 19
_CAPTION = 13
_HEADING = 17
_TITLE = 24

_BACKGROUND = (30, 32, 36)
_CARD = (41, 44, 50)
_WELL = (16, 17, 19)
_RULE = (70, 75, 84)
_BRIGHT = (236, 239, 244)
_PLAIN = (205, 210, 219)
_MUTED = (154, 161, 173)

_CARD_WIDTH = _PICTURE + 2 * _CELL_PADDING


@dataclass(frozen=True)
class SheetCell:
    """A thumbnail (PNG) and the lines below it; the first is the brightest."""

    image: Path
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class SheetSection:
    """Cells below a heading, as of one patient or study."""

    heading: str
    cells: tuple[SheetCell, ...]


def contact_sheet(
    cells: Sequence[SheetCell | SheetSection], destination: Path, *, columns: int = 6, title: str = ""
) -> tuple[int, int]:
    """Write an overview as PNG; return its width and height in pixels.

    Characters no font of this computer can draw are left out; see :func:`display_name` for names.

    :param cells: cells, sections, or both in any order. At most :data:`MAX_CELLS` cells are drawn.
    :raises StorageError: the file cannot be written.
    """
    sections, hidden = _limited(list(_sections(cells)), MAX_CELLS)
    sheet = _Sheet(sections, max(1, columns), title, f"and {hidden} more" if hidden else "", system_typesetter())
    picture = sheet.draw()
    # Mostly grey: a palette takes a third of the bytes, and nobody sees it. MAXCOVERAGE keeps the rare colours, too.
    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    write_png(few, destination, small=True)
    return picture.size


def display_name(name: str, patient_id: str, typesetter: Typesetter | None = None) -> str:
    """Return a DICOM person name (PS3.5, 6.2.1.2) for print, or what of it this computer can draw.

    That is "Family, Given" of the alphabetic group with the ideographic group in brackets; the alphabetic group
    alone where no font has the ideographs; the ideographs alone where there is nothing else; the patient ID
    where no group can be drawn.
    """
    pen = typesetter or system_typesetter()
    groups = [_spoken(group, mark) for group, mark in zip(name.split("="), (", ", " "), strict=False)]
    usable = [group for group in groups if group and pen.covers(group)]
    if not usable:
        return pen.drawable(patient_id)
    return usable[0] if len(usable) == 1 else f"{usable[0]} ({usable[1]})"


def _spoken(group: str, mark: str) -> str:
    """Turn ``Family^Given^Middle^Prefix^Suffix`` into "Family, Given Middle", with that ``mark`` in between."""
    parts = [" ".join(part.split()) for part in group.split("^")]
    rest = " ".join(part for part in parts[1:] if part)
    return mark.join(part for part in (parts[0], rest) if part)


def _printable(pen: Typesetter, text: str) -> str:
    """Return a line without what cannot be drawn; of a raw DICOM name then only the alphabetic group."""
    line = " ".join(text.split())
    drawable = pen.drawable(line if pen.covers(line) else line.partition("=")[0] or line)
    return drawable.strip(" ·")  # a part that cannot be drawn leaves its separator behind


def _sections(cells: Sequence[SheetCell | SheetSection]) -> Iterator[SheetSection]:
    """Gather cells that stand outside of sections into sections without heading."""
    loose: list[SheetCell] = []
    for one in cells:
        if isinstance(one, SheetCell):
            loose.append(one)
            continue
        if loose:
            yield SheetSection("", tuple(loose))
            loose = []
        yield one
    if loose:
        yield SheetSection("", tuple(loose))


def _limited(sections: Sequence[SheetSection], room: int) -> tuple[list[SheetSection], int]:
    """Return the sections with at most ``room`` cells in all, and how many cells that leaves out."""
    kept: list[SheetSection] = []
    hidden = 0
    for section in sections:
        shown = section.cells[:room]
        hidden += len(section.cells) - len(shown)
        room -= len(shown)
        if shown or not section.cells:
            kept.append(SheetSection(section.heading, shown))
    return kept, hidden


class _Sheet:
    """Measures first, then draws from the top down."""

    def __init__(
        self, sections: Sequence[SheetSection], columns: int, title: str, footer: str, pen: Typesetter
    ) -> None:
        self._sections = sections
        self._pen = pen
        self._title = _printable(pen, title)
        self._footer = footer
        widest = max((len(section.cells) for section in sections), default=1)
        # A sheet of two cells is not four columns too wide, but wide enough for its title.
        self._columns = max(1, min(columns, max(widest, 3)))
        self.width = 2 * _MARGIN + self._columns * _CARD_WIDTH + (self._columns - 1) * _GAP

    def draw(self) -> Image.Image:
        picture = Image.new("RGB", (self.width, self._height()), _BACKGROUND)
        canvas = ImageDraw.Draw(picture)
        y = _MARGIN
        if self._title:
            self._text(canvas, (_MARGIN, y + _TITLE), self._title, _TITLE, _BRIGHT)
            y += _title_height()
        for section in self._sections:
            y = self._draw_section(picture, canvas, section, y)
        if self._footer:
            self._text(canvas, (_MARGIN, y + _HEADING), self._footer, _HEADING, _MUTED)
        return picture

    def _height(self) -> int:
        content = sum(self._section_height(section) for section in self._sections)
        footer = _HEADING + _GAP if self._footer else 0
        # The last section ends with a gap that the margin replaces.
        return 2 * _MARGIN + (_title_height() if self._title else 0) + content + footer - (_GAP if content else 0)

    def _section_height(self, section: SheetSection) -> int:
        heading = _heading_height() if section.heading else 0
        return heading + sum(_card_height(row) + _GAP for row in self._rows(section))

    def _rows(self, section: SheetSection) -> list[tuple[SheetCell, ...]]:
        return [section.cells[start : start + self._columns] for start in range(0, len(section.cells), self._columns)]

    def _draw_section(self, picture: Image.Image, canvas: ImageDraw.ImageDraw, section: SheetSection, y: int) -> int:
        if section.heading:
            self._text(canvas, (_MARGIN, y + _HEADING + 4), _printable(self._pen, section.heading), _HEADING, _PLAIN)
            rule = y + _HEADING + 14
            canvas.line((_MARGIN, rule, self.width - _MARGIN - 1, rule), _RULE)
            y += _heading_height()
        for row in self._rows(section):
            for column, cell in enumerate(row):
                self._draw_cell(picture, canvas, cell, (_MARGIN + column * (_CARD_WIDTH + _GAP), y, _card_height(row)))
            y += _card_height(row) + _GAP
        return y

    def _draw_cell(
        self, picture: Image.Image, canvas: ImageDraw.ImageDraw, cell: SheetCell, card: tuple[int, int, int]
    ) -> None:
        x, y, height = card
        canvas.rounded_rectangle((x, y, x + _CARD_WIDTH - 1, y + height - 1), 8, _CARD)
        left, top = x + _CELL_PADDING, y + _CELL_PADDING
        canvas.rectangle((left, top, left + _PICTURE - 1, top + _PICTURE - 1), _WELL)
        thumbnail = _load(cell.image)
        if thumbnail is None:
            self._centred(canvas, "no picture", (left, top + _PICTURE // 2))
        else:
            offset = ((_PICTURE - thumbnail.width) // 2, (_PICTURE - thumbnail.height) // 2)
            picture.paste(thumbnail, (left + offset[0], top + offset[1]), thumbnail)
        for index, line in enumerate(cell.lines):
            baseline = top + _PICTURE + (index + 1) * _LINE
            text = self._pen.cut(_printable(self._pen, line), _CAPTION, _PICTURE)
            self._pen.draw(canvas, (left, baseline), text, _CAPTION, _MUTED if index else _BRIGHT)

    def _centred(self, canvas: ImageDraw.ImageDraw, text: str, at: tuple[int, int]) -> None:
        start = at[0] + (_PICTURE - self._pen.width(text, _CAPTION)) / 2
        self._pen.draw(canvas, (start, at[1]), text, _CAPTION, _MUTED)

    def _text(
        self, canvas: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int]
    ) -> None:
        self._pen.draw(canvas, at, self._pen.cut(text, size, self.width - 2 * _MARGIN), size, colour)


def _title_height() -> int:
    return _TITLE + _GAP + 8


def _heading_height() -> int:
    return _HEADING + 14 + _GAP


def _card_height(row: Sequence[SheetCell]) -> int:
    """Return the height of the cards of a row: that of its fullest cell."""
    lines = max(len(cell.lines) for cell in row)
    return _PICTURE + 2 * _CELL_PADDING + (lines * _LINE + 4 if lines else 0)


def _load(path: Path) -> Image.Image | None:
    """Read a thumbnail, fitted into its square; None if there is none or it is damaged."""
    try:
        with Image.open(path, formats=["PNG"]) as stored:
            if max(stored.size) > 4 * 1024:
                return None
            thumbnail: Image.Image = stored.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    scale = _PICTURE / max(thumbnail.size)
    size = (max(1, round(thumbnail.width * scale)), max(1, round(thumbnail.height * scale)))
    return thumbnail.resize(size, Image.Resampling.LANCZOS)
