"""The job that stands for the listener while it is open to whoever may call: seen and ended like other work.

What is open only for instances that a server was asked to send belongs to the retrieve that asked, and is no job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..domain.errors import LocalError
from ..domain.protocol_log import ProtocolLog
from ..domain.results import conflict_words, kept_words
from ..jobs.description import JobKind
from ..jobs.job import JobContext, Outcome
from .listening import Listening
from .runner import JobRunner

#: So many instances with other content are named in the log, of each call.
_MAX_NAMED = 20


@dataclass(eq=False)
class _Open:
    """One time that the listener is open.

    :ivar stop: closes it.
    :ivar counts: instances and bytes that each call brought so far.
    """

    stop: Callable[[], object]
    closed: threading.Event = field(default_factory=threading.Event)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    context: JobContext | None = None

    def report(self) -> None:
        if self.context is not None:
            counts = list(self.counts.values())
            self.context.progress(sum(stored for stored, _ in counts), None, sum(size for _, size in counts))


class ListenerJob:
    """See the module; :meth:`hear` follows the engine's events."""

    def __init__(self, jobs: JobRunner, listening: Listening) -> None:
        self._jobs = jobs
        self._listening = listening
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._stop: Callable[[], object] = self._switch_off

    @contextmanager
    def stopped_by(self, stop: Callable[[], object]) -> Iterator[None]:
        """Have a cancelled job call ``stop`` in the ``with`` block, instead of switching the listener off."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = self._switch_off

    def hear(self, name: str, subject: str, data: Any) -> None:
        """Follow an event of the engine."""
        if name == "listener-changed":
            self._follow()
        elif name == "association":
            self._count(subject, data)

    def _follow(self) -> None:
        standing = self._listening.is_standing
        with self._lock:
            before = self._open
            if standing == (before is not None):
                return
            self._open = now = _Open(self._stop) if standing else None
        if before is not None:
            before.closed.set()
        if now is not None:
            self._submit(now)

    def _submit(self, now: _Open) -> None:
        status = self._listening.status()
        label = f"{status.settings.aet.strip()} at {status.address}, port {status.port}"
        with suppress(LocalError):  # the program closes
            self._jobs.submit(JobKind.LISTENER, partial(_listen, now), params={"label": label})

    def _count(self, subject: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            now = self._open
            if now is None:
                return
            now.counts[subject] = (data["stored"], data["bytes"])
            if data["over"]:
                stored, size = now.counts.pop(subject)
                before = now.counts.get("", (0, 0))
                now.counts[""] = (before[0] + stored, before[1] + size)
        now.report()
        if now.context is not None and data["over"]:
            _note_call(now.context.log, data)

    def _switch_off(self) -> None:
        """Close the listener for good: cancelled by hand, it is not to open again at the next start."""
        self._listening.change(replace(self._listening.settings(), enabled=False))


def _listen(now: _Open, context: JobContext) -> Outcome:
    """Stand for the open listener until it is closed, or somebody wants it to be."""

    def stop() -> None:
        if not now.closed.is_set():
            now.closed.set()
            now.stop()

    now.context = context
    now.report()
    with context.token.calling(stop):
        now.closed.wait()
    return Outcome(True, reason="The listener is closed.")


def _note_call(log: ProtocolLog | None, data: Mapping[str, Any]) -> None:
    if log is not None:
        end = f" It broke off: {data['reason']}" if data["reason"] else ""
        counts = ", ".join(f"{data[name]} {name}" for name in ("stored", "duplicates", "refused", "failed"))
        log.note(f"Called by {data['aet']} at {data['address']}: {counts}.{end}")
        if data["conflicting"]:
            log.note(kept_words(data["conflicting"]))
        for conflict in data["conflicts"][:_MAX_NAMED]:
            log.note(conflict_words(conflict))
