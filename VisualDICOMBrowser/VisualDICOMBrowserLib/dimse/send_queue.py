"""How much of what was written has not reached the peer yet: a slow line may need minutes for what one write took.

Linux tells what was not acknowledged (SIOCOUTQ, which is TIOCOUTQ on a terminal), macOS what lies in the buffer. Where
nobody tells, the buffer is kept so short that even a slow line empties it well within the stall time.
"""

from __future__ import annotations

import array
import socket
import sys
from collections.abc import Callable
from typing import Protocol

#: The buffer where nobody tells what is in it, in bytes: eight seconds at 64 KB/s.
_SHORT_BUFFER = 512 * 1024
#: SOL_SOCKET option of Darwin's sys/socket.h.
_SO_NWRITE = 0x1024


class Socket(Protocol):
    """What has to be known of a socket."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def getsockopt(self, level: int, option: int, /) -> int:
        """Return an option."""


_ask: Callable[[Socket], int] | None = None
if sys.platform == "linux":
    import fcntl
    import termios

    def _not_acknowledged(sock: Socket) -> int:
        answer = array.array("i", [0])
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, answer)
        return answer[0]

    _ask = _not_acknowledged
elif sys.platform == "darwin":

    def _in_the_buffer(sock: Socket) -> int:
        return sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)

    _ask = _in_the_buffer


def unsent_bytes(sock: Socket) -> int:
    """Return how many bytes the peer's system has not acknowledged; 0 where nobody tells, or it is closed."""
    try:
        return 0 if _ask is None else _ask(sock)
    except (OSError, ValueError):
        return 0


def keep_short(sock: socket.socket) -> None:
    """Have a socket keep little where :func:`unsent_bytes` cannot tell how much it keeps."""
    if _ask is None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SHORT_BUFFER)
