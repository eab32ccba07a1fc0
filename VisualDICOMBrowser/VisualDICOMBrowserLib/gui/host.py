"""What the program around the browser offers beyond the engine. The desktop program has next to none of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..domain.slicer_servers import FoundServers
from .parts.signals import Signal


class SeriesLoader(Protocol):
    """Loads series that are here into the program, as volumes, segmentations or what else it makes of them.

    :ivar loaded_changed: tells the Series Instance UIDs (``frozenset``) of which something is loaded.
    """

    loaded_changed: Signal

    def load(self, series_uids: Sequence[str], *, choose: bool = False) -> None:
        """Load series. Outcome and trouble are told as messages of the session.

        :param choose: have the user look at what could be loaded first, and choose.
        """

    def close(self) -> None:
        """Hear and tell nothing more."""


@dataclass(frozen=True)
class Host:
    """See the module; what is None cannot be done here, and is not offered.

    :ivar name: what users call the program.
    :ivar read_servers: returns the servers of 3D Slicer's settings; what it raises is a :class:`.VisualDicomError`.
    :ivar install: asks the user to install Python packages that the engine named as missing, and does it; tells
        whether they are there now.
    :ivar show_log: opens the engine's log file for the user to read.
    """

    name: str = ""
    loader: SeriesLoader | None = None
    read_servers: Callable[[], FoundServers] | None = None
    install: Callable[[], bool] | None = None
    show_log: Callable[[], None] | None = None
