"""A server that takes no connection, for the tests of the network layer."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

HOST = "127.0.0.1"


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    """Give the address of a listener whose backlog is full: further connections get no answer at all."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        address: tuple[str, int] = listener.getsockname()
        for _ in range(16):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
            if not select.select([], [filler], [], 0.2)[1]:
                yield address
                return
        pytest.skip("The backlog of a listener does not fill up on this system.")
