"""Fetching that nobody waits for: one job per series, which goes on when whoever asked has long got on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ..dimse.library import require_pynetdicom
from ..domain.errors import PeerError, StorageError, UsageError
from ..domain.model import Level, Target
from ..domain.results import RetrieveResult
from ..jobs.description import JobKind, Priority
from ..jobs.job import JobContext, Outcome
from ..jobs.states import JobState
from .core import Core
from .fetching import broken_off, outcome_of, sources_of_series
from .job_targets import job_params
from .plan import CountedBy
from .retrieve import Retrieval, RetrieveStrategy
from .runner import Unfinished
from .seen import when_seen


@dataclass(frozen=True)
class _Wish:
    """How a series is to be fetched, from whichever server; the rest as for :class:`.Retrieval`."""

    priority: Priority
    force: bool
    renewed: set[str] = field(default_factory=set)


class BackgroundFetching:
    """See the module."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def fetch(self, series_uids: Sequence[str], *, ahead: bool, force: bool) -> list[str]:
        """See :meth:`.Engine.fetch`."""
        self._core.store.require_writable()
        wanted = [(uid, sources_of_series(self._core, uid)) for uid in dict.fromkeys(series_uids)]
        nowhere = [uid for uid, sources in wanted if not sources]
        if nowhere:
            raise UsageError(f"Of {len(nowhere)} series no server is known to have them; search for them first.")
        require_pynetdicom()  # nobody waits for the jobs, which would only fail by it
        priority = Priority.VISIBLE_STUDY if ahead else Priority.USER
        return [self._begin(uid, sources, _Wish(priority, force)) for uid, sources in wanted]

    def _begin(self, series_uid: str, sources: Sequence[RetrieveStrategy], wish: _Wish) -> str:
        """Queue a retrieve from the first of the sources; the others are asked for what it does not provide."""
        target = Target(Level.SERIES, (series_uid,))
        retrieval = Retrieval(sources[0], target, self._core.store, associate=self._core.associations.request)
        retrieval.force, retrieval.renewed = wish.force, wish.renewed
        task = partial(self._fetch, retrieval, sources[1:], wish)
        params = {**job_params(self._core.store.catalogue, target), "force": wish.force}
        server, jobs = sources[0].server.name, self._core.jobs
        job = jobs.submit(JobKind.RETRIEVE, task, server=server, params=params, priority=wish.priority)
        return job.job_id

    def _fetch(
        self, retrieval: Retrieval, others: Sequence[RetrieveStrategy], wish: _Wish, context: JobContext
    ) -> Outcome | Unfinished:
        problem: PeerError | None = None
        retrieval.recall(context.memo)
        try:
            retrieval.attempt(context.token, context.progress)
        except (PeerError, StorageError) as error:
            if not others or isinstance(error, StorageError):
                return broken_off(retrieval, error)
            error.retryable = False  # not with this server
            problem = error
        return when_seen(retrieval.store, retrieval.unseen(), partial(self._end, retrieval, others, wish, problem))

    def _end(
        self,
        retrieval: Retrieval,
        others: Sequence[RetrieveStrategy],
        wish: _Wish,
        problem: PeerError | None,
    ) -> Outcome:
        """Return what a try came to, and have the next server asked for the rest.

        :param problem: why it broke off.
        """
        outcome = outcome_of(retrieval) if problem is None else _broken(retrieval, problem)
        if outcome.state is JobState.COMPLETED:
            self._note_size(retrieval, outcome.result)
        if outcome.state is JobState.COMPLETED or not others:
            return outcome
        self._begin(retrieval.target.uids[0], others, wish)
        return replace(outcome, reason=f"{outcome.reason} {others[0].server.name} is asked next.")

    def _note_size(self, retrieval: Retrieval, result: RetrieveResult) -> None:
        """Note how many instances a series has where only the transfer told: else it would never count as whole."""
        known = self._core.store.catalogue.find_series(retrieval.target.uids[0])
        if known is not None and result.counted_by == CountedBy.SUB_OPERATIONS.value:
            series = replace(known[1], instance_count=result.verified)
            self._core.store.catalogue.note_found(retrieval.server.name, series=[series])


def _broken(retrieval: Retrieval, problem: PeerError) -> Outcome:
    return Outcome(None, JobState.INCOMPLETE, str(problem), problem, retrieval.missing())
