"""Where the studies and series of a sheet lie: plain arithmetic, nothing is kept per series.

A sheet is a column of blocks, one for each study: a header, and below it, if the study is expanded, a grid of cells, or
a line of text if there is nothing to put in one. All lengths are in device-independent pixels; ``y`` grows downwards
from the top of the whole sheet, not of what is seen of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

#: Stand in the place of a cell's index.
HEADER = -1
LINE = -2


class Way(Enum):
    """Where a key leads to."""

    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
    FIRST = "first"
    LAST = "last"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"


@dataclass(frozen=True)
class Block:
    """A study as the layout sees it.

    :ivar key: what it is known by from one layout to the next.
    :ivar cells: how many cells are shown of it if it is expanded.
    :ivar header: whether it has one; a line at the end of the sheet has none.
    """

    key: str
    cells: int = 0
    expanded: bool = False
    header: bool = True


@dataclass(frozen=True)
class Spot:
    """A place that can be pointed at: a cell by its index in its block, or :data:`HEADER` or :data:`LINE`."""

    block: int
    cell: int = HEADER


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x: int
    y: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        """The first row of pixels below it."""
        return self.y + self.height

    @property
    def right(self) -> int:
        """The first column of pixels beside it."""
        return self.x + self.width

    def holds(self, x: int, y: int) -> bool:
        """Tell whether a point lies in it."""
        return self.x <= x < self.right and self.y <= y < self.bottom

    def meets(self, other: Box) -> bool:
        """Tell whether the two have a point in common."""
        beside = self.x < other.right and other.x < self.right
        return beside and self.y < other.bottom and other.y < self.bottom


@dataclass(frozen=True)
class Measures:
    """The lengths that a font and a thumbnail size lead to.

    :ivar cell_width: 0 for one cell per row, as wide as the sheet.
    """

    header: int = 40
    line: int = 32
    cell_width: int = 144
    cell_height: int = 200
    gap: int = 6
    margin: int = 10


class SheetLayout:
    """Positions of all headers and cells; changing it costs one step per study, whatever the number of series."""

    def __init__(self, measures: Measures | None = None) -> None:
        self.measures = measures or Measures()
        self.width = 0
        self._blocks: list[Block] = []
        self._tops: list[int] = [0]
        self._rows: dict[str, int] = {}
        self._columns = 1

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks from top to bottom."""
        return self._blocks

    @property
    def columns(self) -> int:
        """How many cells stand side by side."""
        return self._columns

    @property
    def height(self) -> int:
        """The height of the whole sheet."""
        return self._tops[-1]

    def set_blocks(self, blocks: Sequence[Block]) -> None:
        """Show other blocks, or the same ones changed."""
        self._blocks = list(blocks)
        self._arrange()

    def set_width(self, width: int) -> None:
        """Fit the rows into another width."""
        if width != self.width:
            self.width = width
            self._arrange()

    def set_measures(self, measures: Measures) -> None:
        """Change the size of everything."""
        self.measures = measures
        self._arrange()

    def index_of(self, key: str) -> int | None:
        """Return the index of the block with a key."""
        return self._rows.get(key)

    def top_of(self, block: int) -> int:
        """Return where a block begins."""
        return self._tops[block]

    def box(self, spot: Spot) -> Box:
        """Return where a header, line or cell lies."""
        measures, block, top = self.measures, self._blocks[spot.block], self._tops[spot.block]
        if spot.cell == HEADER:
            return Box(0, top, self.width, measures.header)
        first = top + (measures.header if block.header else 0)
        if spot.cell == LINE:
            return Box(0, first, self.width, measures.line)
        row, column = divmod(spot.cell, self._columns)
        x = measures.margin + column * (self._cell_width + measures.gap)
        return Box(x, first + row * (measures.cell_height + measures.gap), self._cell_width, measures.cell_height)

    def within(self, top: int, bottom: int) -> Iterator[tuple[Spot, Box]]:
        """Yield what meets the rows of pixels from ``top`` up to ``bottom``, from above to below."""
        index = max(0, bisect_right(self._tops, top) - 1)
        while index < len(self._blocks) and self._tops[index] < bottom:
            yield from ((spot, self.box(spot)) for spot in self._spots_within(index, top, bottom))
            index += 1

    def at(self, x: int, y: int) -> Spot | None:
        """Return what lies at a point."""
        return next((spot for spot, box in self.within(y, y + 1) if box.holds(x, y)), None)

    def inside(self, band: Box) -> list[Spot]:
        """Return the cells that a rubber band meets."""
        return [spot for spot, box in self.within(band.y, band.bottom) if spot.cell >= 0 and box.meets(band)]

    def step(self, spot: Spot, way: Way, page: int = 0) -> Spot:
        """Return where a key leads from ``spot``; the same spot if there is nothing in that direction.

        :param page: the height of what is seen, for PAGE_UP and PAGE_DOWN.
        """
        if way in (Way.FIRST, Way.LAST):
            return self._end(way)
        if way in (Way.PAGE_UP, Way.PAGE_DOWN):
            return self._page(spot, page if way is Way.PAGE_DOWN else -page)
        if way in (Way.LEFT, Way.RIGHT):
            return self._sideways(spot, 1 if way is Way.RIGHT else -1)
        return self._down(spot) if way is Way.DOWN else self._up(spot)

    @property
    def _cell_width(self) -> int:
        return self.measures.cell_width or max(1, self.width - 2 * self.measures.margin)

    def _arrange(self) -> None:
        room, gap = self.width - 2 * self.measures.margin + self.measures.gap, self.measures.gap
        self._columns = max(1, room // (self._cell_width + gap)) if self.measures.cell_width else 1
        self._tops = [0, *accumulate(self._height_of(block) for block in self._blocks)]
        self._rows = {block.key: index for index, block in enumerate(self._blocks)}

    def _height_of(self, block: Block) -> int:
        measures = self.measures
        header = measures.header if block.header else 0
        if not block.expanded:
            return header
        if not block.cells:
            return header + measures.line
        rows = -(-block.cells // self._columns)
        return header + rows * (measures.cell_height + measures.gap) + measures.gap

    def _spots_within(self, index: int, top: int, bottom: int) -> Iterator[Spot]:
        block, measures = self._blocks[index], self.measures
        first = self._tops[index] + (measures.header if block.header else 0)
        if block.header and first > top:
            yield Spot(index)
        if not block.expanded:
            return
        if not block.cells:
            yield Spot(index, LINE)
            return
        pitch = measures.cell_height + measures.gap
        begin = max(0, (top - first) // pitch) * self._columns
        end = min(block.cells, max(0, -(-(bottom - first) // pitch)) * self._columns)
        yield from (Spot(index, cell) for cell in range(begin, end))

    def _spots_of(self, index: int) -> list[int]:
        """Return the first and last thing in a block that a key can reach."""
        block = self._blocks[index]
        spots = [HEADER] if block.header else []
        if block.expanded:
            spots += [0, block.cells - 1] if block.cells else ([] if block.header else [LINE])
        return spots

    def _end(self, way: Way) -> Spot:
        index = 0 if way is Way.FIRST else len(self._blocks) - 1
        return Spot(index, self._spots_of(index)[0 if way is Way.FIRST else -1])

    def _sideways(self, spot: Spot, by: int) -> Spot:
        cells = self._blocks[spot.block].cells if self._blocks[spot.block].expanded else 0
        if spot.cell >= HEADER and HEADER <= spot.cell + by < cells:
            return Spot(spot.block, spot.cell + by)
        return self._neighbour(spot, by)

    def _neighbour(self, spot: Spot, by: int) -> Spot:
        index = spot.block + by
        if not 0 <= index < len(self._blocks):
            return spot
        return Spot(index, self._spots_of(index)[0 if by > 0 else -1])

    def _down(self, spot: Spot) -> Spot:
        block = self._blocks[spot.block]
        if spot.cell == HEADER and block.expanded and block.cells:
            return Spot(spot.block, 0)
        if spot.cell >= 0:
            below = spot.cell + self._columns
            if below < block.cells:
                return Spot(spot.block, below)
            if spot.cell // self._columns < (block.cells - 1) // self._columns:
                return Spot(spot.block, block.cells - 1)
        return self._neighbour(spot, 1)

    def _up(self, spot: Spot) -> Spot:
        if spot.cell >= self._columns:
            return Spot(spot.block, spot.cell - self._columns)
        if spot.cell >= 0 and self._blocks[spot.block].header:
            return Spot(spot.block)
        return self._neighbour(spot, -1)

    def _page(self, spot: Spot, by: int) -> Spot:
        goal = self.box(spot).y + by
        way = Way.DOWN if by > 0 else Way.UP
        while (following := self.step(spot, way)) != spot:
            y = self.box(following).y
            if (y > goal) if by > 0 else (y < goal):
                break
            spot = following
        return spot
