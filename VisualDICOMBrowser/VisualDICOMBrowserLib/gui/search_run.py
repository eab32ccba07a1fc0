"""Runs searches, and explores the person that was chosen; says in words what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ..domain.errors import Cancelled, VisualDicomError
from ..domain.filters import QueryFilter
from ..domain.overview import PatientRow
from .messages import Message, Remedy, Tone
from .search_terms import wire
from .session import Call, Session
from .signals import Signal
from .throttle import Debounce

#: How long a choice in the list must last before servers are asked about it.
EXPLORE_DELAY_MS = 150


class SearchRun:
    """One search and one exploration at a time; a new one stops the one before.

    ===================  ==============================  ====================================================
    signal               values                          when
    ===================  ==============================  ====================================================
    ``running_changed``  running                         a search began or ended
    ``errors_changed``   list of (server, reason)        the servers that failed in the newest search changed
    ``exploring``        key of a person or None         whose studies are being asked for
    ===================  ==============================  ====================================================

    Messages are about ``search`` and ``server:NAME``; a new search leaves those of the servers it asks to be replaced.
    """

    def __init__(self, session: Session) -> None:
        self.running_changed = Signal()
        self.errors_changed = Signal()
        self.exploring = Signal()
        self._session = session
        self._query = QueryFilter()
        self._servers: tuple[str, ...] | None = None
        self._calls: list[Call] = []
        self._errors: dict[str, str] = {}
        self._exploration: Call | None = None
        self._next_row: int | None = None
        self._explored: int | None = None
        self._explore_soon = Debounce(EXPLORE_DELAY_MS, self._explore_next)

    @property
    def running(self) -> bool:
        """Whether a search is under way."""
        return bool(self._calls)

    def start(self, query: QueryFilter, servers: tuple[str, ...] | None) -> None:
        """Search; ``servers`` None means all. No server at all ends it at once, without a word."""
        self._drop_calls()
        self._query, self._servers = query, servers
        self._explored = None
        if self._next_row is not None and self._exploration is None:
            self._explore_soon()
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

    def explore(self, row: PatientRow | None) -> None:
        """Ask for the studies and series of a person, once the choice has lasted; None ends what is under way."""
        key = None if row is None else row.row
        if key == self._next_row and key is not None:
            return
        self._next_row = key
        if self._exploration is not None:
            self._exploration.stop()
            self._finish_exploration()
        self._explore_soon.cancel()
        if key is not None and key != self._explored:
            self._explore_soon()

    def close(self) -> None:
        """Stop everything."""
        self.stop()
        self.explore(None)

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
        if self._end(slot) and not isinstance(error, Cancelled):
            remedy = Remedy("Try again", lambda: self.start(self._query, self._servers))
            self._session.said.emit(Message(f"The search failed. {error}", Tone.PROBLEM, "search", (remedy,)))

    def _set_errors(self, errors: dict[str, str]) -> None:
        if errors != self._errors:
            self._errors = errors
            self.errors_changed.emit(list(errors.items()))

    def _server_message(self, server: str, reason: str) -> Message:
        remedy = Remedy("Retry", lambda: self.retry(server))
        return Message(f"{server}: {reason}", Tone.WARNING, f"server:{server}", (remedy,))

    def _explore_next(self) -> None:
        row = self._next_row
        if row is None:
            return
        servers = None if self._servers is None else list(self._servers)
        self.exploring.emit(row)
        self._exploration = self._session.ask(
            "explore",
            {"patient": row, "servers": servers},
            partial(self._on_explored, row),
            partial(self._on_not_explored, row),
        )

    def _on_explored(self, row: int, result: Mapping[str, Any]) -> None:
        if row != self._next_row:
            return
        self._explored = row
        self._finish_exploration()
        for error in result["errors"]:
            text = f"Not all studies of this patient may be listed. {error['server']}: {error['reason']}"
            again = Remedy("Retry", partial(self._explore_again, row))
            self._session.said.emit(Message(text, Tone.WARNING, f"server:{error['server']}", (again,)))
        warnings = tuple(map(str, result["warnings"]))
        if warnings:
            self._session.said.emit(Message(warnings[0], Tone.WARNING, "explore", (), warnings[1:]))

    def _on_not_explored(self, row: int, error: VisualDicomError) -> None:
        if row != self._next_row or isinstance(error, Cancelled):
            return
        self._finish_exploration()
        self._session.say(f"The studies of this patient could not be asked for. {error}", Tone.PROBLEM, "explore")

    def _explore_again(self, row: int) -> None:
        if row == self._next_row:
            self._explored = None
            self._explore_next()

    def _finish_exploration(self) -> None:
        self._exploration = None
        self.exploring.emit(None)


def _incomplete(warnings: tuple[str, ...]) -> Message:
    if len(warnings) == 1:
        return Message(warnings[0], Tone.WARNING, "search")
    text = "The list may not be complete." if not warnings else f"The list may not be complete. {warnings[0]}"
    return Message(text, Tone.WARNING, "search", (), warnings[1:])
