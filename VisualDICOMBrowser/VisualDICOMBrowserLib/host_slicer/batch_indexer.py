"""Slicer's indexer: takes files into its database, a batch at a time, on a thread of its own that is not Python's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import qt

_log = logging.getLogger(__name__)

_COMPLETE = "indexingComplete(int,int,int,int)"
_LOOK_MS = 500
# Looks, not seconds: when the thread was held up, what the indexer said waits in the same queue of events as they do.
_SILENT_LOOKS = 6


class BatchIndexer:
    """One ``ctkDICOMIndexer`` for as long as the folder is open; it never gets files while it has some.

    :param database: a ``ctkDICOMDatabase``.
    :param on_end: called after each :meth:`run`: the indexer is through, or was cancelled, or did not even start.
        What is in the database then is for the caller to find out.
    """

    def __init__(self, database: Any, on_end: Callable[[], None]) -> None:
        import ctk  # noqa: PLC0415 - Slicer's own, which tests lack

        self._on_end = on_end
        self._running = False
        self._silent_looks = 0
        self._indexer: Any = ctk.ctkDICOMIndexer()
        self._indexer.backgroundImportEnabled = True
        self._indexer.setDatabase(database)
        self._indexer.connect(_COMPLETE, self._on_complete)
        self._watch = qt.QTimer()
        self._watch.setInterval(_LOOK_MS)
        self._watch.timeout.connect(self._look)

    def is_running(self) -> bool:
        """Tell whether the end of a run is still to come."""
        return self._running

    def is_idle(self) -> bool:
        """Tell whether nothing is written, so that :meth:`run` may be called."""
        return not self._running and not (self._indexer is not None and self._indexer.importing)

    def run(self, paths: Sequence[str]) -> None:
        """Index files where they lie.

        :param paths: absolute: a relative one would be stored as it is, and its file never be found.
        """
        self._running = True
        self._silent_looks = 0
        self._watch.start()
        try:
            self._indexer.addListOfFiles(list(paths), False)
        except Exception as error:  # whatever PythonQt raises, the loop goes on, and the watch ends this run
            _log.error("Slicer's indexer did not take %d files: %s", len(paths), type(error).__name__)

    def close(self) -> None:
        """Stop; what was not read yet does not get into the database."""
        self._watch.stop()
        self._running = False
        indexer, self._indexer = self._indexer, None
        indexer.disconnect(_COMPLETE, self._on_complete)
        indexer.cancel()
        indexer.deleteLater()  # ends its thread; the connections of timers keep Python's references for ever

    def _on_complete(self, _patients: int, _studies: int, _series: int, _images: int) -> None:
        self._end()

    def _look(self) -> None:
        """End a run of which nothing is heard: the indexer was cancelled, or its database closed."""
        self._silent_looks = 0 if self._indexer.importing else self._silent_looks + 1
        if self._silent_looks >= _SILENT_LOOKS:
            _log.warning("Slicer's indexer ended without a word.")
            self._end()

    def _end(self) -> None:
        if not self._running:
            return
        self._running = False
        self._watch.stop()
        self._on_end()
