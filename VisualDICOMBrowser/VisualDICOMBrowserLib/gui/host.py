"""What the program around the browser offers beyond the engine. The desktop program has next to none of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..domain.slicer_servers import FoundServers
from .parts.signals import Signal


@dataclass(frozen=True)
class LoadOption:
    """One way to load something of a series.

    :ivar series: what the series is called; others may be called the same.
    :ivar plugin: what would load it, in the program's words.
    :ivar name: what would come of it.
    :ivar confidence: how sure the plugin is that this is wanted, 0 to 1.
    :ivar warning: what the plugin found to be wary of.
    :ivar chosen: whether the program would load it by itself.
    """

    series_uid: str
    series: str
    plugin: str
    name: str
    confidence: float
    warning: str = ""
    chosen: bool = False


@dataclass(frozen=True)
class LoadProgress:
    """What a loader does now.

    :ivar fraction: how much of it is done, 0 to 1; None if it waits for something.
    """

    text: str
    fraction: float | None = None


class SeriesLoader(Protocol):
    """Loads series into the program, as volumes, segmentations or what else it makes of them.

    :ivar loaded_changed: tells the new value of ``loaded``.
    :ivar progress_changed: tells a :class:`LoadProgress`, or None once there is nothing to do.
    :ivar choice_asked: tells a tuple of :class:`LoadOption` that :meth:`choose` is to answer; an empty one once there
        is nothing to answer any more.
    """

    loaded_changed: Signal
    progress_changed: Signal
    choice_asked: Signal

    @property
    def loaded(self) -> frozenset[str]:
        """The Series Instance UIDs of which something is loaded."""

    def load(self, series_uids: Sequence[str], *, choose: bool = False) -> None:
        """Load series, one request after the other; those that are not here are fetched first.

        Outcome and trouble are told as messages of the session.

        :param choose: have the user look at what could be loaded first, and choose.
        """

    def choose(self, places: Sequence[int]) -> None:
        """Load these of the options that ``choice_asked`` told; none of them to load nothing."""

    def cancel(self) -> None:
        """Stop what is being loaded as soon as possible, and forget what waits for that."""

    def close(self) -> None:
        """Hear and tell nothing more."""


@dataclass(frozen=True)
class Host:
    """See the module; what is None cannot be done here, and is not offered.

    :ivar name: what users call the program.
    :ivar read_servers: returns the servers of 3D Slicer's settings; what it raises is a :class:`.VisualDicomError`.
    :ivar install: asks the user to install Python packages that the engine named as missing, and does it; tells
        whether they are there now.
    :ivar install_from: does the same from a folder of wheels, for computers without internet.
    :ivar port_user: tells in sentences what part of the program listens at a port, and what to do about it; empty if
        none does.
    :ivar show_log: opens the engine's log file for the user to read.
    """

    name: str = ""
    loader: SeriesLoader | None = None
    read_servers: Callable[[], FoundServers] | None = None
    install: Callable[[], bool] | None = None
    install_from: Callable[[Path], bool] | None = None
    show_log: Callable[[], None] | None = None
    port_user: Callable[[int], str] | None = None
