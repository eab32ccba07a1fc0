"""C-GET as SCU (PS3.4, C.4.3): instances come back on the same association, as C-STORE sub-operations.

Data sets go to where the :class:`StoreHandler` says, undecoded, as their fragments arrive. What the status
codes claim is only passed on; the truth is what was stored and verified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..domain import status as codes
from ..domain.errors import BadData, FolderUnusable, ProtocolViolation, StorageError, VisualDicomError
from ..domain.model import Level
from ..domain.protocol_log import note, note_progress
from ..domain.uids import is_uid
from . import command as c
from .association import Association, DataSink, Message
from .identifier import Keys, encode_identifier, failed_uids
from .models import PATIENT_ROOT_GET, STUDY_ROOT_GET
from .stopping import stoppable
from .storing import Guard, StoreHandler, store_response


@dataclass
class GetOutcome:
    """What a C-GET brought, and what the peer says about it.

    :ivar received: SOP Instance UIDs that were kept.
    :ivar rejected: instances that came but were not kept: (SOP Instance UID, empty if it is none, the error).
    :ivar status: final status code; pending as long as there is none.
    :ivar failed_uids: instances the peer names as failed; often empty or unreadable though some failed.
    :ivar announced: number of sub-operations, as far as the peer told, else None.
    """

    received: list[str] = field(default_factory=list)
    rejected: list[tuple[str, VisualDicomError]] = field(default_factory=list)
    status: int = codes.PENDING
    failed_uids: tuple[str, ...] = ()
    announced: int | None = None


def get(
    association: Association,
    level: Level,
    keys: Keys,
    handler: StoreHandler,
    outcome: GetOutcome,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Fetch the instances that ``keys`` name (unique keys of ``level`` and those above).

    :param outcome: filled as things happen, so that it tells what came before an error.
    :param progress: called after each instance.
    :raises PeerError: the conversation broke; what came before is kept by ``handler``.
    :raises StorageError: nothing can be written any more (for example a full disk): the rest is not asked for.
    :raises Cancelled: on request, after the peer had the time to stop; what came whole until then is kept.
    """
    model = PATIENT_ROOT_GET if level is Level.PATIENT else STUDY_ROOT_GET
    context = association.context_for(model)
    identifier = encode_identifier({**keys, "QueryRetrieveLevel": level.name}, context.transfer_syntax)
    message_id = association.next_message_id()
    command: dict[int, str | int] = {
        c.AFFECTED_SOP_CLASS: model,
        c.COMMAND_FIELD: c.C_GET_RQ,
        c.MESSAGE_ID: message_id,
        c.PRIORITY: c.MEDIUM,
        c.DATA_SET_TYPE: c.WITH_DATA_SET,
    }
    note(f"C-GET of {asked_for(level, keys)}.")
    with stoppable(association, context.context_id, message_id):
        association.send(context.context_id, command, identifier)
        _Conversation(association, handler, outcome, progress).run(context.transfer_syntax)
    if outcome.status != codes.SUCCESS:
        association.retired = True


def asked_for(level: Level, keys: Keys) -> str:
    """Say for a log what unique keys name: UIDs, but no patient."""
    uids = keys.get("SOPInstanceUID") or ()
    if level is Level.IMAGE:
        return f"{1 if isinstance(uids, str) else len(uids)} instances of series {keys.get('SeriesInstanceUID', '')}"
    if level is Level.PATIENT:
        return "a patient"
    return f"{level.name.lower()} {keys.get(f'{level.name.title()}InstanceUID', '')}"


class _Conversation:
    """The messages after a C-GET request, up to its final response."""

    def __init__(
        self, association: Association, handler: StoreHandler, outcome: GetOutcome, progress: Callable[[], None]
    ) -> None:
        self._association = association
        self._handler = handler
        self._progress = progress
        self._guard: Guard | None = None
        self._outcome = outcome

    def run(self, transfer_syntax: str) -> None:
        try:
            while True:
                message = self._association.receive(self._sink_for)
                if message.command.field == c.C_STORE_RQ:
                    self._answer_store(message)
                elif message.command.field == c.C_GET_RQ | c.RESPONSE:
                    if note_response(message, transfer_syntax, self._outcome):
                        return
                else:
                    raise ProtocolViolation("The server answered the C-GET with another message.")
        finally:
            if self._guard is not None:
                self._guard.discard()

    def _sink_for(self, context_id: int, command: c.Command) -> DataSink | None:
        if command.field != c.C_STORE_RQ:
            return None
        self._guard = Guard.open(command, self._association.contexts[context_id], self._handler)
        return self._guard

    def _answer_store(self, message: Message) -> None:
        """Keep the instance and tell the peer; a C-STORE request without data set is bad data as well."""
        guard, self._guard = self._guard, None
        sop_uid = message.command.text(c.AFFECTED_SOP_INSTANCE)
        error = guard.finish() if guard is not None else BadData("An instance came without its data set.")
        if error is None:
            self._outcome.received.append(sop_uid)
        else:
            self._outcome.rejected.append((sop_uid if is_uid(sop_uid) else "", error))
        self._association.send(message.context_id, store_response(message.command, error))
        self._progress()
        if isinstance(error, StorageError) and not isinstance(error, FolderUnusable):
            raise error


def note_response(message: Message, transfer_syntax: str, outcome: GetOutcome) -> bool:
    """Take over what a C-GET or C-MOVE response says; tell whether it is the final one.

    :raises ProtocolViolation: it has no status.
    """
    command = message.command
    counts = [command.number(e, 0) for e in (c.REMAINING, c.COMPLETED, c.FAILED, c.WARNINGS)]
    if any(counts):
        outcome.announced = max(outcome.announced or 0, sum(counts))
    said = "Sub-operations: {} remaining, {} completed, {} failed, {} with warnings".format(*counts)
    status = command.number(c.STATUS)
    if codes.category(status) is codes.StatusCategory.PENDING:
        note_progress(f"{said}.")
        return False
    note(f"{said}; {codes.in_words(status)}.")
    outcome.status = status
    outcome.failed_uids = _named_as_failed(message, transfer_syntax)
    return True


def _named_as_failed(message: Message, transfer_syntax: str) -> tuple[str, ...]:
    """Return what the peer names as failed; a list that cannot be read must not spoil what came before it."""
    misplaced = message.command.text(c.MISPLACED_FAILED_UIDS).split("\\")
    try:
        named = failed_uids(message.data_set, transfer_syntax)
    except ProtocolViolation:
        named = ()
    return tuple(dict.fromkeys(filter(is_uid, (*named, *misplaced))))
