"""One attempt to fetch by C-MOVE to our own listener: the server calls us, and sends what it was asked to send.

How far it is, is what arrives; a server that says nothing before its end is watched by that, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..dimse.get import GetOutcome
from ..dimse.move import MoveOutcome, Mover
from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import Cancelled, FolderUnusable, OperationRefused, StorageError, VisualDicomError
from ..domain.model import Level
from ..domain.uids import is_uid
from .asking import Account, Ask, Wanted, ask_for_series, keys_of, require_begun, why_not
from .listening import Listening, OpenListener
from .plan import Plan
from .reception import Expectation

if TYPE_CHECKING:
    from .retrieve import Progress, Retrieval

#: How long after the end of a move its last instances may take to come, in seconds.
_LATE_S = 2.0
_SLICE_S = 0.01


class FetchByMove:
    """See the module; for one :class:`.Retrieval`, which keeps the record."""

    def __init__(self, retrieval: Retrieval, listening: Listening, token: CancelToken, progress: Progress) -> None:
        self._retrieval = retrieval
        self._server = retrieval.server
        self._listening = listening
        self._token = token
        self._expectation = Expectation(self._server)
        self._account = Account(retrieval, token, progress, lambda: self._expectation.bytes)
        self._stop = CancelToken()
        self._arrivals = _Arrivals(self._account, self._stop)

    def run(self, plan: Plan) -> None:
        """Fetch; what came is stored when this returns or raises.

        :raises PeerError: the conversation broke, or the server does not know us.
        :raises StorageError: nothing can be written any more: the rest is not asked for.
        :raises UsageError: nobody can send anything here.
        """
        every = [one for study in self._account.begin(plan) for one in study]
        wanted = [one for one in every if self._account.is_open(one)]
        if not wanted:
            return
        self._expectation = self._expected(wanted)
        try:
            with self._token.calling(self._stop.cancel), self._listening.expecting(self._expectation) as listener:
                self._move_all(listener, wanted)
        finally:
            came = self._expectation
            self._retrieval.note_stored(self._arrivals.all, came.replaced, came.conflicts, came.bytes)

    def _move_all(self, listener: OpenListener, wanted: list[Wanted]) -> None:
        try:
            with Mover.connect(self._server, self._stop, self._retrieval.associate) as mover:
                for one in wanted:
                    self._move_series(mover, listener, one)
        except Cancelled:
            if self._arrivals.problem is None or self._token.cancelled:
                raise
            raise self._arrivals.problem from None

    def _expected(self, wanted: list[Wanted]) -> Expectation:
        return Expectation(
            self._server,
            series_uids=frozenset(one.uid for one in wanted if one.plan.whole),
            sop_uids=frozenset(uid for one in wanted if not one.plan.whole for uid in one.missing),
            arrived=self._arrivals.note,
            refused=self._arrivals.note_refused,
            replace=self._retrieval.force,
        )

    def _move_series(self, mover: Mover, listener: OpenListener, wanted: Wanted) -> None:
        destination = listener.aet.strip()

        def explain(outcome: GetOutcome, uids: Iterable[str]) -> None:
            missing = sorted(uids)
            reason = why_not(self._server.name, outcome, f"to {destination}")
            if codes.category(outcome.status) is codes.StatusCategory.SUCCESS and not wanted.came:
                reason += f" It should have it registered with address {listener.address} and port {listener.port}."
            if listener.secured and not wanted.came:
                reason += " It has to send with TLS there."
            if missing or not wanted.plan.instances:
                self._retrieval.note_refusal(missing or [wanted.uid], reason)

        ask_for_series(wanted, self._asking(mover, listener, wanted), explain)

    def _asking(self, mover: Mover, listener: OpenListener, wanted: Wanted) -> Ask:
        expectation = self._expectation

        def ask(level: Level, uids: list[str]) -> GetOutcome:
            outcome = MoveOutcome()
            keys = keys_of(wanted.plan.series, uids)
            expectation.last_byte = time.monotonic()
            self._arrivals.begin()
            try:
                mover.move(level, keys, listener.aet, outcome, lambda: expectation.last_byte)
                self._await_late(outcome, set(uids) or wanted.missing)
            except OperationRefused as error:
                error.args = (f"{str(error)[:-1]}: {listener.address}, port {listener.port}.",)
                raise
            finally:
                outcome.received, outcome.rejected = self._arrivals.end()
                self._account.note(wanted, outcome)
            require_begun(self._server.name, outcome, f"to {listener.aet.strip()}")
            return outcome

        return ask

    def _await_late(self, outcome: MoveOutcome, asked: set[str]) -> None:
        """Wait a little for instances that the server says it has sent and that are not here yet."""
        over = time.monotonic()
        succeeded = codes.category(outcome.status) is codes.StatusCategory.SUCCESS
        while time.monotonic() - max(over, self._expectation.last_byte) < _LATE_S:
            came, refused = self._arrivals.current()
            if len(came) >= outcome.completed and not (succeeded and asked - came - refused):
                return
            if self._stop.wait(_SLICE_S):
                self._stop.check()


class _Arrivals:
    """What the listener took and what not: told on its threads, looked at on ours.

    :param stop: raised when nothing can be written any more.
    :ivar problem: why it was raised.
    """

    def __init__(self, account: Account, stop: CancelToken) -> None:
        self._account = account
        self._stop = stop
        self._lock = threading.Lock()
        self._current: list[str] = []
        self._refused: list[tuple[str, VisualDicomError]] = []
        self.problem: StorageError | None = None
        self.all: set[str] = set()

    def note(self, sop_uid: str) -> None:
        """Take it that an instance is here."""
        with self._lock:
            self._current.append(sop_uid)
            self.all.add(sop_uid)
            self._account.retrieval.note_renewed([sop_uid])
            self._account.one_more()

    def note_refused(self, sop_uid: str, error: VisualDicomError) -> None:
        """Take it that an instance came and was not kept."""
        with self._lock:
            self._refused.append((sop_uid if is_uid(sop_uid) else "", error))
        if isinstance(error, StorageError) and not isinstance(error, FolderUnusable):
            self.problem = self.problem or error
            self._stop.cancel()

    def begin(self) -> None:
        """Count anew: a move begins."""
        with self._lock:
            self._current, self._refused = [], []

    def current(self) -> tuple[set[str], set[str]]:
        """Return what came since :meth:`begin`, and what of that was not kept."""
        with self._lock:
            return set(self._current), {sop_uid for sop_uid, _ in self._refused}

    def end(self) -> tuple[list[str], list[tuple[str, VisualDicomError]]]:
        """Return the same in the order of arrival, and what was not kept."""
        with self._lock:
            return list(dict.fromkeys(self._current)), list(self._refused)
