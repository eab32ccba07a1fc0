"""One attempt to fetch by way of a proxy: the server sends there by C-MOVE, and it comes from there by C-GET.

For servers that speak C-MOVE only, where nobody can reach us (in a container, behind address translation). Both steps
run at the same time: the proxy is asked again and again, by C-FIND, what has come to it by now. (Asking it for what
may not have come yet is no way: of a list with one unknown UID, Orthanc 1.10 sends nothing at all.) What the proxy
has, from an earlier attempt or for somebody else, is not moved again. Nothing is ever removed from it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..dimse.association import Association
from ..dimse.find import Finder
from ..dimse.get import GetOutcome
from ..dimse.models import STUDY_ROOT_FIND
from ..dimse.move import MoveOutcome, Mover
from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import ConnectionLost, PeerError
from ..domain.model import Level
from ..domain.protocol_log import carrying, note_progress, writing_to
from ..domain.servers import Server
from ..store.receive import Receiver
from .asking import UIDS_A_REQUEST, Account, Wanted, ask_for_series, keys_of, require_begun, why_not
from .fetch import Fetch

if TYPE_CHECKING:
    from .retrieve import Progress, Retrieval

#: How long to wait between two looks at what the proxy has, in seconds: at first, and at most.
_LOOK_S, _LONGEST_LOOK_S = 0.05, 0.5
#: A look at many instances takes the proxy some time; the pause is so many times as long.
_RESPITE = 2.0
#: How long after the end of a move the last instances may take to show up at the proxy, in seconds.
_LATE_S = 2.0


def fetch_by_proxy(retrieval: Retrieval, proxy: Server, token: CancelToken, progress: Progress) -> Fetch:
    """Return a C-GET from the proxy that has it filled by C-MOVE while it runs.

    Its errors say on which of the two ways they happened.
    """
    fetch = Fetch(retrieval, proxy, token, progress, f"The proxy {proxy.name}")
    fetch.supply = _Filling(fetch.account, proxy)
    return fetch


@dataclass
class _Place:
    """A series at the proxy.

    :ivar wanted: what is to come from there.
    :ivar sought: what of it had to be fetched when it began; empty if the server does not list instances.
    :ivar there: what the proxy has of it by now. Replaced, never changed: two threads look at it.
    :ivar moves: what the server said about each move of it.
    :ivar unsent: for what part of it the server will not be asked again.
    :ivar over: nothing of it is being moved (any more).
    :ivar told: everything that came to the proxy was asked for once.
    """

    wanted: Wanted
    sought: frozenset[str]
    there: frozenset[str] = frozenset()
    there_before: int = 0
    moves: list[MoveOutcome] = field(default_factory=list)
    unsent: list[tuple[GetOutcome, frozenset[str]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    over_at: float = 0.0
    told: bool = False

    @property
    def lacking(self) -> frozenset[str]:
        """What is not at the proxy yet."""
        return self.sought - self.there

    @property
    def is_whole(self) -> bool:
        """Whether the proxy has all that the server announced, as far as that is known."""
        if self.sought:
            return not self.lacking
        count = self.wanted.plan.count
        return count is not None and len(self.there) >= count

    @property
    def may_be_late(self) -> bool:
        """Whether the server says that it has sent more than the proxy shows."""
        sent = sum(outcome.completed for outcome in self.moves)
        succeeded = any(codes.category(o.status) is codes.StatusCategory.SUCCESS for o in self.moves)
        return not self.is_whole and (sent > len(self.there) - self.there_before or (succeeded and bool(self.sought)))

    def note_over(self) -> None:
        """Take it that nothing more is being moved."""
        self.over_at = time.monotonic()
        self.over.set()


class _Filling:
    """The supply of a proxy that is being filled; see :class:`.Supply`.

    To fetch again what is here, all is moved again, and looked for only then: what the proxy shows before is old.
    """

    services: Sequence[str] = (STUDY_ROOT_FIND,)

    def __init__(self, account: Account, proxy: Server) -> None:
        self._account = account
        self._anew = account.retrieval.force
        self._server = account.retrieval.server
        self._proxy = proxy
        self._token = account.token
        self._places: dict[str, _Place] = {}
        self._news = threading.Event()
        self._stop = CancelToken()
        self._pool: ThreadPoolExecutor | None = None
        self._moving: Future[None] | None = None

    @contextmanager
    def of_study(self, receiver: Receiver) -> Iterator[None]:
        """Have the study moved to the proxy while it is fetched from there.

        :raises PeerError: one of both broke; everything that came to the proxy was fetched, if the proxy is well.
        """
        self._places, self._moving = {}, None
        self._life = _Life(receiver)
        self._stop = CancelToken()
        with (
            ThreadPoolExecutor(1, "vdb-move") as self._pool,
            self._token.calling(self._stop.cancel),
            self._token.calling(self._news.set),
        ):
            try:
                with _named(f"From the proxy {self._proxy.name} to here"), self._doubting():
                    yield
                if self._moving is not None:
                    self._moving.result()
            finally:
                self._stop.cancel()
                self._explain()

    def begin(self, association: Association, wanted: list[Wanted]) -> None:
        """See what is at the proxy already, and have the rest moved there; for the first association of a study."""
        if self._places or self._pool is None:
            return
        for one in wanted:
            place = _Place(one, frozenset(one.missing))
            self._places[one.uid] = place
            if not self._anew:
                self._look(association, place)
            place.there_before = len(place.there)
        incomplete = [place for place in self._places.values() if self._anew or not place.is_whole]
        for place in self._places.values():
            if place not in incomplete:
                place.note_over()
        if incomplete:
            self._moving = self._pool.submit(carrying(self._move), incomplete)

    def portions(self, association: Association, wanted: Wanted) -> Iterator[set[str] | None]:
        """Yield what came to the proxy, until nothing more does."""
        place = self._places[wanted.uid]
        if place.told:
            rest = wanted.missing & place.there
            if rest:
                yield rest
            return
        given: set[str] = set()
        pause = _Pause()
        while True:
            was_over = place.over.is_set()  # before the look: what came until then, it shows
            with pause.look():
                if was_over or not self._anew:
                    self._look(association, place)
            ready = (wanted.missing & place.there) - given
            if ready:
                given |= ready
                yield ready
            elif was_over and not self._is_awaited(place):
                place.told = True
                return
            pause.wait(self._news, short=bool(ready))
            self._token.check()

    def is_open(self, wanted: Wanted) -> bool:
        """Tell whether the proxy has something of a series that is not here."""
        place = self._places.get(wanted.uid)
        return self._account.is_open(wanted) if place is None else bool(wanted.missing & place.there)

    def _look(self, association: Association, place: _Place) -> None:
        """Ask the proxy what it has of a series; by name where that is little, which is far quicker."""
        plan = place.wanted.plan
        among = sorted(place.lacking) if 0 < len(place.lacking) <= UIDS_A_REQUEST else []
        if place.sought and not place.lacking:
            return
        finder = Finder(lambda: association)
        with writing_to(None):  # many times a second
            shown = frozenset(finder.sop_uids(plan.series.study_uid, plan.series.series_uid, among))
        new = shown - place.there
        if plan.instances:
            new &= place.sought
        else:
            place.wanted.missing |= new - self._account.retrieval.store.readable(new)
        if new:
            place.there |= new
            note_progress(f"The proxy has {len(place.there)} instances of series {plan.series.series_uid} by now.")
            self._life.note_arrival()

    def _is_awaited(self, place: _Place) -> bool:
        quiet_since = max(place.over_at, self._life.last_arrival)
        return place.may_be_late and time.monotonic() - quiet_since < _LATE_S

    def _move(self, places: list[_Place]) -> None:
        """Have series sent to the proxy, one after the other; on a thread of its own."""
        way = f"From {self._server.name} to the proxy {self._proxy.name}"
        try:
            with _named(way), Mover.connect(self._server, self._stop, self._account.retrieval.associate) as mover:
                for place in places:
                    self._move_series(mover, place)
                    place.note_over()
                    self._news.set()
        finally:
            for place in places:
                if not place.over.is_set():
                    place.note_over()
            self._news.set()

    def _move_series(self, mover: Mover, place: _Place) -> None:
        step = Wanted(place.wanted.plan, set(place.lacking))

        def ask(level: Level, uids: list[str]) -> GetOutcome:
            outcome = MoveOutcome()
            place.moves.append(outcome)
            mover.move(level, keys_of(step.plan.series, uids), self._proxy.called_aet, outcome, self._life)
            outcome.received = sorted(step.missing & place.there)
            step.missing -= place.there
            require_begun("The server", outcome)
            return outcome

        ask_for_series(step, ask, lambda outcome, uids: place.unsent.append((outcome, frozenset(uids))))

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """Say what may be wrong with a proxy that shows instances and hangs up when asked for them, as Orthanc does."""
        try:
            yield
        except ConnectionLost as error:
            if any(p.there for p in self._places.values()) and not any(p.wanted.came for p in self._places.values()):
                hint = f"Perhaps it is not allowed to send to {self._proxy.calling_aet} by C-GET."
                error.args = (f"{error} {hint}",)
            raise

    def _explain(self) -> None:
        """Note how far each series came on both ways, and why no further."""
        retrieval = self._account.retrieval
        where = f"to the proxy {self._proxy.name}"
        for place in self._places.values():
            plan = place.wanted.plan
            for move in place.moves:
                retrieval.note(plan, move, f"{self._server.name} could not send it {where}")
            for outcome, uids in place.unsent:
                retrieval.note_refusal(uids - place.there, why_not(self._server.name, outcome, where))
            count = len(place.sought) or retrieval.requested(plan)
            came = len(place.wanted.came)
            if came < count:
                sentence = f"Of {count} instances {len(place.there)} came {where}, and {came} from there to here."
                reasons = [why_not(self._server.name, o, where) for o, _ in place.unsent if not place.is_whole]
                retrieval.reasons[place.wanted.uid] = " ".join([sentence, *reasons[:1]])


class _Life:
    """When something moved that a C-MOVE set going; tells its stall watch, see :meth:`.Mover.move`.

    While an instance comes from the proxy, nobody looks what arrives there: so its bytes count, too.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._bytes = receiver.bytes
        self._bytes_at = self.last_arrival = time.monotonic()

    def note_arrival(self) -> None:
        """Take it that something came to the proxy."""
        self.last_arrival = time.monotonic()

    def __call__(self) -> float:
        if self._receiver.bytes != self._bytes:
            self._bytes, self._bytes_at = self._receiver.bytes, time.monotonic()
        return max(self._bytes_at, self.last_arrival)


class _Pause:
    """How long to wait between two looks: longer and longer while there is nothing new."""

    def __init__(self) -> None:
        self._seconds = _LOOK_S
        self._cost = 0.0
        self._ended = 0.0

    @contextmanager
    def look(self) -> Iterator[None]:
        """Measure what a look costs."""
        started = time.monotonic()
        yield
        self._ended = time.monotonic()
        self._cost = self._ended - started

    def wait(self, news: threading.Event, *, short: bool) -> None:
        """Wait until it is time for the next look, or there is news.

        :param short: the last look showed something.
        """
        self._seconds = _LOOK_S if short else min(1.5 * self._seconds, _LONGEST_LOOK_S)
        until = self._ended + max(0.0 if short else self._seconds, _RESPITE * self._cost)
        news.wait(max(0.0, until - time.monotonic()))
        news.clear()


@contextmanager
def _named(way: str) -> Iterator[None]:
    """Have errors of the peers begin with the way on which they happened."""
    try:
        yield
    except PeerError as error:
        error.args = (f"{way}: {error}",)
        raise
