"""Work that an earlier engine left: continued by itself after a crash, offered when the window opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..jobs.description import JobKind
from .messages import Message, Remedy, Tone
from .session import Session

_ABOUT = "unfinished"


class Unfinished:
    """See the module; listens until :meth:`close`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._again = False
        self.close = session.ready_changed.connect(self._on_ready)

    def _on_ready(self, ready: bool, _sentence: str) -> None:
        if not ready:
            return
        if self._again:  # who had an engine started again wants it to go on
            self._session.ask("resume_jobs")
        else:
            self._session.ask("unfinished_jobs", done=self._offer)
        self._again = True

    def _offer(self, records: Sequence[Mapping[str, Any]]) -> None:
        if not records:
            return
        number = len(records)
        what = "One job was" if number == 1 else f"{number:,} jobs were"
        remedies = (
            Remedy("Continue", lambda: self._session.ask("resume_jobs")),
            Remedy("Forget", lambda: self._session.ask("drop_jobs")),
        )
        text = f"{what} not finished when the program ended. {_what_is_left(records)}"
        self._session.said.emit(Message(text, Tone.WARNING, _ABOUT, remedies))


def _what_is_left(records: Sequence[Mapping[str, Any]]) -> str:
    """Say what becomes of what had been done."""
    sends = [record["job"]["kind"] == JobKind.SEND.value for record in records]
    came = [] if all(sends) else ["What had arrived is here."]
    went = ["Of what was being sent, what the server does not list yet is sent."] if any(sends) else []
    return " ".join([*came, *went])
