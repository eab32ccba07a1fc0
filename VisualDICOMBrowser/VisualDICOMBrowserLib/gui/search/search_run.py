"""Runs searches, and says in words what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...domain.errors import Cancelled, PackageMissing, VisualDicomError
from ...domain.filters import QueryFilter
from ..messages import Message, Remedy, Tone
from ..parts.signals import Signal
from ..session import Call, Session
from .search_terms import wire


class SearchRun:
    """One search at a time; a new one stops the one before.

    ===================  ==============================  ====================================================
    signal               values                          when
    ===================  ==============================  ====================================================
    ``running_changed``  running                         a search began or ended
    ``errors_changed``   list of (server, reason)        the servers that failed in the newest search changed
    ===================  ==============================  ====================================================

    Messages are about ``search`` and ``server:NAME``; taking them away when they are over is left to who shows them.
    """

    def __init__(self, session: Session) -> None:
        self.running_changed = Signal()
        self.errors_changed = Signal()
        self._session = session
        self._query = QueryFilter()
        self._servers: tuple[str, ...] | None = None
        self._calls: list[Call] = []
        self._errors: dict[str, str] = {}

    @property
    def running(self) -> bool:
        """Whether a search is under way."""
        return bool(self._calls)

    def start(self, query: QueryFilter, servers: tuple[str, ...] | None) -> None:
        """Search; ``servers`` None means all. No server at all ends it at once, without a word."""
        self._drop_calls()
        self._query, self._servers = query, servers
        self._set_errors({})
        if servers == ():
            self.running_changed.emit(False)
            return
        self._send(servers)

    def retry(self, server: str) -> None:
        """Ask just one server again, for what was searched last."""
        errors = dict(self._errors)
        errors.pop(server, None)
        self._set_errors(errors)
        self._send((server,))

    def stop(self) -> None:
        """End the search; what it found so far stays."""
        if self.running:
            self._drop_calls()
            self.running_changed.emit(False)

    def close(self) -> None:
        """Stop everything."""
        self.stop()

    def _send(self, servers: tuple[str, ...] | None) -> None:
        params = {"filter": wire(self._query), "servers": None if servers is None else list(servers)}
        slot: list[Call] = []  # the call does not exist before it is made; an answer may come while it is made
        done, failed = partial(self._on_found, slot), partial(self._on_failed, slot)
        was_running = self.running
        slot.append(self._session.ask("search", params, done, failed))
        self._calls.append(slot[0])
        if not was_running:
            self.running_changed.emit(True)
        if slot[0].done():
            self._end(slot)

    def _end(self, slot: list[Call]) -> bool:
        """Take a call off the list; tell whether it was still wanted."""
        if not slot or slot[0] not in self._calls:
            return not slot
        self._calls.remove(slot[0])
        if not self._calls:
            self.running_changed.emit(False)
        return True

    def _drop_calls(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            call.stop()

    def _on_found(self, slot: list[Call], result: Mapping[str, Any]) -> None:
        if not self._end(slot):
            return
        errors = {str(error["server"]): str(error["reason"]) for error in result["errors"]}
        self._set_errors({**self._errors, **errors})
        for server, reason in errors.items():
            self._session.said.emit(self._server_message(server, reason))
        warnings = tuple(map(str, result["warnings"]))
        if warnings or (not result["complete"] and not errors):
            self._session.said.emit(_incomplete(warnings))
        elif not result["servers_asked"]:
            self._session.say("No server is set up yet; only this computer was searched.", Tone.NOTE, "search")

    def _on_failed(self, slot: list[Call], error: VisualDicomError) -> None:
        if self._end(slot) and not isinstance(error, (Cancelled, PackageMissing)):
            remedy = Remedy("Try again", lambda: self.start(self._query, self._servers))
            self._session.said.emit(Message(f"The search failed. {error}", Tone.PROBLEM, "search", (remedy,)))

    def _set_errors(self, errors: dict[str, str]) -> None:
        if errors != self._errors:
            self._errors = errors
            self.errors_changed.emit(list(errors.items()))

    def _server_message(self, server: str, reason: str) -> Message:
        remedy = Remedy("Retry", lambda: self.retry(server))
        return Message(f"{server}: {reason}", Tone.WARNING, f"server:{server}", (remedy,))


def _incomplete(warnings: tuple[str, ...]) -> Message:
    if len(warnings) == 1:
        return Message(warnings[0], Tone.WARNING, "search")
    text = "The list may not be complete." if not warnings else f"The list may not be complete. {warnings[0]}"
    return Message(text, Tone.WARNING, "search", (), warnings[1:])
