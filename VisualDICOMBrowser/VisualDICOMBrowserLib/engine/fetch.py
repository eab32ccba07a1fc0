"""One attempt to fetch, by C-GET, what a plan wants and what is not here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from ..dimse.association import Association
from ..dimse.contexts import Proposal
from ..dimse.get import GetOutcome, get
from ..dimse.models import STUDY_ROOT_GET
from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import NoCommonContext
from ..domain.model import Level
from ..domain.servers import Server
from ..store.headers import Header
from ..store.receive import Receiver
from ..store.writer import Batch
from .asking import Account, Ask, Wanted, ask_for_instances, ask_for_series, keys_of, require_begun, why_not
from .plan import Plan
from .rounds import Experience, rounds

if TYPE_CHECKING:
    from .retrieve import Progress, Retrieval


class Supply(Protocol):
    """Says what a server has of what is wanted; one that is only being filled has it bit by bit.

    :ivar services: what has to be proposed for it besides C-GET.
    """

    services: Sequence[str]

    def of_study(self, receiver: Receiver) -> AbstractContextManager[None]:
        """Surround the work on one study.

        :param receiver: where the instances go to.
        """

    def begin(self, association: Association, wanted: list[Wanted]) -> None:
        """Look at an association that was made for these series."""

    def portions(self, association: Association, wanted: Wanted) -> Iterator[set[str] | None]:
        """Yield instances as they can be had, or None for all that is missing."""

    def is_open(self, wanted: Wanted) -> bool:
        """Tell whether there is, or may be, more to come of a series."""


class Stocked:
    """The supply of a server that has all it ever will have."""

    services: Sequence[str] = ()

    def __init__(self, account: Account) -> None:
        self._account = account

    def of_study(self, receiver: Receiver) -> AbstractContextManager[None]:
        """Do nothing about it."""
        del receiver
        return nullcontext()

    def begin(self, association: Association, wanted: list[Wanted]) -> None:
        """Do nothing about it."""

    def portions(self, association: Association, wanted: Wanted) -> Iterator[set[str] | None]:
        """Have everything at once."""
        del association, wanted
        yield None

    def is_open(self, wanted: Wanted) -> bool:
        """See :meth:`.Account.is_open`."""
        return self._account.is_open(wanted)


class Fetch:
    """See the module; for one :class:`.Retrieval`, which keeps the record.

    :param server: who is asked.
    :param who: the same at the beginning of a sentence.
    """

    def __init__(
        self, retrieval: Retrieval, server: Server, token: CancelToken, progress: Progress, who: str = "The server"
    ) -> None:
        self._retrieval = retrieval
        self._server = server
        self._token = token
        self._who = who
        self._batch = Batch()
        store = retrieval.store
        self._receiver = Receiver(store.folder, store.writer, self._batch, server.called_aet, self._look_at)
        self.account = Account(retrieval, token, progress, lambda: self._receiver.bytes)
        self.supply: Supply = Stocked(self.account)
        self._offered: set[str] = set()
        self._noted = [0, 0]

    def run(self, plan: Plan) -> None:
        """Fetch; what came is stored when this returns or raises.

        :raises PeerError: the conversation broke.
        :raises StorageError: nothing can be written.
        """
        try:
            for wanted in self.account.begin(plan):
                with self.supply.of_study(self._receiver):
                    self._fetch_study(wanted)
        finally:
            self._settle()

    def _look_at(self, header: Header) -> None:
        """Have what was asked for replace what is here if it is to; what comes besides never does."""
        self._receiver.replace = self._retrieval.force and self._retrieval.wants(header)

    def _one_more(self) -> None:
        self.account.one_more()
        if self._retrieval.force:  # lest a crash has it fetched once more
            for kind, came in enumerate((self._batch.stored, self._batch.replaced)):
                new = came[self._noted[kind] :]
                self._noted[kind] += len(new)
                self._retrieval.note_renewed(new)

    def _settle(self) -> None:
        self._batch.wait()
        batch = self._batch
        self._retrieval.note_stored(batch.stored, batch.replaced, batch.conflicts, self._receiver.bytes)
        for sop_uid, error in self._batch.failed:
            self._retrieval.note_refusal([sop_uid], str(error))

    def _fetch_study(self, wanted: list[Wanted]) -> None:
        """Fetch the series of a study, one round of presentation contexts after the other for what is missing."""
        still = [w for w in wanted if self.supply.is_open(w)]
        if not still:
            return
        experience = Experience()
        classes = [c for w in still for c in w.plan.sop_classes]
        modalities = [w.plan.series.modality for w in still]
        certain = all(w.plan.certain for w in still)
        services = 1 + len(self.supply.services)
        for contexts in rounds(classes, modalities, experience, certain=certain, services=services):
            if not still:
                return
            self._token.check()
            self._fetch_with(contexts, still, experience)
            still = [w for w in still if self.supply.is_open(w)]

    def _fetch_with(self, contexts: list[Proposal], wanted: list[Wanted], experience: Experience) -> None:
        services = (STUDY_ROOT_GET, *self.supply.services)
        proposals = [*map(Proposal, services), *contexts]
        with self._retrieval.associate(self._server, proposals, self._token) as association:
            accepted = association.contexts.values()
            if not any(c.abstract_syntax == STUDY_ROOT_GET for c in accepted):
                raise NoCommonContext(f"{self._server.name} does not offer C-GET.")
            self._offered = experience.note(contexts, (c for c in accepted if c.abstract_syntax not in services))
            if not self._offered:
                self._refuse_all(wanted, f"{self._who} does not send objects of this kind.")
                return
            self.supply.begin(association, wanted)
            for one in wanted:
                self._fetch_series(association, one)

    def _refuse_all(self, wanted: Iterable[Wanted], reason: str) -> None:
        for one in wanted:
            self._retrieval.note_refusal(one.missing, reason)

    def _fetch_series(self, association: Association, wanted: Wanted) -> None:
        ask = self._asking(association, wanted)

        def explain(outcome: GetOutcome, missing: Iterable[str]) -> None:
            self._explain(outcome, wanted, missing)

        for uids in self.supply.portions(association, wanted):
            if uids is None:
                ask_for_series(wanted, ask, explain)
            else:
                ask_for_instances(wanted, uids, ask, explain)

    def _asking(self, association: Association, wanted: Wanted) -> Ask:
        def ask(level: Level, uids: list[str]) -> GetOutcome:
            self._token.check()
            outcome = GetOutcome()
            keys = keys_of(wanted.plan.series, uids)
            try:
                get(association, level, keys, self._receiver, outcome, self._one_more)
            finally:
                self.account.note(wanted, outcome)
            require_begun(self._who, outcome)
            return outcome

        return ask

    def _explain(self, outcome: GetOutcome, wanted: Wanted, missing: Iterable[str]) -> None:
        """Note why instances did not come, and give up those that no other presentation context will bring."""
        uids = sorted(missing)
        if uids or not wanted.plan.instances:
            self._retrieval.note_refusal(uids or [wanted.uid], why_not(self._who, outcome))
        if codes.is_unable(outcome.status):
            instances = wanted.plan.instances
            hopeless = {u for u in uids if u in instances and instances[u].sop_class in self._offered}
            wanted.missing.difference_update(hopeless)
