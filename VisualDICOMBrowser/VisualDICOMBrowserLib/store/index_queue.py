"""Files whose rows somebody else writes: handed over in batches, and waited for until the rows are seen.

Each file has an open intent ``receive`` all the while, so that the next start hands over again what is not seen yet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..domain.errors import StorageError
from .catalogue import Catalogue
from .files import unlink_with_retry
from .layout import DatabaseFolder
from .local_records import header_of
from .rows import LocalRows

#: How often a file is handed over before it counts as refused.
MAX_OFFERS = 3
REFUSED = "Slicer's database did not take this file in."


@dataclass(frozen=True)
class IndexBatch:
    """Files to be taken in.

    :ivar number: names the batch; 0 if there is none.
    :ivar files: as stored: relative to the database folder if they lie in it.
    :ivar left: how many wait beside them.
    :ivar urgent: whether somebody waits for nothing but rows.
    """

    number: int = 0
    files: tuple[str, ...] = ()
    left: int = 0
    urgent: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return a JSON-ready form."""
        return {"batch": self.number, "files": list(self.files), "left": self.left, "urgent": self.urgent}


@dataclass(frozen=True)
class IndexOutcome:
    """What became of a batch.

    :ivar superseded: instances among the settled that were taken in from other files than ours.
    """

    settled: int = 0
    missing: int = 0
    superseded: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return a JSON-ready form."""
        return {"settled": self.settled, "missing": self.missing}


@dataclass(frozen=True)
class _Offer:
    file: str
    times: int = 0


@dataclass(eq=False)
class _Waiter:
    sop_uids: set[str]
    callback: Callable[[], None]


class IndexQueue:
    """See the module. Safe to use from several threads.

    :param tell: called with the number of files that wait, and whether somebody waits for them, when either grows.
    """

    def __init__(
        self, folder: DatabaseFolder, catalogue: Catalogue, rows: LocalRows, tell: Callable[[int, bool], None]
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._rows = rows
        self._tell = tell
        self._lock = threading.RLock()
        self._waiting: dict[str, _Offer] = {}
        self._under_way: dict[str, _Offer] = {}
        self._number = 0
        self._refused: set[str] = set()
        self._waiters: list[_Waiter] = []

    def offer(self, files: Iterable[tuple[str, str]]) -> None:
        """Add files that are in place: (SOP Instance UID, stored name)."""
        with self._lock:
            for sop_uid, file in files:
                if sop_uid not in self._under_way or self._under_way[sop_uid].file != file:
                    self._waiting[sop_uid] = _Offer(file)
                self._refused.discard(sop_uid)
        self._tell_wishes()

    def withdraw(self, sop_uids: Iterable[str]) -> set[str]:
        """Forget files that are about to be removed; return the instances whose rows may still be written."""
        under_way = set()
        with self._lock:
            for sop_uid in sop_uids:
                self._waiting.pop(sop_uid, None)
                if self._under_way.pop(sop_uid, None) is not None:
                    under_way.add(sop_uid)
                self._refused.discard(sop_uid)
        self._wake_waiters()
        return under_way

    def next_batch(self, limit: int) -> IndexBatch:
        """Return files to hand over, which are under way then; none while others are."""
        with self._lock:
            if self._under_way or not self._waiting:
                return IndexBatch(left=len(self._waiting), urgent=self._is_urgent())
            chosen = list(self._waiting)[: max(1, limit)]
            self._under_way = {sop_uid: self._waiting.pop(sop_uid) for sop_uid in chosen}
            self._number += 1
            files = tuple(offer.file for offer in self._under_way.values())
            return IndexBatch(self._number, files, len(self._waiting), self._is_urgent())

    def done(self, number: int) -> IndexOutcome:
        """Look which files of a batch got their rows; the others wait again, up to :data:`MAX_OFFERS` times.

        :raises StorageError: the rows cannot be read now; everything waits again.
        """
        with self._lock:
            offers = dict(self._under_way) if number == self._number else {}
            if not offers:
                return IndexOutcome()
        try:
            settled, superseded = self._settle(offers)
        except StorageError:
            self._end_batch(offers)
            raise
        missing = {uid: replace(o, times=o.times + 1) for uid, o in offers.items() if uid not in settled}
        self._end_batch(missing)
        self._wake_waiters()
        self._tell_wishes()
        return IndexOutcome(len(settled), len(missing), superseded)

    def _end_batch(self, again: Mapping[str, _Offer]) -> None:
        with self._lock:
            for sop_uid, offer in again.items():
                if sop_uid not in self._under_way:
                    continue  # withdrawn meanwhile
                if offer.times < MAX_OFFERS:
                    self._waiting.setdefault(sop_uid, offer)
                else:
                    self._refused.add(sop_uid)
            self._under_way = {}

    def unseen(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that still wait for their rows, or were refused."""
        with self._lock:
            return {uid for uid in sop_uids if uid in self._waiting or uid in self._under_way or uid in self._refused}

    def refused(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that were handed over in vain; the next start tries again."""
        with self._lock:
            return self._refused.intersection(sop_uids)

    def when_seen(self, sop_uids: Iterable[str], callback: Callable[[], None]) -> None:
        """Call back once, from any thread, when none of the instances waits any more: seen, refused, or withdrawn."""
        with self._lock:
            self._waiters.append(_Waiter(set(sop_uids), callback))
        self._wake_waiters()
        self._tell_wishes()

    def wish(self) -> tuple[int, bool]:
        """Return how many files wait, and whether somebody waits for them."""
        with self._lock:
            return len(self._waiting), self._is_urgent()

    def _is_urgent(self) -> bool:
        return bool(self._waiters) and any(self._is_open(waiter) for waiter in self._waiters)

    def _is_open(self, waiter: _Waiter) -> bool:
        waiter.sop_uids &= self._waiting.keys() | self._under_way.keys()
        return bool(waiter.sop_uids)

    def _wake_waiters(self) -> None:
        with self._lock:
            done = [waiter for waiter in self._waiters if not self._is_open(waiter)]
            self._waiters = [waiter for waiter in self._waiters if waiter not in done]
        for waiter in done:
            waiter.callback()

    def _tell_wishes(self) -> None:
        waiting, urgent = self.wish()
        if waiting:
            self._tell(waiting, urgent)

    def _settle(self, offers: Mapping[str, _Offer]) -> tuple[set[str], int]:
        """Strike off the intents of instances whose rows are there; return them, and how many have other files."""
        rows = {image.sop_uid: image.filename for image in self._rows.images(sop_uids=list(offers))}
        settled, superfluous = set(), []
        for sop_uid, file in rows.items():
            ours = self._path(offers[sop_uid].file)
            if ours == self._path(file):
                settled.add(sop_uid)
            elif header_of(self._folder, sop_uid, file) is not None:
                # Somebody else took the same instance in from elsewhere meanwhile; nobody asks for our file.
                settled.add(sop_uid)
                superfluous.append(ours)
        self._catalogue.clear_intents("receive", settled)
        for path in superfluous:
            if path is not None and self._folder.owns(path):
                unlink_with_retry(path)
        return settled, len(superfluous)

    def _path(self, file: str) -> Path | None:
        path = self._folder.find(file)
        return path.resolve() if path is not None else None
