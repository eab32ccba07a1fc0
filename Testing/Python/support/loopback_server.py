"""A server on loopback that serves each connection on a thread of its own, and leaves nothing behind."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from .waiting import join_all

HOST = "127.0.0.1"
TICK = 0.01

_Server = TypeVar("_Server", bound="LoopbackServer")


class LoopbackServer(ABC):
    """Listens as soon as it is made, and serves once :meth:`begin` is called.

    :param name: of its threads.
    :ivar closing: set when it comes to its end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(TICK)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._acceptor = threading.Thread(target=self._accept, name=f"{name}-accept")

    @property
    def host(self) -> str:
        """The loopback address."""
        return self.address[0]

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self.address[1]

    def begin(self) -> None:
        """Accept connections from now on; for the end of the constructor."""
        self._acceptor.start()

    @abstractmethod
    def serving(self, client: socket.socket) -> Callable[[], None]:
        """Take over a connection; what is returned serves it, on a thread of its own, until :attr:`closing`."""

    def close(self) -> None:
        """End all connections and threads."""
        self.closing.set()
        join_all([self._acceptor])
        join_all(self._threads)
        self._listener.close()

    def __enter__(self: _Server) -> _Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self.serving(client), name=self._name)
            thread.start()
            self._threads.append(thread)
