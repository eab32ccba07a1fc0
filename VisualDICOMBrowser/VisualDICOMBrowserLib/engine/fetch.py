"""One attempt to fetch, by C-GET, what a plan wants and what is not here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..dimse.association import Association
from ..dimse.contexts import Proposal
from ..dimse.get import GetOutcome, get
from ..dimse.identifier import Keys
from ..dimse.models import STUDY_ROOT_GET
from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import NoCommonContext
from ..domain.model import Level
from ..store.receive import Receiver
from ..store.writer import Batch
from .plan import Plan, SeriesPlan
from .rounds import Experience, rounds

if TYPE_CHECKING:
    from .retrieve import Retrieval

#: UIDs in one request: a list of 64 character UIDs stays far below what servers take in one element.
_UIDS_A_REQUEST = 200

#: After so many requests in a row that brought nothing, the rest of a series is given up for this association.
_PATIENCE = 32

_TWICE = "Another series on this computer has an instance with the same UID; only one of the two can be kept."


@dataclass
class _Wanted:
    """A series while it is fetched.

    :ivar missing: listed instances that are not here and may still come.
    :ivar refused: instances that came and were not kept, as they would not be the next time either.
    :ivar settled: a series whose instances the server does not list has come as far as it will.
    """

    plan: SeriesPlan
    missing: set[str]
    refused: set[str] = field(default_factory=set)
    settled: bool = False


class Fetch:
    """See the module; for one :class:`.Retrieval`, which keeps the record."""

    def __init__(
        self, retrieval: Retrieval, token: CancelToken, progress: Callable[[int, int | None, int], None]
    ) -> None:
        self._retrieval = retrieval
        self._token = token
        self._progress = progress
        self._batch = Batch()
        store = retrieval.store
        self._receiver = Receiver(store.folder, store.writer, self._batch, retrieval.server.called_aet)
        self._offered: set[str] = set()
        self._done = 0
        self._total: int | None = None

    def run(self, plan: Plan) -> None:
        """Fetch; what came is stored when this returns or raises.

        :raises PeerError: the conversation broke.
        :raises StorageError: nothing can be written.
        """
        wanted = [self._wanted(series) for series in plan.series]
        self._total = sum(self._retrieval.requested(series) for series in plan.series) or None
        self._done = sum(len(w.plan.instances) - len(w.missing) for w in wanted)
        self._report()
        try:
            for study in plan.studies:
                self._fetch_study([w for w in wanted if w.plan.series.study_uid == study.study_uid])
        finally:
            self._settle()

    def _settle(self) -> None:
        self._batch.wait()
        self._retrieval.received.update(self._batch.stored)
        self._retrieval.bytes += self._receiver.bytes
        for sop_uid, error in self._batch.failed:
            self._retrieval.note_refusal([sop_uid], str(error))

    def _wanted(self, plan: SeriesPlan) -> _Wanted:
        missing = set(plan.instances)
        if missing:
            missing -= self._retrieval.here(plan)
        twice = self._retrieval.elsewhere(plan, missing)
        self._retrieval.note_refusal(twice, _TWICE)
        return _Wanted(plan, missing - twice)

    def _fetch_study(self, wanted: list[_Wanted]) -> None:
        """Fetch the series of a study, one round of presentation contexts after the other for what is missing."""
        still = [w for w in wanted if self._is_open(w)]
        if not still:
            return
        experience = Experience()
        classes = [c for w in still for c in w.plan.sop_classes]
        modalities = [w.plan.series.modality for w in still]
        for contexts in rounds(classes, modalities, experience, certain=all(w.plan.certain for w in still)):
            if not still:
                return
            self._token.check()
            self._fetch_with(contexts, still, experience)
            still = [w for w in still if self._is_open(w)]

    def _is_open(self, wanted: _Wanted) -> bool:
        plan = wanted.plan
        if plan.instances or wanted.settled:
            return bool(wanted.missing)
        announced = self._retrieval.requested(plan)
        if plan.count is None and not announced:
            return True  # only a request can tell
        return len(self._retrieval.here(plan) | wanted.refused) < announced

    def _fetch_with(self, contexts: list[Proposal], wanted: list[_Wanted], experience: Experience) -> None:
        server = self._retrieval.server
        with self._retrieval.associate(server, [Proposal(STUDY_ROOT_GET), *contexts], self._token) as association:
            accepted = association.contexts.values()
            if not any(c.abstract_syntax == STUDY_ROOT_GET for c in accepted):
                raise NoCommonContext(f"{server.name} does not offer C-GET.")
            self._offered = experience.note(contexts, (c for c in accepted if c.abstract_syntax != STUDY_ROOT_GET))
            if not self._offered:
                self._refuse_all(wanted, "The server does not send objects of this kind.")
                return
            for one in wanted:
                self._fetch_series(association, one)

    def _refuse_all(self, wanted: Iterable[_Wanted], reason: str) -> None:
        for one in wanted:
            self._retrieval.note_refusal(one.missing, reason)

    def _fetch_series(self, association: Association, wanted: _Wanted) -> None:
        if wanted.plan.whole and len(wanted.missing) == len(wanted.plan.instances):
            outcome = self._get(association, wanted, Level.SERIES, [])
            if not _stopped_early(outcome, wanted.missing):
                self._explain(outcome, wanted, wanted.missing)
                return
        self._fetch_instances(association, wanted)

    def _fetch_instances(self, association: Association, wanted: _Wanted) -> None:
        """Fetch by lists of UIDs. A list at which the server gave up is halved, so that one bad instance costs one."""
        todo = sorted(wanted.missing)
        lists = [todo[i : i + _UIDS_A_REQUEST] for i in range(0, len(todo), _UIDS_A_REQUEST)]
        fruitless = 0
        while lists:
            uids = lists.pop(0)
            outcome = self._get(association, wanted, Level.IMAGE, uids)
            fruitless = 0 if outcome.received else fruitless + 1
            rest = [uid for uid in uids if uid in wanted.missing]
            if fruitless > _PATIENCE:
                self._explain(outcome, wanted, rest + [uid for one in lists for uid in one])
                return
            if len(uids) > 1 and _stopped_early(outcome, rest):
                middle = (len(rest) + 1) // 2
                lists[:0] = [part for part in (rest[:middle], rest[middle:]) if part]
            else:
                self._explain(outcome, wanted, rest)

    def _get(self, association: Association, wanted: _Wanted, level: Level, uids: list[str]) -> GetOutcome:
        self._token.check()
        series = wanted.plan.series
        keys: Keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid}
        if uids:
            keys["SOPInstanceUID"] = uids
        outcome = GetOutcome()
        try:
            get(association, level, keys, self._receiver, outcome, self._one_more)
        finally:
            self._retrieval.note(wanted.plan, outcome)
            wanted.refused.update(uid for uid, _ in outcome.rejected)
            wanted.missing.difference_update(outcome.received, wanted.refused)
        # Success without a single sub-operation: the series is empty, or nothing but the status can be had.
        wanted.settled = codes.category(outcome.status) is codes.StatusCategory.SUCCESS and not outcome.announced
        return outcome

    def _explain(self, outcome: GetOutcome, wanted: _Wanted, missing: Iterable[str]) -> None:
        """Note why instances did not come, and give up those that no other presentation context will bring."""
        if codes.category(outcome.status) is codes.StatusCategory.SUCCESS:
            reason = "The server reported success but did not send it."
        else:
            reason = f"The server did not send it: {codes.in_words(outcome.status)}."
        uids = sorted(missing)
        self._retrieval.note_refusal(uids or [wanted.plan.series.series_uid], reason)
        if codes.is_unable(outcome.status):
            hopeless = {u for u in uids if wanted.plan.instances[u].sop_class in self._offered}
            wanted.missing.difference_update(hopeless)

    def _one_more(self) -> None:
        self._done = self._done + 1 if self._total is None else min(self._done + 1, self._total)
        self._report()

    def _report(self) -> None:
        self._progress(self._done, self._total, self._retrieval.bytes + self._receiver.bytes)


def _stopped_early(outcome: GetOutcome, missing: Iterable[str]) -> bool:
    """Tell whether the server gave up before it had tried all: then the rest may still be had."""
    if codes.category(outcome.status) is not codes.StatusCategory.FAILURE:
        return False
    return not set(outcome.failed_uids).issuperset(missing)
