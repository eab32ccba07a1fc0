"""The persistent job queue, in the catalogue."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from ..domain.errors import BadData, DiskFull, StorageError
from ..jobs.description import JobRecord
from ..store.catalogue import Catalogue

_log = logging.getLogger(__name__)


class CatalogueJobQueue:
    """Keeps jobs in the catalogue; see :class:`~..jobs.queue.JobQueueStore`.

    What cannot be written for want of room, or because somebody else has the catalogue for long, is written with the
    next change. If the program ends before, a job that has ended may be offered again, and finds nothing to do.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._late: dict[str, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def save(self, record: JobRecord, log: Mapping[str, Any] | None = None) -> None:
        """Insert or replace the record."""
        # In ASCII: the names of files need not be text, and the database keeps nothing else.
        text = json.dumps({**record.to_dict(), "log": log})
        row = (record.job_id, record.state.value, record.created.wall, text)
        self._write(record.job_id, partial(self._catalogue.save_job, *row))

    def records(self) -> list[JobRecord]:
        """Return what can be read, oldest first."""
        return [record for text in self._catalogue.jobs() if (record := _read(text)) is not None]

    def unreadable(self) -> int:
        """Return how many records cannot be read: a newer release may have written them."""
        return sum(_read(text) is None for text in self._catalogue.jobs())

    def log(self, job_id: str) -> Mapping[str, Any] | None:
        """Return the log of a job; it may be anything, see :meth:`.ProtocolLog.restore`."""
        for text in self._catalogue.jobs(job_id):
            with suppress(ValueError, RecursionError, AttributeError):
                log: Mapping[str, Any] | None = json.loads(text).get("log")
                return log
        return None

    def delete(self, job_id: str) -> None:
        """Remove a record."""
        self._write(job_id, partial(self._catalogue.delete_job, job_id))

    def _write(self, job_id: str, change: Callable[[], None]) -> None:
        with self._lock:
            self._late[job_id] = change
            try:
                for waiting in list(self._late):
                    self._late[waiting]()
                    del self._late[waiting]
            except StorageError as error:
                if not (error.retryable or isinstance(error, DiskFull)):
                    raise
                _log.info("The queue of jobs is written later: %s", error)

    def delete_ended(self) -> None:
        """Remove the records of what has ended, in this process or an earlier one."""
        for record in self.records():
            if record.state.terminal:
                self.delete(record.job_id)


def _read(text: str) -> JobRecord | None:
    try:
        return JobRecord.from_dict(json.loads(text))
    except (BadData, ValueError, TypeError, RecursionError):
        return None
