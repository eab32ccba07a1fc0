"""C-STORE as the side that keeps (PS3.7, 9.1.1): what the sub-operations of a C-GET and a listener have in common.

Data sets go to where the :class:`StoreHandler` says, undecoded, as their fragments arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..domain import status as codes
from ..domain.errors import BadData, DataSetMismatch, OtherContent, StorageError, Unwanted, VisualDicomError
from ..domain.uids import is_uid
from . import command as c
from .negotiation import AcceptedContext


@dataclass(frozen=True)
class Incoming:
    """What a C-STORE request says about the instance it brings."""

    sop_class: str
    sop_uid: str
    transfer_syntax: str


class InstanceSink(Protocol):
    """Where one instance goes. After an error in ``write`` the rest is not offered any more."""

    def write(self, data: memoryview) -> None:
        """Take the next fragment of the data set.

        :raises StorageError: it cannot be kept.
        """

    def finish(self) -> None:
        """Keep the data set, which is complete; after an error nothing of it is left.

        :raises DataSetMismatch: it is not what the command said.
        :raises BadData: it cannot be understood.
        :raises Unwanted: nobody asked for it.
        :raises OtherContent: it is here already with other content.
        :raises StorageError: it cannot be kept.
        """

    def discard(self) -> None:
        """Drop what came so far."""


class StoreHandler(Protocol):
    """Decides where incoming instances go."""

    def open(self, incoming: Incoming) -> InstanceSink:
        """Prepare for an instance.

        :raises BadData: an instance with such a UID is not taken.
        :raises Unwanted: nobody asked for it.
        :raises StorageError: it cannot be kept.
        """


class Guard:
    """Stands between the wire and a sink: an error is kept for the answer, and the rest of the data is drained."""

    def __init__(self) -> None:
        self._sink: InstanceSink | None = None
        self._error: VisualDicomError | None = None

    @classmethod
    def open(cls, command: c.Command, context: AcceptedContext, handler: StoreHandler) -> Guard:
        """Prepare for the instance that a C-STORE request brings."""
        incoming = Incoming(
            sop_class=command.text(c.AFFECTED_SOP_CLASS),
            sop_uid=command.text(c.AFFECTED_SOP_INSTANCE),
            transfer_syntax=context.transfer_syntax,
        )
        guard = cls()
        try:
            if not is_uid(incoming.sop_uid) or not is_uid(incoming.sop_class):
                raise BadData("An instance came with an invalid UID and was not kept.")
            guard._sink = handler.open(incoming)
        except VisualDicomError as error:
            guard._error = error
        return guard

    @classmethod
    def refusing(cls, error: VisualDicomError) -> Guard:
        """Drain an instance that is not to be kept."""
        guard = cls()
        guard._error = error
        return guard

    def write(self, data: memoryview) -> None:
        """Take the next fragment."""
        if self._sink is None:
            return
        try:
            self._sink.write(data)
        except VisualDicomError as error:
            self._error = error
            self.discard()

    def finish(self) -> VisualDicomError | None:
        """Keep the instance; return why it was not kept, if it was not."""
        sink, self._sink = self._sink, None
        if sink is None:
            return self._error
        try:
            sink.finish()
        except VisualDicomError as error:
            return error
        return None

    def discard(self) -> None:
        """Drop what came so far."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.discard()


#: Most characters of an Error Comment (PS3.7, annex C).
_COMMENT_LENGTH = 64


def store_response(request: c.Command, error: VisualDicomError | None) -> dict[int, str | int]:
    """Return the answer to a C-STORE request. What is no UID is not repeated."""
    values: dict[int, str | int] = {
        c.COMMAND_FIELD: c.C_STORE_RQ | c.RESPONSE,
        c.MESSAGE_ID_RESPONDED_TO: request.number(c.MESSAGE_ID),
        c.DATA_SET_TYPE: c.NO_DATA_SET,
        c.STATUS: _status(error),
    }
    if isinstance(error, OtherContent):
        values[c.ERROR_COMMENT] = "Here already with other content, which was kept."
    elif isinstance(error, StorageError):
        values[c.ERROR_COMMENT] = str(error).encode("ascii", "replace").decode()[:_COMMENT_LENGTH]
    for element in (c.AFFECTED_SOP_CLASS, c.AFFECTED_SOP_INSTANCE):
        text = request.text(element)
        if is_uid(text):
            values[element] = text
    return values


def _status(error: VisualDicomError | None) -> int:
    """Return the status of PS3.4, B.2.3."""
    if error is None:
        return codes.SUCCESS
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    return codes.STORE_CANNOT_UNDERSTAND


_STATUS: dict[type[VisualDicomError], int] = {
    StorageError: codes.STORE_OUT_OF_RESOURCES,
    DataSetMismatch: codes.STORE_DATA_SET_MISMATCH,
    Unwanted: codes.NOT_AUTHORIZED,
    # Of PS3.7, annex C: table B.2-1 has none for it. What failed, the sender does not delete, and people look at it.
    OtherContent: codes.DUPLICATE_SOP_INSTANCE,
}
