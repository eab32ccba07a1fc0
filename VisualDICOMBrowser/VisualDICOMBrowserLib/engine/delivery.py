"""A delivery: instances to one server by C-STORE. Survives tries: the next one sends only what is not confirmed.

What a server does not take as it is in its file is converted into a file of the session, outside of the association: a
server that is kept waiting while a long film is decompressed would give up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..dimse.association import Association
from ..dimse.contexts import Proposal
from ..dimse.negotiation import AcceptedContext
from ..dimse.pool import Associate
from ..dimse.store import (
    Outgoing,
    StoreAnswer,
    context_as_it_is,
    store,
    store_batches,
    takes_class,
    uncompressed_syntax,
)
from ..domain.cancel import CancelToken
from ..domain.errors import (
    BadData,
    LocalError,
    NoCommonContext,
    OperationRefused,
    PeerError,
    StorageError,
)
from ..domain.protocol_log import note, note_progress
from ..domain.results import Failure, SendResult
from ..domain.servers import Server
from ..domain.uids import is_standard_uid
from ..imaging.children import Decoder
from ..store.outgoing import DataSetReader, OutgoingFile, looks_like_dicom, opened_data_set, read_outgoing
from .delivery_check import listed_by, listed_now
from .session_folder import SessionFolder

Progress = Callable[[int, "int | None", int], None]

#: Converted instances that wait for their association: how many, and how many bytes they may have in their files.
_CONVERTED_AT_ONCE = 64
_CONVERTED_BYTES = 256 << 20
#: Seconds between two reports of progress.
_REPORT_S = 0.1
#: Seconds for one conversion.
_CONVERSION_S = 600.0


@dataclass(frozen=True)
class Parcel:
    """A file to be sent.

    :ivar sop_uid: the instance it should hold, empty if that is not known yet.
    :ivar named: whether somebody asked for just this file, which then must be one that can be sent.
    :ivar problem: why it cannot even be looked at, or empty.
    """

    path: Path
    sop_uid: str = ""
    named: bool = True
    problem: str = ""


@dataclass(frozen=True)
class _Item:
    """An instance to be sent, and the transfer syntax it has to be converted into, if that is known to be necessary."""

    file: OutgoingFile
    convert_to: str = ""

    @property
    def outgoing(self) -> Outgoing:
        file = self.file
        return Outgoing(file.sop_class, file.sop_uid, file.transfer_syntax, file.size)


@dataclass
class Delivery:
    """See the module.

    :param parcels: gives the files, once.
    :param check: ask the server afterwards whether it lists what it confirmed.
    :param associate: where associations come from.
    :param interrupted: an earlier program began it, and nobody knows what was confirmed: what the server lists is not
        sent again.
    :ivar sent: confirmed instances, and the server's warning, or an empty text.
    :ivar failed: instances that are not going to be sent, and why.
    :ivar rejected: files without an instance that could be sent.
    :ivar listed: of the confirmed instances those that the server lists; None if it was not asked yet.
    :ivar problem: a sentence on why the last attempt ended early, or empty.
    """

    server: Server
    parcels: Callable[[], Iterable[Parcel]]
    check: bool = False
    associate: Associate = Association.request
    interrupted: bool = False
    sent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    rejected: list[Failure] = field(default_factory=list)
    listed: set[str] | None = None
    bytes: int = 0
    problem: str = ""
    started: float = field(default_factory=time.monotonic)
    _files: dict[str, OutgoingFile] | None = None
    _damaged: int = 0
    _unusable: list[Failure] = field(default_factory=list)
    _twice: int = 0
    _trouble: dict[str, int] = field(default_factory=dict)

    def attempt(self, token: CancelToken, progress: Progress) -> None:
        """Try once. What the server confirms stays confirmed, whatever happens; :meth:`result` tells the rest.

        :raises PeerError: the conversation broke, or the server lacks resources; a retryable one is worth another try.
        """
        self.problem = ""
        files = self._looked_through(token)
        try:
            if self.interrupted:
                self._take_up(token)
            with _Attempt(self, token, progress) as running:
                running.run(list(files.values()))
            if self.check and self.sent:
                self._ask(token)
        except PeerError as error:
            self.problem = str(error)
            raise

    def _take_up(self, token: CancelToken) -> None:
        """Count what the server lists as sent; one that cannot be asked gets all of it again."""
        try:
            there = listed_now(self.server, self.left(), token, self.associate)
        except PeerError as error:
            if error.retryable:
                raise
            note(f"What was sent before cannot be asked for, and is sent again: {error}")
            there = set()
        note(f"{len(there)} of {len(self.left())} instances are listed by the server already.")
        self.sent.update(dict.fromkeys(there, ""))
        self.interrupted = False

    def renew(self) -> None:
        """Have what could not be sent looked at and tried again; what is confirmed stays so."""
        self.failed.clear()
        self._files = None
        self.started = time.monotonic()

    def left(self) -> list[OutgoingFile]:
        """Return what is neither confirmed nor given up, what made trouble before last: it may again."""
        files = (self._files or {}).values()
        left = [file for file in files if file.sop_uid not in self.sent and file.sop_uid not in self.failed]
        return sorted(left, key=lambda file: self._trouble.get(file.sop_uid, 0))

    def note_trouble(self, sop_uid: str) -> None:
        """Note that an attempt ended at an instance."""
        self._trouble[sop_uid] = self._trouble.get(sop_uid, 0) + 1

    def result(self) -> SendResult:
        """Say what was sent, and what was not and why."""
        unlisted = sorted(set(self.sent) - self.listed) if self.listed is not None else []
        left = {file.sop_uid: self.problem or "It was not sent." for file in self.left()}
        failed = {**left, **self.failed, **dict.fromkeys(unlisted, "The server confirmed it, but does not list it.")}
        return SendResult(
            requested=len(self._files or {}) + len(self._unusable),
            sent=len(self.sent),
            verified=len(self.listed) if self.listed is not None else None,
            failed=(*(Failure(uid, reason) for uid, reason in failed.items()), *self._unusable),
            bytes=self.bytes,
            seconds=time.monotonic() - self.started,
            rejected=tuple(self.rejected),
            warnings=tuple(self._warnings()),
            check=self.check,
            damaged=self._damaged,
        )

    def _warnings(self) -> Iterator[str]:
        if self.problem:
            yield f"{self.server.name}: {self.problem}"
        words = [warning for warning in list(self.sent.values()) if warning]  # it may just be growing
        for warning in dict.fromkeys(words):
            yield f"{self.server.name}, {words.count(warning)} instances: {warning}."
        if self._twice:
            yield f"{self._twice} files hold an instance that another one holds as well; it is sent once."

    def _ask(self, token: CancelToken) -> None:
        """Ask what the server lists; why it cannot be asked is told, since all has been sent."""
        try:
            self.listed = listed_by(self.server, [self._file(uid) for uid in self.sent], token, self.associate)
        except PeerError as error:
            if error.retryable:
                raise
            self.problem = f"What was sent could not be checked: {error}"

    def _file(self, sop_uid: str) -> OutgoingFile:
        assert self._files is not None
        return self._files[sop_uid]

    # Looking through the files

    def _looked_through(self, token: CancelToken) -> dict[str, OutgoingFile]:
        if self._files is None:
            found: dict[str, OutgoingFile] = {}
            self.rejected, self._unusable, self._damaged, self._twice = [], [], 0, 0
            for parcel in self.parcels():
                token.check()
                self._look(parcel, found)
            self._files = found
        return self._files

    def _look(self, parcel: Parcel, found: dict[str, OutgoingFile]) -> None:
        try:
            if parcel.problem:
                raise StorageError(parcel.problem)
            file = read_outgoing(parcel.path)
            if parcel.sop_uid and file.sop_uid != parcel.sop_uid:
                raise BadData("The file holds another instance.")
        except (BadData, StorageError) as error:
            self._reject(parcel, str(error))
            return
        if file.sop_uid in found:
            self._twice += 1
            return
        found[file.sop_uid] = file
        if not (is_standard_uid(file.sop_class) and is_standard_uid(file.transfer_syntax)):
            self.failed[file.sop_uid] = "Its SOP Class or Transfer Syntax UID is not valid, and cannot be proposed."

    def _reject(self, parcel: Parcel, reason: str) -> None:
        if parcel.sop_uid:
            self._unusable.append(Failure(parcel.sop_uid, reason))
            return
        self._damaged += parcel.named or looks_like_dicom(parcel.path)
        self.rejected.append(Failure(str(parcel.path).encode("utf-8", "replace").decode(), reason))


class _Attempt:
    """One try of a delivery, with the decoder and the files it needs for that long."""

    def __init__(self, delivery: Delivery, token: CancelToken, progress: Progress) -> None:
        self._delivery = delivery
        self._token = token
        self._progress = progress
        self._total = 0
        self._in_flight = 0
        self._next_report = 0.0
        self._stack = ExitStack()
        self._decoder: Decoder | None = None
        self._folder = SessionFolder()

    def __enter__(self) -> _Attempt:
        self._stack.enter_context(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        sent, failed = len(self._delivery.sent), len(self._delivery.failed)
        note(f"Of {self._total} instances {sent} are confirmed by now, and {failed} are not going to be sent.")

    def run(self, files: Sequence[OutgoingFile]) -> None:
        """Send what is left, in as few associations as the number of its kinds allows.

        :raises PeerError: the conversation broke.
        """
        self._total = len(files)
        self._report()
        kinds = [(file.sop_class, file.transfer_syntax) for file in self._delivery.left()]
        for proposals in store_batches(kinds):
            offered = {(p.abstract_syntax, syntax) for p in proposals for syntax in p.transfer_syntaxes}
            left = [f for f in self._delivery.left() if (f.sop_class, f.transfer_syntax) in offered]
            converted = self._send([_Item(file) for file in left], proposals)
            for group in _groups(converted):
                self._send_converted(group)

    def _send(self, items: Sequence[_Item], proposals: Sequence[Proposal]) -> list[_Item]:
        """Send what can be sent as it is, over one association as far as possible; return what must be converted."""
        waiting, converted = list(items), list[_Item]()
        while waiting:
            try:
                with self._delivery.associate(self._delivery.server, proposals, self._token) as association:
                    note(f"C-STORE of {len(waiting)} instances.")
                    while waiting and not association.is_over:
                        self._token.check()
                        item = waiting.pop(0)
                        needed = self._send_one(association, item)
                        if needed is not None:
                            converted.append(needed)
            except NoCommonContext:
                for item in waiting:
                    self._refuse(item, _NO_CLASS)
                return converted
            except _Unreadable:
                continue  # with the next one, over another association: half a data set ends one
        return converted

    def _send_one(self, association: Association, item: _Item) -> _Item | None:
        """Send an instance, or note why not; return it if it has to be converted first."""
        context = context_as_it_is(association, item.outgoing)
        if context is None:
            syntax = uncompressed_syntax(association, item.file.sop_class)
            if syntax is not None and item.file.transfer_syntax != syntax:
                return replace(item, convert_to=syntax)
            known = takes_class(association, item.file.sop_class)
            self._refuse(item, _NO_SYNTAX if known else _NO_CLASS)
            return None
        with ExitStack() as stack:
            try:
                reader = stack.enter_context(opened_data_set(item.file))
            except LocalError as error:
                self._refuse(item, str(error))
                return None
            self._note(item, self._transfer(association, context, item, reader))
        return None

    def _transfer(
        self, association: Association, context: AcceptedContext, item: _Item, reader: DataSetReader
    ) -> StoreAnswer:
        def fill(views: list[memoryview]) -> None:
            try:
                reader.fill(views)
            except StorageError as error:
                self._refuse(item, str(error))
                raise _Unreadable(str(error)) from error
            self._in_flight += sum(map(len, views))
            self._report()

        try:
            return store(association, context, item.outgoing, fill)
        except PeerError:
            self._delivery.note_trouble(item.file.sop_uid)
            raise
        finally:
            self._in_flight = 0

    def _note(self, item: _Item, answer: StoreAnswer) -> None:
        """Take over what the server says of an instance.

        :raises OperationRefused: it lacks resources: the others would fare no better now.
        """
        delivery, sop_uid = self._delivery, item.file.sop_uid
        if answer.taken:
            delivery.sent[sop_uid] = answer.words if answer.warned else ""
            delivery.bytes += item.file.size
            note_progress(f"{len(delivery.sent)} of {self._total} instances are confirmed.")
            self._report()
        elif answer.is_transient:
            delivery.note_trouble(sop_uid)
            left = len(delivery.left())
            words = f"The server takes no more for now: {answer.words}; {left} of {self._total} instances are left."
            raise OperationRefused(words, answer.status, retryable=True)
        else:
            self._refuse(item, f"The server refused it: {answer.words}.")

    def _refuse(self, item: _Item, reason: str) -> None:
        self._delivery.failed[item.file.sop_uid] = reason
        note(f"Instance {item.file.sop_uid}: {reason}")
        self._report()

    def _report(self) -> None:
        """Tell how far it is, now and then: whoever is told wakes another thread, which costs more than to send."""
        delivery, now = self._delivery, time.monotonic()
        done = len(delivery.sent) + len(delivery.failed)
        if done < self._total and now < self._next_report:
            return
        self._next_report = now + _REPORT_S
        self._progress(done, self._total, delivery.bytes + self._in_flight)

    # Conversion

    def _send_converted(self, items: Iterable[_Item]) -> None:
        made: list[_Item] = []
        try:
            for item in items:
                self._token.check()
                converted = self._converted(item)
                if converted is not None:
                    made.append(converted)
            classes = dict.fromkeys((item.file.sop_class, item.file.transfer_syntax) for item in made)
            if made:
                # the same answer as before, or none: then the reason is told
                again = self._send(made, [Proposal(sop_class, (syntax,)) for sop_class, syntax in classes])
                for item in again:
                    self._refuse(item, _NO_SYNTAX)
        finally:
            for item in made:
                item.file.path.unlink(missing_ok=True)

    def _converted(self, item: _Item) -> _Item | None:
        path = self._folder.new_path(".dcm")
        try:
            answer = self._decoding().ask(
                "convert", item.file.path, path, _CONVERSION_S, token=self._token, syntax=item.convert_to
            )
        except (BadData, StorageError) as error:
            path.unlink(missing_ok=True)
            self._refuse(item, f"The server does not take it as it is, and it cannot be converted: {error}")
            return None
        file = replace(item.file, path=path, offset=0, size=int(answer["size"]), transfer_syntax=item.convert_to)
        return _Item(file)

    def _decoding(self) -> Decoder:
        """Return a decoder of our own: cancelling ends it in the middle of a conversion."""
        if self._decoder is None:
            self._decoder = self._stack.enter_context(Decoder())
            self._stack.enter_context(self._token.calling(self._decoder.close))
        return self._decoder


class _Unreadable(StorageError):
    """A file could not be read on in the middle of its data set."""


_NO_CLASS = "The server does not take objects of this kind."
_NO_SYNTAX = "The server takes such objects neither in this transfer syntax nor uncompressed."


def _groups(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    """Cut what is to be converted into groups that are sent at once."""
    group: list[_Item] = []
    size = 0
    for item in items:
        group.append(item)
        size += item.file.size
        if len(group) == _CONVERTED_AT_ONCE or size > _CONVERTED_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
