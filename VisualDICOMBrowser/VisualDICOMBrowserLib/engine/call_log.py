"""The calls of an engine's listener: all that run, and the last that are over, refused ones among them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from ..domain.listener import CallRecord

#: Calls that are remembered once they are over.
MAX_OVER = 20


@dataclass(frozen=True)
class Refused:
    """Somebody who did not come in.

    :ivar aet: its AE title; empty if it did not get as far as telling it.
    """

    aet: str
    address: str
    reason: str


class CallLog:
    """See the module. Safe to use from several threads; bounded, whoever calls and however often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, dict[str, Any]] = {}
        self._over: deque[tuple[Refused | None, dict[str, Any]]] = deque(maxlen=MAX_OVER)

    def note(self, record: CallRecord) -> dict[str, Any]:
        """Note how far an association is, or that it is over; return the record as plain values."""
        values = record.to_dict()
        with self._lock:
            if record.over:
                self._running.pop(record.number, None)
                self._over.append((None, values))
            else:
                self._running[record.number] = values
        return values

    def note_refusal(self, caller: Refused, number: int, *, secured: bool) -> dict[str, Any]:
        """Note that somebody was refused. The same again is counted, and keeps the number it had."""
        record = CallRecord(number, caller.aet, caller.address, secured, over=True, reason=caller.reason)
        record.admitted = False
        with self._lock:
            before = next((entry for entry in self._over if entry[0] == caller), None)
            if before is not None:
                self._over.remove(before)
                record.number, record.times = before[1]["number"], before[1]["times"] + 1
            values = record.to_dict()
            self._over.append((caller, values))
        return values

    def records(self) -> list[dict[str, Any]]:
        """Return what :meth:`.CallRecord.to_dict` writes of each, the newest first."""
        with self._lock:
            records = [*self._running.values(), *(values for _, values in self._over)]
        return sorted(records, key=lambda values: float(values["at"]), reverse=True)
