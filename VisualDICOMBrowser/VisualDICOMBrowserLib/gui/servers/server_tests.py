"""Tests of servers by C-ECHO, of the values as they are typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from ...domain.errors import VisualDicomError
from ..parts.signals import Signal
from ..session import Call, Session


class Outcome(Enum):
    """How a test went."""

    RUNNING = "running"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Probe:
    """A test and what it was of.

    :ivar values: the values that were tested; others have not been.
    """

    outcome: Outcome
    words: str
    values: Mapping[str, Any]


class ServerTests:
    """The newest test of each server. ``changed`` tells the key it was started with."""

    def __init__(self, session: Session) -> None:
        self.changed = Signal()
        self._session = session
        self._states: dict[int, Probe] = {}
        self._calls: dict[int, Call] = {}

    def start(self, key: int, values: Mapping[str, Any]) -> None:
        """Test values; an older test of the same server is stopped."""
        self._drop(key)
        state = Probe(Outcome.RUNNING, "Testing…", dict(values))
        self._states[key] = state
        done, failed = partial(self._on_done, key, state), partial(self._on_failed, key, state)
        self._calls[key] = self._session.ask("test_server", {"server": dict(values)}, done, failed)
        self.changed.emit(key)

    def state(self, key: int, values: Mapping[str, Any]) -> Probe | None:
        """Return the test of these values; None if they were not tested."""
        state = self._states.get(key)
        return state if state is not None and state.values == values else None

    def stop(self) -> None:
        """Stop all tests."""
        for key in list(self._calls):
            self._drop(key)

    def _drop(self, key: int) -> None:
        self._states.pop(key, None)
        call = self._calls.pop(key, None)
        if call is not None and not call.done():
            call.stop()

    def _on_done(self, key: int, started: Probe, answer: Mapping[str, Any]) -> None:
        if answer.get("ok"):
            self._settle(key, started, Outcome.GOOD, f"It answers, after {_seconds(answer)}.")
        else:
            reason = str(answer.get("message", "")) or "It does not answer."
            self._settle(key, started, Outcome.BAD, f"{reason} ({_seconds(answer)})")

    def _on_failed(self, key: int, started: Probe, error: VisualDicomError) -> None:
        self._settle(key, started, Outcome.BAD, str(error))

    def _settle(self, key: int, started: Probe, outcome: Outcome, words: str) -> None:
        if self._states.get(key) is started:
            self._states[key] = Probe(outcome, words, started.values)
            self.changed.emit(key)


def _seconds(answer: Mapping[str, Any]) -> str:
    seconds = float(answer.get("seconds", 0.0))
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
