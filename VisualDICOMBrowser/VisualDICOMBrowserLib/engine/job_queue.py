"""The persistent job queue, in the catalogue."""

from __future__ import annotations

import json
import logging

from ..domain.errors import BadData
from ..jobs.description import JobRecord
from ..store.catalogue import Catalogue

_log = logging.getLogger(__name__)


class CatalogueJobQueue:
    """Keeps jobs in the catalogue; see :class:`~..jobs.queue.JobQueueStore`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def save(self, record: JobRecord) -> None:
        """Insert or replace the record."""
        text = json.dumps(record.to_dict(), ensure_ascii=False)
        self._catalogue.save_job(record.job_id, record.state.value, record.created.wall, text)

    def load_unfinished(self) -> list[JobRecord]:
        """Return what is not in a terminal state, oldest first; records that cannot be read are skipped."""
        return [record for record in self._records() if not record.state.terminal]

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
