"""Keeps the rows of Slicer's database as the engine wants them: new files in, removed series out.

The engine stores and moves files, and reads the rows; only Slicer's own objects write them, here, on the main thread.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt

from ..domain.errors import VisualDicomError
from ..gui.session import Session
from .batch_indexer import BatchIndexer
from .changes import DatabaseChanges
from .database import current_folder, slicer_database
from .pace import Pace
from .series_remover import SeriesRemover

_log = logging.getLogger(__name__)

#: Most files in a batch: some seconds of indexing, after which an urgent one gets its turn.
BATCH_LENGTH = 2_000
_LOOK_AGAIN_S = 0.5
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0

_Done = Callable[[dict[str, Any]], None]


class DatabaseKeeper:
    """Does what the engine of a session wants done in Slicer's database, one thing at a time.

    Slicer's database bears one writer at a time: a batch of files in the indexer, or a removal. A removal goes
    first, it is short. Whatever becomes of either, the engine is told that it is over, and looks at the rows itself.
    Nothing is done while Slicer has closed the database or opened another folder.

    Made on the main thread while the folder of the session is open in Slicer, and closed before the session is.

    :param database: a ``ctkDICOMDatabase``, ``slicer.dicomDatabase`` if None.
    """

    def __init__(self, session: Session, database: Any = None) -> None:
        self._session = session
        self._database = slicer_database() if database is None else database
        self._folder = current_folder(self._database)
        self._pace = Pace()
        self._indexer = BatchIndexer(self._database, self._on_indexed)
        self._remover = SeriesRemover(self._database, self._is_open, self._on_removed)
        self._changes = DatabaseChanges(session, self._database, self._is_open, self._is_writing)
        self._removal_wanted = False
        self._files_wanted = False
        self._urgent = False
        self._busy = False
        self._batch = 0  # under way for the engine that runs now
        self._batch_urgent = False
        self._removal = ""
        self._again: Callable[[], None] | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._later = qt.QTimer()
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._on_timeout)
        self._database.opened.connect(self._go_on)
        self._disconnect = [
            session.ready_changed.connect(self._on_ready_changed),
            session.index_wanted.connect(self._on_index_wanted),
            session.removal_wanted.connect(self._on_removal_wanted),
        ]
        if session.ready:
            self._on_ready_changed(True, "")

    def close(self) -> None:
        """Do nothing more; what is under way is given back to the engine."""
        if not self._disconnect:
            return
        while self._disconnect:
            self._disconnect.pop()()
        self._database.opened.disconnect(self._go_on)
        self._folder = None  # whatever is answered later is not for this database
        self._later.stop()
        self._changes.close()
        self._remover.stop()
        self._indexer.close()
        if self._session.ready and self._batch:
            self._session.ask("index_done", {"batch": self._batch}, None, _note_failure)
        if self._session.ready and self._removal:
            self._session.ask("series_removed", {"removal": self._removal}, None, _note_failure)

    def _on_ready_changed(self, ready: bool, _sentence: str) -> None:
        if ready:
            self._removal_wanted = True
            self._want_files(urgent=False)
            return
        # The next engine numbers its batches anew; the indexer may still be at one of the last.
        self._batch, self._removal, self._again = 0, "", None
        self._remover.stop()
        self._later.stop()
        self._busy = self._indexer.is_running()

    def _on_index_wanted(self, data: Mapping[str, Any]) -> None:
        # Empty when events were lost: somebody may be waiting.
        self._want_files(urgent=bool(data.get("urgent", True)))

    def _on_removal_wanted(self, _data: Mapping[str, Any]) -> None:
        self._removal_wanted = True
        self._go_on()

    def _want_files(self, *, urgent: bool) -> None:
        self._files_wanted = True
        self._urgent = self._urgent or urgent
        self._go_on()

    def _go_on(self) -> None:
        """Begin with what is wanted, unless something is under way."""
        if self._busy or not self._session.ready or not self._is_open():
            return
        if not self._indexer.is_idle():
            self._start_later(_LOOK_AGAIN_S)
        elif self._removal_wanted:
            self._removal_wanted = False
            self._ask("series_to_remove", {}, self._on_series)
        elif self._files_wanted:
            self._ask_for_files()

    def _ask_for_files(self) -> None:
        wait_s = self._pace.wait_s(urgent=self._urgent)
        if wait_s > 0:
            self._start_later(wait_s)
            return
        self._files_wanted = self._urgent = False
        self._ask("index_batch", {"limit": BATCH_LENGTH}, self._on_batch)

    def _on_batch(self, answer: dict[str, Any]) -> None:
        self._batch, self._batch_urgent = answer["batch"], answer["urgent"]
        if not self._batch:
            self._free()
            return
        if answer["left"]:
            self._files_wanted, self._urgent = True, self._urgent or self._batch_urgent
        if not self._is_open():
            self._on_indexed()
            return
        paths = [_absolute(self._database.databaseDirectory, name) for name in answer["files"]]
        with self._pace.start():
            self._indexer.run(paths)

    def _on_indexed(self) -> None:
        self._changes.tell()
        batch, self._batch = self._batch, 0
        if batch:
            self._ask("index_done", {"batch": batch}, self._on_batch_settled)
        else:
            self._free()  # whoever wanted it is gone
        self._changes.written()

    def _on_batch_settled(self, answer: dict[str, Any]) -> None:
        if answer["missing"]:
            self._files_wanted, self._urgent = True, self._urgent or self._batch_urgent
        if answer["missing"] and not answer["settled"]:
            self._rest()  # somebody else may have the database locked, and the engine does not offer files for ever
        else:
            self._free()

    def _on_series(self, answer: dict[str, Any]) -> None:
        self._removal = answer["removal"]
        if self._removal:
            self._remover.run(answer["series"])
        else:
            self._free()

    def _on_removed(self, failed: int) -> None:
        if failed:
            _log.warning("Slicer's database did not remove %d series.", failed)
        self._changes.tell()
        removal, self._removal = self._removal, ""
        self._ask("series_removed", {"removal": removal}, lambda _: self._rest() if failed else self._free())
        self._changes.written()

    def _ask(self, method: str, params: Mapping[str, Any], done: _Done) -> None:
        """Call the engine; nothing else begins before it has answered. Asks again when it cannot, ever more seldom."""
        self._busy = True

        def on_done(answer: dict[str, Any]) -> None:
            self._pause_s = _FIRST_PAUSE_S
            done(answer)

        def on_failed(error: VisualDicomError) -> None:
            if not self._session.ready or self._folder is None:
                return  # the next engine is asked when it is there
            _note_failure(error)
            self._files_wanted = True  # a batch whose rows cannot be read is offered again
            self._again = lambda: self._ask(method, params, done)
            self._start_later(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

        self._session.ask(method, params, on_done, on_failed)

    def _free(self) -> None:
        self._busy = False
        self._go_on()

    def _rest(self) -> None:
        """Begin nothing for a while: what failed now will not succeed at once."""
        self._again = self._free
        self._start_later(_FIRST_PAUSE_S)

    def _start_later(self, seconds: float) -> None:
        self._later.start(math.ceil(seconds * 1000))

    def _on_timeout(self) -> None:
        again, self._again = self._again, None
        if again is not None:
            again()
        else:
            self._go_on()

    def _is_open(self) -> bool:
        """Tell whether Slicer has the folder of the session open: nothing is written into another one."""
        return self._folder is not None and current_folder(self._database) == self._folder

    def _is_writing(self) -> bool:
        return not self._indexer.is_idle() or self._remover.is_running()


def _absolute(folder: str, name: str) -> str:
    """Return the path of a file; one in the folder begins as Slicer writes it, else CTK takes it for a linked one."""
    return name if Path(name).is_absolute() else f"{folder}/{name}"


def _note_failure(error: VisualDicomError) -> None:
    _log.warning("The engine could not be asked about Slicer's database: %s", error)
