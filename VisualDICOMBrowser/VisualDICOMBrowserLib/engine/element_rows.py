"""Pages of a listing of elements, and the search in it. The listing is a file with a row a line."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..domain.filters import fold
from ..store.files import storage_error

_TAG = re.compile(r"\(?([0-9a-f]{4}),?([0-9a-f]{4})\)?")


class ElementRows:
    """A listing; its rows stay in the file.

    :param path: a file as :func:`~..imaging.listings.write_listing` writes it.
    :raises StorageError: it cannot be read.
    """

    def __init__(self, path: Path, warning: str) -> None:
        self.warning = warning
        self._path = path
        self._offsets = array("Q", [0])
        self._searched: tuple[str, array[int]] | None = None
        try:
            with path.open("rb") as file:
                for line in file:
                    self._offsets.append(self._offsets[-1] + len(line))
        except OSError as error:
            raise storage_error(error, "read the listing") from error

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self._offsets) - 1

    def page(self, offset: int, limit: int, search: str = "") -> tuple[int, list[tuple[Any, ...]]]:
        """Return how many rows there are (that match), and those from ``offset`` on, at most ``limit``.

        :raises StorageError: the listing cannot be read.
        """
        folded = fold(search.strip())
        chosen: Sequence[int] = self._matches(folded) if folded else range(self.total)
        wanted = chosen[max(0, offset) : max(0, offset) + max(0, limit)]
        position = {number: index for index, number in enumerate(chosen)} if folded and wanted else None
        rows = []
        for row in self._rows(wanted):
            parent = row[6] if position is None or row[6] < 0 else position[row[6]]
            rows.append((*row[:6], parent))
        return len(chosen), rows

    def _rows(self, numbers: Sequence[int]) -> list[list[Any]]:
        try:
            with self._path.open("rb") as file:
                rows = []
                for number in numbers:
                    if file.tell() != self._offsets[number]:
                        file.seek(self._offsets[number])
                    rows.append(json.loads(file.readline()))
                return rows
        except OSError as error:
            raise storage_error(error, "read the listing") from error

    def _matches(self, folded: str) -> array[int]:
        """Return the numbers of the rows that match and of those they stand below, ascending."""
        remembered = self._searched
        if remembered is not None and remembered[0] == folded:
            return remembered[1]
        parents, chosen = array("q"), set()
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file):
                    row = json.loads(line)
                    parents.append(row[6])
                    if matches(row, folded):
                        chosen.add(number)
        except OSError as error:
            raise storage_error(error, "read the listing") from error
        for number in list(chosen):
            parent = parents[number]
            while parent >= 0 and parent not in chosen:
                chosen.add(parent)
                parent = parents[parent]
        found = array("q", sorted(chosen))
        self._searched = (folded, found)
        return found


def matches(row: Sequence[Any], folded: str) -> bool:
    """Tell whether a row has a folded text in its tag, name, keyword or value."""
    tag = row[1].casefold()
    asked = _TAG.fullmatch(folded)
    if asked and tag == f"({asked[1]},{asked[2]})":
        return True
    return any(folded in text for text in (tag, fold(row[3]), fold(row[5]), fold(row[7])))
