"""How servers from another program's settings join those that are configured; the only place with that rule.

Nothing configured is changed. A server that is configured, under whatever name, is known already; time-out and
number of associations are for each program to choose, and do not make it another one. A name that another server has
gets a number: ``PACS (2)``. References to proxies follow all that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .results import Failure
from .servers import MAX_NAME, Server


@dataclass(frozen=True)
class ServerImport:
    """What becomes of servers that are imported.

    :ivar added: new ones as they are configured, each behind its proxy.
    :ivar known: the configured names of those that are known already.
    :ivar skipped: which ones cannot be imported, and why.
    """

    added: tuple[Server, ...] = ()
    known: tuple[str, ...] = ()
    skipped: tuple[Failure, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"imported","known","skipped"}``, the first as :meth:`.Server.to_dict` writes them."""
        return {
            "imported": [server.to_dict() for server in self.added],
            "known": list(self.known),
            "skipped": [{"name": failure.subject, "reason": failure.reason} for failure in self.skipped],
        }


def plan_import(configured: Iterable[Server], wanted: Sequence[Server]) -> ServerImport:
    """Return what becomes of ``wanted``, in any order, whose proxies are among themselves."""
    plan = _Plan(configured, wanted)
    for server in wanted:
        plan.place(server)
    return ServerImport(tuple(plan.added), tuple(plan.known), tuple(plan.skipped))


class _Plan:
    """Places one server after the other, proxies first."""

    def __init__(self, configured: Iterable[Server], wanted: Sequence[Server]) -> None:
        self.added: list[Server] = []
        self.known: list[str] = []
        self.skipped: list[Failure] = []
        self._all = {server.name: server for server in configured}
        self._wanted = {server.name: server for server in reversed(wanted)}
        self._placed: dict[Server, str | None] = {}  # under which name; None: not at all

    def place(self, server: Server) -> None:
        """Decide on a server and on the proxies that it needs."""
        chain = [server]
        while (proxy := self._proxy_of(chain[-1])) is not None and proxy not in self._placed:
            if proxy in chain:
                self._skip_circle(chain[chain.index(proxy) :])
                break
            chain.append(proxy)
        for link in reversed(chain):
            if link not in self._placed:
                self._place_one(link)

    def _proxy_of(self, server: Server) -> Server | None:
        return None if server.proxy is None else self._wanted.get(server.proxy)

    def _place_one(self, server: Server) -> None:
        """Place a server whose proxy is placed."""
        if server.proxy is None:
            self._take(server, server)
            return
        proxy = self._proxy_of(server)
        if proxy is None:
            self._skip(server, f"Its proxy {server.proxy} is not there.")
        elif (name := self._placed[proxy]) is None:
            self._skip(server, f"Its proxy {server.proxy} cannot be imported.")
        elif name == server.name:  # the proxy is known already, under the very name that this server has
            self._take(server, replace(server, name=self._free_name(server.name), proxy=name))
        else:
            self._take(server, replace(server, proxy=name))

    def _take(self, asked: Server, server: Server) -> None:
        same = next((other.name for other in self._all.values() if _connection(other) == _connection(server)), None)
        if same is not None:
            self._placed[asked] = same
            if same not in self.known:
                self.known.append(same)
            return
        fresh = replace(server, name=self._free_name(server.name))
        self.added.append(fresh)
        self._all[fresh.name] = fresh
        self._placed[asked] = fresh.name

    def _skip(self, server: Server, reason: str) -> None:
        self.skipped.append(Failure(server.name, reason))
        self._placed[server] = None

    def _skip_circle(self, circle: list[Server]) -> None:
        for server in circle:
            self._skip(server, "Its proxies form a circle.")

    def _free_name(self, name: str) -> str:
        free, number = name, 1
        while free in self._all:
            number += 1
            ending = f" ({number})"
            free = name[: MAX_NAME - len(ending)] + ending
        return free


def _connection(server: Server) -> tuple[object, ...]:
    """Return what makes two servers the same."""
    title = server.called_aet.strip(), server.calling_aet.strip()
    return server.host.casefold(), server.port, title, server.retrieve, server.proxy
