"""The one thread that makes files and rows agree: it commits what came in, group by group.

For each group, in this order: intents → every file synced and given its name → tag cache and rows of the ctkDICOM
database → catalogue, which also strikes off the intents. A crash in between leaves a ``.part`` file, or an
intent that the next start finishes or undoes (:mod:`.recovery`).
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.errors import BadData, InternalError, StorageError, VisualDicomError
from ..domain.model import Instance, Level, Patient, Series, Study
from .catalogue import Catalogue, LocalFile, LocalInstance
from .ctk_database import CtkDatabase
from .ctk_rows import StoredInstance
from .files import PartFile, fsync_folder
from .headers import Header, read_header
from .layout import DatabaseFolder

_log = logging.getLogger(__name__)

#: Instances that wait for the writer; whoever brings more waits too, so that memory stays bounded.
_QUEUE_LENGTH = 512
#: Most instances in one transaction: more gain nothing, and keep readers of the database waiting.
_GROUP_LENGTH = 128


@dataclass(frozen=True)
class Pending:
    """An instance whose content is complete and checked.

    :ivar part: the file to be given its name, or None if it lies where it shall stay (linked).
    :ivar path: where it will lie.
    :ivar source: where it came from, for the intent.
    """

    header: Header
    part: PartFile | None
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


class StoreWriter:
    """Commits instances on its own thread; :meth:`put` may be called from any number of threads.

    :param on_stored: called on that thread with the Series Instance UIDs of each group that was committed.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        catalogue: Catalogue,
        ctk: CtkDatabase,
        on_stored: Callable[[frozenset[str]], None],
    ) -> None:
        self._on_stored = on_stored
        self._folder = folder
        self._catalogue = catalogue
        self._ctk = ctk
        self._queue: queue.Queue[tuple[Pending, Batch] | None] = queue.Queue(_QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._run, name="vdb-store-writer", daemon=True)
        self._thread.start()

    def put(self, pending: Pending, batch: Batch) -> None:
        """Hand over an instance; waits while too many are queued."""
        batch._opened()
        self._queue.put((pending, batch))

    def close(self) -> None:
        """Commit what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            group, last = self._take_group()
            if group:
                self._commit(group)
            if last:
                return

    def _take_group(self) -> tuple[list[tuple[Pending, Batch]], bool]:
        """Wait for an instance, then take along what is there already; the flag tells to end afterwards."""
        item = self._queue.get()
        group: list[tuple[Pending, Batch]] = []
        while item is not None:
            group.append(item)
            if len(group) >= _GROUP_LENGTH:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: Sequence[tuple[Pending, Batch]]) -> None:
        new = self._without_duplicates(group)
        try:
            self._catalogue.add_intents("receive", [self._intent(pending) for pending, _ in new])
            placed = [(pending, batch) for pending, batch in new if self._place(pending, batch)]
            for folder in {pending.path.parent for pending, _ in placed if pending.part is not None}:
                fsync_folder(folder)
            self._add_rows([pending for pending, _ in placed])
        except VisualDicomError as error:
            self._fail(new, error)
        except Exception as error:
            _log.exception("The store writer failed")
            self._fail(new, InternalError(f"Storing failed by a fault of this program ({type(error).__name__})."))
        else:
            for pending, batch in placed:
                batch._settle(pending.header.sop_uid, "stored")
            if placed:
                self._on_stored(frozenset(pending.header.series_uid for pending, _ in placed))

    def _without_duplicates(self, group: Sequence[tuple[Pending, Batch]]) -> list[tuple[Pending, Batch]]:
        """Settle what is local already, or twice in the group: the first is kept."""
        try:
            known = self._readable([pending.header.sop_uid for pending, _ in group])
        except VisualDicomError as error:
            self._fail(group, error)
            return []
        new = []
        for pending, batch in group:
            if pending.header.sop_uid in known:
                _discard(pending)
                batch._settle(pending.header.sop_uid, "duplicate")
            else:
                known.add(pending.header.sop_uid)
                new.append((pending, batch))
        return new

    def _readable(self, sop_uids: Sequence[str]) -> set[str]:
        """Return what is here and whole; the file of anything else is replaced."""
        files = self._catalogue.local_files(Level.IMAGE, sop_uids)
        return {f.instance.sop_uid for f in files if self._is_whole(f)}

    def _is_whole(self, file: LocalFile) -> bool:
        try:
            return read_header(self._folder.absolute(file.file)).sop_uid == file.instance.sop_uid
        except (BadData, StorageError):
            return False

    def _intent(self, pending: Pending) -> tuple[str, str, str]:
        return pending.header.sop_uid, self._folder.stored_name(pending.path), pending.source

    def _place(self, pending: Pending, batch: Batch) -> bool:
        """Give one file its name; a failure concerns this instance only."""
        if pending.part is None:
            return True
        try:
            pending.part.commit()
        except StorageError as error:
            batch._settle(pending.header.sop_uid, error)
            return False
        return True

    def _add_rows(self, items: Sequence[Pending]) -> None:
        damaged = self._catalogue.local_files(Level.IMAGE, [pending.header.sop_uid for pending in items])
        if damaged:  # their rows may name another file; until the new ones are there, the intents hold the place
            self._ctk.remove(file.instance.sop_uid for file in damaged)
        self._ctk.insert([StoredInstance(pending.header, pending.path) for pending in items])
        self._catalogue.add_local([local_instance(p.header, self._folder.stored_name(p.path)) for p in items])
        self._catalogue.ctk_stamp = str(self._ctk.change_stamp())

    def _fail(self, group: Sequence[tuple[Pending, Batch]], error: VisualDicomError) -> None:
        """Settle what is not settled yet; files that have their names already keep their intents."""
        for pending, batch in group:
            _discard(pending)
            batch._settle(pending.header.sop_uid, error)


def _discard(pending: Pending) -> None:
    if pending.part is not None:
        pending.part.discard()


def local_instance(header: Header, file: str) -> LocalInstance:
    """Return what the catalogue keeps of an instance.

    :param file: stored name of its file.
    """
    patient = Patient(header.patient_id, header.patient_name, header.birth_date, header.sex, header.issuer)
    study = Study(
        study_uid=header.study_uid,
        patient=patient,
        date=header.study_date,
        time=header.study_time,
        description=header.study_description,
        accession_number=header.accession_number,
        study_id=header.study_id,
    )
    series = Series(
        series_uid=header.series_uid,
        study_uid=header.study_uid,
        number=header.series_number,
        modality=header.modality,
        description=header.series_description,
        body_part=header.body_part,
    )
    instance = Instance(header.sop_uid, header.series_uid, header.study_uid, header.instance_number, header.sop_class)
    return LocalInstance(study, series, instance, file)
