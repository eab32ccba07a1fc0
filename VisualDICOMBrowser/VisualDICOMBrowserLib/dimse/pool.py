"""Associations that are kept for a while, since making one takes longer than most questions.

What was asked for by one user is handed to the next who wants the same of the same server, unless anything on it failed
or was stopped. What lies idle counts against the server's limit, and gives way when another kind is needed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from ..domain.cancel import CancelToken
from ..domain.protocol_log import note
from ..domain.servers import Server
from .association import Association
from .contexts import Proposal

#: Opens an association for the length of a ``with`` block: :meth:`.Association.request`, or that of a pool.
Associate = Callable[[Server, Sequence[Proposal], CancelToken], AbstractContextManager[Association]]

#: How long an association lies idle before it is released, in seconds.
IDLE_S = 10.0
#: How long the release of an idle one may take, in seconds, and that of all of them at the end.
_RELEASE_S = 0.5
_CLOSE_S = 1.0


@dataclass(frozen=True)
class _Idle:
    server: Server
    proposals: tuple[Proposal, ...]
    association: Association
    until: float


class AssociationPool:
    """See the module. Thread-safe; an association is one user's alone as long as he has it.

    :param idle_s: seconds after which idle ones are released.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._idle: list[_Idle] = []
        self._busy: list[Server] = []
        self._outdated: set[Server] = set()
        self._keeper: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def request(self, server: Server, proposals: Sequence[Proposal], token: CancelToken) -> Iterator[Association]:
        """Lend an association for the length of a ``with`` block, a kept one if possible.

        ``association.served`` tells that it was in use before: its peer may be gone without a trace.

        :raises PeerError: see :meth:`.Association.request`.
        """
        wanted = tuple(proposals)
        association = self._take(server, wanted)
        try:
            if association is None:
                association = Association.open(server, wanted, token)
            else:
                note(f"An association with {server.name} is used again, which was kept since its last use.")
            try:
                with association.used_with(token):
                    yield association
            except BaseException:
                association.close()
                raise
        finally:
            with self._changed:
                self._busy.remove(server)
        self._give_back(server, wanted, association)

    @contextmanager
    def request_new(self, server: Server, proposals: Sequence[Proposal], token: CancelToken) -> Iterator[Association]:
        """Lend an association that nobody had before and nobody gets afterwards, counted like the others.

        :raises PeerError: see :meth:`.Association.request`.
        """
        self._take(server, ())
        try:
            with Association.request(server, proposals, token) as association:
                yield association
        finally:
            with self._changed:
                self._busy.remove(server)

    def keep_only(self, servers: Collection[Server]) -> None:
        """Release what belongs to servers that are not among these any more, with these settings; now or after use."""
        with self._changed:
            self._outdated.update(server for server in self._busy if server not in servers)
            self._outdated.difference_update(servers)
        self._end(lambda idle: idle.server not in servers)

    def close(self) -> None:
        """Release everything; bounded. What is still lent is released when it is given back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify()
            keeper = self._keeper
        deadline = time.monotonic() + _CLOSE_S
        for entry in idle:
            entry.association.close(min(_RELEASE_S, max(0.01, deadline - time.monotonic())))
        if keeper is not None:
            keeper.join(_CLOSE_S)

    def _take(self, server: Server, proposals: tuple[Proposal, ...]) -> Association | None:
        """Count the user in, and return what can be used again; the rest has to make room if need be."""
        unwanted: list[_Idle] = []
        found: Association | None = None
        with self._changed:
            for entry in [e for e in reversed(self._idle) if (e.server, e.proposals) == (server, proposals)]:
                self._idle.remove(entry)
                if entry.association.is_usable:
                    found = entry.association
                    break
                unwanted.append(entry)
            beside = [e for e in self._idle if _address(e.server) == _address(server)]
            busy = 1 + sum(_address(s) == _address(server) for s in self._busy)
            for entry in beside[: max(0, busy + len(beside) - server.max_associations)]:
                self._idle.remove(entry)
                unwanted.append(entry)
            self._busy.append(server)
        for entry in unwanted:
            entry.association.close(_RELEASE_S)
        return found

    def _give_back(self, server: Server, proposals: tuple[Proposal, ...], association: Association) -> None:
        association.token = CancelToken()  # what the last user does with his is nobody's business any more
        if association.is_usable:
            association.served = True
            with self._changed:
                if not self._closed and server not in self._outdated:
                    self._idle.append(_Idle(server, proposals, association, time.monotonic() + self._idle_s))
                    self._start_keeper()
                    return
        association.close(_RELEASE_S)

    def _start_keeper(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="vdb-associations", daemon=True)
            self._keeper.start()

    def _keep(self) -> None:
        """Release what has lain idle for too long, until nothing is left."""
        while True:
            with self._changed:
                if not self._idle:
                    self._keeper = None
                    return
                self._changed.wait(max(0.0, min(entry.until for entry in self._idle) - time.monotonic()))
            self._end(lambda idle: idle.until <= time.monotonic())

    def _end(self, unwanted: Callable[[_Idle], bool]) -> None:
        with self._changed:
            ended = [entry for entry in self._idle if unwanted(entry)]
            self._idle = [entry for entry in self._idle if entry not in ended]
        for entry in ended:
            entry.association.close(_RELEASE_S)


def _address(server: Server) -> tuple[str, int, str]:
    return server.host, server.port, server.called_aet
