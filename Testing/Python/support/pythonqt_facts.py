"""What Slicer's ``qt`` (PythonQt over Qt 5.15) and PySide6 have in common, class by class.

``pythonqt_facts.json`` was reduced by hand from an inspection of both. For each class:

=============  ==========================================================================================
``base``       the class that it inherits members from
``methods``    methods in both; ``name:QClass`` where all overloads return that class
``properties`` attributes in PythonQt but methods in PySide6: read them with ``value(thing, "name")``
``attributes`` attributes in both
``signals``    signals in both
``enums``      flat enum values in both
``only``       names that only PythonQt has, or that mean something else there
=============  ==========================================================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_KINDS = ("only", "properties", "attributes", "methods", "signals", "enums")  # the first that has a name decides


@dataclass(frozen=True)
class Member:
    """One member: its kind, the class that has it, and the class of its value if that is one of Qt's."""

    kind: str
    owner: str
    returns: str


class Facts:
    """The classes of ``qt``."""

    def __init__(self, path: Path) -> None:
        self._bases: dict[str, str] = {}
        self._members: dict[str, dict[str, Member]] = {}
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
            self._bases[name] = entry.get("base", "")
            members = self._members[name] = {}
            for kind in reversed(_KINDS):
                for word in entry.get(kind, "").split():
                    member, _, returns = word.partition(":")
                    members[member] = Member(kind, name, returns)
        self._with_subclasses = set(self._bases.values())

    def __contains__(self, name: str) -> bool:
        return name in self._bases

    def chain(self, name: str) -> list[str]:
        """Give a class and its bases, nearest first."""
        found = []
        while name:
            found.append(name)
            name = self._bases.get(name, "")
        return found

    def inherits(self, name: str, *bases: str) -> bool:
        """Tell whether a class is one of *bases* or below it."""
        return any(base in self.chain(name) for base in bases)

    def member(self, name: str, member: str) -> Member | None:
        """Find a member in a class or its bases."""
        return next((m for c in self.chain(name) if (m := self._members.get(c, {}).get(member))), None)

    def is_leaf(self, name: str) -> bool:
        """Tell whether no class of Qt derives from it."""
        return name not in self._with_subclasses

    def always(self, kind: str) -> set[str]:
        """Give the names that are of that kind wherever they are a member."""
        kinds: dict[str, set[str]] = {}
        for members in self._members.values():
            for name, member in members.items():
                kinds.setdefault(name, set()).add(member.kind)
        return {name for name, found in kinds.items() if kind in found and found <= {kind, "only"}}


@cache
def facts() -> Facts:
    """Read the file once."""
    return Facts(Path(__file__).with_name("pythonqt_facts.json"))
