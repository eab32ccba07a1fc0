"""The one thread that makes files and rows agree: it commits what came in, group by group.

For each group, in this order: intents → every file synced and given its name → whatever keeps the rows of the ctkDICOM
database (:mod:`.rows`), which also tells the catalogue. A crash in between leaves a ``.part`` file, or an
intent that the next start finishes or undoes (:mod:`.recovery`). What fails on the way is undone at once, or left
to the next start in the same manner.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..domain.errors import InternalError, StorageError, VisualDicomError
from ..domain.model import Level
from .catalogue import Catalogue
from .ctk_rows import StoredInstance
from .files import fsync_folder
from .headers import Header
from .layout import DatabaseFolder
from .local_records import header_of
from .rows import LocalRows, RowKeeper

_log = logging.getLogger(__name__)

#: Instances that wait for the writer; whoever brings more waits too, so that memory stays bounded.
_QUEUE_LENGTH = 512
#: Most instances in one transaction: more gain nothing, and keep readers of the database waiting.
_GROUP_LENGTH = 128


class Arriving(Protocol):
    """A complete file on its way to its name; usually a :class:`.PartFile`."""

    def rest(self) -> None:
        """Hold nothing open until :meth:`commit`."""

    def commit(self) -> Path:
        """Give the file its name; its content is on the disk then.

        :raises StorageError: it failed, and the file was discarded.
        """

    def take_back(self) -> None:
        """Undo :meth:`commit`.

        :raises StorageError: it failed.
        """

    def discard(self) -> None:
        """Drop the file: it is not wanted."""


@dataclass(frozen=True)
class Pending:
    """An instance whose content is complete and checked.

    :ivar part: the file to be given its name, or None if it lies where it shall stay (linked).
    :ivar path: where it will lie.
    :ivar source: where it came from, for the intent.
    """

    header: Header
    part: Arriving | None
    path: Path
    source: str


@dataclass
class Batch:
    """What became of the instances that one job put in; complete after :meth:`wait`."""

    stored: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    failed: list[tuple[str, VisualDicomError]] = field(default_factory=list)
    _open: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self) -> None:
        """Return when everything that was put in is settled."""
        with self._changed:
            self._changed.wait_for(lambda: self._open == 0)

    def note_duplicate(self, sop_uid: str) -> None:
        """Account for an instance that need not even be put in."""
        with self._changed:
            self.duplicates.append(sop_uid)

    def _opened(self) -> None:
        with self._changed:
            self._open += 1

    def _settle(self, sop_uid: str, outcome: str | VisualDicomError) -> None:
        with self._changed:
            if isinstance(outcome, VisualDicomError):
                self.failed.append((sop_uid, outcome))
            else:
                (self.stored if outcome == "stored" else self.duplicates).append(sop_uid)
            self._open -= 1
            self._changed.notify_all()


@dataclass(eq=False)
class _Entry:
    """An instance in the queue, settled once.

    :ivar twins: the same instance again in the same group, which fares as this one does.
    """

    pending: Pending
    batch: Batch
    twins: list[_Entry] = field(default_factory=list)
    _is_open: bool = True

    @property
    def sop_uid(self) -> str:
        return self.pending.header.sop_uid

    def settle(self, outcome: str | VisualDicomError) -> None:
        if self._is_open:
            self._is_open = False
            self.batch._settle(self.sop_uid, outcome)
            for twin in self.twins:
                twin.settle("duplicate" if outcome == "stored" else outcome)


class StoreWriter:
    """Commits instances on its own thread; :meth:`put` may be called from any number of threads.

    :param on_stored: called on that thread with the Series Instance UIDs of each group that was committed.
    :param lock: held during each commit; whoever else changes rows and files takes it too.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        catalogue: Catalogue,
        rows: LocalRows,
        keeper: RowKeeper,
        on_stored: Callable[[frozenset[str]], None],
        lock: AbstractContextManager[bool] | None = None,
    ) -> None:
        self._on_stored = on_stored
        self._folder = folder
        self._catalogue = catalogue
        self._rows = rows
        self._keeper = keeper
        self._commit_lock = lock or threading.RLock()
        self._waiting: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="vdb-store-writer", daemon=True)
        self._thread.start()

    def put(self, pending: Pending, batch: Batch) -> None:
        """Hand over an instance; waits while too many are queued.

        :raises StorageError: the store is closed; the file is dropped.
        """
        try:
            if pending.part is not None:
                pending.part.rest()
            with self._changed:
                self._changed.wait_for(lambda: self._closing or len(self._waiting) < _QUEUE_LENGTH)
                if self._closing:
                    raise StorageError("The database folder was closed meanwhile.")
                batch._opened()
                self._waiting.append(_Entry(pending, batch))
                self._changed.notify_all()
        except BaseException:
            _discard(pending)
            raise

    def close(self) -> None:
        """Commit what is queued and end the thread; whoever still waits to put something in is turned away."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while group := self._take_group():
            stored = self._commit(group)
            if stored:
                self._tell(frozenset(stored))

    def _take_group(self) -> list[_Entry]:
        """Wait for an instance, then take along what is there already; nothing tells to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting)
            group = [self._waiting.popleft() for _ in range(min(_GROUP_LENGTH, len(self._waiting)))]
            self._changed.notify_all()
            return group

    def _tell(self, series_uids: frozenset[str]) -> None:
        try:
            self._on_stored(series_uids)
        except Exception as error:
            # What is stored is stored, and the rest must be.
            _log.error("Whoever is told of stored instances failed: %s", type(error).__name__)

    def _commit(self, group: Sequence[_Entry]) -> list[str]:
        """Settle a group; return the Series Instance UIDs of what was stored."""
        try:
            with self._commit_lock:
                placed = self._store(group)
        except VisualDicomError as error:
            self._fail(group, error)
        except Exception as error:
            # Without its text, which may hold anything.
            _log.error("The store writer failed: %s\n%s", type(error).__name__, _where(error))
            self._fail(group, InternalError(f"Storing failed by a fault of this program ({type(error).__name__})."))
        else:
            for entry in placed:
                entry.settle("stored")
            return [entry.pending.header.series_uid for entry in placed]
        return []

    def _store(self, group: Sequence[_Entry]) -> list[_Entry]:
        new = self._without_duplicates(group)
        if not new:
            return []
        self._catalogue.add_intents("receive", [self._intent(entry.pending) for entry in new])
        placed = [entry for entry in new if self._place(entry)]
        if len(placed) < len(new):
            self._strike_off([entry.sop_uid for entry in new if entry not in placed])
        if placed:
            self._add_rows(placed)
        return placed

    def _without_duplicates(self, group: Sequence[_Entry]) -> list[_Entry]:
        """Settle what is local already; of what is twice in the group, the first is kept, and decides for both."""
        known = self._readable([entry.sop_uid for entry in group])
        new: dict[str, _Entry] = {}
        for entry in group:
            if entry.sop_uid in known:
                _discard(entry.pending)
                entry.settle("duplicate")
            elif entry.sop_uid in new:
                _discard(entry.pending)
                new[entry.sop_uid].twins.append(entry)
            else:
                new[entry.sop_uid] = entry
        return list(new.values())

    def _readable(self, sop_uids: Sequence[str]) -> set[str]:
        """Return what is here and whole; the file of anything else is replaced."""
        files = self._catalogue.local_files(Level.IMAGE, sop_uids)
        return {f.instance.sop_uid for f in files if header_of(self._folder, f.instance.sop_uid, f.file)}

    def _intent(self, pending: Pending) -> tuple[str, str, str]:
        return pending.header.sop_uid, self._folder.stored_name(pending.path), pending.source

    def _place(self, entry: _Entry) -> bool:
        """Give one file its name; a failure concerns this instance only."""
        if entry.pending.part is None:
            return True
        try:
            entry.pending.part.commit()
        except StorageError as error:
            entry.settle(error)
            return False
        return True

    def _add_rows(self, placed: Sequence[_Entry]) -> None:
        items = [StoredInstance(entry.pending.header, entry.pending.path) for entry in placed]
        try:
            for folder in self._folders(placed):
                fsync_folder(folder)
            self._keeper.take_in(items)
        except BaseException:
            self._take_back(placed)
            raise

    def _folders(self, placed: Iterable[_Entry]) -> set[Path]:
        """Return the folders that got new names, up to ``dicom/``."""
        paths = [entry.pending.path for entry in placed if entry.pending.part is not None]
        return {folder for path in paths for folder in list(path.parents)[:3]}

    def _take_back(self, placed: Sequence[_Entry]) -> None:
        """Undo what has no row; where that fails too, the open intents tell the next start."""
        try:
            local = self._rows.is_local([entry.sop_uid for entry in placed])
            undone = [entry for entry in placed if entry.sop_uid not in local]
            for entry in undone:
                if entry.pending.part is not None:
                    entry.pending.part.take_back()
            self._keeper.forget([entry.sop_uid for entry in undone])
        except StorageError as error:
            _log.info("What could not be stored is taken back at the next start: %s", error)
        else:
            self._strike_off([entry.sop_uid for entry in undone])

    def _strike_off(self, sop_uids: Sequence[str]) -> None:
        try:
            self._catalogue.clear_intents("receive", sop_uids)
        except StorageError as error:
            _log.info("Intents are struck off at the next start: %s", error)

    def _fail(self, group: Sequence[_Entry], error: VisualDicomError) -> None:
        """Settle what is not settled yet."""
        for entry in group:
            _discard(entry.pending)
            entry.settle(error)


def _where(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__))


def _discard(pending: Pending) -> None:
    if pending.part is not None:
        pending.part.discard()
