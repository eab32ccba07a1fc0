"""Replacing instances whose rows another program keeps: it gives no row another file, and removes whole series.

What is to replace something is kept beside it first: whole, checked and synced, and named by an open intent ``swap``.
That is a promise, and whoever brought it is told so. Then, many at a time and on a thread of its own: the files of the
series go out of the way, marked to come back; the program removes the series' rows; the new files get their names and
the old ones are deleted; the others come back; all of them are handed over, and waited for as always. A linked file is
left where it is, and only named no more.

A crash or a program that does not answer leaves the old content in place, or brings it back, and the promise has the
swap done again: after a failure some seconds later, three times, and then at the next start.

What is relied on of ``ctkDICOMDatabase`` (CTK of August 2026):

* ``removeSeries(uid, True)`` is the finest removal that Python has. It deletes the rows of the series' images, their
  cached tags, their pictures, and those of their files that lie in the database's folder, by the names in the rows; it
  bears that these files are gone, and deletes no file outside the folder. What remains of study and patient without
  any series is removed with ``cleanupStudy`` and ``cleanupPatient``.
* A file whose instance has no row is read and gets one, with those of its series, study and patient where there are
  none; those that are there stay as they are.
* A file that has a row, and is not newer than that, is passed over; its row stays.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..domain.cancel import CancelToken
from ..domain.errors import Cancelled, InternalError, StorageError, VisualDicomError
from .catalogue import Catalogue, LocalFile
from .files import SWAP_SUFFIX, fsync_folder, unlink_with_retry
from .index_queue import MAX_OFFERS, IndexQueue
from .layout import DatabaseFolder
from .local_records import file_of
from .removing import Removing
from .safekeeping import SafeFile
from .writer import Batch, Pending

_log = logging.getLogger(__name__)

#: How long more may come before a swap begins, in seconds, and how many instances it has at most: each swap has the
#: rows of whole series written anew.
_GATHER_S = 0.5
_GROUP_LENGTH = 2_000
#: When to try again after a failure, in seconds.
_RETRY_DELAYS_S = (2.0, 10.0)


class Putting(Protocol):
    """What it needs of the store's writer."""

    def put(self, pending: Pending, batch: Batch) -> None:
        """See :meth:`.StoreWriter.put`."""


@dataclass(frozen=True)
class _Promise:
    pending: Pending
    tries: int = 0

    @property
    def sop_uid(self) -> str:
        return self.pending.header.sop_uid


class HostSwaps:
    """See the module. Safe to use from several threads.

    :param lock: held by whoever calls :meth:`keep`; so what was kept last is not taken for what is done.
    :param finish_open: finishes removals that were cut off; called with no other removal going on.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        catalogue: Catalogue,
        queue: IndexQueue,
        removing: Removing,
        lock: AbstractContextManager[bool],
        finish_open: Callable[[CancelToken], None],
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._queue = queue
        self._removing = removing
        self._lock = lock
        self._finish_open = finish_open
        self._changed = threading.Condition()
        self._waiting: dict[str, _Promise] = {}
        self._under_way: dict[str, _Promise] = {}
        self._refused: dict[str, _Promise] = {}
        self._begin_at = 0.0
        self._token = CancelToken()
        self._thread: threading.Thread | None = None
        #: Where the new files go; set before anything comes.
        self.writer: Putting | None = None

    def take_up(self, promises: Iterable[Pending]) -> None:
        """Go on with what was :func:`promised` when the program ended."""
        self._add([replace(pending, replace=False) for pending in promises])

    def close(self) -> None:
        """Stop; what is under way is done again at the next start."""
        self._token.cancel()
        with self._changed:
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def keep(self, pendings: Sequence[Pending]) -> None:
        """Have instances that replace others safe before this returns, and swap them in later.

        :raises StorageError: they cannot be kept; nothing changed.
        """
        kept = [self._beside(pending) for pending in pendings]
        # The intents first: a file that came here with a promise keeps its name until there is another one.
        self._catalogue.add_intents("swap", [self._intent(pending) for pending in kept])
        placed: list[Pending] = []
        try:
            for pending in pendings:
                if pending.part is not None:
                    pending.part.retarget(self._place(kept[len(placed)]))
                    pending.part.commit()
                placed.append(pending)
            fsync_folder(self._folder.incoming_folder)
        except VisualDicomError:
            for pending in placed:
                if pending.part is not None:
                    with suppress(StorageError):
                        pending.part.take_back()
            for pending in pendings:
                if isinstance(pending.part, SafeFile):
                    pending.part.retarget(pending.path)
            self._take_back_intents([pending.header.sop_uid for pending in kept])
            raise
        self._add(kept)

    def _take_back_intents(self, sop_uids: Sequence[str]) -> None:
        """Have the intents again that there were before."""
        with self._changed:
            kept = {**self._refused, **self._under_way, **self._waiting}
            older = [kept[uid].pending for uid in sop_uids if uid in kept]
        self._catalogue.clear_intents("swap", sop_uids)
        self._catalogue.add_intents("swap", map(self._intent, older))

    def promised(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that are safe and wait to be swapped in."""
        with self._changed:
            return {uid for uid in sop_uids if uid in self._waiting or uid in self._under_way}

    def withdraw(self, files: Iterable[LocalFile]) -> None:
        """Forget what was to replace instances that are about to be removed; called while no swap is under way."""
        uids = [file.instance.sop_uid for file in files]
        with self._lock:
            with self._changed:
                dropped = [one for of in (self._waiting, self._refused) for uid in uids if (one := of.pop(uid, None))]
            for promise in dropped:
                self._drop(promise)
            self._catalogue.clear_intents("swap", [promise.sop_uid for promise in dropped])
            self._queue.expect_no_more(promise.sop_uid for promise in dropped)

    def _beside(self, pending: Pending) -> Pending:
        """Return an instance as it is once it is kept: its file has a name that nobody else gives."""
        if pending.part is None:
            return replace(pending, replace=False)
        place = self._folder.incoming_folder / f"{uuid.uuid4().hex}{SWAP_SUFFIX}"
        return replace(pending, part=SafeFile(place, pending.path), replace=False)

    def _place(self, kept: Pending) -> Path:
        assert isinstance(kept.part, SafeFile)
        return kept.part.safe

    def _intent(self, kept: Pending) -> tuple[str, str, str]:
        path = kept.path if kept.part is None else self._place(kept)
        return kept.header.sop_uid, self._folder.stored_name(path), kept.source

    def _add(self, kept: Sequence[Pending]) -> None:
        self._queue.expect(pending.header.sop_uid for pending in kept)
        with self._changed:
            for pending in kept:
                uid = pending.header.sop_uid
                for older in filter(None, (self._waiting.pop(uid, None), self._refused.pop(uid, None))):
                    self._drop(older)
                self._waiting[uid] = _Promise(pending)
            self._begin_at = time.monotonic() + _GATHER_S
            if self._thread is None and self._waiting and not self._token.cancelled:
                self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="vdb-swaps", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left; whoever comes next tries again
            _log.warning("Images are not replaced yet: %s", error)
            return
        self._thread = thread

    def _drop(self, promise: _Promise) -> None:
        if isinstance(promise.pending.part, SafeFile):
            promise.pending.part.drop()

    # On the thread that swaps

    def _run(self) -> None:
        while self._take_group():
            try:
                with self._removing.alone(self._token):
                    self._finish_open(self._token)
                    self._swap(dict(self._under_way))
            except Cancelled:
                return
            except Exception as error:
                self._failed(error)

    def _take_group(self) -> bool:
        """Wait until there is something to do; False tells to end."""
        with self._changed:
            while not self._token.cancelled and (left := self._due_in()) > 0:
                self._changed.wait(None if math.isinf(left) else left)
            if self._token.cancelled:
                return False
            for uid in list(self._waiting)[:_GROUP_LENGTH]:
                self._under_way[uid] = self._waiting.pop(uid)
            return True

    def _due_in(self) -> float:
        return self._begin_at - time.monotonic() if self._waiting else math.inf

    def _swap(self, promises: dict[str, _Promise]) -> None:
        assert self.writer is not None
        way = self._removing.make_way(list(promises), self._token)
        batch = Batch()
        try:
            for promise in promises.values():
                self.writer.put(promise.pending, batch)
        except StorageError as error:
            batch.failed.append(("", error))
        batch.wait()
        there = {*batch.stored, *batch.duplicates}
        if there != promises.keys():
            self._removing.take_back()  # of what has been replaced, the new is kept
            self._settle(there)
            raise batch.failed[0][1] if batch.failed else StorageError(_IN_BETWEEN)
        self._removing.done(way)
        self._settle(there)

    def _settle(self, sop_uids: Iterable[str]) -> None:
        """Take swaps as done; one that has been asked for again meanwhile is still to come."""
        with self._lock:
            with self._changed:
                done = [self._under_way.pop(uid) for uid in sop_uids]
                over = [promise.sop_uid for promise in done if promise.sop_uid not in self._waiting]
            for promise in done:
                self._drop(promise)  # its content was here already
            self._catalogue.clear_intents("swap", over)
            self._queue.expect_no_more(over)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, VisualDicomError):
            error = InternalError(f"Replacing failed by a fault of this program ({type(error).__name__}).")
        _log.warning("Images are not replaced yet: %s", error)
        with self._lock, self._changed:
            refused = []
            for uid, promise in self._under_way.items():
                again = replace(promise, tries=promise.tries + 1)
                if uid in self._waiting:
                    self._drop(promise)
                elif again.tries < MAX_OFFERS:
                    self._waiting[uid] = again
                else:
                    self._refused[uid] = again
                    refused.append(uid)
            tries = max((promise.tries for promise in self._waiting.values()), default=1)
            self._under_way.clear()
            self._begin_at = time.monotonic() + _RETRY_DELAYS_S[min(max(tries, 1), len(_RETRY_DELAYS_S)) - 1]
            self._queue.refuse(refused)


_IN_BETWEEN = "Slicer's database got other files of the images meanwhile."


def promised(folder: DatabaseFolder, catalogue: Catalogue) -> list[Pending]:
    """Return what is still to replace what is here; what was kept and is not needed any more is deleted."""
    found, gone, unread = [], [], set()
    for sop_uid, file, source in catalogue.intents("swap"):
        read = file_of(folder, sop_uid, file)
        if read is None and folder.find(file) is None:  # it has its name already, or was never kept
            gone.append(sop_uid)
            continue
        if read is None:
            _log.warning("A file that is to replace an image cannot be read now, and waits for the next start.")
            unread.add(folder.absolute(file))
            continue
        path, header = read
        kept = path.name.endswith(SWAP_SUFFIX) and path.parent == folder.incoming_folder
        final = folder.instance_path(header.study_uid, header.series_uid, sop_uid) if kept else path
        found.append(Pending(header, SafeFile(path, final) if kept else None, final, source, replace=True))
    catalogue.clear_intents("swap", gone)
    wanted = {*unread, *(pending.content for pending in found)}
    for path in folder.incoming_folder.glob(f"*{SWAP_SUFFIX}"):
        if path not in wanted:
            with suppress(StorageError):
                unlink_with_retry(path)
    return found
