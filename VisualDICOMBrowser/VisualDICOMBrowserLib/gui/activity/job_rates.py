"""How fast bytes come in, over the last seconds, without Qt."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

#: Seconds that a rate is the mean of.
SPAN_S = 3.0


class JobRates:
    """Notes how many bytes each job has moved, and tells bytes a second. Times are monotonic seconds."""

    def __init__(self, span: float = SPAN_S) -> None:
        self._span = span
        self._notes: dict[str, deque[tuple[float, int]]] = {}

    def note(self, job_id: str, moved: int, now: float) -> None:
        """Note that a job has moved so many bytes so far. Fewer than before is a new try, which counts from 0."""
        notes = self._notes.setdefault(job_id, deque())
        if notes and moved < notes[-1][1]:
            notes.clear()
        if not notes or moved != notes[-1][1]:
            notes.append((now, moved))
        self._trim(notes, now)

    def rate(self, job_id: str, now: float) -> float:
        """Return bytes a second of a job; 0 for one that is unknown or stands still."""
        notes = self._notes.get(job_id)
        if not notes:
            return 0.0
        self._trim(notes, now)
        since = min(self._span, now - notes[0][0])
        return (notes[-1][1] - notes[0][1]) / since if since > 0 else 0.0

    def total(self, now: float) -> float:
        """Return bytes a second of all jobs."""
        return sum(self.rate(job_id, now) for job_id in self._notes)

    def keep(self, job_ids: Collection[str]) -> None:
        """Drop all other jobs: they have ended."""
        for job_id in [known for known in self._notes if known not in job_ids]:
            del self._notes[job_id]

    def _trim(self, notes: deque[tuple[float, int]], now: float) -> None:
        """Keep one note from before the span, to count from; none once nothing came for a whole span."""
        while len(notes) > 1 and notes[1][0] <= now - self._span:
            notes.popleft()
        if len(notes) == 1 and notes[0][0] < now - self._span:
            notes[0] = (now, notes[0][1])
