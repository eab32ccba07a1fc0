"""Files whose rows somebody else writes: handed over in batches, and waited for until the rows are seen.

Each file has an open intent ``receive`` all the while, so that the next start hands over again what is not seen yet.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..domain.errors import StorageError
from ..domain.results import Conflict
from .catalogue import Catalogue
from .files import unlink_with_retry
from .layout import DatabaseFolder
from .local_records import header_of
from .rows import LocalRows
from .superseded import Pair, Superseded

_log = logging.getLogger(__name__)

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

    :ivar superseded: instances that were taken in from other files than ours, which are compared now.
    """

    settled: int = 0
    missing: int = 0
    superseded: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return a JSON-ready form."""
        return {"settled": self.settled + self.superseded, "missing": self.missing}


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
    :ivar superseded: compares files of ours with those that were taken in instead.
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
        self._expected: set[str] = set()
        self._compared: dict[str, _Offer] = {}
        self._conflicts: dict[str, tuple[Conflict, Pair]] = {}
        self._waiters: list[_Waiter] = []
        self.superseded = Superseded(self._on_judged, self._on_unjudged)

    def offer(self, files: Iterable[tuple[str, str]]) -> None:
        """Add files that are in place: (SOP Instance UID, stored name)."""
        with self._lock:
            for sop_uid, file in files:
                if sop_uid not in self._under_way or self._under_way[sop_uid].file != file:
                    self._waiting[sop_uid] = _Offer(file)
                else:  # it may have come too late for this batch: then it is handed over as often as any other
                    self._under_way[sop_uid] = _Offer(file, times=-1)
                self._forget(sop_uid)
        self._tell_wishes()

    def _forget(self, sop_uid: str) -> None:
        """Forget what became of a file that was handed over before."""
        self._refused.discard(sop_uid)
        self._compared.pop(sop_uid, None)
        self._conflicts.pop(sop_uid, None)

    def expect(self, sop_uids: Iterable[str]) -> None:
        """Take files into account that are safe, and are still to get the names by which they are offered."""
        with self._lock:
            for sop_uid in sop_uids:
                self._expected.add(sop_uid)
                self._refused.discard(sop_uid)

    def expected(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that are expected."""
        with self._lock:
            return self._expected.intersection(sop_uids)

    def expect_no_more(self, sop_uids: Iterable[str]) -> None:
        """End :meth:`expect`: they were offered, or are not wanted any more."""
        with self._lock:
            self._expected.difference_update(sop_uids)
        self._wake_waiters()

    def refuse(self, sop_uids: Iterable[str]) -> None:
        """End :meth:`expect`: they are not offered before the next start."""
        uids = set(sop_uids)
        with self._lock:
            self._refused |= uids
        self.expect_no_more(uids)

    def withdraw(self, sop_uids: Iterable[str]) -> set[str]:
        """Forget files that are about to be removed; return the instances whose rows may still be written."""
        under_way = set()
        with self._lock:
            for sop_uid in sop_uids:
                self._waiting.pop(sop_uid, None)
                if self._under_way.pop(sop_uid, None) is not None:
                    under_way.add(sop_uid)
                self._forget(sop_uid)
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
            settled, pairs = self._settle(offers)
        except StorageError:
            self._end_batch(offers)
            raise
        seen = {*settled, *(pair.sop_uid for pair in pairs)}
        with self._lock:
            offers |= self._under_way
            missing = {uid: replace(o, times=o.times + 1) for uid, o in offers.items() if uid not in seen}
            pairs = [pair for pair in pairs if pair.sop_uid in self._under_way]  # the others were withdrawn
            self._compared |= {pair.sop_uid: offers[pair.sop_uid] for pair in pairs}
        self._end_batch(missing)
        self.superseded.take(pairs)
        self._wake_waiters()
        self._tell_wishes()
        return IndexOutcome(len(settled), len(missing), len(pairs))

    def _end_batch(self, again: Mapping[str, _Offer]) -> None:
        with self._lock:
            for sop_uid, offer in again.items():
                if sop_uid in self._under_way:  # else withdrawn meanwhile
                    self._offer_again(sop_uid, offer)
            self._under_way = {}

    def _offer_again(self, sop_uid: str, offer: _Offer) -> None:
        if offer.times < MAX_OFFERS:
            self._waiting.setdefault(sop_uid, offer)
        else:
            self._refused.add(sop_uid)

    def unseen(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that still wait for their rows, or were refused."""
        with self._lock:
            return (self._open() | self._refused).intersection(sop_uids)

    def _open(self) -> set[str]:
        return {*self._waiting, *self._under_way, *self._expected, *self._compared}

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
        wanted = self._waiting.keys() | self._under_way.keys()
        return any(not wanted.isdisjoint(waiter.sop_uids) for waiter in self._waiters)

    def _wake_waiters(self) -> None:
        with self._lock:
            still = self._open() if self._waiters else set()
            for waiter in self._waiters:
                waiter.sop_uids &= still
            done = [waiter for waiter in self._waiters if not waiter.sop_uids]
            self._waiters = [waiter for waiter in self._waiters if waiter not in done]
        for waiter in done:
            waiter.callback()

    def _tell_wishes(self) -> None:
        waiting, urgent = self.wish()
        if waiting:
            self._tell(waiting, urgent)

    def _settle(self, offers: Mapping[str, _Offer]) -> tuple[set[str], list[Pair]]:
        """Strike off the intents of instances whose rows are there; return them, and those that have other files."""
        rows = {image.sop_uid: image.filename for image in self._rows.images(sop_uids=list(offers))}
        settled, pairs = set(), []
        for sop_uid, file in rows.items():
            ours = offers[sop_uid].file
            if self._path(ours) == self._path(file):
                settled.add(sop_uid)
            elif header_of(self._folder, sop_uid, file) is not None:
                # Somebody else took the same instance in from elsewhere meanwhile.
                pairs.append(Pair(sop_uid, file, ours))
        self._catalogue.clear_intents("receive", settled)
        return settled, pairs

    def _on_unjudged(self, pair: Pair) -> None:
        with self._lock:
            offer = self._compared.pop(pair.sop_uid, None)
            if offer is not None:
                self._offer_again(pair.sop_uid, replace(offer, times=offer.times + 1))
        self._wake_waiters()
        self._tell_wishes()

    def _on_judged(self, pair: Pair, conflict: Conflict | None) -> None:
        if conflict is None and not self._drop(pair):
            self._on_unjudged(pair)
            return
        with self._lock:
            offer = self._compared.pop(pair.sop_uid, None)  # None: withdrawn meanwhile
            if conflict is not None and offer is not None:
                self._conflicts[pair.sop_uid] = (conflict, pair)
                self._refused.add(pair.sop_uid)
                _log.warning("Another program took in other content of an image; ours waits until that was told.")
        self._wake_waiters()

    def take_conflicts(self, sop_uids: Iterable[str]) -> list[Conflict]:
        """Return conflicts with what was taken in instead, to be told to those who brought our files.

        These are dropped with that, if the others are still there.
        """
        with self._lock:
            found = [self._conflicts.pop(uid) for uid in sop_uids if uid in self._conflicts]
        told = [conflict for conflict, pair in found if self._drop(pair)]
        with self._lock:
            self._refused.difference_update(conflict.sop_uid for conflict in told)
        return told

    def _drop(self, pair: Pair) -> bool:
        """Delete our file, unless it is a linked one, and tell whether it is not needed.

        If it cannot be deleted, the next start hands it over again.
        """
        ours = self._path(pair.ours)
        try:
            rows = self._rows.images(sop_uids=[pair.sop_uid])
            if not any(self._path(r.filename) != ours and header_of(self._folder, r.sop_uid, r.filename) for r in rows):
                return False
            if ours is not None and self._folder.owns(ours):
                unlink_with_retry(ours)
            self._catalogue.clear_intents("receive", [pair.sop_uid])
        except StorageError as error:
            _log.info("A file that is not needed is dropped at the next start: %s", error)
        return True

    def _path(self, file: str) -> Path | None:
        path = self._folder.find(file)
        return path.resolve() if path is not None else None
