"""An engine that listens on a thread of its own, and DCMTK's ``storescu``, which sends to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.listener import AllowedPeer, ListenerSettings, ListenResult
from VisualDICOMBrowserLib.engine.listening import OpenListener

from .client import Background
from .corpus import CorpusFile
from .peers import require
from .processes import HOST
from .waiting import wait_until

AET = "US"
ANYBODY = (AllowedPeer("*", "*"),)
OPEN = ListenerSettings(AET, 0, HOST, ANYBODY, unsolicited=True)


class Listened:
    """An engine that listens on a thread of its own.

    :ivar result: what came, once it ended.
    """

    def __init__(self, engine: Engine, settings: ListenerSettings) -> None:
        self.token = CancelToken()
        self.port = 0
        self.result: ListenResult | None = None
        self._engine = engine
        self._work = Background(lambda: self._listen(settings))
        wait_until(lambda: self.port != 0 or self._work.error is not None, what="the listener")

    def _listen(self, settings: ListenerSettings) -> None:
        self.result = self._engine.listen(settings, token=self.token, ready=self._ready)

    def _ready(self, listener: OpenListener) -> None:
        self.port = listener.port

    def end(self) -> ListenResult:
        """Stop, and return what came."""
        self.token.cancel()
        error = self._work.ended_by(5.0)
        if error is not None:
            raise error
        assert self.result is not None
        return self.result


@contextmanager
def listening(engine: Engine, settings: ListenerSettings = OPEN) -> Iterator[Listened]:
    """Listen for the length of a ``with`` block."""
    listened = Listened(engine, settings)
    try:
        yield listened
    finally:
        listened.end()


def storescu(port: int, files: Sequence[CorpusFile], *options: str) -> subprocess.Popen[bytes]:
    """Start to send; with ``TCP_NODELAY=1``."""
    command = [require("storescu"), "-aec", AET, *options, HOST, str(port), *(str(file.path) for file in files)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def sent(*senders: subprocess.Popen[bytes]) -> list[int]:
    """Wait for senders and return their exit codes."""
    for sender in senders:
        sender.communicate(timeout=60)
    return [sender.returncode for sender in senders]
