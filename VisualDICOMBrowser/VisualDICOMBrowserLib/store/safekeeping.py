"""Instances that somebody sent here are confirmed once they are safe; their rows follow, many at a time.

Safe is a file that is whole and checked, synced, and synced under a name that tells so: ``….safe.part``, in the folder
of what comes in. Such a file is a promise. Whatever fails afterwards (the rows are locked by another program, the disk
is full), it stays, it is tried again, and nothing more is confirmed until that succeeds. Where only the folder of a
series cannot be written, this concerns that series, and what else comes is taken. A crash leaves the file where it is,
and :meth:`Safekeeping.take_up` goes on with it at the next start.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..domain.errors import BadData, DiskFull, FolderUnusable, InternalError, StorageError, VisualDicomError
from ..domain.model import Level
from ..domain.results import Conflict
from .catalogue import Catalogue
from .files import SAFE_SUFFIX, PartFile, fsync_folder, make_folder, replace_with_retry, touch, unlink_with_retry
from .headers import read_header
from .layout import DatabaseFolder
from .writer import Batch, Pending, StoreWriter

_log = logging.getLogger(__name__)

#: Most instances that are safe and wait for their rows; whoever brings more waits too. So many may besides wait for
#: folders that cannot be written: more of that is a failure of the whole.
_MOST_OWED = 512
#: Most instances that get their rows together, and how long the first of them may wait for the others, in seconds.
_GROUP_LENGTH = 128
_GATHER_S = 0.2
#: When to try again after a failure, in seconds; then always after the last.
_RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class SafeFile:
    """A promised file on its way to its name: whatever fails, it stays. An :class:`.writer.Arriving`.

    :ivar safe: where it lies until it has its name.
    """

    def __init__(self, safe: Path, final: Path) -> None:
        self.safe = safe
        self._final = final

    @property
    def part(self) -> Path:
        """Where it lies: an earlier attempt may have given it its name, and failed to take that back."""
        return self.safe if os.path.lexists(self.safe) else self._final

    def rest(self) -> None:
        """Nothing is open."""

    def retarget(self, final: Path) -> None:
        """Give the file another destination."""
        self._final = final

    def commit(self) -> Path:
        """Give the file its name, unless an earlier attempt did. It is of this moment then, as with :class:`.PartFile`.

        :raises FolderUnusable: it failed, and does so only there as far as is known.
        :raises DiskFull: there is no room for that.
        :raises BadData: somebody took the file away.
        """
        try:
            make_folder(self._final.parent)
            touch(self.safe)
            replace_with_retry(self.safe, self._final)
        except StorageError as error:
            if os.path.lexists(self.safe):
                raise error if isinstance(error, DiskFull) else FolderUnusable(str(error)) from error
            if not os.path.lexists(self._final):
                raise BadData("Somebody took the file away.") from error
        return self._final

    def take_back(self) -> None:
        """Undo :meth:`commit`.

        :raises StorageError: it failed.
        """
        replace_with_retry(self._final, self.safe)

    def discard(self) -> None:
        """Leave it where it is: its sender was told that it is here."""

    def drop(self) -> None:
        """Delete it: the same instance is here already."""
        try:
            unlink_with_retry(self.safe)
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

    @property
    def folder(self) -> Path:
        return self.pending.path.parent


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
        self._barred: dict[Path, VisualDicomError] = {}  # folders that cannot be written, and why
        self._stuck: dict[str, _Owed] = {}  # what waits for them, by SOP Instance UID
        self._stuck_in_a_row = 0
        self._stuck_until = 0.0
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
        if not self._claim(sop_uid, pending.path.parent):
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
        """Why nothing, or nothing of some series, is confirmed at the moment, as a sentence; empty if all is."""
        with self._changed:
            problem, why = self._problem, list(self._barred.values())
        if problem is not None:
            return f"What came before cannot be entered in the database yet: {problem}"
        if not why:
            return ""
        reasons = " ".join(dict.fromkeys(map(str, why)))
        which = "one series" if len(why) == 1 else f"{len(why)} series"
        return f"What came of {which} cannot be put in its folder yet, and no more of that is taken: {reasons}"

    def settle(self, seconds: float | None = None) -> None:
        """Return when all that is safe by now has its rows, or another attempt at that has failed.

        :param seconds: the longest to wait; None for as long as it takes.
        """
        with self._changed:
            failures, claimed = self._failures, set(self._claimed)
            self._urged |= bool(claimed)
            self._free_stuck()
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not claimed & self._waits_for_rows or self._failures > failures or self._closing, seconds
            )

    def close(self) -> None:
        """Confirm nothing any more, and have rows written as far as that is possible now."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    # For the threads of those who bring something

    def _claim(self, sop_uid: str, folder: Path) -> bool:
        """Reserve an instance; False if it was reserved, and has its rows since."""
        with self._changed:
            was_claimed = sop_uid in self._claimed
            if was_claimed:
                self._urged = True
                self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self._is_working or self._why_not(sop_uid, folder) or self._has_room_for(sop_uid)
            )
            if self._closing:
                raise StorageError("The database folder was closed meanwhile.")
            if self._problem is not None:
                raise (DiskFull if isinstance(self._problem, DiskFull) else StorageError)(self.problem)
            if why := self._why_not(sop_uid, folder):
                raise FolderUnusable(f"{why} What came before of its series waits for that.")
            if not was_claimed:
                self._claimed.add(sop_uid)
            return not was_claimed

    @property
    def _is_working(self) -> bool:
        return self._problem is None and not self._closing

    def _has_room_for(self, sop_uid: str) -> bool:
        return sop_uid not in self._claimed and len(self._waits_for_rows) < _MOST_OWED

    @property
    def _waits_for_rows(self) -> set[str]:
        return self._claimed - self._stuck.keys() if self._stuck else self._claimed

    def _why_not(self, sop_uid: str, folder: Path) -> VisualDicomError | None:
        """Return why an instance cannot go to its folder, or waits for another one."""
        stuck = self._stuck.get(sop_uid)
        return self._barred.get(stuck.folder if stuck is not None else folder)

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
            if time.monotonic() >= self._stuck_until:
                self._free_stuck()
            group: list[_Owed] = []
            while self._waiting and len(group) < _GROUP_LENGTH and not (group and self._waiting[0].alone):
                group.append(self._waiting.popleft())
                if group[0].alone:
                    break
            return group

    def _due_in(self) -> float:
        """Return the seconds until something is to be done; infinity if nothing is."""
        at = self._stuck_until if self._stuck else math.inf
        if self._waiting:
            if self._urged or (self._problem is None and len(self._waiting) >= _GROUP_LENGTH):
                return 0.0
            at = min(at, self._retry_at if self._problem is not None else self._waiting[0].since + _GATHER_S)
        return at - time.monotonic()

    def _free_stuck(self) -> None:
        """Have another attempt made at what waits for its folder, after all else."""
        if not self._closing:
            self._waiting.extend(self._stuck.values())
            self._stuck.clear()

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
        overruled = self._overrule(group, batch.conflicts)
        stored = {*batch.stored, *overruled.replaced, *overruled.stored}
        failed |= {c.sop_uid: StorageError(c.reason) for c in batch.conflicts if c.sop_uid not in stored}
        failed |= dict(overruled.failed)
        done = [owed for owed in group if owed.sop_uid not in failed and (error is None or owed.sop_uid in stored)]
        for owed in done:
            if owed.sop_uid not in stored:  # it came another way meanwhile, and the first is kept
                owed.file.drop()
        self._settled(done)
        left = [owed for owed in group if owed not in done]
        stuck = [owed for owed in left if isinstance(failed.get(owed.sop_uid), FolderUnusable)]
        if stuck and self._set_aside(stuck, failed):
            left = [owed for owed in left if owed not in stuck]
        if left:
            self._failed(left, failed.get(left[0].sop_uid, error))

    def _overrule(self, group: Sequence[_Owed], conflicts: Sequence[Conflict]) -> Batch:
        """Have promised files take the place of what somebody else stored after them, before they had their rows.

        Return what became of them.
        """
        owed, batch = {one.sop_uid: one for one in group}, Batch()
        for conflict in conflicts:
            self._writer.put(replace(owed[conflict.sop_uid].pending, replace=True), batch)
        batch.wait()
        return batch

    def _settled(self, group: Sequence[_Owed]) -> None:
        for then in (owed.then for owed in group if owed.then is not None):
            try:
                then()
            except Exception as error:
                # What is stored is stored, and the rest must be.
                _log.error("Whoever waits for rows failed: %s", type(error).__name__)
        with self._changed:
            self._claimed.difference_update(owed.sop_uid for owed in group)
            for owed in group:
                self._barred.pop(owed.folder, None)
            if group:
                self._problem = None
                self._in_a_row = 0
            if not self._barred:
                self._stuck_in_a_row = 0
            self._changed.notify_all()

    def _failed(self, group: Sequence[_Owed], error: VisualDicomError | None) -> None:
        """Try again: one by one if something in it cannot be stored at all, else all, but later."""
        hopeless = isinstance(error, (BadData, InternalError))  # and everything else would wait behind it
        if hopeless and group[0].alone:
            _log.error("A received file cannot get its rows, and waits for the next start: %s", error)
            with self._changed:
                self._problem = None  # nothing else may wait, and be tried again
                self._barred.pop(group[0].folder, None)
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
        _log.warning("Received files wait for their rows: %s", error)
        self._problem = error
        self._failures += 1
        self._retry_at = self._next_try(self._in_a_row)
        self._in_a_row += 1

    def _set_aside(self, group: Sequence[_Owed], why: Mapping[str, VisualDicomError]) -> bool:
        """Have instances wait for their folders, and nothing else with them; False if that is too many."""
        with self._changed:
            if len(self._stuck) + len(group) > _MOST_OWED:
                return False
            self._problem = None
            for owed in group:
                self._stuck[owed.sop_uid] = owed
                self._barred[owed.folder] = why[owed.sop_uid]
            self._stuck_until = self._next_try(self._stuck_in_a_row)
            self._stuck_in_a_row += 1
            _log.warning("Received files wait for their folder: %s", why[group[0].sop_uid])
            self._changed.notify_all()
            return True

    def _next_try(self, failures: int) -> float:
        return time.monotonic() + self._retry_delays[min(failures, len(self._retry_delays) - 1)]
