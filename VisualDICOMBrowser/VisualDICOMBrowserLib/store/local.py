"""The local store: one database folder with its files, databases, catalogue and lock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from ..domain.cancel import CancelToken
from ..domain.errors import BadData, DiskFull, FolderInUse, LocalError, StorageError, UsageError
from ..domain.model import Level, Target
from ..domain.results import Conflict, RebuildResult, RemoveResult, UndoResult, VerifyResult
from . import ctk_damage, damage, mirror, recovery
from . import rebuild as rebuilding
from .catalogue import Catalogue, LocalFile
from .ctk_database import CtkDatabase
from .duplicates import Duplicates
from .files import PART_SUFFIX
from .host_link import HostLink, HostPlan
from .host_rows import HostRows
from .host_swaps import HostSwaps, promised
from .layout import DatabaseFolder
from .local_records import header_of
from .lock import FolderLock
from .mirror import Watch
from .removing import Removing
from .rows import LocalRows, OwnRows, RowKeeper
from .safekeeping import Safekeeping
from .sqlite import DamagedDatabase
from .trash import Trash, forget, removals
from .undo import bring_back
from .verifying import Compared, compare
from .writer import Batch, Pending, StoreWriter

_log = logging.getLogger(__name__)

_SECOND_LOOKS = 2
_NO_ROOM = "The disk is full: this can be looked at, and changed when there is room and the program is started again."
# Pictures on their way to ``thumbs/`` lie there too, and are written by other processes.
_INSTANCE_PART = f".dcm{PART_SUFFIX}"


class LocalStore:
    """Opens a database folder for the engine; made by :meth:`open`.

    :ivar read_only: True if another engine holds the folder, the disk is full, or the caller wanted it so.
    :ivar held_by: a sentence on who holds it, empty if nobody else does.
    :ivar duplicates: compares what comes and is here already.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        lock: FolderLock,
        rows: LocalRows,
        catalogue: Catalogue,
        why_not: LocalError | None,
        keeper: RowKeeper | None,
        host: HostLink | None = None,
    ) -> None:
        self.folder = folder
        self.catalogue = catalogue
        self.held_by = str(why_not) if isinstance(why_not, FolderInUse) else ""
        self._why_not = why_not
        self.read_only = not lock.held
        self.host = host
        self._lock = lock
        self._rows = rows
        # Held by whoever changes rows and files, or mirrors them: a commit, a removal, a refresh.
        self._change = threading.RLock()
        self._undoing = threading.Lock()
        self._outdated: list[Catalogue] = []
        self._keeper = keeper
        self.duplicates = Duplicates(folder, catalogue)
        self._writer: StoreWriter | None = None
        self._swaps: HostSwaps | None = None
        self._safekeeping: Safekeeping | None = None
        self._remover: Removing | None = None
        if keeper is not None:
            self._make_writers(keeper)
        #: What was made anew when it was opened; None if that was not asked for.
        self.rebuilt: RebuildResult | None = None
        #: Called with the Series Instance UIDs of what was stored, on the writer's thread.
        self.on_stored: Callable[[frozenset[str]], None] | None = None

    def _make_writers(self, keeper: RowKeeper) -> None:
        folder, catalogue, rows, host = self.folder, self.catalogue, self._rows, self.host
        self._remover = Removing(folder, catalogue, rows, keeper, host, self._change, self.refresh, self._bring_back)
        swap = None
        if host is not None:
            host.queue.superseded.judge = self.duplicates.judge_stored
            self._swaps = HostSwaps(folder, catalogue, host.queue, self._remover, self._change, self._finish_open)
            swap = self._swaps.keep
        self._writer = StoreWriter(folder, catalogue, rows, keeper, self.duplicates, self._tell, self._change, swap)
        self._safekeeping = Safekeeping(folder, catalogue, self._writer)

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        read_only: bool = False,
        host: HostPlan | None = None,
        rebuild: bool = False,
        watch: Watch = lambda done, total: None,
    ) -> LocalStore:
        """Open a folder, made if need be; where another engine holds it, or the disk is full, for reading only.

        :param host: given if another program keeps the rows.
        :param rebuild: make CTK's databases anew from the files first, as far as need be: :attr:`rebuilt`.
        :param watch: told how far reading the databases is, if there is much to read; what it raises ends the opening.
        :raises SchemaMismatch: a database of another version or program.
        :raises DamagedDatabase: CTK's databases are damaged; the sentence says what to do.
        :raises StorageError: the folder cannot be used.
        :raises UsageError: ``rebuild`` where another program keeps the rows.
        :raises FolderInUse: ``rebuild`` while another engine holds the folder.
        """
        if rebuild and host is not None:
            raise UsageError("Another program keeps this database; close it, and rebuild the database then.")
        folder = DatabaseFolder(root, owns_all=host is not None)
        lock = FolderLock(folder)
        why_not: LocalError | None = None
        if not read_only:
            try:
                lock.acquire()
            except FolderInUse as error:
                if rebuild:
                    raise
                why_not = error
        try:
            rebuilt = rebuilding.rebuild(folder) if rebuild else None
            store = cls._opened(folder, lock, why_not, host, watch)
            store.rebuilt = rebuilt
            return store
        except DiskFull:
            lock.release()
            if rebuild:
                raise
            with suppress(LocalError):  # what is here can be looked at all the same
                return cls._opened(folder, lock, DiskFull(_NO_ROOM), host, watch)
            raise
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(
        cls, folder: DatabaseFolder, lock: FolderLock, why_not: LocalError | None, host: HostPlan | None, watch: Watch
    ) -> LocalStore:
        with ExitStack() as opened:
            if lock.held:
                _look_for_damage(folder, lock, host)
            ctk, rows = _rows_of(folder, lock.held, host)
            opened.callback(rows.close)
            if not lock.held:
                catalogue = Catalogue.open(folder.catalogue, read_only=True)
                opened.callback(catalogue.close)
                store = cls(folder, lock, rows, catalogue, why_not, None)
                store.refresh(watch)
            else:
                recovery.sweep(folder.incoming_folder)
                catalogue, keeper, link = _catalogue_in_agreement(folder, ctk, rows, host, watch)
                opened.callback(catalogue.close)
                store = cls(folder, lock, rows, catalogue, why_not, keeper, link)
                store._begin()
            opened.pop_all()
            return store

    def _begin(self) -> None:
        self._left_over = list(removals(self.folder))
        promises = promised(self.folder, self.catalogue)
        if self._swaps is not None:
            self._swaps.writer = self.writer
        self.safekeeping.take_up()
        if not self.has_open_removals:
            self._settle_trash(self._left_over, closing=False)
        if self._swaps is not None:
            self._swaps.take_up(promises)
        else:
            self._replace(promises)

    def _replace(self, promises: Iterable[Pending]) -> None:
        """Store what was to replace something when the rows were another program's to keep."""
        batch = Batch()
        for pending in promises:
            self.writer.put(pending, batch)
        batch.wait()
        self.catalogue.clear_intents("swap", [*batch.stored, *batch.replaced, *batch.duplicates])

    def close(self) -> None:
        """Commit what is under way, close the files and give the folder back."""
        if self._swaps is not None:
            self._swaps.close()
        if self.host is not None:
            self.host.queue.superseded.close()
        if self._writer is not None:
            self.safekeeping.close()
            self._writer.close()
            self._settle_trash(removals(self.folder), closing=True)
        with self._change:
            for catalogue in (*self._outdated, self.catalogue):
                catalogue.close()
            self._rows.close()
            self._lock.release()

    def __enter__(self) -> LocalStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def writer(self) -> StoreWriter:
        """Where new instances go.

        :raises FolderInUse: the folder is open for reading only.
        """
        self.require_writable()
        assert self._writer is not None
        return self._writer

    @property
    def safekeeping(self) -> Safekeeping:
        """Where new instances go whose senders do not wait for rows.

        :raises FolderInUse: the folder is open for reading only.
        """
        self.require_writable()
        assert self._safekeeping is not None
        return self._safekeeping

    def _tell(self, series_uids: frozenset[str]) -> None:
        if self.on_stored is not None:
            self.on_stored(series_uids)

    def require_writable(self) -> None:
        """Return quietly if this store may write.

        :raises FolderInUse: it may not; the sentence says who holds the folder.
        :raises DiskFull: there was no room when it was opened.
        """
        if self.read_only and isinstance(self._why_not, DiskFull):
            raise DiskFull(str(self._why_not))
        if self.read_only:
            raise FolderInUse(self.held_by or "The database folder was opened for reading only.")

    def refresh(self, watch: Watch = lambda done, total: None) -> bool:
        """Take over what other programs changed in the ctkDICOM database; tell whether there was anything.

        Where another engine holds the folder, that is its business. ``watch`` as for :meth:`open`.
        """
        with self._change:
            if not self.catalogue.writable:
                if self.held_by or not mirror.is_stale(self.catalogue, self._rows):
                    return False
                self._outdated.append(self.catalogue)  # another thread may be reading it
                self.catalogue = self.catalogue.detached()
            return mirror.refresh(self.catalogue, self._rows, watch)

    def path_of(self, file: LocalFile) -> Path:
        """Return where the file of a local instance lies.

        :raises BadData: its row leads out of the folder.
        """
        return self.folder.absolute(file.file)

    def readable(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those instances that are really here: with a row, and a file that is whole and says the same.

        So is what waits to take the place of another file.
        """
        sop_uids = list(sop_uids)
        safe = self._swaps.promised(sop_uids) if self._swaps is not None else set()
        files = self.catalogue.local_files(Level.IMAGE, sop_uids)
        return safe | {f.instance.sop_uid for f in files if header_of(self.folder, f.instance.sop_uid, f.file)}

    def unseen(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that are here, but whose rows another program has still to write."""
        return self.host.queue.unseen(sop_uids) if self.host is not None else set()

    def refused(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances whose rows the other program would not write, so far."""
        return self.host.queue.refused(sop_uids) if self.host is not None else set()

    def take_conflicts(self, sop_uids: Iterable[str]) -> list[Conflict]:
        """Return which of the instances the other program took in with other content; see :class:`.IndexQueue`."""
        return self.host.queue.take_conflicts(sop_uids) if self.host is not None else []

    def remove(self, target: Target, *, undoable: bool = False, token: CancelToken | None = None) -> RemoveResult:
        """Remove what a target names: rows, files inside the folder, thumbnails. Linked files are never touched.

        :param undoable: keep the files for :meth:`undo_remove` until the store is closed.
        :param token: ends the waiting for another program that keeps the rows; the removal goes on later.
        :raises FolderInUse: the folder is open for reading only.
        :raises StorageError: files could not be deleted, and are tried again at the next start; or the program that
            keeps the rows did not let go of them, and nothing was removed.
        """
        self.safekeeping.settle()
        token = token or CancelToken()
        with self._removing.alone(token):
            if self._swaps is not None:
                self._swaps.withdraw(self.catalogue.local_files(target.level, target.uids))
            return self._removing.remove(target, undoable=undoable, token=token)

    @property
    def has_open_removals(self) -> bool:
        """Whether another program is still to remove rows that were being removed when this one ended."""
        return self.host is not None and bool(self.catalogue.intents("remove"))

    def finish_removals(self, token: CancelToken) -> None:
        """Finish what :attr:`has_open_removals` tells of.

        :raises StorageError: rows are still there; tried again at the next start.
        :raises Cancelled: nobody waits any more.
        """
        with self._removing.alone(token):
            self._finish_open(token)

    def _finish_open(self, token: CancelToken) -> None:
        if self.has_open_removals:
            staying = self._removing.finish(token)
            # The newest first: what an older one lists as well lies there.
            self._settle_trash([*staying, *self._left_over], closing=False)

    @property
    def _removing(self) -> Removing:
        self.require_writable()
        assert self._remover is not None
        return self._remover

    def _bring_back(self, trash: Trash) -> UndoResult:
        with self._undoing:
            return bring_back(trash, self)

    def undo_remove(self, trash_id: str) -> UndoResult:
        """Bring back what :meth:`remove` removed, rows and files. What is here again meanwhile is kept as it is.

        :raises UsageError: there is no such removal, or it cannot be undone any more.
        :raises FolderInUse: the folder is open for reading only.
        """
        return self._bring_back(Trash.open(self.folder, trash_id))

    def _settle_trash(self, trash_ids: Iterable[str], *, closing: bool) -> None:
        """Finish what was being undone when the program died, and delete the rest for good."""
        for trash_id in trash_ids:
            try:
                marked = Trash.open(self.folder, trash_id).is_marked
                if marked and not closing:
                    self.undo_remove(trash_id)
            except (BadData, UsageError):  # without a manifest, nothing was put there
                marked = False
            except StorageError as error:  # a full disk, perhaps: the next start tries again
                _log.warning("What was removed cannot be brought back yet: %s", error)
                continue
            if not marked and not self.catalogue.has_files_below(self.folder.trash_folder / trash_id, self.folder.root):
                forget(self.folder, trash_id)

    def verify(self) -> VerifyResult:
        """Check that every local row has a readable file, and every file below ``dicom/`` a row.

        Open intents are finished and ``.part`` files swept first, if this store may write. Instances may be stored
        and removed meanwhile.
        """
        if isinstance(self._rows, CtkDatabase):
            self._rows.check()
        if self._keeper is not None:
            self.safekeeping.settle()
            recovery.sweep(self.folder.dicom_folder, _INSTANCE_PART)
            recovery.drop_empty_folders(self.folder, self._change)
            with self._change:
                recovery.recover(self.folder, self.catalogue, self._rows, self._keeper)
                self.refresh()
        files = recovery.files_below(self.folder.dicom_folder)
        found = self._compare(path for path in files if not path.name.endswith(PART_SUFFIX))
        missing, orphans = found.missing, found.orphans
        for _ in range(_SECOND_LOOKS):
            if missing or orphans:  # or was one removed or stored in between?
                with self._change:
                    again = self._compare(orphans, frozenset(missing))
                missing, orphans = again.missing, again.orphans
        names = map(self.folder.stored_name, orphans)
        if self._keeper is not None:
            self.catalogue.rewrite()  # last, for it needs room for a while
        return VerifyResult(found.rows, found.files, tuple(sorted(missing)), tuple(sorted(names)))

    def _compare(self, files: Iterable[Path], among: frozenset[str] | None = None) -> Compared:
        return compare(self.folder, self.catalogue, self._rows, files, among)


def _look_for_damage(folder: DatabaseFolder, lock: FolderLock, host: HostPlan | None) -> None:
    """Look thoroughly if the last one was killed: the power may have gone with it."""
    if lock.was_left and folder.catalogue.exists() and folder.catalogue.stat().st_size <= ctk_damage.LARGE:
        damage.note_damage(folder.catalogue)
    if host is None:
        ctk_damage.check(folder, thoroughly=lock.was_left)


def _rows_of(folder: DatabaseFolder, held: bool, host: HostPlan | None) -> tuple[CtkDatabase | None, LocalRows]:
    if host is not None and host.rows is not None:
        return None, host.rows
    ctk = CtkDatabase.open(folder, read_only=not held or host is not None)
    return ctk, ctk


def _catalogue_in_agreement(
    folder: DatabaseFolder, ctk: CtkDatabase | None, rows: LocalRows, host: HostPlan | None, watch: Watch
) -> tuple[Catalogue, RowKeeper, HostLink | None]:
    """Open the catalogue and bring it up to date; one that turns out to be damaged on the way is made anew."""
    catalogue = Catalogue.open(folder.catalogue)
    try:
        return _agreeing(catalogue, folder, ctk, rows, host, watch)
    except DamagedDatabase:
        if not damage.is_damaged(folder.catalogue):
            raise
    return _agreeing(Catalogue.open_anew(folder.catalogue), folder, ctk, rows, host, watch)


def _agreeing(
    catalogue: Catalogue,
    folder: DatabaseFolder,
    ctk: CtkDatabase | None,
    rows: LocalRows,
    host: HostPlan | None,
    watch: Watch,
) -> tuple[Catalogue, RowKeeper, HostLink | None]:
    link = HostLink.make(host, folder, catalogue, rows) if host is not None else None
    keeper: RowKeeper
    if link is not None:
        keeper = HostRows(folder, catalogue, link.queue)
    else:
        assert ctk is not None
        keeper = OwnRows(folder, catalogue, ctk)
    try:
        recovery.recover(folder, catalogue, rows, keeper)
        mirror.refresh(catalogue, rows, watch)
    except BaseException:
        catalogue.close()
        raise
    return catalogue, keeper, link
