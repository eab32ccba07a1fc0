"""Where the browser inside Slicer keeps what belongs to the user, and not to a database."""

from __future__ import annotations

import sys
from pathlib import Path

import qt

from ..domain.errors import LocalError

_APPLICATION = "visual-dicom-browser"


def configuration_file() -> Path:
    """Return the file of servers: the very one that the desktop window and the command line use.

    Who has both has one list of servers. It is read anew for each use and written atomically, so several programs may
    have it open. platformdirs, which says where it is elsewhere, is not in Slicer.
    """
    mac = sys.platform == "darwin"  # there, Qt has settings in another folder than platformdirs
    generic = qt.QStandardPaths.GenericDataLocation if mac else qt.QStandardPaths.GenericConfigLocation
    return Path(qt.QStandardPaths.writableLocation(generic)) / _APPLICATION / "config.json"


def log_file() -> Path:
    """Return the engine's log, in a folder that exists: Slicer's own for data, else the one for temporary files.

    Slicer's folder of temporary files would lose the log of a crash, and its home may be read-only.
    """
    for location in (qt.QStandardPaths.AppLocalDataLocation, qt.QStandardPaths.TempLocation):
        folder = Path(qt.QStandardPaths.writableLocation(location)) / "VisualDICOMBrowser"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = folder / "engine.log"
            log.touch()
        except OSError:
            continue  # a home that cannot be written to
        return log
    raise LocalError("There is no folder in which the engine's log could be kept.")
