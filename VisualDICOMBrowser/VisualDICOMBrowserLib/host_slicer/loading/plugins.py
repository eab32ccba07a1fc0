"""Slicer's DICOM plugins: what they could make of files, and having them make it.

Their calls run on the main thread and hold it until they return. A loadable is an object of a plugin, which says what
it would load (``name``, ``files``, ``confidence``, ``warning``) and belongs to that plugin alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer

#: Told what is done now and how far, in percent; True ends it.
Tick = Callable[[str, float], bool]

#: Slicer passes messages on only into a list that has something in it.
_FIRST = "\N{ZERO WIDTH SPACE}"

#: How Slicer keeps the answer to "load referenced series too?": numbers of ``QMessageBox``.
_ASK, _ALWAYS, _NEVER = -1, 16384, 65536


@dataclass(frozen=True)
class Candidate:
    """Something that could be loaded of a series."""

    series_uid: str
    plugin: Any
    loadable: Any

    @property
    def name(self) -> str:
        """What would be loaded."""
        return str(self.loadable.name)

    @property
    def plugin_name(self) -> str:
        """What Slicer calls the plugin."""
        return str(self.plugin.loadType)

    @property
    def warning(self) -> str:
        """What the plugin found to be wary of."""
        return " ".join(str(self.loadable.warning or "").split())


@dataclass
class Examined:
    """What the plugins said of a series.

    :ivar problems: sentences on plugins that failed.
    """

    candidates: list[Candidate] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def database() -> Any:
    """Return Slicer's DICOM database, None while there is none or it is closed."""
    found = getattr(slicer, "dicomDatabase", None)
    return found if found is not None and found.isOpen else None


def files_of(series_uid: str) -> list[str]:
    """Return the files of a series that Slicer's database lists; those known by a URL only have none."""
    known = database()
    return [path for path in known.filesForSeries(series_uid) if path] if known is not None else []


def missing_files(paths: Sequence[str]) -> int:
    """Count the files that are listed and are not there."""
    return sum(not Path(path).exists() for path in paths)


class Plugins:
    """The plugins that the user has not switched off; they remember what they examined."""

    def __init__(self) -> None:
        self._instances: dict[str, Any] = {}

    def examine(self, series_uid: str, paths: Sequence[str], tick: Tick) -> Examined:
        """Ask each plugin what it could load of the files; the best are ``selected``."""
        from DICOMLib import DICOMUtils  # noqa: PLC0415 - it loads much, and only once somebody loads something

        messages = [_FIRST]
        found, _ = DICOMUtils.getLoadablesFromFileLists([list(paths)], None, messages, tick, self._instances)
        usable = {plugin: [one for one in loadables if one.files] for plugin, loadables in found.items()}
        DICOMUtils.selectHighestConfidenceLoadables(usable)
        candidates = [Candidate(series_uid, plugin, one) for plugin, loadables in usable.items() for one in loadables]
        return Examined(candidates, messages[1:])

    def load(self, candidate: Candidate, tick: Tick) -> tuple[bool, list[str]]:
        """Load one thing; return whether that succeeded, and the ids of all nodes that came of it."""
        from DICOMLib import DICOMUtils  # noqa: PLC0415

        loadable = candidate.loadable
        loadable.selected, loadable.loadSuccess = True, False  # it may be from an earlier time
        nodes = DICOMUtils.loadLoadables({candidate.plugin: [loadable]}, [], tick)
        return bool(loadable.loadSuccess), list(nodes)


def tell_slicer(node_ids: Sequence[str]) -> None:
    """Tell other parts of Slicer what was loaded, as its own DICOM browser does."""
    manager = slicer.app.ioManager() if hasattr(slicer.app, "ioManager") else None
    if manager is not None:
        manager.emitNewFileLoaded({"nodeIDs": list(node_ids)})


def referenced_series(candidates: Sequence[Candidate]) -> list[str]:
    """Return the series in Slicer's database that loadables refer to, without their own."""
    known = database()
    own = {candidate.series_uid for candidate in candidates}
    found: dict[str, set[str]] = {}
    for candidate in candidates:
        for uid in getattr(candidate.loadable, "referencedInstanceUIDs", None) or ():
            if known is None or any(uid in instances for instances in found.values()):
                continue
            path = known.fileForInstance(uid)
            series = known.seriesForFile(path) if path else ""
            if series:
                found[series] = {uid, *known.instancesForSeries(series)}
    return [series for series in found if series not in own]


def reference_habit() -> bool | None:
    """Tell whether the user wants referenced series loaded too, as set in Slicer; None means: ask."""
    kept = slicer.util.settingsValue("DICOM/automaticallyLoadReferences", _ASK, converter=_number)
    return {_ALWAYS: True, _NEVER: False}.get(kept)


def _number(kept: Any) -> int:
    try:
        return int(kept)
    except (TypeError, ValueError):
        return _ASK
