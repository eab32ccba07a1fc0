"""Takes series out of Slicer's database without holding up the window.

SQLite does not overwrite what CTK deletes, and the database is not compacted for that: ``cleanup(True)`` would copy
both files on the window's thread, and wait 5 seconds in vain while the engine reads; without a sync, as CTK has it, a
power cut meanwhile could cost all rows instead of a few.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import qt

_log = logging.getLogger(__name__)

#: How long series are removed before other events get their turn, in seconds; one that takes longer is not divided.
BUDGET_S = 0.016


class SeriesRemover:
    """Calls ``removeSeries`` of a ``ctkDICOMDatabase``, series by series over the event loop.

    :param may: asked before each series whether the database is still the one that is meant.
    :param on_end: called with the number of series that could not be removed.
    """

    def __init__(self, database: Any, may: Callable[[], bool], on_end: Callable[[int], None]) -> None:
        self._database = database
        self._may = may
        self._on_end = on_end
        self._waiting: deque[str] = deque()
        self._failed = 0
        self._running = False
        self._later = qt.QTimer()
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._remove_some)

    def run(self, series_uids: Iterable[str]) -> None:
        """Remove series; called again only after the end."""
        self._running = True
        self._waiting.extend(series_uids)
        self._failed = 0
        self._later.start()

    def is_running(self) -> bool:
        """Tell whether the end is still to come."""
        return self._running

    def stop(self) -> None:
        """Leave what is left; the end is not told."""
        self._running = False
        self._waiting.clear()
        self._later.stop()

    def _remove_some(self) -> None:
        deadline = time.monotonic() + BUDGET_S
        while self._waiting:
            if not self._remove(self._waiting.popleft()):
                self._failed += 1
            if time.monotonic() >= deadline:
                break
        if self._waiting:
            self._later.start()
        elif self._running:
            self._running = False
            self._on_end(self._failed)

    def _remove(self, series_uid: str) -> bool:
        """Remove one; True as the second value clears its instances from the tag cache."""
        if not self._may():
            return False
        try:
            study = str(self._database.studyForSeries(series_uid))
            if self._has_files(series_uid) or not self._database.removeSeries(series_uid, True):
                return False
            self._clean_up(study)
            return True
        except Exception as error:  # whatever PythonQt raises, the next ones are still to be removed
            _log.error("Slicer's database did not remove a series: %s", type(error).__name__)
            return False

    def _clean_up(self, study_uid: str) -> None:
        """Remove a study and a patient that nothing is left of: their names are in the rows.

        CTK does so itself before June 2026, and not with a series since; then these methods are there.
        """
        patient = str(self._database.patientForStudy(study_uid)) if study_uid else ""
        if not patient or self._database.seriesForStudy(study_uid):
            return
        self._database.cleanupStudy(study_uid)
        if not self._database.studiesForPatient(patient):
            self._database.cleanupPatient(patient)

    def _has_files(self, series_uid: str) -> bool:
        """Tell whether files of a series lie in the folder, which Slicer would delete along with the rows.

        The engine has moved all that it knew of out of the way. So these were taken in since, by Slicer's listener
        perhaps, and nobody wanted them removed.
        """
        folder = f"{self._database.databaseDirectory}/"
        return any(
            file.startswith(folder) and Path(file).exists() for file in self._database.filesForSeries(series_uid)
        )
