"""Stock pynetdicom as an independent SCU, for comparison."""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pynetdicom.events import Event


def without_delay(event: Event) -> None:
    """Handle EVT_CONN_OPEN: switch Nagle's algorithm off, which costs 40 ms for each small message."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence pydicom and pynetdicom: what they say about odd files is no news to a test."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "pynetdicom")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
