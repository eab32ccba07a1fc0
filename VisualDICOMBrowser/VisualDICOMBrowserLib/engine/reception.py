"""Who may come in, and what may be left here: the engine's side of each connection to its listener."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..dimse.listener import Caller
from ..dimse.storing import Incoming
from ..domain.errors import OtherContent, Unwanted, VisualDicomError
from ..domain.listener import CallRecord
from ..domain.protocol_log import ProtocolLog, current_log
from ..domain.results import Conflict, add_conflict
from ..domain.servers import Server
from ..store.files import PartFile
from ..store.headers import Header
from ..store.local import LocalStore
from ..store.receive import Receiver
from ..store.writer import Batch, Pending

#: Seconds between two reports of how far an association is.
_REPORT_S = 0.5


@dataclass(eq=False)
class Expectation:
    """Instances that a server was asked to send.

    :ivar server: who was asked. They may come from any address of its host, or under its AE title.
    :ivar study_uids: everything of these studies is taken; likewise the series and the instances below.
    :ivar arrived: called with the SOP Instance UID of each that is here, its rows included; on any thread.
    :ivar refused: called with that and the error, on the thread of the connection, for what came and was not kept.
    :ivar last_byte: ``time.monotonic()`` of the last byte of an instance that came from there.
    :ivar log: of the work that asked for it.
    :ivar bytes: how long the data sets were of those that are here.
    :ivar replace: whether they take the place of what is here.
    :ivar replaced: SOP Instance UIDs of those that did.
    :ivar conflicts: those that were here already, with other content.
    """

    server: Server
    study_uids: frozenset[str] = frozenset()
    series_uids: frozenset[str] = frozenset()
    sop_uids: frozenset[str] = frozenset()
    arrived: Callable[[str], None] = lambda _: None
    refused: Callable[[str, VisualDicomError], None] = lambda *_: None
    last_byte: float = field(default_factory=time.monotonic)
    bytes: int = 0
    log: ProtocolLog | None = field(default_factory=current_log)
    replace: bool = False
    replaced: set[str] = field(default_factory=set)
    conflicts: list[Conflict] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, sop_uid: str, length: int, *, replaced: bool = False) -> None:
        """Take it that an instance is here.

        :param replaced: in the place of another that was here.
        """
        with self._lock:
            self.last_byte = time.monotonic()
            self.bytes += length
            if replaced:
                self.replaced.add(sop_uid)
        self.arrived(sop_uid)

    def names(self, header: Header) -> bool:
        """Tell whether an instance was asked for."""
        return (
            header.study_uid in self.study_uids
            or header.series_uid in self.series_uids
            or header.sop_uid in self.sop_uids
        )


class Desk(Protocol):
    """What a reception asks of :class:`.Listening`."""

    def is_allowed(self, caller: Caller) -> bool:
        """Tell whether somebody may call at any time."""

    def expected_from(self, caller: Caller) -> Sequence[Expectation]:
        """Return what was asked of whoever calls."""

    def next_number(self) -> int:
        """Return a number for an association."""

    def tell(self, record: CallRecord) -> None:
        """Tell that an association began, how far it is, or that it ended."""

    def tell_refusal(self, caller: Caller, reason: str) -> None:
        """Tell that somebody did not get in."""


class Reception:
    """A :class:`..dimse.listener.Reception`.

    :param unsolicited: whether allowed peers may send what was not asked for.
    """

    def __init__(self, desk: Desk, store: LocalStore, *, unsolicited: bool) -> None:
        self._desk = desk
        self._store = store
        self._unsolicited = unsolicited

    def admit(self, caller: Caller) -> Visitor | None:
        """See :class:`..dimse.listener.Reception`."""
        allowed = self._desk.is_allowed(caller)
        if not allowed and not self._desk.expected_from(caller):
            return None
        return Visitor(self._desk, self._store, caller, may_push=allowed and self._unsolicited)

    def turned_away(self, caller: Caller, reason: str) -> None:
        """See :class:`..dimse.listener.Reception`."""
        self._desk.tell_refusal(caller, reason)


class Visitor:
    """A :class:`..dimse.listener.Guest`: keeps what it may leave, and the account of it."""

    def __init__(self, desk: Desk, store: LocalStore, caller: Caller, *, may_push: bool) -> None:
        self.desk = desk
        self.store = store
        self.caller = caller
        self.may_push = may_push
        self.record = CallRecord(desk.next_number(), caller.calling_aet, caller.address, caller.secured)
        self._told_at = time.monotonic()
        desk.tell(self.record)
        self._tell_askers("has called us")

    def _tell_askers(self, what: str) -> None:
        for expectation in self.desk.expected_from(self.caller):
            if expectation.log is not None:
                expectation.log.note(f"{self.caller.calling_aet} at {self.caller.address} {what}.")

    def tell_progress(self) -> None:
        """Tell how far it is, now and then."""
        now = time.monotonic()
        if now - self._told_at >= _REPORT_S:
            self._told_at = now
            self.desk.tell(self.record)

    def open(self, incoming: Incoming) -> Arrival:
        """See :class:`..dimse.storing.StoreHandler`."""
        try:
            return Arrival(self, incoming)
        except VisualDicomError as error:
            self.note(incoming.sop_uid, error, self.desk.expected_from(self.caller))
            raise

    def note(self, sop_uid: str, error: VisualDicomError, wished: Iterable[Expectation]) -> None:
        """Count an instance that was not kept, and tell those who may have asked for it."""
        for expectation in wished:
            expectation.refused(sop_uid, error)
        if isinstance(error, Unwanted):
            self.record.refused += 1
        elif not isinstance(error, OtherContent):  # which is named
            self.record.failed += 1

    def left(self, reason: str) -> None:
        """See :class:`..dimse.listener.Guest`."""
        self.record.over = True
        self.record.reason = reason
        self._tell_askers(f"is gone, {self.record.stored} instances were stored{': ' if reason else ''}{reason}")
        self.desk.tell(self.record)


class Arrival:
    """A :class:`..dimse.storing.InstanceSink`: one instance on its way into the store."""

    def __init__(self, visitor: Visitor, incoming: Incoming) -> None:
        self._visitor = visitor
        self._wished = visitor.desk.expected_from(visitor.caller)
        if not self._wished and not visitor.may_push:
            raise Unwanted("An instance came that nobody had asked for.")
        self._sop_uid, self._study_uid = incoming.sop_uid, ""
        self._length = 0
        self._is_safe = False
        self._batch = Batch()
        store, title = visitor.store, visitor.caller.calling_aet
        self._receiver = Receiver(store.folder, store.writer, self._batch, title, self._check, self._keep)
        self._file = self._receiver.open(incoming)

    def write(self, data: memoryview) -> None:
        """See :class:`..dimse.storing.InstanceSink`."""
        self._touch()
        self._length += len(data)
        self._visitor.record.bytes += len(data)
        try:
            self._file.write(data)
        except VisualDicomError as error:
            self._visitor.note(self._sop_uid, error, self._wished)
            raise

    def _touch(self) -> None:
        now = time.monotonic()
        for expectation in self._wished:
            expectation.last_byte = now

    def _check(self, header: Header) -> None:
        self._wished = [one for one in self._wished if one.names(header)]
        if not self._wished and not self._visitor.may_push:
            raise Unwanted("An instance came that nobody had asked for.")
        self._receiver.replace = any(one.replace for one in self._wished)
        self._study_uid = header.study_uid

    def _keep(self, pending: Pending, part: PartFile) -> bool:
        """Have it safe, and its rows soon; what is here already is compared by the writer instead."""
        then = self._tell_wishes if self._wished else None
        self._is_safe = self._visitor.store.safekeeping.keep(pending, part, then)
        return self._is_safe

    def finish(self) -> None:
        """Have it safe; see :class:`..dimse.storing.InstanceSink`."""
        try:
            self._file.finish()
            self._batch.wait()
            for _, error in self._batch.failed:
                raise error
            for conflict in self._batch.conflicts:
                self._note_conflict(conflict)
                raise OtherContent(conflict.reason)
        except VisualDicomError as error:
            self._visitor.note(self._sop_uid, error, self._wished)
            raise
        self._count()
        if not self._is_safe:
            self._tell_wishes()

    def _tell_wishes(self) -> None:
        """Tell whoever asked for the instance that it is here."""
        for expectation in self._wished:
            expectation.note(self._sop_uid, self._length, replaced=bool(self._batch.replaced))

    def _note_conflict(self, conflict: Conflict) -> None:
        self._visitor.record.add_conflict(conflict)
        for expectation in self._wished:
            add_conflict(expectation.conflicts, conflict)

    def _count(self) -> None:
        record = self._visitor.record
        record.studies.add(self._study_uid)
        stored = len(self._batch.stored) + len(self._batch.replaced) + self._is_safe
        record.stored += stored
        record.duplicates += len(self._batch.duplicates)
        record.asked_for += stored + len(self._batch.duplicates) if self._wished else 0
        self._visitor.tell_progress()

    def discard(self) -> None:
        """See :class:`..dimse.storing.InstanceSink`."""
        self._file.discard()
