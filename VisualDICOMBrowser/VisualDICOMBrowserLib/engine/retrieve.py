"""A retrieve: plan, fetch what is not here yet, verify. Survives tries: the next one asks only for what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..dimse.association import Association
from ..dimse.contexts import MAX_CONTEXTS, Proposal, storage_batches
from ..dimse.get import GetOutcome, get
from ..dimse.identifier import Keys
from ..dimse.models import STUDY_ROOT_GET
from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import NoCommonContext, PeerError, StorageError, UsageError
from ..domain.model import Level, Target
from ..domain.results import Failure, RetrieveResult
from ..domain.servers import RetrieveMethod, Server
from ..store.local import LocalStore
from ..store.receive import Receiver
from ..store.writer import Batch
from .plan import CountedBy, Plan, SeriesPlan, make_plan

#: UIDs in one request: a list of 64 character UIDs stays far below what servers take in one element.
_UIDS_A_REQUEST = 200

Progress = Callable[[int, "int | None", int], None]


def require_get(server: Server) -> None:
    """Return quietly if instances can be fetched from a server.

    :raises UsageError: it is configured for C-MOVE or for a proxy, which this version cannot do.
    """
    if server.retrieve is not RetrieveMethod.GET or server.proxy is not None:
        way = f"by way of the proxy {server.proxy}" if server.proxy else "by C-MOVE"
        raise UsageError(f"{server.name} is configured to retrieve {way}; this version can retrieve by C-GET only.")


@dataclass
class Retrieval:
    """One retrieve from one server.

    :param skip_studies: studies that another server provides.
    :ivar plan: what the server announced, once it was asked.
    :ivar received: SOP Instance UIDs that came and were stored.
    :ivar bytes: bytes of data sets that came.
    :ivar reasons: why instances did not come, by SOP Instance UID.
    :ivar problem: a sentence on why the last attempt ended early, or empty.
    """

    server: Server
    target: Target
    store: LocalStore
    plan: Plan | None = None
    skip_studies: frozenset[str] = frozenset()
    received: set[str] = field(default_factory=set)
    bytes: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    _announced: dict[str, int] = field(default_factory=dict)
    _here: dict[str, set[str]] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    problem: str = ""

    def attempt(self, token: CancelToken, progress: Progress) -> None:
        """Try once. What arrives is kept, whatever happens; :func:`result_of` tells the rest.

        :raises PeerError: the conversation broke; a retryable one is worth another attempt.
        :raises StorageError: nothing can be written.
        """
        self.problem = ""
        try:
            if self.plan is None:
                self.plan = make_plan(self.server, self.target, self.store.catalogue, token)
                self.plan.series = [s for s in self.plan.series if s.series.study_uid not in self.skip_studies]
                self._note_plan(self.plan)
            _Fetch(self, token, progress).run(self.plan)
        except (PeerError, StorageError) as error:
            self.problem = str(error)
            raise

    @property
    def complete_studies(self) -> frozenset[str]:
        """Studies of which everything that was announced is here."""
        if self.plan is None:
            return frozenset()
        short = {s.series.study_uid for s in self.plan.series if not self._is_complete(s)}
        return frozenset(study.study_uid for study in self.plan.studies) - short

    def _is_complete(self, series: SeriesPlan) -> bool:
        wanted = series.instances or self.known(series)
        return len(self.store.readable(wanted)) >= max(1, self.requested(series))

    def requested(self, series: SeriesPlan) -> int:
        """Return how many instances of a series the server announced, as far as it is known by now."""
        return series.count if series.count is not None else self._announced.get(series.series.series_uid, 0)

    def known(self, series: SeriesPlan) -> set[str]:
        """Return the instances of a series that the server does not list: those that came, or were here."""
        uid = series.series.series_uid
        here = {f.instance.sop_uid for f in self.store.catalogue.local_files(Level.SERIES, [uid])}
        return here | self._here.get(uid, set())

    def _note_plan(self, plan: Plan) -> None:
        self.store.catalogue.note_found(
            self.server.name,
            plan.studies,
            (s.series for s in plan.series),
            (i for s in plan.series for i in s.instances.values()),
        )

    def note(self, series: SeriesPlan, outcome: GetOutcome) -> None:
        """Take over what one C-GET brought."""
        uid = series.series.series_uid
        self._here.setdefault(uid, set()).update(outcome.received)
        if outcome.announced is not None and not series.instances:
            self._announced[uid] = max(self._announced.get(uid, 0), outcome.announced)
        for sop_uid, error in outcome.rejected:
            self.reasons[sop_uid] = str(error)
        for sop_uid in outcome.failed_uids:
            self.reasons.setdefault(sop_uid, f"The server could not send it: {codes.in_words(outcome.status)}.")

    def note_refusal(self, sop_uids: Sequence[str], reason: str) -> None:
        """Remember why the server does not send instances, unless something better is known."""
        for sop_uid in sop_uids:
            self.reasons.setdefault(sop_uid, reason)


def result_of(retrievals: Sequence[Retrieval]) -> RetrieveResult:
    """Verify what is here of what one or several servers announced, and say what is missing and why.

    A series that several servers announced counts once.
    """
    store = retrievals[0].store
    requested: dict[str, int] = {}
    wanted: dict[str, None] = {}
    counted_by = CountedBy.IMAGE_FIND
    for retrieval in retrievals:
        for plan in retrieval.plan.series if retrieval.plan is not None else ():
            uid = plan.series.series_uid
            requested[uid] = max(requested.get(uid, 0), retrieval.requested(plan))
            wanted.update(dict.fromkeys(plan.instances or sorted(retrieval.known(plan))))
            counted_by = max(counted_by, plan.counted_by, key=list(CountedBy).index)
    here = store.readable(wanted)
    missing = tuple(uid for uid in wanted if uid not in here)
    reasons = {uid: reason for retrieval in retrievals for uid, reason in retrieval.reasons.items()}
    return RetrieveResult(
        requested=sum(requested.values()),
        counted_by=counted_by.value,
        received=len(set().union(*(r.received for r in retrievals))),
        verified=len(here),
        missing=missing,
        failed=tuple(Failure(uid, reasons[uid]) for uid in missing if uid in reasons),
        bytes=sum(r.bytes for r in retrievals),
        seconds=time.monotonic() - min(r.started for r in retrievals),
        warnings=tuple(f"{r.server.name}: {r.problem}" for r in retrievals if r.problem),
    )


class _Fetch:
    """One attempt to fetch what a plan wants and what is not here."""

    def __init__(self, retrieval: Retrieval, token: CancelToken, progress: Progress) -> None:
        self._retrieval = retrieval
        self._store = retrieval.store
        self._token = token
        self._progress = progress
        self._batch = Batch()
        self._receiver = Receiver(self._store.folder, self._store.writer, self._batch, retrieval.server.called_aet)
        self._done = 0
        self._total: int | None = None

    def run(self, plan: Plan) -> None:
        missing = {s.series.series_uid: self._missing(s) for s in plan.series}
        announced = sum(s.count or 0 for s in plan.series)
        self._total = announced or None
        self._done = announced - sum(len(m) for s in plan.series if (m := missing[s.series.series_uid]) and s.instances)
        self._report()
        try:
            for study in plan.studies:
                series = [s for s in plan.series if s.series.study_uid == study.study_uid]
                self._fetch_study([(s, missing[s.series.series_uid]) for s in series])
        finally:
            self._settle()

    def _settle(self) -> None:
        self._batch.wait()
        self._retrieval.received.update(self._batch.stored)
        self._retrieval.bytes += self._receiver.bytes
        for sop_uid, error in self._batch.failed:
            self._retrieval.note_refusal([sop_uid], str(error))

    def _missing(self, plan: SeriesPlan) -> set[str]:
        """Return what of a series is not here; for a series without list, nothing is known to be missing."""
        return set(plan.instances) - self._store.readable(plan.instances)

    def _fetch_study(self, wanted: list[tuple[SeriesPlan, set[str]]]) -> None:
        """Fetch the series of a study, one batch of presentation contexts after the other for what is missing."""
        open_series = [(plan, missing) for plan, missing in wanted if missing or not plan.instances]
        for batch in self._context_batches(open_series):
            if not open_series:
                return
            self._token.check()
            self._fetch_with(batch, open_series)
            open_series = [(plan, missing) for plan, missing in open_series if self._is_short(plan, missing)]

    def _context_batches(self, wanted: Sequence[tuple[SeriesPlan, set[str]]]) -> Iterator[list[Proposal]]:
        classes = [c for plan, _ in wanted for c in plan.sop_classes]
        modalities = [plan.series.modality for plan, _ in wanted]
        # Where the server named the class of each instance, no other class will bring what is missing.
        certain = all(plan.instances and all(i.sop_class for i in plan.instances.values()) for plan, _ in wanted)
        return storage_batches(classes, modalities, room=MAX_CONTEXTS - 1, only_these=certain)

    def _is_short(self, plan: SeriesPlan, missing: set[str]) -> bool:
        if plan.instances:
            return bool(missing)
        announced = self._retrieval.requested(plan)
        return announced == 0 or len(self._retrieval.known(plan)) < announced

    def _fetch_with(self, contexts: list[Proposal], wanted: list[tuple[SeriesPlan, set[str]]]) -> None:
        server = self._retrieval.server
        with Association.request(server, [Proposal(STUDY_ROOT_GET), *contexts], self._token) as association:
            if not any(c.abstract_syntax == STUDY_ROOT_GET for c in association.contexts.values()):
                raise NoCommonContext(f"{server.name} does not offer C-GET.")
            for plan, missing in wanted:
                self._fetch_series(association, plan, missing)

    def _fetch_series(self, association: Association, plan: SeriesPlan, missing: set[str]) -> None:
        if plan.whole and len(missing) == len(plan.instances):
            outcome = self._get(association, plan, Level.SERIES, [])
            missing.difference_update(outcome.received)
            if not missing or not _stopped_early(outcome, len(missing)):
                self._explain(outcome, missing)
                return
        self._fetch_instances(association, plan, missing)

    def _fetch_instances(self, association: Association, plan: SeriesPlan, missing: set[str]) -> None:
        """Fetch by lists of UIDs. A list at which the server gave up is halved, so that one bad instance costs one."""
        todo = sorted(missing)
        lists = [todo[i : i + _UIDS_A_REQUEST] for i in range(0, len(todo), _UIDS_A_REQUEST)]
        while lists:
            uids = lists.pop(0)
            outcome = self._get(association, plan, Level.IMAGE, uids)
            missing.difference_update(outcome.received)
            rest = [uid for uid in uids if uid in missing]
            if len(uids) > 1 and rest and _stopped_early(outcome, len(rest)):
                middle = (len(rest) + 1) // 2
                lists[:0] = [part for part in (rest[:middle], rest[middle:]) if part]
            else:
                self._explain(outcome, rest)

    def _get(self, association: Association, plan: SeriesPlan, level: Level, uids: list[str]) -> GetOutcome:
        self._token.check()
        keys: Keys = {"StudyInstanceUID": plan.series.study_uid, "SeriesInstanceUID": plan.series.series_uid}
        if uids:
            keys["SOPInstanceUID"] = uids
        outcome = GetOutcome()
        try:
            get(association, level, keys, self._receiver, outcome, self._one_more)
        finally:
            self._retrieval.note(plan, outcome)
        return outcome

    def _explain(self, outcome: GetOutcome, missing: Sequence[str] | set[str]) -> None:
        if codes.category(outcome.status) is codes.StatusCategory.SUCCESS:
            reason = "The server reported success but did not send it."
        else:
            reason = f"The server did not send it: {codes.in_words(outcome.status)}."
        self._retrieval.note_refusal(sorted(missing), reason)

    def _one_more(self) -> None:
        self._done += 1
        self._report()

    def _report(self) -> None:
        self._progress(self._done, self._total, self._retrieval.bytes + self._receiver.bytes)


def _stopped_early(outcome: GetOutcome, missing: int) -> bool:
    """Tell whether the server gave up before it had tried all: then the rest may still be had."""
    if codes.category(outcome.status) is not codes.StatusCategory.FAILURE:
        return False
    return len(outcome.failed_uids) + len(outcome.rejected) < missing
