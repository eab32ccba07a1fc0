"""C-MOVE as SCU (PS3.4, C.4.2; PS3.7, 9.1.4): a server sends instances to somebody else, and tells how far it is.

What arrives, and where, only the destination knows: responses between the request and its end are optional, and what
the counts and the status claim is passed on only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import NoCommonContext, OperationRefused, ProtocolViolation
from ..domain.model import Level
from ..domain.protocol_log import note
from ..domain.servers import Server
from . import command as c
from .association import Association, Message
from .contexts import Proposal
from .get import GetOutcome, asked_for, note_response
from .identifier import Keys, encode_identifier
from .models import PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE
from .pool import Associate
from .stopping import stoppable


@dataclass
class MoveOutcome(GetOutcome):
    """What the peer says about a C-MOVE; what was ``received`` is for whoever sees it arrive to fill in.

    :ivar completed: instances that the peer claims to have sent, so far.
    """

    completed: int = 0


class Mover:
    """Has one server send instances, over one association; made by :meth:`connect`."""

    def __init__(self, association: Association, server: Server, token: CancelToken) -> None:
        self._association = association
        self._server = server
        self._token = token

    @classmethod
    @contextmanager
    def connect(cls, server: Server, token: CancelToken, associate: Associate = Association.request) -> Iterator[Mover]:
        """Have an association for C-MOVE for the length of a ``with`` block.

        :param token: while a move runs, it ends that by C-CANCEL; only a server that goes on is aborted.
        :param associate: where the association comes from.
        :raises PeerError: see :meth:`.Association.request`.
        """
        proposals = [Proposal(STUDY_ROOT_MOVE), Proposal(PATIENT_ROOT_MOVE)]
        with _request(server, proposals, token, associate) as association:
            yield cls(association, server, token)

    def move(
        self,
        level: Level,
        keys: Keys,
        destination: str,
        outcome: MoveOutcome,
        alive: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Have the instances sent that ``keys`` name (unique keys of ``level`` and those above).

        :param destination: AE title, which the server has to know.
        :param outcome: filled as things happen, so that it tells what came before an error.
        :param alive: when something arrived of what is moved, by ``time.monotonic()``: as long as it does, the
            server may be as mute as it likes.
        :raises OperationRefused: the server does not know the destination.
        :raises PeerStalled: neither a response nor an arrival within the server's time-out.
        :raises PeerError: the conversation broke.
        :raises Cancelled: the token was raised.
        """
        self._token.check()
        model = PATIENT_ROOT_MOVE if level is Level.PATIENT else STUDY_ROOT_MOVE
        context = self._association.context_for(model)
        identifier = encode_identifier({**keys, "QueryRetrieveLevel": level.name}, context.transfer_syntax)
        message_id = self._association.next_message_id()
        note(f"C-MOVE of {asked_for(level, keys)} to {destination.strip()}.")
        command: dict[int, str | int] = {
            c.AFFECTED_SOP_CLASS: model,
            c.COMMAND_FIELD: c.C_MOVE_RQ,
            c.MESSAGE_ID: message_id,
            c.PRIORITY: c.MEDIUM,
            c.DATA_SET_TYPE: c.WITH_DATA_SET,
            c.MOVE_DESTINATION: destination,
        }
        with stoppable(self._association, context.context_id, message_id, alive):
            self._association.send(context.context_id, command, identifier)
            self._follow(context.transfer_syntax, outcome)
        self._association.retired |= outcome.status != codes.SUCCESS
        if outcome.status == codes.MOVE_DESTINATION_UNKNOWN:
            sentence = f"{codes.unknown_destination(self._server.name, destination.strip())}."
            raise OperationRefused(sentence, outcome.status)

    def _follow(self, transfer_syntax: str, outcome: MoveOutcome) -> None:
        while True:
            message = self._association.receive()
            if message.command.field != c.C_MOVE_RQ | c.RESPONSE:
                raise ProtocolViolation("The server answered the C-MOVE with another message.")
            outcome.completed = max(outcome.completed, _sent(message))
            if note_response(message, transfer_syntax, outcome):
                return


@contextmanager
def _request(
    server: Server, proposals: Sequence[Proposal], token: CancelToken, associate: Associate
) -> Iterator[Association]:
    """Open an association.

    :raises NoCommonContext: with a sentence that says for what.
    """
    with ExitStack() as stack:
        try:
            association = stack.enter_context(associate(server, proposals, token))
        except NoCommonContext as error:
            raise NoCommonContext(f"{server.name} does not offer C-MOVE.") from error
        yield association


def _sent(message: Message) -> int:
    return message.command.number(c.COMPLETED, 0) + message.command.number(c.WARNINGS, 0)
