"""The file with 3D Slicer's settings, and the servers in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..domain.slicer_servers import FoundServers, found_servers
from .qt_settings import QtSettings

#: What Slicer called its organization, the newest first; macOS has the last one.
_FOLDERS = ("slicer.org", "NA-MIC", "www.na-mic.org")


def slicer_settings_file() -> Path | None:
    """Return the user's file, None if there is none at the usual places.

    Slicer keeps its settings in ``slicer.org/Slicer.ini``, versions before 5 in ``NA-MIC/Slicer.ini`` (macOS:
    ``www.na-mic.org``), below ``%APPDATA%`` on Windows and ``$XDG_CONFIG_HOME`` or ``~/.config`` elsewhere. The first
    of these is taken; without any, the newest ``Slicer-<revision>.ini`` there, which is for one version of Slicer
    alone. A portable Slicer has its file in its own folder, where it must be pointed at.
    """
    places = [_settings_folder() / name for name in _FOLDERS]
    common = next((file for place in places if _is_file(file := place / "Slicer.ini")), None)
    if common is not None:
        return common
    revisions = [file for place in places for file in place.glob("Slicer-*.ini") if _is_file(file)]
    return max(revisions, key=lambda file: file.stat().st_mtime_ns, default=None)


def servers_in(path: Path, *, unchecked: bool = False) -> FoundServers:
    """Return the servers of a file of settings; see :func:`.found_servers`.

    :raises UsageError: there is no such file.
    :raises StorageError: it cannot be read.
    :raises BadData: it is no file of settings.
    """
    return found_servers(QtSettings(path).value, unchecked=unchecked)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file() raises where it may not look


def _settings_folder() -> Path:
    named = os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME", "")
    if named:
        return Path(named)
    return Path.home() / ("AppData/Roaming" if sys.platform == "win32" else ".config")
