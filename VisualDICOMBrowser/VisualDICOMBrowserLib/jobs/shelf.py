"""The jobs that a scheduler knows, by their ids: all that are under way, and the last that ended."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from ..domain.errors import InternalError, UsageError
from .description import JobDescription
from .job import Job


class Shelf:
    """See the module. Not thread-safe: the scheduler's lock guards it.

    :param history: how many ended jobs are kept.
    """

    def __init__(self, history: int) -> None:
        self._history = history
        self._jobs: dict[str, Job] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def __getitem__(self, job_id: str) -> Job:
        try:
            return self._jobs[job_id]
        except KeyError:
            raise UsageError("There is no such job.") from None

    def __iter__(self) -> Iterator[Job]:
        """Go through the jobs, oldest first; others may come meanwhile."""
        return iter(list(self._jobs.values()))

    def add(self, job: Job) -> None:
        """Take a new job.

        :raises InternalError: there is one of its id.
        """
        job_id = job.description.job_id
        if job_id in self._jobs:
            raise InternalError(f"There is a job {job_id} already.")
        self._jobs[job_id] = job

    def note_end(self, job: Job) -> None:
        """Note that a job ended; of too many such, the one that did first is dropped."""
        self._ended[job.description.job_id] = None
        while len(self._ended) > self._history:
            oldest, _ = self._ended.popitem(last=False)
            del self._jobs[oldest]

    def note_retry(self, job: Job) -> None:
        """Note that a job that had ended is under way again."""
        self._ended.pop(job.description.job_id, None)

    def remove(self, job: Job) -> None:
        """Drop a job."""
        self.note_retry(job)
        del self._jobs[job.description.job_id]

    def is_over(self, job_id: str) -> bool:
        """Tell whether a job has ended, or is not known any more."""
        job = self._jobs.get(job_id)
        return job is None or job.state.terminal

    def ended_about_the_same(self, description: JobDescription) -> list[str]:
        """Return the ids of durable jobs that ended and were to do the same."""
        ended = (self._jobs[job_id].description for job_id in self._ended)
        return [other.job_id for other in ended if other.kind.durable and other.is_about_the_same(description)]
