"""The ways in which instances come from a server, and which of them its configuration asks for.

====================  =======================================================================
C-GET                 on the association that asked (:mod:`.fetch`)
C-MOVE                the server sends to our own listener (:mod:`.fetch_by_move`)
C-MOVE, with a proxy  the server sends to the proxy, and we fetch there (:mod:`.fetch_by_proxy`)
====================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.cancel import CancelToken
from ..domain.errors import UsageError
from ..domain.servers import RetrieveMethod, Server
from .core import Core
from .fetch import Fetch
from .fetch_by_move import FetchByMove
from .fetch_by_proxy import fetch_by_proxy
from .listening import Listening
from .plan import Plan
from .retrieve import Progress, Retrieval, RetrieveStrategy


@dataclass(frozen=True)
class ByGet:
    """C-GET from the server."""

    server: Server
    words = "C-GET"

    def fetch(self, retrieval: Retrieval, plan: Plan, token: CancelToken, progress: Progress) -> None:
        """See :class:`.RetrieveStrategy`."""
        Fetch(retrieval, self.server, token, progress).run(plan)


@dataclass(frozen=True)
class ByProxy:
    """C-MOVE to a proxy, and C-GET from there."""

    server: Server
    proxy: Server

    @property
    def words(self) -> str:
        """See :class:`.RetrieveStrategy`."""
        return f"C-MOVE to the proxy {self.proxy.name}, and C-GET from there"

    def fetch(self, retrieval: Retrieval, plan: Plan, token: CancelToken, progress: Progress) -> None:
        """See :class:`.RetrieveStrategy`."""
        fetch_by_proxy(retrieval, self.proxy, token, progress).run(plan)


@dataclass(frozen=True)
class ByMove:
    """C-MOVE to our own listener."""

    server: Server
    listening: Listening
    words = "C-MOVE to our listener"

    def fetch(self, retrieval: Retrieval, plan: Plan, token: CancelToken, progress: Progress) -> None:
        """See :class:`.RetrieveStrategy`."""
        FetchByMove(retrieval, self.listening, token, progress).run(plan)


def strategy_for(core: Core, server: Server) -> RetrieveStrategy:
    """Return how instances come from a server, as it is configured.

    :raises UsageError: its proxy is none.
    """
    if server.proxy is not None:
        return ByProxy(server, _proxy(core, server))
    if server.retrieve is RetrieveMethod.GET:
        return ByGet(server)
    return ByMove(server, core.listening)


def strategies_for(core: Core, servers: Sequence[Server]) -> list[RetrieveStrategy]:
    """Return the strategies of those servers that can be retrieved from.

    :raises UsageError: there are servers, and none can.
    """
    usable: list[RetrieveStrategy] = []
    problem: UsageError | None = None
    for server in servers:
        try:
            usable.append(strategy_for(core, server))
        except UsageError as error:
            problem = problem or error
    if problem is not None and not usable:
        raise problem
    return usable


def _proxy(core: Core, server: Server) -> Server:
    known = {s.name: s for s in core.configuration.servers()}
    proxy = known.get(server.proxy or "")
    if proxy is None:
        raise UsageError(f"{server.name} is retrieved from by way of {server.proxy}, which is not configured.")
    if proxy.proxy is not None or proxy.retrieve is not RetrieveMethod.GET:
        raise UsageError(f"{proxy.name} is the proxy of {server.name}, and has to be retrieved from by C-GET.")
    return proxy
