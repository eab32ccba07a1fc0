"""A retrieve: plan, fetch what is not here yet, verify. Survives tries: the next one asks only for what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..dimse.association import Association
from ..dimse.get import GetOutcome
from ..dimse.pool import Associate
from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import PeerError, ServerUnreachable, StorageError
from ..domain.model import Level, Target
from ..domain.protocol_log import note
from ..domain.results import Conflict, Failure, RetrieveResult, add_conflict
from ..domain.servers import Server
from ..jobs.description import Missing
from ..store.headers import Header
from ..store.local import LocalStore
from .conflict_log import log_conflict
from .plan import CountedBy, Plan, SeriesPlan, make_plan

#: After so many seconds, a server that was never reached is not tried again: the port or the host is wrong.
_REACH_S = 5.0

Progress = Callable[[int, "int | None", int], None]


class RetrieveStrategy(Protocol):
    """How instances come from one server; :func:`.strategy_for` chooses."""

    @property
    def server(self) -> Server:
        """The server that has what is wanted."""

    @property
    def words(self) -> str:
        """By which services they come, for the log of a job."""

    def fetch(self, retrieval: Retrieval, plan: Plan, token: CancelToken, progress: Progress) -> None:
        """Fetch what a plan wants and what is not here, and note in ``retrieval`` what came and why the rest did not.

        What came is stored when this returns or raises.

        :param progress: told how many instances are here, of how many, and the bytes that came.
        :raises PeerError: a conversation broke.
        :raises StorageError: nothing can be written.
        :raises Cancelled: the token was raised.
        """


@dataclass
class Retrieval:
    """One retrieve from one server.

    :param strategy: how instances come from it.
    :param once: do not try again if the server is out of reach: others have what is wanted, it may have more.
    :param one_of_many: others are asked too, so that to have nothing is an answer like any other.
    :param associate: where associations come from.
    :param force: fetch again what is here: it counts as here once it came and took the place of the old.
    :param renewed: SOP Instance UIDs of what came so far, from here or from servers that were asked before.
    :ivar plan: what the server announced, once it was asked.
    :ivar received: SOP Instance UIDs that came and were stored.
    :ivar replaced: those among them that took the place of what was here.
    :ivar conflicts: what came and was here already with other content.
    :ivar bytes: bytes of data sets that came.
    :ivar reasons: why instances did not come, by SOP Instance UID.
    :ivar problem: a sentence on why the last attempt ended early, or empty.
    """

    strategy: RetrieveStrategy
    target: Target
    store: LocalStore
    plan: Plan | None = None
    once: bool = False
    one_of_many: bool = False
    associate: Associate = Association.request
    force: bool = False
    renewed: set[str] = field(default_factory=set)
    received: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    conflicts: list[Conflict] = field(default_factory=list)
    bytes: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    problem: str = ""
    _announced: dict[str, int] = field(default_factory=dict)
    _named: dict[str, set[str]] = field(default_factory=dict)
    _in_conflict: set[tuple[str, str]] = field(default_factory=set)
    _memo: list[str] = field(default_factory=list)

    @property
    def server(self) -> Server:
        """The server that has what is wanted."""
        return self.strategy.server

    def attempt(self, token: CancelToken, progress: Progress) -> None:
        """Try once. What arrives is kept, whatever happens; :func:`result_of` tells the rest.

        :raises PeerError: the conversation broke; a retryable one is worth another attempt.
        :raises StorageError: nothing can be written.
        """
        self.problem = ""
        try:
            if self.plan is None:
                self.plan = make_plan(self.server, self.target, self.store.catalogue, token, self.associate)
                self._note_plan(self.plan)
                note(f"{_announced(self.plan, self.server)} They are fetched by {self.strategy.words}.")
            self.strategy.fetch(self, self.plan, token, progress)
        except (PeerError, StorageError) as error:
            self.problem = str(error)
            if self._is_in_vain(error):
                error.retryable = False
            raise

    def _is_in_vain(self, error: Exception) -> bool:
        if self.plan is not None or not isinstance(error, ServerUnreachable):
            return False
        return self.once or time.monotonic() - self.started > _REACH_S

    @property
    def found(self) -> set[str]:
        """Those identifiers of the target that the server knows, as far as it was asked."""
        return self.plan.found if self.plan is not None else set()

    def requested(self, series: SeriesPlan) -> int:
        """Return how many instances of a series the server announced, as far as it is known by now."""
        return series.count if series.count is not None else self._announced.get(series.series.series_uid, 0)

    def known(self, series: SeriesPlan) -> set[str]:
        """Return the instances of a series: the listed ones, else those that were here, came or failed by name."""
        if series.instances:
            return set(series.instances)
        uid = series.series.series_uid
        here = {f.instance.sop_uid for f in self.store.catalogue.local_files(Level.SERIES, [uid])}
        return here | self._named.get(uid, set())

    @property
    def announced(self) -> int:
        """How many instances the server announced of the whole plan, as far as it is known by now."""
        return sum(max(self.requested(one), len(one.instances)) for one in self._planned)

    def missing(self) -> Missing:
        """Return what is announced and not here."""
        uids = [uid for one in self._planned for uid in sorted(self.known(one) - self.here(one))]
        return Missing.of(uids, self.announced - sum(len(self.here(one)) for one in self._planned))

    @property
    def _planned(self) -> Sequence[SeriesPlan]:
        return self.plan.series if self.plan is not None else ()

    def wants(self, header: Header) -> bool:
        """Tell whether an instance is one that the plan names, or one of a series whose instances it does not list."""
        return any(
            header.sop_uid in one.instances or (not one.instances and header.series_uid == one.series.series_uid)
            for one in self._planned
        )

    def here(self, series: SeriesPlan) -> set[str]:
        """Return those of :meth:`known` that are on this computer, readable, and in this series.

        If they are to be fetched again, those that were.
        """
        known = self.known(series)
        here = self.store.readable(known - self.elsewhere(series, known))
        return here & self.renewed if self.force else here

    def verified(self, series: SeriesPlan) -> set[str]:
        """Return those of :meth:`here` that can be read through rows of the database."""
        here = self.here(series)
        return here - self.store.unseen(here)

    def unseen(self) -> set[str]:
        """Return what is here of the whole plan but has no row yet."""
        return self.store.unseen(uid for one in self._planned for uid in self.known(one))

    def elsewhere(self, series: SeriesPlan, sop_uids: Iterable[str]) -> set[str]:
        """Return instances that are here, but in another series: their UIDs were given out twice."""
        files = self.store.catalogue.local_files(Level.IMAGE, sop_uids)
        place = (series.series.study_uid, series.series.series_uid)
        return {f.instance.sop_uid for f in files if (f.instance.study_uid, f.instance.series_uid) != place}

    def note(self, series: SeriesPlan, outcome: GetOutcome, could_not: str = "The server could not send it") -> None:
        """Take over what one request brought.

        :param could_not: what to say of instances that the server names as failed.
        """
        uid = series.series.series_uid
        rejected = [(sop_uid, error) for sop_uid, error in outcome.rejected if sop_uid]
        named = self._named.setdefault(uid, set())
        named.update(outcome.received, outcome.failed_uids, (sop_uid for sop_uid, _ in rejected))
        if not series.instances:
            announced = max(outcome.announced or 0, _at_least(outcome, len(named)))
            self._announced[uid] = max(self._announced.get(uid, 0), announced)
        for sop_uid, error in rejected:
            self.reasons[sop_uid] = str(error)
        self.note_refusal(outcome.failed_uids, f"{could_not} (status 0x{outcome.status:04X}).")

    def note_stored(
        self, received: Iterable[str], replaced: Iterable[str], conflicts: Iterable[Conflict], bytes_: int
    ) -> None:
        """Take over what became of what came."""
        self.replaced.update(replaced)
        self.received.update(received, self.replaced)
        self.note_renewed(self.received)
        self.note_conflicts(conflicts)
        self.bytes += bytes_

    def note_conflicts(self, conflicts: Iterable[Conflict]) -> None:
        """Take over what came with other content than what is here."""
        for conflict in conflicts:
            named = conflict if conflict.source else replace(conflict, source=self.server.called_aet)
            if (named.sop_uid, named.source) not in self._in_conflict:
                self._in_conflict.add((named.sop_uid, named.source))
                log_conflict(named, len(self.conflicts))
                add_conflict(self.conflicts, named)

    def note_renewed(self, sop_uids: Iterable[str]) -> None:
        """Take it that instances came again, if that is what is wanted: another try does not ask for them."""
        if self.force:
            new = set(sop_uids) - self.renewed
            self.renewed.update(new)
            self._memo += new

    def recall(self, memo: list[str]) -> None:
        """Go on after what earlier tries of the job have fetched again, and add to that list.

        :param memo: of SOP Instance UIDs; see :class:`.JobContext`.
        """
        memo += self.renewed.difference(memo)
        self.renewed.update(memo)
        self._memo = memo

    def note_refusal(self, sop_uids: Iterable[str], reason: str) -> None:
        """Remember why the server does not send instances, unless something better is known."""
        for sop_uid in sop_uids:
            self.reasons.setdefault(sop_uid, reason)

    def _note_plan(self, plan: Plan) -> None:
        self.store.catalogue.note_found(
            self.server.name,
            plan.studies,
            (s.described for s in plan.series),
            (i for s in plan.series for i in s.instances.values()),
        )


def _at_least(outcome: GetOutcome, named: int) -> int:
    """Return how many instances there must be by the end of a request, for servers that give no counts.

    :param named: how many came, or are named as failed.
    """
    category = codes.category(outcome.status)
    if category is codes.StatusCategory.PENDING:
        return 0  # it came to no end
    whole = category is codes.StatusCategory.SUCCESS or outcome.failed_uids
    return named if whole else named + 1


def _announced(plan: Plan, server: Server) -> str:
    counted = [series.count for series in plan.series if series.count is not None]
    number = sum(counted) if len(counted) == len(plan.series) else "a number that only the transfer tells of"
    ways = ", ".join(dict.fromkeys(series.counted_by.value for series in plan.series)) or "nothing"
    return f"{server.name} announces {number} instances in {len(plan.series)} series, counted by {ways}."


@dataclass
class _Tally:
    """What one or several servers announced of one series, and what is here of it."""

    known: dict[str, None] = field(default_factory=dict)
    here: set[str] = field(default_factory=set)
    count: int = 0
    listed: bool = True

    @property
    def requested(self) -> int:
        return max(self.count, len(self.known)) if self.listed else self.count

    @property
    def verified(self) -> int:
        return min(self.requested, len(self.here))

    @property
    def missing(self) -> list[str]:
        return [uid for uid in self.known if uid not in self.here]


def result_of(retrievals: Sequence[Retrieval]) -> RetrieveResult:
    """Verify what is here of what one or several servers announced, and say what is missing and why.

    What several servers announced counts once.
    """
    tallies = _tallies(retrievals)
    missing = tuple(dict.fromkeys(uid for tally in tallies for uid in tally.missing))
    reasons = {uid: reason for retrieval in retrievals for uid, reason in retrieval.reasons.items()}
    unusable = sum(r.plan.unusable for r in retrievals if r.plan is not None)
    plans = [plan for r in retrievals if r.plan is not None for plan in r.plan.series]
    return RetrieveResult(
        requested=sum(tally.requested for tally in tallies) + unusable,
        counted_by=max((p.counted_by for p in plans), key=list(CountedBy).index, default=CountedBy.IMAGE_FIND).value,
        received=len(set().union(*(r.received for r in retrievals))),
        verified=sum(tally.verified for tally in tallies),
        missing=missing,
        failed=(*(Failure(uid, reasons[uid]) for uid in missing if uid in reasons), *_unusable(retrievals)),
        bytes=sum(r.bytes for r in retrievals),
        seconds=time.monotonic() - min(r.started for r in retrievals),
        warnings=tuple(_warnings(retrievals)),
        uncertain=_is_uncertain(retrievals),
        replaced=len(set().union(*(r.replaced for r in retrievals))),
        conflicts=tuple(conflict for r in retrievals for conflict in r.conflicts),
        asked=sum(r.plan is not None for r in retrievals),
        unasked=sum(r.plan is None for r in retrievals),
    )


def _tallies(retrievals: Sequence[Retrieval]) -> list[_Tally]:
    tallies: dict[tuple[str, str], _Tally] = {}
    for retrieval in retrievals:
        for plan in retrieval.plan.series if retrieval.plan is not None else ():
            tally = tallies.setdefault((plan.series.study_uid, plan.series.series_uid), _Tally())
            tally.known.update(dict.fromkeys(plan.instances or sorted(retrieval.known(plan))))
            tally.listed &= bool(plan.instances)
            tally.here |= retrieval.verified(plan)
            tally.count = max(tally.count, retrieval.requested(plan))
    return list(tallies.values())


def _unusable(retrievals: Sequence[Retrieval]) -> list[Failure]:
    """Account for what a server lists and nobody can ask for; there is no UID to name it by."""
    return [
        Failure("", f"{r.server.name} lists an object with an invalid UID, which cannot be asked for.")
        for r in retrievals
        if r.plan is not None
        for _ in range(r.plan.unusable)
    ]


def _absent(retrievals: Sequence[Retrieval]) -> list[str]:
    found = set[str]().union(*(r.found for r in retrievals))
    return [uid for uid in dict.fromkeys(retrievals[0].target.uids) if uid not in found]


def _warnings(retrievals: Sequence[Retrieval]) -> Iterator[str]:
    for retrieval in retrievals:
        name = retrieval.server.name
        if retrieval.problem:
            yield f"{name}: {retrieval.problem}"
        if retrieval.force and retrieval.server.proxy:
            yield f"{name}: whether it replaces what it had is up to the proxy {retrieval.server.proxy}."
        if retrieval.plan is not None and retrieval.plan.cut_off:
            yield f"{name} did not list all that it has; there may be more than what was asked for."
        for plan in retrieval.plan.series if retrieval.plan is not None else ():
            reason = retrieval.reasons.get(plan.series.series_uid)
            if reason and len(retrieval.here(plan)) < max(1, retrieval.requested(plan)):
                yield f"{name}, series {plan.series.series_uid}: {reason}"
    asked = ", ".join(r.server.name for r in retrievals if r.plan is not None)
    level = retrievals[0].target.level
    for uid in _absent(retrievals) if asked else ():
        # A patient's ID stays out of messages.
        yield f"Not on {asked}: {'this patient' if level is Level.PATIENT else f'{level.name.lower()} {uid}'}."


def _is_uncertain(retrievals: Sequence[Retrieval]) -> bool:
    """Tell whether there may be more: something was not found, or a server that may have it could not be asked."""
    if _absent(retrievals) or any(r.plan is not None and r.plan.cut_off for r in retrievals):
        return True
    return retrievals[0].target.level is Level.PATIENT and any(r.plan is None for r in retrievals)
