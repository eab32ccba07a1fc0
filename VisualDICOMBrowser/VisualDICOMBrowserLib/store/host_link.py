"""A folder whose rows another program keeps: what that program is asked to do, and what it says it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .catalogue import Catalogue
from .host_removal import HostWishes
from .index_queue import IndexQueue
from .layout import DatabaseFolder
from .rows import LocalRows

#: Called with the name of a wish, ``index-wanted`` or ``removal-wanted``, and what belongs to it.
Tell = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class HostPlan:
    """How to open such a folder.

    :ivar tell: tells the other program that there is something for it to do; from any thread.
    :ivar rows: where the rows are read; None for the folder's own file, which only other processes than that program
        may open.
    """

    tell: Tell
    rows: LocalRows | None = None


@dataclass(frozen=True)
class HostLink:
    """What waits for the other program."""

    queue: IndexQueue
    wishes: HostWishes

    @classmethod
    def make(cls, plan: HostPlan, folder: DatabaseFolder, catalogue: Catalogue, rows: LocalRows) -> HostLink:
        """Make the link of a folder that is being opened."""

        def tell_index(files: int, urgent: bool) -> None:
            plan.tell("index-wanted", {"files": files, "urgent": urgent})

        def tell_removal(series: int) -> None:
            plan.tell("removal-wanted", {"series": series})

        return cls(IndexQueue(folder, catalogue, rows, tell_index), HostWishes(tell_removal))
