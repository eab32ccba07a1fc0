"""Taking instances out of a store: rows, files inside the folder, thumbnails. Linked files are never touched.

Where another program keeps the rows, it is asked to remove them (:mod:`.host_removal`): for a removal, and to make way
for other files of the same instances (:mod:`.host_swaps`). One of these goes on at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import BadData, StorageError, UsageError
from ..domain.model import Level, Target
from ..domain.results import RemoveResult
from . import damage, recovery
from .catalogue import Catalogue, LocalFile
from .host_link import HostLink
from .host_removal import Cleared, HostRemoval
from .layout import DatabaseFolder
from .rows import LocalRows, RowKeeper
from .trash import Trash, forget, removals

_LOOK_UP_S = 0.2
_NO_LINK = "A linked image of the same series cannot be read now, and Slicer's database would lose it."


@dataclass(frozen=True)
class Way:
    """What was moved so that other files of some instances can come; marked, so that a crash brings it back.

    :ivar old: the files of these instances; None if nothing of them was here.
    :ivar staying: the other files of their series.
    """

    old: Trash | None = None
    staying: tuple[Trash, ...] = ()


class Removing:
    """See the module; for a store that may write.

    :param change: held while rows and files are changed, and not while another program is waited for.
    :param refresh: mirrors what other programs changed; called with the lock held.
    :param bring_back: gives the files of a trash their places again.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        catalogue: Catalogue,
        rows: LocalRows,
        keeper: RowKeeper,
        host: HostLink | None,
        change: AbstractContextManager[bool],
        refresh: Callable[[], bool],
        bring_back: Callable[[Trash], object],
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._rows = rows
        self._keeper = keeper
        self._host = host
        self._change = change
        self._refresh = refresh
        self._bring_back = bring_back
        self._removal = HostRemoval(folder, catalogue, rows, host.wishes, change) if host is not None else None
        self._turn = threading.Lock()

    @contextmanager
    def alone(self, token: CancelToken) -> Iterator[None]:
        """Have no other removal go on meanwhile.

        :raises Cancelled: nobody waits for that any more.
        """
        while not self._turn.acquire(timeout=_LOOK_UP_S):
            token.check()
        try:
            yield
        finally:
            self._turn.release()

    def remove(self, target: Target, *, undoable: bool, token: CancelToken) -> RemoveResult:
        """See :meth:`.LocalStore.remove`."""
        with self._change:
            self._refresh()
            files = self._catalogue.local_files(target.level, target.uids)
            self._require_links_beside(files)
            before = self._catalogue.local_totals()
            trash = self._trash(files) if files and (undoable or self._host is not None) else None
            self._catalogue.add_intents("remove", self._removals(files))
            cleared = self._clear(files, trash) if trash is not None else None
            if cleared is None:
                return self._removed(before, trash if undoable else None)
        assert trash is not None
        self._ask(cleared, trash, token)
        self._bring_all_back(cleared.staying)
        with self._change:
            result = self._removed(before, trash if undoable else None, cleared.moved)
        if not undoable:
            forget(self._folder, trash.trash_id)
        return result

    def finish(self, token: CancelToken) -> list[str]:
        """Finish what an earlier removal left open; return the trashes of what stayed, which came last.

        :raises StorageError: rows are still there; tried again at the next start.
        :raises Cancelled: nobody waits any more.
        """
        assert self._removal is not None
        cleared = self._removal.clear_again()
        self._removal.ask(cleared, token)
        with self._change:
            recovery.finish_removing(self._folder, self._catalogue, self._rows, self._keeper)
        return [trash.trash_id for trash in cleared.staying]

    def make_way(self, sop_uids: Sequence[str], token: CancelToken) -> Way:
        """Have the rows of instances removed, and all files of their series out of the way.

        :raises StorageError: rows are still there, or files cannot be moved; everything is as it was.
        :raises Cancelled: nobody waits any more; the next start brings the files back.
        """
        assert self._removal is not None
        try:
            with self._change:
                self._refresh()
                files = self._catalogue.local_files(Level.IMAGE, sop_uids)
                if not files:
                    return Way()
                self._require_links_beside(files)
                old = self._trash(files)
                old.mark()  # before anything is moved: after a crash, the old files come back
                cleared = self._clear(files, old)
            assert cleared is not None
            self._removal.ask(cleared, token)
        except StorageError:
            self.take_back()
            raise
        return Way(old, cleared.staying)

    def take_back(self) -> None:
        """Bring everything back that was moved to make way."""
        for trash_id in list(removals(self._folder)):
            with suppress(BadData, UsageError):  # without a manifest, nothing was put there
                trash = Trash.open(self._folder, trash_id)
                if trash.is_marked:
                    self._bring_back(trash)

    def done(self, way: Way) -> None:
        """Delete the old files, since the new ones are there, and bring back what stays."""
        if way.old is not None:
            forget(self._folder, way.old.trash_id)
        self._bring_all_back(way.staying)

    def _require_links_beside(self, files: Sequence[LocalFile]) -> None:
        """Look whether the linked files that are to get their rows again can be read.

        :raises StorageError: one cannot, on a drive that is not there perhaps; its row would be lost.
        """
        if self._host is None:
            return
        going = {file.instance.sop_uid for file in files}
        beside = self._catalogue.local_files(Level.SERIES, {file.instance.series_uid for file in files})
        linked = [f.file for f in beside if f.instance.sop_uid not in going and Path(f.file).is_absolute()]
        if any(self._folder.find(file) is None for file in linked):
            raise StorageError(_NO_LINK)

    def _trash(self, files: Sequence[LocalFile]) -> Trash:
        return Trash.make(self._folder, [(file.instance.sop_uid, file.file) for file in files])

    def _clear(self, files: Sequence[LocalFile], trash: Trash) -> Cleared | None:
        if self._removal is None or self._host is None:
            return None
        sop_uids = [file.instance.sop_uid for file in files]
        under_way = self._host.queue.withdraw(sop_uids)
        self._catalogue.clear_intents("receive", sop_uids)
        return self._removal.clear(files, trash, under_way)

    def _ask(self, cleared: Cleared, trash: Trash, token: CancelToken) -> None:
        assert self._removal is not None
        try:
            self._removal.ask(cleared, token)
        except StorageError:
            trash.mark()
            self._catalogue.clear_intents("remove", cleared.sop_uids)
            self._bring_all_back((trash, *cleared.staying))
            raise

    def _bring_all_back(self, trashes: Iterable[Trash]) -> None:
        for trash in trashes:
            self._bring_back(trash)

    def _removed(self, before: tuple[int, int, int, int], trash: Trash | None, moved: int = 0) -> RemoveResult:
        deleted, kept = recovery.finish_removing(self._folder, self._catalogue, self._rows, self._keeper, trash)
        after = self._catalogue.local_totals()
        for path in (self._folder.ctk_database, self._folder.ctk_tag_cache):
            damage.drop_set_aside(path)
        if kept:
            raise StorageError(f"{kept} files could not be deleted; another program may use them.")
        patients, studies, series, instances = (b - a for b, a in zip(before, after, strict=True))
        trash_id = trash.trash_id if trash is not None else ""
        return RemoveResult(patients, studies, series, instances, moved + deleted, trash_id)

    def _removals(self, files: Sequence[LocalFile]) -> Iterator[tuple[str, str, str]]:
        thumbnails = self._catalogue.thumbnail_files(f.instance.sop_uid for f in files)
        for file in files:
            instance = file.instance
            path = self._folder.thumbnail_path(instance.study_uid, instance.series_uid, instance.sop_uid)
            yield instance.sop_uid, file.file, thumbnails.get(instance.sop_uid) or self._folder.stored_name(path)
