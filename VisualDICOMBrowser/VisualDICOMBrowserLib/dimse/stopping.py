"""A request that its user may stop: by C-CANCEL first (PS3.7, 9.3.2.3 and 9.3.3.3), and by force if that does not help.

While the peer comes to its end it may go on sending, and what arrives complete still counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..domain.errors import Cancelled, PeerError, PeerStalled
from . import command as c
from .association import Association

#: How long a peer may go on after a C-CANCEL, in seconds: with what the last words take, a cancel is over within two.
_GRACE_S = 0.8
#: How long it may take to release an association of which nothing is wanted any more, in seconds.
_RELEASE_S = 0.5


@contextmanager
def stoppable(
    association: Association, context_id: int, message_id: int, alive: Callable[[], float] | None = None
) -> Iterator[None]:
    """Follow a request to its end in the ``with`` block, or until its user has had enough.

    :param alive: when something moved elsewhere that the request set going, by ``time.monotonic()``: as long as it
        does, the peer may be as mute as it likes.
    :raises PeerStalled: nothing moved within the stall time.
    :raises Cancelled: the association's token was raised. If the peer stopped in time, the association is released.
    """
    watch = _Watch(association, context_id, message_id, alive)
    association.patient = True
    try:
        with association.asking(watch.look):
            yield
    except PeerError:
        association.token.check()  # some answer a C-CANCEL by ending the association
        raise
    finally:
        association.patient = False
    if association.token.cancelled:
        association.leave(_RELEASE_S)
        raise Cancelled


def cancel_request(association: Association, context_id: int, message_id: int) -> None:
    """Ask the peer to stop what it does for a request."""
    association.send(
        context_id,
        {
            c.COMMAND_FIELD: c.C_CANCEL_RQ,
            c.MESSAGE_ID_RESPONDED_TO: message_id,
            c.DATA_SET_TYPE: c.NO_DATA_SET,
        },
    )


class _Watch:
    """Decides whether to wait on."""

    def __init__(
        self, association: Association, context_id: int, message_id: int, alive: Callable[[], float] | None
    ) -> None:
        self._association = association
        self._request = context_id, message_id
        self._alive = alive
        self._timer = association.stall_timer()
        self._deadline: float | None = None

    def look(self) -> None:
        """Return quietly as long as it is worth waiting; see :meth:`.Association.asking`."""
        if self._deadline is not None:
            if time.monotonic() > self._deadline:
                raise Cancelled
        elif self._association.token.cancelled:
            self._deadline = time.monotonic() + _GRACE_S
            cancel_request(self._association, *self._request)
        elif self._idle() > self._association.stall:
            raise PeerStalled(self._silence())

    def _idle(self) -> float:
        idle = self._timer.idle()
        return idle if self._alive is None else min(idle, time.monotonic() - self._alive())

    def _silence(self) -> str:
        seconds = f"{self._association.stall:.3g} seconds"
        if self._alive is None:
            return f"The server has sent no data for {seconds}."
        return f"For {seconds} the server has sent neither instances nor a word."
