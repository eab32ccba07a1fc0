"""What the engine knows of servers: their configuration, and whether they answer."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..dimse.echo import echo
from ..domain.cancel import CancelToken
from ..domain.errors import PeerError, UsageError
from ..domain.results import EchoResult
from ..domain.server_import import ServerImport
from ..domain.servers import Server
from ..jobs.description import JobKind
from ..jobs.lanes import Limits
from .configuration import Configuration
from .core import Core


def server_limits(configuration: Configuration) -> Limits:
    """Return how many jobs may run at once for each configured server; of a configuration that cannot be read, none."""
    try:
        servers = configuration.servers()
    except UsageError:
        return Limits()  # local work goes on with a broken configuration; whoever needs a server is told
    return Limits(
        servers={server.name: server.max_associations for server in servers},
        proxies={server.name: server.proxy for server in servers if server.proxy is not None},
    )


class ServerSetup:
    """The part of the engine that looks after servers; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.configuration.on_changed = self._tell

    def echo(self, server: str, token: CancelToken | None) -> EchoResult:
        """See :meth:`.Engine.echo`."""
        return self._try(self._core.configuration.server(server), server, token)

    def test(self, server: Server, token: CancelToken | None) -> EchoResult:
        """See :meth:`.Engine.test_server`."""
        return self._try(server, None, token)

    def _try(self, server: Server, lane: str | None, token: CancelToken | None) -> EchoResult:
        started = time.monotonic()
        ok, sentence = True, "The server answers."
        try:
            self._core.jobs.do(JobKind.ECHO, lambda context: self._ask(server, context.token), server=lane, token=token)
        except PeerError as error:
            ok, sentence = False, str(error)
        return EchoResult(server.name, ok, round(time.monotonic() - started, 3), sentence)

    def _ask(self, server: Server, token: CancelToken) -> None:
        """Try out the whole way: an association that is there already would tell little."""
        echo(server, token, self._core.associations.request_new)

    def save(self, server: Server, replaces: str | None) -> None:
        """See :meth:`.Engine.save_server`."""
        old = self._core.configuration.save(server, replaces)
        if old is not None and not self._core.store.read_only:
            self._follow(old, server)
        self._tell()

    def import_servers(self, wanted: Sequence[Server]) -> ServerImport:
        """See :meth:`.Engine.import_servers`."""
        outcome = self._core.configuration.import_servers(wanted)
        if outcome.added:
            self._tell()
        return outcome

    def remove(self, name: str) -> None:
        """See :meth:`.Engine.remove_server`."""
        self._core.configuration.remove(name)
        self._forget(name)
        self._tell()

    def _follow(self, old: Server, new: Server) -> None:
        """Keep what is known of a server's content under its new name, unless it is another server now."""
        if (old.host, old.port, old.called_aet) != (new.host, new.port, new.called_aet):
            self._forget(old.name)
        elif old.name != new.name:
            self._core.store.catalogue.rename_server(old.name, new.name)
            self._core.tell_catalogue()

    def _forget(self, name: str) -> None:
        if not self._core.store.read_only:
            self._core.store.catalogue.forget_server(name)
            self._core.tell_catalogue()

    def _tell(self) -> None:
        self._core.jobs.set_limits(server_limits(self._core.configuration))
        self._core.associations.keep_only(self._core.configuration.servers())
        self._core.tell_servers()
