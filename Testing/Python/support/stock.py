"""Stock pynetdicom as an independent SCU, for comparison."""

from __future__ import annotations

import socket

from pynetdicom.events import Event


def without_delay(event: Event) -> None:
    """Handle EVT_CONN_OPEN: switch Nagle's algorithm off, which costs 40 ms for each small message."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
