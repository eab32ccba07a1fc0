"""Removing instances whose rows another program keeps: that program removes whole series, with the files it owns.

So the files go out of its way first, into the trash: those to be removed, and, for the time being, those of the same
series that stay. Then the program is asked to remove the series, the rows are looked at, and what stays is brought back
and taken in again. Each step can be found again after a crash: the open intents ``remove`` say what is to go, marked
folders in the trash what is to come back.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ..domain.cancel import CancelToken
from ..domain.errors import StorageError
from ..domain.model import Level
from .catalogue import Catalogue, LocalFile
from .files import unlink_with_retry
from .layout import DatabaseFolder
from .rows import LocalRows
from .trash import Trash

_LOOK_UP_S = 0.2
_NOT_LET_GO = "Slicer's database did not let go of {} of the images; nothing was removed."


@dataclass(eq=False)
class _Wish:
    number: str
    series_uids: tuple[str, ...]
    done: threading.Event = field(default_factory=threading.Event)


class HostWishes:
    """Series that the other program is to remove, one wish after the other. Safe to use from several threads.

    :param tell: called with the number of series that are to be removed.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._wishes: list[_Wish] = []

    def fulfil(self, series_uids: Sequence[str], token: CancelToken) -> None:
        """Wait until the other program says that it did what it could.

        :raises Cancelled: nobody waits any more; the program may still do it.
        """
        wish = _Wish(str(next(self._numbers)), tuple(series_uids))
        with self._lock:
            self._wishes.append(wish)
        self._tell(len(wish.series_uids))
        try:
            while not wish.done.wait(_LOOK_UP_S):
                token.check()
        finally:
            with self._lock:
                if wish in self._wishes:
                    self._wishes.remove(wish)

    def next(self) -> tuple[str, tuple[str, ...]]:
        """Return the oldest wish, by its number, and its series; empty if there is none."""
        with self._lock:
            return (self._wishes[0].number, self._wishes[0].series_uids) if self._wishes else ("", ())

    def note_done(self, number: str) -> None:
        """Take a wish as done; one that is not known any more is nothing to worry about."""
        with self._lock:
            for wish in [wish for wish in self._wishes if wish.number == number]:
                self._wishes.remove(wish)
                wish.done.set()
        waiting = self.next()[1]
        if waiting:
            self._tell(len(waiting))


@dataclass(frozen=True)
class Cleared:
    """Instances whose files are out of the way.

    :ivar sop_uids: what is to be removed.
    :ivar series_uids: the series that the other program has rows of them in, or is just writing them.
    :ivar moved: how many files were moved into the trash.
    :ivar staying: what of these series comes back afterwards.
    """

    sop_uids: tuple[str, ...]
    series_uids: tuple[str, ...]
    moved: int = 0
    staying: tuple[Trash, ...] = ()


class HostRemoval:
    """See the module.

    :param lock: held while rows and files are changed, and not while the other program is waited for.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        catalogue: Catalogue,
        rows: LocalRows,
        wishes: HostWishes,
        lock: AbstractContextManager[bool],
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._rows = rows
        self._wishes = wishes
        self._lock = lock

    def clear(self, files: Sequence[LocalFile], trash: Trash, under_way: Collection[str]) -> Cleared:
        """Move the files of instances into ``trash``, and the others of their series aside.

        :param under_way: those that the other program may be writing rows of; it removes series afterwards.
        """
        with self._lock:
            sop_uids = tuple(file.instance.sop_uid for file in files)
            coming = {file.instance.series_uid for file in files if file.instance.sop_uid in under_way}
            moved = self._take_away(trash, [(file.instance.sop_uid, file.file) for file in files])
            return self._cleared(sop_uids, coming, moved)

    def clear_again(self) -> Cleared:
        """See to it that nothing is in the way of those removals that were under way when the program ended.

        Files that were not moved by then are deleted: they cannot be brought back after a new start.
        """
        with self._lock:
            intents = self._catalogue.intents("remove")
            for path in (self._folder.find(file) for _, file, _ in intents):
                if path is not None and self._folder.owns(path):
                    unlink_with_retry(path)
            return self._cleared(tuple(sop_uid for sop_uid, _, _ in intents))

    def ask(self, cleared: Cleared, token: CancelToken) -> None:
        """Have the rows of what was cleared removed; the intents ``unlink`` are open afterwards.

        :raises StorageError: rows are still there.
        :raises Cancelled: the removal goes on at the next start.
        """
        if cleared.series_uids:
            self._wishes.fulfil(cleared.series_uids, token)
        with self._lock:
            left = self._rows.is_local(cleared.sop_uids)
            if left:
                raise StorageError(_NOT_LET_GO.format(f"{len(left):,}"))
            # What stays has no rows any more either, until it is taken in again.
            staying = [entry.sop_uid for trash in cleared.staying for entry in trash.entries]
            self._catalogue.remove_local([*cleared.sop_uids, *staying])

    def _cleared(self, sop_uids: tuple[str, ...], coming: Collection[str] = (), moved: int = 0) -> Cleared:
        series_uids = tuple(sorted({*coming, *(image.series_uid for image in self._rows.images(sop_uids=sop_uids))}))
        return Cleared(sop_uids, series_uids, moved, self._set_aside(series_uids, frozenset(sop_uids)))

    def _set_aside(self, series_uids: Sequence[str], but: Collection[str]) -> tuple[Trash, ...]:
        # Of the catalogue, not of the rows alone: the other program may be about to write some.
        files = self._catalogue.local_files(Level.SERIES, series_uids)
        names = [(file.instance.sop_uid, file.file) for file in files if file.instance.sop_uid not in but]
        if not names:
            return ()
        trash = Trash.make(self._folder, names)
        trash.mark()  # before anything is moved: after a crash, they come back
        self._take_away(trash, names)
        return (trash,)

    def _take_away(self, trash: Trash, files: Iterable[tuple[str, str]]) -> int:
        moved = 0
        for sop_uid, file in files:
            path = self._folder.find(file)
            moved += path is not None and self._folder.owns(path) and trash.take(sop_uid, path)
        return moved
