"""Instances that somebody sent here are confirmed once they are safe; their rows follow, many at a time.

Safe is a file that is whole and checked, synced, and synced under a name that tells so: ``….safe.part``, in the folder
of what comes in. Such a file is a promise. Whatever fails afterwards (the rows are locked by another program, the disk
is full), it stays, it is tried again, and nothing more is confirmed until that succeeds. A crash leaves it where it
is, and :meth:`Safekeeping.take_up` goes on with it at the next start.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..domain.errors import BadData, DiskFull, InternalError, StorageError, VisualDicomError
from ..domain.model import Level
from ..domain.results import Conflict
from .catalogue import Catalogue
from .files import SAFE_SUFFIX, PartFile, fsync_folder, make_folder, replace_with_retry, touch, unlink_with_retry
from .headers import read_header
from .layout import DatabaseFolder
from .writer import Batch, Pending, StoreWriter

_log = logging.getLogger(__name__)

#: Most instances that are safe and wait for their rows; whoever brings more waits too.
_MOST_OWED = 512
#: Most instances that get their rows together, and how long the first of them may wait for the others, in seconds.
_GROUP_LENGTH = 128
_GATHER_S = 0.2
#: When to try again after a failure, in seconds; then always after the last.
_RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class SafeFile:
    """A promised file on its way to its name: whatever fails, it stays. An :class:`.writer.Arriving`."""

    def __init__(self, safe: Path, final: Path) -> None:
        self._safe = safe
        self._final = final

    @property
    def part(self) -> Path:
        """Where it lies: an earlier attempt may have given it its name, and failed to take that back."""
        return self._safe if self._safe.exists() else self._final

    def rest(self) -> None:
        """Nothing is open."""

    def commit(self) -> Path:
        """Give the file its name, unless an earlier attempt did. It is of this moment then, as with :class:`.PartFile`.

        :raises StorageError: it failed.
        """
        make_folder(self._final.parent)
        try:
            touch(self._safe)
            replace_with_retry(self._safe, self._final)
        except StorageError:
            if self._safe.exists() or not self._final.exists():
                raise
        return self._final

    def take_back(self) -> None:
        """Undo :meth:`commit`.

        :raises StorageError: it failed.
        """
        replace_with_retry(self._final, self._safe)

    def discard(self) -> None:
        """Leave it where it is: its sender was told that it is here."""

    def drop(self) -> None:
        """Delete it: the same instance is here already."""
        try:
            unlink_with_retry(self._safe)
        except StorageError as error:
            _log.info("What came twice is deleted at the next start: %s", error)


@dataclass(eq=False)
class _Owed:
    """An instance that is safe.

    :ivar then: called when it has its rows; None if nobody waits for them.
    :ivar alone: whether to store it by itself: in a group with others something could not be stored.
    """

    pending: Pending
    file: SafeFile
    then: Callable[[], None] | None
    alone: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def sop_uid(self) -> str:
        return self.pending.header.sop_uid


class Safekeeping:
    """See the module. Safe to use from several threads; rows are asked for on a thread of its own."""

    def __init__(
        self,
        folder: DatabaseFolder,
        catalogue: Catalogue,
        writer: StoreWriter,
        retry_delays: Sequence[float] = _RETRY_DELAYS_S,
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._writer = writer
        self._retry_delays = retry_delays
        self._changed = threading.Condition()
        self._claimed: set[str] = set()
        self._waiting: deque[_Owed] = deque()
        self._problem: VisualDicomError | None = None
        self._failures = 0
        self._in_a_row = 0
        self._retry_at = 0.0
        self._urged = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._unsynced_parents: tuple[Path, ...] = (folder.dicom_folder, folder.root)  # perhaps made just now

    def keep(self, pending: Pending, part: PartFile, then: Callable[[], None] | None) -> bool:
        """Have an instance safe before this returns; False if something of it is here, so that it has to be compared.

        :param then: called on another thread when its rows are there, which are written at once; None if nobody waits.
        :raises StorageError: it cannot be kept; the sender may try again.
        """
        sop_uid = pending.header.sop_uid
        if not self._claim(sop_uid):
            return False
        try:
            if self._catalogue.local_files(Level.IMAGE, [sop_uid]):
                self._release(sop_uid)
                return False
            file = SafeFile(self._secure(part), pending.path)
        except BaseException:
            self._release(sop_uid)
            raise
        self._enqueue(_Owed(replace(pending, part=file), file, then))
        return True

    def take_up(self) -> None:
        """Go on with what a crash left; what cannot have its rows now has them later."""
        for path in sorted(self._folder.incoming_folder.glob(f"*{SAFE_SUFFIX}")):
            try:
                header = read_header(path)
            except (BadData, StorageError) as error:
                _log.warning("A received file cannot be read any more: %s", error)
                continue
            final = self._folder.instance_path(header.study_uid, header.series_uid, header.sop_uid)
            file = SafeFile(path, final)
            with self._changed:
                self._claimed.add(header.sop_uid)
            self._enqueue(_Owed(Pending(header, file, final, ""), file, None))
        self.settle()

    @property
    def problem(self) -> str:
        """Why nothing is confirmed at the moment, as a sentence; empty if that is not so."""
        problem = self._problem
        return "" if problem is None else f"What came before cannot be entered in the database yet: {problem}"

    def settle(self, seconds: float | None = None) -> None:
        """Return when all that is safe by now has its rows, or another attempt at that has failed.

        :param seconds: the longest to wait; None for as long as it takes.
        """
        with self._changed:
            failures, claimed = self._failures, set(self._claimed)
            self._urged = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: claimed.isdisjoint(self._claimed) or self._failures > failures or self._closing, seconds
            )

    def close(self) -> None:
        """Confirm nothing any more, and have rows written as far as that is possible now."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    # For the threads of those who bring something

    def _claim(self, sop_uid: str) -> bool:
        """Reserve an instance; False if it was reserved, and has its rows since."""
        with self._changed:
            was_claimed = sop_uid in self._claimed
            if was_claimed:
                self._urged = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_working or self._has_room_for(sop_uid))
            if self._closing:
                raise StorageError("The database folder was closed meanwhile.")
            if self._problem is not None:
                raise (DiskFull if isinstance(self._problem, DiskFull) else StorageError)(self.problem)
            if not was_claimed:
                self._claimed.add(sop_uid)
            return not was_claimed

    @property
    def _is_working(self) -> bool:
        return self._problem is None and not self._closing

    def _has_room_for(self, sop_uid: str) -> bool:
        return sop_uid not in self._claimed and len(self._claimed) < _MOST_OWED

    def _release(self, sop_uid: str) -> None:
        with self._changed:
            self._claimed.discard(sop_uid)
            self._changed.notify_all()

    def _secure(self, part: PartFile) -> Path:
        safe = part.part.with_name(part.part.name.partition(".")[0] + SAFE_SUFFIX)
        part.retarget(safe)
        part.commit()
        try:
            for folder in (safe.parent, *self._unsynced_parents):
                fsync_folder(folder)
            self._unsynced_parents = ()
        except StorageError:
            SafeFile(safe, safe).drop()
            raise
        return safe

    def _enqueue(self, owed: _Owed) -> None:
        with self._changed:
            self._waiting.append(owed)
            self._urged |= owed.then is not None
            self._start()
            if self._urged or len(self._waiting) in (1, _GROUP_LENGTH):  # else it wakes in time by itself
                self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="vdb-safekeeping", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has no thread left; whoever comes next tries again
                _log.warning("Received files wait for their rows: %s", error)
                return
            self._thread = thread

    # On the thread that asks for rows

    def _run(self) -> None:
        while group := self._take_group():
            self._store(group)

    def _take_group(self) -> list[_Owed]:
        """Wait until there is something to do; nothing tells to end."""
        with self._changed:
            while not self._closing and (left := self._due_in()) > 0:
                self._changed.wait(None if math.isinf(left) else left)
            if self._closing and self._problem is not None:
                return []
            self._urged = False
            group: list[_Owed] = []
            while self._waiting and len(group) < _GROUP_LENGTH and not (group and self._waiting[0].alone):
                group.append(self._waiting.popleft())
                if group[0].alone:
                    break
            return group

    def _due_in(self) -> float:
        """Return the seconds until something is to be done; infinity if nothing is."""
        if not self._waiting:
            return math.inf
        if self._urged or (self._problem is None and len(self._waiting) >= _GROUP_LENGTH):
            return 0.0
        at = self._retry_at if self._problem is not None else self._waiting[0].since + _GATHER_S
        return at - time.monotonic()

    def _store(self, group: Sequence[_Owed]) -> None:
        batch = Batch()
        error: VisualDicomError | None = None
        try:
            for owed in group:
                self._writer.put(owed.pending, batch)
        except StorageError as closed:
            error = closed
        batch.wait()
        failed = dict(batch.failed)
        stored = {*batch.stored, *self._overrule(group, batch.conflicts)}
        # Where nothing can be replaced the file waits, whatever is done about it: its sender may have no other.
        why = StorageError if self._writer.can_replace else BadData
        failed |= {c.sop_uid: why(c.reason) for c in batch.conflicts if c.sop_uid not in stored}
        done = [owed for owed in group if owed.sop_uid not in failed and (error is None or owed.sop_uid in stored)]
        for owed in done:
            if owed.sop_uid not in stored:  # it came another way meanwhile, and the first is kept
                owed.file.drop()
        self._settled(done)
        left = [owed for owed in group if owed not in done]
        if left:
            self._failed(left, failed.get(left[0].sop_uid, error))

    def _overrule(self, group: Sequence[_Owed], conflicts: Sequence[Conflict]) -> list[str]:
        """Have promised files take the place of what somebody else stored after them, before they had their rows.

        Return which are settled by that; none where nothing can be replaced.
        """
        if not self._writer.can_replace:
            return []
        owed, batch = {one.sop_uid: one for one in group}, Batch()
        for conflict in conflicts:
            self._writer.put(replace(owed[conflict.sop_uid].pending, replace=True), batch)
        batch.wait()
        return [*batch.replaced, *batch.stored]

    def _settled(self, group: Sequence[_Owed]) -> None:
        for then in (owed.then for owed in group if owed.then is not None):
            try:
                then()
            except Exception as error:
                # What is stored is stored, and the rest must be.
                _log.error("Whoever waits for rows failed: %s", type(error).__name__)
        with self._changed:
            self._claimed.difference_update(owed.sop_uid for owed in group)
            if group:
                self._problem = None
                self._in_a_row = 0
            self._changed.notify_all()

    def _failed(self, group: Sequence[_Owed], error: VisualDicomError | None) -> None:
        """Try again: one by one if something in it cannot be stored at all, else all, but later."""
        hopeless = isinstance(error, (BadData, InternalError))  # and everything else would wait behind it
        if hopeless and group[0].alone:
            _log.error("A received file cannot get its rows, and waits for the next start: %s", error)
            self._release(group[0].sop_uid)
            return
        with self._changed:
            self._waiting.extendleft(reversed(group))
            for owed in group:
                owed.alone = owed.alone or hopeless
            if not hopeless:
                self._postpone(error)
            self._changed.notify_all()

    def _postpone(self, error: VisualDicomError | None) -> None:
        delay = self._retry_delays[min(self._in_a_row, len(self._retry_delays) - 1)]
        _log.warning("Received files wait for their rows: %s", error)
        self._problem = error
        self._in_a_row += 1
        self._failures += 1
        self._retry_at = time.monotonic() + delay
