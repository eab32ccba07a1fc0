"""What the window knows of others who call the engine, from its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .parts.signals import Signal


class CallBook:
    """The associations that stand.

    ``changed`` tells that one began, got on or ended; ``ended`` tells the record of one that did.

    :ivar running: what :meth:`.CallRecord.to_dict` writes of each, by number.
    """

    def __init__(self) -> None:
        self.changed, self.ended = Signal(), Signal()
        self.running: dict[int, Mapping[str, Any]] = {}

    @property
    def any_open(self) -> bool:
        """Whether anybody is connected."""
        return bool(self.running)

    def note(self, call: Mapping[str, Any]) -> None:
        """Take the record of an event ``association``."""
        if call["over"]:
            self.running.pop(call["number"], None)
        else:
            self.running[call["number"]] = call
        self.changed.emit()
        if call["over"]:
            self.ended.emit(call)

    def replace(self, calls: Iterable[Mapping[str, Any]]) -> None:
        """Take the engine's whole list."""
        self.running = {call["number"]: call for call in calls if not call["over"]}
        self.changed.emit()
