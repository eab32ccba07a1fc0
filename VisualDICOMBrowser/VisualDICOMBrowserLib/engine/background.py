"""Fetching that nobody waits for: one job per series, which goes on when whoever asked has long got on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ..dimse.library import require_pynetdicom
from ..domain.errors import PackageMissing, PeerError, StorageError, UsageError
from ..domain.model import Level, Target
from ..domain.results import RetrieveResult
from ..jobs.description import JobKind, Priority
from ..jobs.job import JobContext, JobHandle, Outcome
from ..jobs.states import JobState
from .core import Core
from .fetching import broken_off, outcome_of, sources_of_series
from .job_targets import job_params
from .plan import CountedBy
from .retrieve import Retrieval, RetrieveStrategy
from .runner import Unfinished
from .seen import when_seen

_log = logging.getLogger(__name__)

#: So many series are remembered that were thought of ahead.
_MAX_LOOKED_AT = 50_000


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
        self._lock = threading.RLock()
        self._looked_at: dict[str, None] = {}
        self._ahead: dict[str, JobHandle] = {}

    def fetch(self, series_uids: Sequence[str], *, force: bool) -> list[str]:
        """See :meth:`.Engine.fetch`."""
        self._core.store.require_writable()
        wanted = [(uid, sources_of_series(self._core, uid)) for uid in dict.fromkeys(series_uids)]
        nowhere = [uid for uid, sources in wanted if not sources]
        if nowhere:
            raise UsageError(f"Of {len(nowhere)} series no server is known to have them; search for them first.")
        require_pynetdicom()  # nobody waits for the jobs, which would only fail by it
        jobs = []
        for uid, sources in wanted:
            job = None if force else self._coming(uid)
            if job is None:
                job = self._begin(uid, sources, _Wish(Priority.USER, force))
            else:
                job.set_priority(Priority.USER)
            jobs.append(job.job_id)
        return jobs

    def fetch_ahead(self, study_uids: Sequence[str]) -> None:
        """Fetch what servers that are set to that have of studies, and is not here, before anybody asks.

        Each series is looked at once: what failed, was cancelled or removed does not come again by itself.
        """
        if self._core.store.read_only or not study_uids:
            return
        try:
            servers = [server for server in self._core.configuration.servers() if server.fetch_ahead]
            servers = [server for server in servers if not self._core.jobs.is_out_of_reach(server.name)]
            if not servers:
                return
            require_pynetdicom()
            with self._lock:
                self._ahead = {uid: job for uid, job in self._ahead.items() if not job.record().state.terminal}
                for uid in self._lacking(study_uids, {server.name for server in servers}):
                    sources = sources_of_series(self._core, uid, servers)
                    self._ahead[uid] = self._begin(uid, sources, _Wish(Priority.VISIBLE_STUDY, False))
        except (UsageError, PackageMissing) as error:  # whoever asks for something is told; nobody did here
            _log.info("Nothing is fetched ahead: %s", error)

    def _coming(self, series_uid: str) -> JobHandle | None:
        """Return the job that fetches a series ahead, if there is one that has not ended."""
        with self._lock:
            job = self._ahead.get(series_uid)
        return job if job is not None and not job.record().state.terminal else None

    def leave_alone(self, series_uids: Iterable[str]) -> None:
        """Fetch none of these series ahead."""
        with self._lock:
            self._looked_at |= dict.fromkeys(series_uids)
            for uid in list(self._looked_at)[:-_MAX_LOOKED_AT]:
                del self._looked_at[uid]

    def _lacking(self, study_uids: Sequence[str], servers: set[str]) -> list[str]:
        """Return the series of studies that are looked at for the first time, not here, and not under way."""
        under_way = self._under_way()
        found: dict[str, bool] = {}
        for study_uid in study_uids:
            for uid, server, here, count in self._core.store.catalogue.series_at_servers(study_uid):
                if server in servers and uid not in self._looked_at:
                    lacks = (count is None or here < count) and under_way.isdisjoint((uid, study_uid))
                    found[uid] = found.get(uid, False) or lacks
        self.leave_alone(found)
        return [uid for uid, lacks in found.items() if lacks]

    def _under_way(self) -> set[str]:
        """Return the UIDs of what is being fetched by jobs."""
        jobs = (record.description for record in self._core.jobs.records() if not record.state.terminal)
        return {uid for job in jobs if job.kind is JobKind.RETRIEVE for uid in job.params.get("uids", ())}

    def _begin(self, series_uid: str, sources: Sequence[RetrieveStrategy], wish: _Wish) -> JobHandle:
        """Queue a retrieve from the first of the sources; the others are asked for what it does not provide."""
        target = Target(Level.SERIES, (series_uid,))
        retrieval = Retrieval(sources[0], target, self._core.store, associate=self._core.associations.request)
        retrieval.force, retrieval.renewed = wish.force, wish.renewed
        task = partial(self._fetch, retrieval, sources[1:], wish)
        params = {**job_params(self._core.store.catalogue, target), "force": wish.force}
        server, jobs = sources[0].server.name, self._core.jobs
        return jobs.submit(JobKind.RETRIEVE, task, server=server, params=params, priority=wish.priority)

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
