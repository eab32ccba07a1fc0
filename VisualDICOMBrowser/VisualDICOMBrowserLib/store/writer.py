"""The one thread that makes files and rows agree: it commits what came in, group by group.

For each group, in this order: intents → every file synced and given its name → whatever keeps the rows of the ctkDICOM
database (:mod:`.rows`), which also tells the catalogue. A crash in between leaves a ``.part`` file, or an
intent that the next start finishes or undoes (:mod:`.recovery`). What fails on the way is undone at once, or left
to the next start in the same manner.

Of an instance that is here already the first is kept. The second goes back to whoever brought it, who finds out while
waiting whether it is the same (:mod:`.duplicates`): that may take long, and holds up nobody else. Only what is to
replace on purpose takes its place: the new file gets its name, the rows change, and then an old file that has another
name goes, as an intent ``replace`` says. Where another program keeps the rows, that is up to :mod:`.host_swaps`.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from ..domain.errors import DiskFull, FolderUnusable, InternalError, StorageError, VisualDicomError
from ..domain.model import Level
from ..domain.results import Conflict, add_conflict
from .catalogue import Catalogue, LocalFile
from .ctk_rows import StoredInstance
from .duplicates import Duplicates, NotHere
from .files import fsync_folder
from .headers import Header
from .layout import DatabaseFolder
from .recovery import finish_replacing
from .rows import LocalRows, RowKeeper

_log = logging.getLogger(__name__)

#: Instances that wait for the writer; whoever brings more waits too, so that memory stays bounded.
_QUEUE_LENGTH = 512
#: Most instances in one transaction: more gain nothing, and keep readers of the database waiting.
_GROUP_LENGTH = 128


class Arriving(Protocol):
    """A complete file on its way to its name; usually a :class:`.PartFile`."""

    @property
    def part(self) -> Path:
        """Where it lies until :meth:`commit`."""

    def rest(self) -> None:
        """Hold nothing open until :meth:`commit`."""

    def retarget(self, final: Path) -> None:
        """Give the file another destination on the same file system.

        :raises StorageError: its folder cannot be made.
        """

    def commit(self) -> Path:
        """Give the file its name; its content is on the disk then.

        :raises StorageError: it failed, and the file was discarded, unless it is a promised one.
        :raises BadData: there is no such file any more.
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
    :ivar source: where it came from, for the intent; see ``origin``.
    :ivar replace: whether it takes the place of what is here.
    :ivar origin: the same for people, who may be told a path; ``source`` if empty.
    """

    header: Header
    part: Arriving | None
    path: Path
    source: str
    replace: bool = False
    origin: str = ""

    @property
    def content(self) -> Path:
        """Where its content lies until it is stored."""
        return self.path if self.part is None else self.part.part


#: What became of an instance: "stored", "replaced" or "duplicate", or why it was not kept.
Outcome = str | Conflict | VisualDicomError


@dataclass
class Batch:
    """What became of the instances that one job put in; complete after :meth:`wait`.

    :ivar stored: those that were not here.
    :ivar replaced: those that took the place of what was here.
    :ivar duplicates: those that were here, with the same content.
    :ivar conflicts: those that were here, with other content.
    """

    stored: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    failed: list[tuple[str, VisualDicomError]] = field(default_factory=list)
    _open: int = 0
    _returned: deque[Callable[[], None]] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self) -> None:
        """Return when everything that was put in is settled; compares on this thread what is here already."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open == 0 or self._returned)
                if not self._returned:
                    return
                judge = self._returned.popleft()
            judge()

    def judge_returned(self) -> None:
        """Compare what is here already, as far as that is known by now."""
        while True:
            with self._changed:
                if not self._returned:
                    return
                judge = self._returned.popleft()
            judge()

    def note_duplicate(self, sop_uid: str, conflict: Conflict | None = None) -> None:
        """Account for an instance that need not even be put in.

        :param conflict: given if its content is another one.
        """
        with self._changed:
            self._note(sop_uid, conflict or "duplicate")

    def _opened(self) -> None:
        with self._changed:
            self._open += 1

    def _settle(self, sop_uid: str, outcome: Outcome) -> None:
        with self._changed:
            self._note(sop_uid, outcome)
            self._open -= 1
            self._changed.notify_all()

    def _note(self, sop_uid: str, outcome: Outcome) -> None:
        if isinstance(outcome, VisualDicomError):
            self.failed.append((sop_uid, outcome))
        elif isinstance(outcome, Conflict):
            add_conflict(self.conflicts, outcome)
        else:
            {"stored": self.stored, "replaced": self.replaced}.get(outcome, self.duplicates).append(sop_uid)

    def _return(self, judge: Callable[[], None]) -> None:
        with self._changed:
            self._returned.append(judge)
            self._changed.notify_all()


@dataclass(eq=False)
class _Entry:
    """An instance in the queue, settled once.

    :ivar file: the stored name that its file will have.
    """

    pending: Pending
    batch: Batch
    file: str
    _is_open: bool = True

    @property
    def sop_uid(self) -> str:
        return self.pending.header.sop_uid

    @property
    def folder(self) -> str:
        """The folder of the file, by its stored name."""
        return self.file.rpartition("/")[0]

    def settle(self, outcome: Outcome) -> None:
        if self._is_open:
            self._is_open = False
            self.batch._settle(self.sop_uid, outcome)


class StoreWriter:
    """Commits instances on its own thread; :meth:`put` may be called from any number of threads.

    :param on_stored: called on that thread with the Series Instance UIDs of each group that was committed.
    :param lock: held during each commit; whoever else changes rows and files takes it too.
    :param swap: has instances safe that are to replace others, and replaces those later; None if rows can be given
        other files at once.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        catalogue: Catalogue,
        rows: LocalRows,
        keeper: RowKeeper,
        duplicates: Duplicates,
        on_stored: Callable[[frozenset[str]], None],
        lock: AbstractContextManager[bool] | None = None,
        swap: Callable[[Sequence[Pending]], None] | None = None,
    ) -> None:
        self._on_stored = on_stored
        self._folder = folder
        self._catalogue = catalogue
        self._rows = rows
        self._keeper = keeper
        self._duplicates = duplicates
        self._commit_lock = lock or threading.RLock()
        self._swap = swap
        self._waiting: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="vdb-store-writer", daemon=True)
        self._thread.start()

    def put(self, pending: Pending, batch: Batch) -> None:
        """Hand over an instance; waits while too many are queued, and until those are compared that were here already.

        :raises StorageError: the store is closed; the file is dropped.
        """
        try:
            if pending.part is not None:
                pending.part.rest()
            batch.judge_returned()
            entry = _Entry(pending, batch, self._folder.stored_name(pending.path))
            with self._changed:
                self._changed.wait_for(lambda: self._closing or len(self._waiting) < _QUEUE_LENGTH)
                if self._closing:
                    raise StorageError(_CLOSED)
                batch._opened()
                self._waiting.append(entry)
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
        """Wait for an instance, then take along what is there already; nothing tells to end.

        What comes twice waits for the next group: what becomes of the first decides.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting)
            group: dict[str, _Entry] = {}
            later: list[_Entry] = []
            for _ in range(min(_GROUP_LENGTH, len(self._waiting))):
                entry = self._waiting.popleft()
                if group.setdefault(entry.sop_uid, entry) is not entry:
                    later.append(entry)
            self._waiting.extendleft(reversed(later))
            self._changed.notify_all()
            return list(group.values())

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
                group = self._without_duplicates(group)
                group = new = self._without_swaps(group)
                replaced = self._replaced(new)
                placed = self._store(new, replaced) if new else []
        except Exception as error:
            self._fail(group, _ours(error))
            return []
        for entry in placed:
            entry.settle("replaced" if entry.pending.replace and entry.sop_uid in replaced else "stored")
        left = [replaced[e.sop_uid].instance.series_uid for e in placed if e.sop_uid in replaced]
        return [*(entry.pending.header.series_uid for entry in placed), *left]

    def _store(self, new: Sequence[_Entry], replaced: Mapping[str, LocalFile]) -> list[_Entry]:
        replacements = self._replacements(new, replaced)
        if replacements:
            self._catalogue.add_intents("replace", replacements)
        self._catalogue.add_intents("receive", [(entry.sop_uid, entry.file, entry.pending.source) for entry in new])
        placed = [entry for entry in new if self._place(entry)]
        if len(placed) < len(new):
            self._strike_off([entry.sop_uid for entry in new if entry not in placed])
        placed = self._synced(placed)
        if placed:
            self._add_rows(placed)
        if replacements:
            self._finish_replacing()
        return placed

    def _without_duplicates(self, group: Sequence[_Entry]) -> list[_Entry]:
        """Give back what is here already, unless it is to replace that; return the rest."""
        here = self._duplicates.here(entry.sop_uid for entry in group if not entry.pending.replace)
        new = []
        for entry in group:
            if entry.sop_uid in here:
                entry.batch._return(partial(self._judge, entry))
            else:
                new.append(entry)
        return new

    def _without_swaps(self, group: Sequence[_Entry]) -> Sequence[_Entry]:
        """Give away what is to replace something that has a row of another program's; return the rest."""
        if self._swap is None:
            return group
        local = self._catalogue.local_files(Level.IMAGE, [e.sop_uid for e in group if e.pending.replace])
        here = {file.instance.sop_uid for file in local}
        swapped = [entry for entry in group if entry.sop_uid in here]
        if swapped:
            self._swap([entry.pending for entry in swapped])
        for entry in swapped:
            entry.settle("replaced")
        return [entry for entry in group if entry not in swapped]

    def _judge(self, entry: _Entry) -> None:
        """Find out whether an instance that is here came with the same content; on the thread of whoever brought it."""
        pending = entry.pending
        outcome: Outcome
        try:
            origin = pending.origin or pending.source
            outcome = self._duplicates.judge(pending.content, pending.header, origin) or "duplicate"
        except NotHere:  # any more: so it is stored
            if self._enqueue_again(entry):
                return
            outcome = StorageError(_CLOSED)
        except Exception as error:
            outcome = _ours(error)
        _discard(pending)
        entry.settle(outcome)

    def _enqueue_again(self, entry: _Entry) -> bool:
        with self._changed:
            if not self._closing:
                self._waiting.append(entry)
                self._changed.notify_all()
            return not self._closing

    def _replaced(self, new: Sequence[_Entry]) -> dict[str, LocalFile]:
        """Return what is here of instances that are about to be stored: it is to be replaced, or cannot be read."""
        if self._swap is not None:
            return {}
        files = self._catalogue.local_files(Level.IMAGE, [entry.sop_uid for entry in new])
        return {file.instance.sop_uid: file for file in files}

    def _replacements(self, new: Sequence[_Entry], replaced: Mapping[str, LocalFile]) -> list[tuple[str, str, str]]:
        """Return the intents for old files that will be left over, with their pictures."""
        names = {entry.sop_uid: entry.file for entry in new}
        old = {uid: file.file for uid, file in replaced.items() if file.file != names[uid]}
        thumbnails = self._catalogue.thumbnail_files(old)
        return [(uid, file, thumbnails.get(uid, "")) for uid, file in old.items()]

    def _finish_replacing(self) -> None:
        try:
            finish_replacing(self._folder, self._catalogue, self._rows)
        except StorageError as error:
            _log.info("What was replaced is deleted at the next start: %s", error)

    def _place(self, entry: _Entry) -> bool:
        """Give one file its name; a failure concerns this instance only."""
        if entry.pending.part is None:
            return True
        try:
            entry.pending.part.commit()
        except VisualDicomError as error:
            entry.settle(error)
            return False
        return True

    def _synced(self, placed: Sequence[_Entry]) -> list[_Entry]:
        """Have the names on the disk; a folder where that fails concerns only what belongs there."""
        # By their names as texts: to make and to compare a Path of each costs more than all else here.
        folders = {entry.folder: entry.pending.path for entry in placed if entry.pending.part is not None}
        unusable: dict[str, StorageError] = {}
        synced: set[Path] = set()
        for folder, path in folders.items():
            try:
                for changed in set(list(path.parents)[:3]) - synced:  # up to ``dicom/``
                    fsync_folder(changed)
                    synced.add(changed)
            except StorageError as error:
                unusable[folder] = error if isinstance(error, DiskFull) else FolderUnusable(str(error))
        failed = [entry for entry in placed if entry.pending.part is not None and entry.folder in unusable]
        if not failed:
            return list(placed)
        self._take_back(failed)
        for entry in failed:
            _discard(entry.pending)
            entry.settle(unusable[entry.folder])
        return [entry for entry in placed if entry not in failed]

    def _add_rows(self, placed: Sequence[_Entry]) -> None:
        items = [StoredInstance(entry.pending.header, entry.pending.path) for entry in placed]
        try:
            self._keeper.take_in(items)
        except BaseException:
            self._take_back(placed)
            raise

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
            for kind in ("receive", "replace"):
                self._catalogue.clear_intents(kind, sop_uids)
        except StorageError as error:
            _log.info("Intents are struck off at the next start: %s", error)

    def _fail(self, group: Sequence[_Entry], error: VisualDicomError) -> None:
        """Settle what is not settled yet."""
        for entry in group:
            _discard(entry.pending)
            entry.settle(error)


_CLOSED = "The database folder was closed meanwhile."


def _ours(error: Exception) -> VisualDicomError:
    """Return an error as it is told; one that should not have happened, without its text, which may hold anything."""
    if isinstance(error, VisualDicomError):
        return error
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("The store writer failed: %s\n%s", type(error).__name__, where)
    return InternalError(f"Storing failed by a fault of this program ({type(error).__name__}).")


def _discard(pending: Pending) -> None:
    if pending.part is not None:
        pending.part.discard()
