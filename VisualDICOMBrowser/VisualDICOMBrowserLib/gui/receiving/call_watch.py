"""The associations of others that stand, as the engine tells of them; without Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..parts.signals import Signal
from ..session import Session


class CallWatch:
    """See the module; listens until :meth:`close`. ``changed`` tells that there is more or less to say.

    :ivar running: what :meth:`.CallRecord.to_dict` writes of each, by number.
    """

    def __init__(self, session: Session) -> None:
        self.changed = Signal()
        self.running: dict[int, Mapping[str, Any]] = {}
        self._session = session
        self._endings = [
            session.association.connect(self._note),
            session.listener_changed.connect(self._ask),
            session.ready_changed.connect(lambda ready, _: self._ask() if ready else self._take(())),
        ]

    def close(self) -> None:
        """Hear nothing more."""
        for end in self._endings:
            end()

    def _note(self, call: Mapping[str, Any]) -> None:
        if call["over"]:
            self.running.pop(call["number"], None)
        else:
            self.running[call["number"]] = call
        self.changed.emit()

    def _ask(self) -> None:
        """Read anew: events may have been lost."""
        self._session.ask("calls", done=self._take, failed=lambda _: None)  # asked again with the next change

    def _take(self, calls: Sequence[Mapping[str, Any]]) -> None:
        self.running = {call["number"]: call for call in calls if not call["over"]}
        self.changed.emit()
