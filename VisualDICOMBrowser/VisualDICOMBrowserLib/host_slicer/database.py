"""Slicer's DICOM database: which folder it is, and when that changes. For the main thread only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def slicer_database() -> Any:
    """Return ``slicer.dicomDatabase``, one object as long as Slicer runs; None before Slicer has started up."""
    import slicer  # noqa: PLC0415 - Slicer's own, which tests may lack

    return getattr(slicer, "dicomDatabase", None)


def current_folder(database: Any = None) -> Path | None:
    """Return the folder of the open database; None if it is closed, in memory, or there is none yet.

    :param database: a ``ctkDICOMDatabase``, ``slicer.dicomDatabase`` if None.
    """
    database = slicer_database() if database is None else database
    if database is None or not database.isOpen or database.isInMemory:
        return None
    return Path(database.databaseDirectory)


class FolderWatch:
    """Tells at once when Slicer opens another folder, or closes its database.

    Slicer closes a database before it opens another, and the same one for a repair: then None is told first.

    :param changed: called with :func:`current_folder`, on the main thread, while Slicer opens or closes.
    """

    def __init__(self, changed: Callable[[Path | None], None], database: Any = None) -> None:
        self._changed = changed
        self._database = slicer_database() if database is None else database
        self._folder = current_folder(self._database)
        if self._database is not None:
            self._database.opened.connect(self._look)
            self._database.closed.connect(self._look)

    def close(self) -> None:
        """Tell nothing more."""
        database, self._database = self._database, None
        if database is not None:
            database.opened.disconnect(self._look)
            database.closed.disconnect(self._look)

    def _look(self) -> None:
        folder = current_folder(self._database)
        if folder != self._folder:
            self._folder = folder
            self._changed(folder)
