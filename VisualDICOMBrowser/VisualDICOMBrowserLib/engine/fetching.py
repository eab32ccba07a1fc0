"""What the engine fetches from servers: instances, and pictures of series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..dimse.library import require_pynetdicom
from ..domain.cancel import CancelToken
from ..domain.errors import InternalError, PeerError, StorageError, UsageError, VisualDicomError
from ..domain.model import Level, Target
from ..domain.protocol_log import note
from ..domain.results import RetrieveResult, ThumbnailResult, kept_words
from ..domain.servers import Server
from ..jobs.description import JobDescription, JobKind, Missing, Priority
from ..jobs.job import JobContext, Outcome
from ..jobs.states import JobState
from ..store.index_queue import REFUSED
from .core import Core
from .job_targets import job_params, target_of
from .retrieve import Retrieval, RetrieveStrategy, result_of
from .runner import Task, Unfinished
from .seen import when_seen
from .strategies import strategies_for, strategy_for
from .thumbnails import fetch_middle, local_thumbnail

#: How many of the reasons why instances did not come are in the log of a job, the commonest first.
_MAX_REASONS = 10


class Fetching:
    """The part of the engine that fetches; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.jobs.learn(JobKind.RETRIEVE, self._retry, require_pynetdicom)

    def retrieve(
        self, target: Target, server: str | None, token: CancelToken | None, *, force: bool = False
    ) -> RetrieveResult:
        """See :meth:`.Engine.retrieve`."""
        self._core.store.require_writable()
        if target.level is Level.PATIENT and "" in target.uids:
            raise UsageError("Patients without an ID are one to no server; retrieve their studies.")
        done: list[Retrieval] = []
        result: RetrieveResult | None = None
        renewed = set[str]()
        sources = self._sources(server)
        for chosen in sources:
            if token is not None:
                token.check()
            provided = result is not None and result.complete
            if provided and target.level >= Level.SERIES:
                break
            retrieval = self._retrieval(chosen, target)
            retrieval.once, retrieval.one_of_many = provided, len(sources) > 1
            retrieval.force, retrieval.renewed = force, renewed
            done.append(retrieval)
            alone = self._run_retrieval(done[-1], token)
            result = alone if alone is not None and len(done) == 1 else result_of(done)
        return result if result is not None else result_of(done)

    def _sources(self, server: str | None) -> list[RetrieveStrategy]:
        if server is not None:
            return [strategy_for(self._core, self._core.configuration.server(server))]
        servers = self._core.configuration.servers()
        if not servers:
            raise UsageError("There is no server to retrieve from; add one with: servers add.")
        return strategies_for(self._core, reachable_first(self._core, servers))

    def _run_retrieval(self, retrieval: Retrieval, token: CancelToken | None) -> RetrieveResult | None:
        """Run a retrieve as a job, and return what it came to; None if it broke off, why is in the retrieval."""
        params = {**job_params(self._core.store.catalogue, retrieval.target), "force": retrieval.force}
        handle = self._core.jobs.submit(
            JobKind.RETRIEVE, partial(attempt, retrieval), server=retrieval.server.name, params=params
        )
        outcome = self._core.jobs.wait(handle, token)
        if outcome.error is not None and not isinstance(outcome.error, (PeerError, StorageError)):
            raise outcome.error
        result: RetrieveResult | None = outcome.result
        return result

    def _retry(self, job: JobDescription) -> Task:
        """Begin a retrieve anew: it looks at what is here, and so fetches only what is missing."""
        strategy = strategy_for(self._core, self._core.configuration.server(job.server or ""))
        retrieval = self._retrieval(strategy, target_of(job))
        retrieval.force = bool(job.params.get("force"))
        return partial(attempt, retrieval)

    def _retrieval(self, strategy: RetrieveStrategy, target: Target) -> Retrieval:
        return Retrieval(strategy, target, self._core.store, associate=self._core.associations.request)

    def thumbnail(self, series_uid: str, server: str | None, token: CancelToken | None) -> ThumbnailResult:
        """See :meth:`.Engine.thumbnail`."""
        self._core.store.require_writable()
        if self._core.store.catalogue.local_counts([series_uid]):
            made = self._picture(series_uid, token)
            if made is not None:
                return made
        problem: PeerError | None = None
        for source in self._thumbnail_sources(series_uid, server):
            try:
                return self._fetch_thumbnail(series_uid, source, token)
            except PeerError as error:
                problem = problem or error
        raise problem or UsageError("This series is not here, and no server is known to have it; search for it first.")

    def _thumbnail_sources(self, series_uid: str, server: str | None) -> list[RetrieveStrategy]:
        if server is not None:
            return [strategy_for(self._core, self._core.configuration.server(server))]
        return sources_of_series(self._core, series_uid)

    def _fetch_thumbnail(self, series_uid: str, source: RetrieveStrategy, token: CancelToken | None) -> ThumbnailResult:
        core = self._core
        core.jobs.do(
            JobKind.THUMBNAIL,
            lambda context: fetch_middle(core.store, source, series_uid, context.token, core.associations.request),
            server=source.server.name,
            params=_about(series_uid),
            priority=Priority.VISIBLE_THUMBNAIL,
            token=token,
        )
        # A job of its own, so that the server can send the next one meanwhile.
        made = self._picture(series_uid, token)
        if made is None:
            raise InternalError("What was fetched for a thumbnail is not there.")
        return made

    def _picture(self, series_uid: str, token: CancelToken | None) -> ThumbnailResult | None:
        """Return the picture of what is here of a series, None if nothing can be read."""
        core = self._core
        made: ThumbnailResult | None = core.jobs.do(
            JobKind.THUMBNAIL,
            lambda context: local_thumbnail(
                core.store, core.decoder, series_uid, context.token, lambda: core.tell_series([series_uid])
            ),
            params=_about(series_uid),
            priority=Priority.VISIBLE_THUMBNAIL,
            token=token,
        )
        return made


def _about(series_uid: str) -> dict[str, Any]:
    return {"level": "series", "uids": [series_uid]}


def sources_of_series(core: Core, series_uid: str, among: Sequence[Server] | None = None) -> list[RetrieveStrategy]:
    """Return how a series comes from the servers that said they have it, of those that can be retrieved from.

    :param among: the servers to think of; None for all that are configured.
    :raises UsageError: there are some, and none can be retrieved from.
    """
    holders = core.store.catalogue.servers_of_series(series_uid)
    known = core.configuration.servers() if among is None else among
    servers = [s for s in known if s.name in holders] if holders else []
    return strategies_for(core, reachable_first(core, servers))


def reachable_first(core: Core, servers: Sequence[Server]) -> list[Server]:
    """Return servers in their order, but those at the end that do not answer now: work for them waits."""
    return sorted(servers, key=lambda server: core.jobs.is_out_of_reach(server.name))


def attempt(retrieval: Retrieval, context: JobContext) -> Outcome | Unfinished:
    """Do one try of a retrieve, as the work of a job.

    :raises PeerError: the server did not even say what it has.
    """
    retrieval.recall(context.memo)
    try:
        retrieval.attempt(context.token, context.progress)
    except (PeerError, StorageError) as error:
        return broken_off(retrieval, error)
    return when_seen(retrieval.store, retrieval.unseen(), partial(outcome_of, retrieval))


def broken_off(retrieval: Retrieval, error: VisualDicomError) -> Outcome:
    """Return what a try came to that an error ended; before the server had said what it has, the error is raised."""
    if retrieval.plan is None:
        raise error
    missing = retrieval.missing()
    reason = f"{error} {missing.count} of {retrieval.announced} instances are missing."
    conflicts = len(retrieval.conflicts)
    return Outcome(
        result_of([retrieval]), JobState.INCOMPLETE, _with_kept(reason, conflicts), error, missing, conflicts
    )


def outcome_of(retrieval: Retrieval) -> Outcome:
    """Return what a try came to."""
    retrieval.note_conflicts(retrieval.store.take_conflicts(retrieval.unseen()))
    refused = retrieval.store.refused(retrieval.unseen())
    retrieval.reasons.update(dict.fromkeys(refused, REFUSED))
    result = result_of([retrieval])
    conflicts = len(result.conflicts)
    if result.complete:
        return Outcome(result, reason=kept_words(conflicts), conflicts=conflicts)
    if not result.requested:
        state = JobState.COMPLETED if retrieval.one_of_many else JobState.INCOMPLETE
        return Outcome(result, state, f"{retrieval.server.name} has nothing of what was asked for.")
    for reason, count in Counter(failure.reason for failure in result.failed).most_common(_MAX_REASONS):
        note(f"{count} instances: {reason}")
    reason = _with_kept(_shortfall(result), conflicts)
    return Outcome(result, JobState.INCOMPLETE, reason, missing=missing_of(result), conflicts=conflicts)


def missing_of(result: RetrieveResult) -> Missing:
    """Return what is missing, for the record of a job."""
    return Missing.of(result.missing, result.requested - result.verified)


def _with_kept(reason: str, conflicts: int) -> str:
    return f"{reason} {kept_words(conflicts)}".rstrip()


def _shortfall(result: RetrieveResult) -> str:
    count = missing_of(result).count
    if count:
        return f"{count} of {result.requested} instances are missing."
    return "All that was found is here, but there may be more: not everything that was asked for was found."
