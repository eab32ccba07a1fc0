"""Asking for series: whole, or by lists of instances, with an account of what came and why the rest did not.

Who is asked, and by which service, is the strategy's business (:mod:`.strategies`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..dimse.get import GetOutcome
from ..dimse.identifier import Keys
from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import OperationRefused
from ..domain.model import Level, Series
from .plan import Plan, SeriesPlan

if TYPE_CHECKING:
    from .retrieve import Progress, Retrieval

#: UIDs in one request: a list of 64 character UIDs stays far below what servers take in one element.
UIDS_A_REQUEST = 200

#: After so many requests in a row that brought nothing, the rest of a series is given up for this association.
_PATIENCE = 32

#: Seconds between two reports of progress.
_REPORT_S = 0.1

_TWICE = "Another series on this computer has an instance with the same UID; only one of the two can be kept."

#: Makes one request, for a series (no UIDs) or for instances of it, and takes what came out of ``missing``.
Ask = Callable[[Level, "list[str]"], GetOutcome]
#: Told of each request that is not to be followed by another for the same: why these instances did not come.
Explain = Callable[[GetOutcome, "Iterable[str]"], None]


@dataclass
class Wanted:
    """A series while it is fetched.

    :ivar missing: listed instances that are not here and may still come.
    :ivar came: instances that came in this attempt.
    :ivar refused: instances that came and were not kept, as they would not be the next time either.
    :ivar settled: a series whose instances the server does not list has come as far as it will.
    """

    plan: SeriesPlan
    missing: set[str]
    came: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    settled: bool = False

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return self.plan.series.series_uid


def keys_of(series: Series, uids: list[str]) -> Keys:
    """Return the unique keys of a series, or of instances of it."""
    keys: Keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid}
    return {**keys, "SOPInstanceUID": uids} if uids else keys


def ask_for_series(wanted: Wanted, ask: Ask, explain: Explain) -> None:
    """Ask for all that is missing of a series: for the series as such if that is all of it."""
    if wanted.plan.whole and len(wanted.missing) == len(wanted.plan.instances):
        outcome = ask(Level.SERIES, [])
        if not _stopped_early(outcome, wanted.missing):
            explain(outcome, wanted.missing)
            return
    ask_for_instances(wanted, wanted.missing, ask, explain)


def ask_for_instances(wanted: Wanted, uids: Iterable[str], ask: Ask, explain: Explain) -> None:
    """Ask by lists of UIDs. A list at which the server gave up is halved, so that one bad instance costs one."""
    todo = sorted(uids)
    lists = [todo[i : i + UIDS_A_REQUEST] for i in range(0, len(todo), UIDS_A_REQUEST)]
    fruitless = 0
    while lists:
        asked = lists.pop(0)
        outcome = ask(Level.IMAGE, asked)
        fruitless = 0 if outcome.received else fruitless + 1
        rest = [uid for uid in asked if uid in wanted.missing]
        if fruitless > _PATIENCE:
            explain(outcome, rest + [uid for one in lists for uid in one])
            return
        if len(asked) > 1 and _stopped_early(outcome, rest):
            middle = (len(rest) + 1) // 2
            lists[:0] = [part for part in (rest[:middle], rest[middle:]) if part]
        else:
            explain(outcome, rest)


def _stopped_early(outcome: GetOutcome, missing: Iterable[str]) -> bool:
    """Tell whether the server gave up before it had tried all: then the rest may still be had."""
    if codes.category(outcome.status) is not codes.StatusCategory.FAILURE:
        return False
    return not set(outcome.failed_uids).issuperset(missing)


def why_not(who: str, outcome: GetOutcome, where: str = "") -> str:
    """Say why an instance did not come.

    :param who: who was asked, at the beginning of a sentence.
    :param where: where it should have been sent, with a preposition, if not here.
    """
    place = f" {where}" if where else ""
    if codes.category(outcome.status) is codes.StatusCategory.SUCCESS:
        return f"{who} reported success but did not send it{place}."
    return f"{who} did not send it{place}: {codes.in_words(outcome.status)}."


def require_begun(who: str, outcome: GetOutcome, where: str = "") -> None:
    """Return quietly unless the server lacked what it needs to begin at all: the rest would fare no better now.

    Many answer so for everything that they cannot convert, but then they count it as failed.

    :param who: and ``where``: see :func:`why_not`.
    :raises OperationRefused: that is so; the same may succeed later.
    """
    begun = outcome.received or outcome.rejected or outcome.failed_uids or outcome.announced
    if codes.is_transient(outcome.status) and not begun:
        raise OperationRefused(why_not(who, outcome, where), outcome.status, retryable=True)


class Account:
    """What one attempt wants, and what came of it: kept in a :class:`.Retrieval`, and told as progress.

    :param taken: bytes of data sets that came so far in this attempt.
    """

    def __init__(
        self, retrieval: Retrieval, token: CancelToken, progress: Progress, taken: Callable[[], int] = lambda: 0
    ) -> None:
        self.retrieval = retrieval
        self.token = token
        self._progress = progress
        self._taken = taken
        self._done = 0
        self._total: int | None = None
        self._next_report = 0.0

    def begin(self, plan: Plan) -> list[list[Wanted]]:
        """Return what is wanted, study by study, and tell how much of it is here."""
        wanted = [self._wanted(series) for series in plan.series]
        self._total = sum(self.retrieval.requested(series) for series in plan.series) or None
        self._done = sum(len(w.plan.instances) - len(w.missing) for w in wanted)
        self.report()
        return [[w for w in wanted if w.plan.series.study_uid == study.study_uid] for study in plan.studies]

    def _wanted(self, plan: SeriesPlan) -> Wanted:
        missing = set(plan.instances)
        if missing:
            missing -= self.retrieval.here(plan)
        twice = set[str]() if self.retrieval.force else self.retrieval.elsewhere(plan, missing)
        self.retrieval.note_refusal(twice, _TWICE)
        return Wanted(plan, missing - twice)

    def is_open(self, wanted: Wanted) -> bool:
        """Tell whether there is, or may be, more to come of a series."""
        plan = wanted.plan
        if plan.instances or wanted.settled:
            return bool(wanted.missing)
        announced = self.retrieval.requested(plan)
        if plan.count is None and not announced:
            return True  # only a request can tell
        came = wanted.came if self.retrieval.force else set()
        return len(self.retrieval.here(plan) | wanted.refused | came) < announced

    def note(self, wanted: Wanted, outcome: GetOutcome) -> None:
        """Take over what one request brought."""
        self.retrieval.note(wanted.plan, outcome)
        wanted.refused.update(uid for uid, _ in outcome.rejected)
        wanted.came.update(outcome.received)
        wanted.missing.difference_update(outcome.received, wanted.refused)
        # Success without a single sub-operation: the series is empty, or nothing but the status can be had.
        wanted.settled = codes.category(outcome.status) is codes.StatusCategory.SUCCESS and not outcome.announced

    def one_more(self) -> None:
        """Tell that an instance came."""
        self._done = self._done + 1 if self._total is None else min(self._done + 1, self._total)
        self.report()

    def report(self) -> None:
        """Tell how far it is, now and then: whoever is told wakes another thread, which costs more than to receive."""
        now = time.monotonic()
        if self._done != self._total and now < self._next_report:
            return
        self._next_report = now + _REPORT_S
        self._progress(self._done, self._total, self.retrieval.bytes + self._taken())
