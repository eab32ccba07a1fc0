"""Where jobs outlive the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from .description import JobRecord


class JobQueueStore(Protocol):
    """The persistent queue: what still needs somebody's attention.

    The scheduler saves each durable job (``JobKind.durable``) when it is submitted, at each transition, and while it
    runs with what is new in its log, from several threads but never from two at once, and deletes it once it is
    completed or forgotten. What it cancels because the program closes it leaves as it was, so that it is offered again.
    """

    def save(self, record: JobRecord, log: Mapping[str, Any] | None = None) -> None:
        """Insert or replace the record with its ``job_id``, and what :meth:`.Job.notes_to_store` returns."""

    def records(self) -> list[JobRecord]:
        """Return all records that can be read, oldest first. The others are left alone."""

    def unreadable(self) -> int:
        """Return how many records cannot be read."""

    def log(self, job_id: str) -> Mapping[str, Any] | None:
        """Return log and memo that were saved last with a job; None if there are none, or no such job."""

    def delete(self, job_id: str) -> None:
        """Remove a record; unknown ones are no error."""

    def delete_ended(self) -> None:
        """Remove the records of all that has ended, in this process or an earlier one."""


class InMemoryJobQueueStore:
    """A queue that lives as long as the process, for temporary databases."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, JobRecord] = {}
        self._logs: dict[str, Mapping[str, Any] | None] = {}

    def save(self, record: JobRecord, log: Mapping[str, Any] | None = None) -> None:
        """Insert or replace the record."""
        with self._lock:
            self._records[record.job_id] = record
            self._logs[record.job_id] = log

    def log(self, job_id: str) -> Mapping[str, Any] | None:
        """Return the log of a job."""
        with self._lock:
            return self._logs.get(job_id)

    def unreadable(self) -> int:
        """Return 0: nothing is written down."""
        return 0

    def delete(self, job_id: str) -> None:
        """Remove a record."""
        with self._lock:
            self._records.pop(job_id, None)
            self._logs.pop(job_id, None)

    def delete_ended(self) -> None:
        """Remove what has ended."""
        for record in self.records():
            if record.state.terminal:
                self.delete(record.job_id)

    def records(self) -> list[JobRecord]:
        """Return all records, oldest first."""
        with self._lock:
            return sorted(self._records.values(), key=lambda record: record.created.wall)


def unfinished(queue: JobQueueStore) -> list[JobRecord]:
    """Return the records in a state that is not terminal, oldest first."""
    return [record for record in queue.records() if not record.state.terminal]
