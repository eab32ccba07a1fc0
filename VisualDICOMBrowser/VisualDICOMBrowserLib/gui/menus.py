"""What can be done with chosen series, as entries of a menu: which ones there are, and which are possible now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.overview import SeriesRow


@dataclass(frozen=True)
class Entry:
    """One entry; ``None`` between entries draws a line.

    :ivar act: what it does.
    :ivar possible: entries that are not are shown greyed, so that the menu always looks the same.
    """

    label: str
    act: Callable[[], object]
    possible: bool = True
    shortcut: str = ""


def menu_of(entries: Sequence[Entry | None], parent: Any) -> Any:
    """Make a Qt menu that belongs to ``parent`` and is deleted when it closes."""
    import qt  # noqa: PLC0415 - the entries alone need no Qt

    menu = qt.QMenu(parent)
    for entry in entries:
        if entry is None:
            menu.addSeparator()
            continue
        action = menu.addAction(entry.label)
        action.setEnabled(entry.possible)
        if entry.shortcut:
            action.setShortcut(qt.QKeySequence(entry.shortcut))
        action.triggered.connect(lambda *_, act=entry.act: act())
    menu.aboutToHide.connect(menu.deleteLater)
    return menu


def is_fetchable(series: Sequence[SeriesRow]) -> bool:
    """Tell whether any of them is on a server and not wholly here."""
    return any(row.servers and not row.complete for row in series)


def is_loadable(series: Sequence[SeriesRow]) -> bool:
    """Tell whether anything of them is on this computer or can be fetched."""
    return is_local(series) or is_fetchable(series)


def is_local(series: Sequence[SeriesRow]) -> bool:
    """Tell whether anything of them is on this computer."""
    return any(row.local_instances for row in series)


def is_replaceable(series: Sequence[SeriesRow]) -> bool:
    """Tell whether anything of them is on this computer and can be fetched again."""
    return any(row.local_instances and row.servers for row in series)
