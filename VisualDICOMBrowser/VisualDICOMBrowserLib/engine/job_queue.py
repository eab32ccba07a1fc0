"""The persistent job queue, in the catalogue."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..domain.errors import BadData
from ..jobs.description import JobRecord
from ..store.catalogue import Catalogue

_log = logging.getLogger(__name__)


class CatalogueJobQueue:
    """Keeps jobs in the catalogue; see :class:`~..jobs.queue.JobQueueStore`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def save(self, record: JobRecord, log: Mapping[str, Any] | None = None) -> None:
        """Insert or replace the record."""
        # In ASCII: the names of files need not be text, and the database keeps nothing else.
        text = json.dumps({**record.to_dict(), "log": log})
        self._catalogue.save_job(record.job_id, record.state.value, record.created.wall, text)

    def load_unfinished(self) -> list[JobRecord]:
        """Return what is not in a terminal state, oldest first; records that cannot be read are skipped."""
        return [record for record in self._records() if not record.state.terminal]

    def log(self, job_id: str) -> Mapping[str, Any] | None:
        """Return the log of a job; it is read as what may be anything, see :meth:`.ProtocolLog.restore`."""
        for text in self._catalogue.jobs(job_id):
            with suppress(ValueError, AttributeError):
                log: Mapping[str, Any] | None = json.loads(text).get("log")
                return log
        return None

    def delete(self, job_id: str) -> None:
        """Remove a record."""
        self._catalogue.delete_job(job_id)

    def delete_ended(self) -> None:
        """Remove the records of what has ended, in this process or an earlier one."""
        for record in self._records():
            if record.state.terminal:
                self.delete(record.job_id)

    def _records(self) -> list[JobRecord]:
        records = []
        for text in self._catalogue.jobs():
            try:
                records.append(JobRecord.from_dict(json.loads(text)))
            except (BadData, ValueError):
                _log.info("A job in the queue cannot be read and is left alone.")
        return records
