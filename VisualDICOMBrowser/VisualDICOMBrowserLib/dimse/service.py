"""What is answered to those who call: C-ECHO and C-STORE as SCP (PS3.7, 9.1.1 and 9.1.5)."""

from __future__ import annotations

from typing import NoReturn

from ..domain import status as codes
from ..domain.errors import BadData, DataSetMismatch, ProtocolViolation
from . import command as c
from .admission import VERIFICATION
from .association import Association, DataSink, Message
from .storing import Guard, StoreHandler, store_response


def serve(association: Association, handler: StoreHandler, idle: float) -> NoReturn:
    """Answer requests one after the other.

    An instance is confirmed when its sink has finished, so that is where it has to be safe.

    :param idle: how many seconds may pass between two requests.
    :raises Released: the peer has all it wanted.
    :raises PeerError: the conversation broke; an instance that had not come whole was discarded.
    """
    service = _Service(association, handler)
    while True:
        association.wait(idle)
        service.answer_next()


class _Service:
    def __init__(self, association: Association, handler: StoreHandler) -> None:
        self._association = association
        self._handler = handler
        self._guard: Guard | None = None

    def answer_next(self) -> None:
        """Take a request and answer it; a C-CANCEL has nothing to cancel, and no answer."""
        try:
            message = self._association.receive(self._sink_for)
            if message.command.field == c.C_STORE_RQ:
                self._answer_store(message)
            elif message.command.field == c.C_ECHO_RQ:
                self._association.send(message.context_id, _echo_response(message.command))
            elif message.command.field != c.C_CANCEL_RQ:
                raise ProtocolViolation("A caller asked for a service that it had not agreed on.")
        finally:
            if self._guard is not None:
                self._guard.discard()

    def _sink_for(self, context_id: int, command: c.Command) -> DataSink:
        """Keep what a C-STORE request brings; no other message that is known here has a data set."""
        if command.field != c.C_STORE_RQ:
            raise ProtocolViolation("A caller sent a data set that belongs to nothing.")
        context = self._association.contexts[context_id]
        if command.text(c.AFFECTED_SOP_CLASS) != context.abstract_syntax:
            error = DataSetMismatch("An instance came in a presentation context of another SOP class.")
            self._guard = Guard.refusing(error)
        else:
            self._guard = Guard.open(command, context, self._handler)
        return self._guard

    def _answer_store(self, message: Message) -> None:
        guard, self._guard = self._guard, None
        error = guard.finish() if guard is not None else BadData("An instance came without its data set.")
        self._association.send(message.context_id, store_response(message.command, error))


def _echo_response(request: c.Command) -> dict[int, str | int]:
    return {
        c.AFFECTED_SOP_CLASS: VERIFICATION,
        c.COMMAND_FIELD: c.C_ECHO_RQ | c.RESPONSE,
        c.MESSAGE_ID_RESPONDED_TO: request.number(c.MESSAGE_ID),
        c.DATA_SET_TYPE: c.NO_DATA_SET,
        c.STATUS: codes.SUCCESS,
    }
