"""What the engine knows of servers: their configuration, and whether they answer."""

from __future__ import annotations

import time

from ..dimse.echo import echo
from ..domain.cancel import CancelToken
from ..domain.errors import PeerError, UsageError
from ..domain.results import EchoResult
from ..jobs.description import JobKind
from .configuration import Configuration
from .core import Core


def server_limits(configuration: Configuration) -> dict[str, int]:
    """Return how many associations each configured server gets; nothing if the configuration cannot be read."""
    try:
        return {server.name: server.max_associations for server in configuration.servers()}
    except UsageError:
        return {}  # local work goes on with a broken configuration; whoever needs a server is told


class ServerSetup:
    """The part of the engine that looks after servers; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def echo(self, server: str, token: CancelToken | None) -> EchoResult:
        """See :meth:`.Engine.echo`."""
        chosen = self._core.configuration.server(server)
        started = time.monotonic()
        try:
            self._core.jobs.do(JobKind.ECHO, lambda context: echo(chosen, context.token), server=server, token=token)
        except PeerError as error:
            return EchoResult(server, False, round(time.monotonic() - started, 3), str(error))
        return EchoResult(server, True, round(time.monotonic() - started, 3), "The server answers.")
