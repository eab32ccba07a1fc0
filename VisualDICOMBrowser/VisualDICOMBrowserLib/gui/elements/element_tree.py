"""The elements of an instance as a tree that grows page by page, without Qt."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The parent of what stands at the top.
ROOT = -1
_ITEM = "(fffe"


@dataclass
class Element:
    """One element, or one item of a sequence.

    :ivar parent: number of the element it is in, or :data:`ROOT`.
    :ivar row: its place there.
    :ivar key: the same for the same element of another instance.
    :ivar hit: whether it matches the search itself.
    """

    tag: str
    vr: str
    name: str
    length: str
    value: str
    parent: int
    row: int = 0
    depth: int = 0
    key: str = ""
    hit: bool = False
    children: list[int] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The whole element as one line of text."""
        return "\t".join((self.tag, self.vr, self.name, self.length, self.value))


class ElementTree:
    """Elements by number, in the order they come, which is that of the file."""

    def __init__(self, search: str = "") -> None:
        self.elements: list[Element] = []
        self.roots: list[int] = []
        self.hits = 0
        self._search = folded(search.strip())

    @property
    def searched(self) -> bool:
        """Whether these are only those that match a search, and what they stand in."""
        return bool(self._search)

    def add(self, rows: Iterable[Sequence[Any]]) -> dict[int, list[int]]:
        """Take the next page of ``[depth, tag, VR, name, length, value, number of its parent]``.

        What stands in elements of the same page is in its place at once. The rest is returned by parent, for
        :meth:`attach`: a view must be told before it appears.
        """
        known = len(self.elements)
        waiting: dict[int, list[int]] = {}
        for _, tag, vr, name, length, value, parent in rows:
            number = len(self.elements)
            above = int(parent) if 0 <= int(parent) < number else ROOT
            element = Element(str(tag), str(vr), str(name), _length(length), str(value), above)
            self.elements.append(element)
            beside = self.children(above) if above >= known else waiting.setdefault(above, [])
            already = len(self.children(above)) if above < known else 0
            self._place(element, already + len(beside))
            beside.append(number)
        return waiting

    def attach(self, parent: int, numbers: Sequence[int]) -> None:
        """Put elements that :meth:`add` returned where they belong."""
        self.children(parent).extend(numbers)

    def children(self, number: int) -> list[int]:
        """Return the numbers of what stands in an element, or at the top."""
        return self.roots if number == ROOT else self.elements[number].children

    def text(self) -> str:
        """Return all elements as lines, indented by how deep they stand."""
        return "\n".join("  " * element.depth + element.line for element in self.elements)

    def _place(self, element: Element, row: int) -> None:
        above = self.elements[element.parent] if element.parent != ROOT else None
        element.row = row
        element.depth = above.depth + 1 if above is not None else 0
        number = f"#{row}" if element.tag.startswith(_ITEM) else ""
        element.key = f"{above.key if above is not None else ''}/{element.tag}{number}"
        element.hit = bool(self._search) and self._matches(element)
        self.hits += element.hit

    def _matches(self, element: Element) -> bool:
        name = folded(element.name)
        texts = (element.tag, element.tag.strip("()").replace(",", ""), name, name.replace(" ", ""))
        return any(self._search in text for text in texts) or self._search in folded(element.value)


def folded(text: str) -> str:
    """Return a text without case and accents."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join(part for part in unicodedata.normalize("NFKD", text) if not unicodedata.combining(part))


def _length(length: Any) -> str:
    """Return a length in bytes; an undefined one (PS3.5, 7.1.3) as a dash."""
    return str(length) if isinstance(length, int) and 0 <= length < 0xFFFFFFFF else "–"
