"""C-ECHO as SCU: whether there is a DICOM server that talks to us (PS3.7, 9.1.5)."""

from __future__ import annotations

from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import NoCommonContext, OperationRefused, ProtocolViolation
from ..domain.protocol_log import note
from ..domain.servers import Server
from . import command as c
from .association import Association
from .contexts import Proposal
from .pool import Associate

VERIFICATION = "1.2.840.10008.1.1"


def echo(server: Server, token: CancelToken, associate: Associate = Association.request) -> None:
    """Return quietly if the server answers a C-ECHO with success.

    :param associate: where the association comes from.
    :raises PeerError: it does not; the sentence says why.
    """
    try:
        _echo(server, token, associate)
    except NoCommonContext as error:
        raise NoCommonContext("The server can be reached and accepts us, but does not offer C-ECHO.") from error


def _echo(server: Server, token: CancelToken, associate: Associate) -> None:
    with associate(server, [Proposal(VERIFICATION)], token) as association:
        context = association.context_for(VERIFICATION)
        message_id = association.next_message_id()
        association.send(
            context.context_id,
            {
                c.AFFECTED_SOP_CLASS: VERIFICATION,
                c.COMMAND_FIELD: c.C_ECHO_RQ,
                c.MESSAGE_ID: message_id,
                c.DATA_SET_TYPE: c.NO_DATA_SET,
            },
        )
        answer = association.receive().command
        if answer.field != c.C_ECHO_RQ | c.RESPONSE:
            raise ProtocolViolation("The server answered the C-ECHO with another message.")
        status = answer.number(c.STATUS)
        note(f"C-ECHO: {codes.in_words(status)}.")
        if status != codes.SUCCESS:
            words = f"The server refused the C-ECHO: {codes.in_words(status)}."
            raise OperationRefused(words, status, retryable=codes.is_transient(status))
