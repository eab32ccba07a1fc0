"""Asks the engine for the pictures of series that are looked at, and tells it which those are, and of which studies.

The engine does first what is seen, and fetches ahead what the settings of a server want. What left the screen stays
asked for, and comes last there; so here is nothing to be put in order, only to be bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from ...domain.errors import Cancelled, VisualDicomError
from ...domain.overview import Thumbnail
from ...imaging.libraries import lacking
from ..parts.signals import Signal
from ..session import Call, Session

#: So many requests are open at once; the engine works on a few more than these.
MAX_OPEN = 48
#: So many of them for what is seen and comes from the same servers: one that does not answer leaves room for others.
MAX_FROM_ONE = 6
#: So many are for what left the screen; of more, those asked last are given up.
MAX_LEFT = 12
#: What left the screen so many seconds ago is given up while something on it waits: it may hold a connection.
PATIENCE = 2.0
#: After so many seconds a picture that could not be had is asked for again, when it is looked at.
RETRY_AFTER = 60.0
#: So many answers are remembered, and as many failures; the catalogue remembers the pictures too.
MAX_REMEMBERED = 4_000

#: The servers that a series comes from; none for this computer.
Source = tuple[str, ...]
#: Series that are on the screen, and their studies.
_Seen = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass
class _Open:
    """A request under way.

    :ivar left: when the series left the screen; None while it is seen.
    """

    call: Call
    source: Source
    left: float | None = None
    stopped: bool = False

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.call.stop()


class ThumbnailRequests:
    """What has been asked for, answered and refused. ``answered`` tells the UID of a series that has an answer.

    :param clock: seconds, for :data:`RETRY_AFTER` and :data:`PATIENCE`.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = monotonic) -> None:
        self.answered = Signal()
        self._session = session
        self._clock = clock
        self._wanted: dict[str, Source] = {}
        self._open: dict[str, _Open] = {}
        self._seen: _Seen = ((), ())
        self._told: _Seen | None = None
        self._telling = False
        self._answers: dict[str, Thumbnail] = {}
        self._outdated: set[str] = set()
        self._failures: dict[str, tuple[float, str]] = {}
        self._disconnect = session.ready_changed.connect(self._on_ready)

    @property
    def lingers(self) -> bool:
        """Whether something is under way that left the screen: :meth:`want` is to be called again in a second."""
        return any(one.left is not None for one in self._open.values())

    def want(self, series: Mapping[str, Source], seen: Sequence[str] = (), studies: Sequence[str] = ()) -> None:
        """Ask for these, the first one first; what is under way besides goes on after them.

        :param seen: all that is on the screen, with a picture or without.
        :param studies: the studies of all that, as far as something of them is not here.
        """
        now = self._clock()
        for uid, one in self._open.items():
            if uid in series:
                one.left = None
            elif one.left is None:
                one.left = now
        self._wanted, self._seen = dict(series), (tuple(seen), tuple(studies))
        self._give_up_left(now)
        if self._wanted or self._open or self._seen[1] or (self._told and self._told[1]):
            self._tell_seen()
        self._ask_more()

    def tell_again(self) -> None:
        """Have :meth:`want` tell what is seen though it is the same: there may be more of the studies."""
        self._told = None

    def thumbnail(self, series_uid: str) -> Thumbnail | None:
        """Return the answer that came for a series."""
        return self._answers.get(series_uid)

    def outdate(self, series_uid: str) -> None:
        """Ask for a picture again, when it is looked at, that was told already: what it shows was replaced."""
        if series_uid in self._answers:
            self._outdated.add(series_uid)

    def failure(self, series_uid: str) -> str:
        """Return why there is no picture of a series; empty if nothing went wrong."""
        return self._failures.get(series_uid, (0.0, ""))[1]

    def forgive(self) -> None:
        """Forget what went wrong: the user wants it to be tried again."""
        self._failures.clear()

    def give_up(self) -> None:
        """Want nothing, and stop what is under way."""
        self._wanted = {}
        for one in self._open.values():
            one.stop()

    def close(self) -> None:
        """Ask for nothing more."""
        self._disconnect()
        self.give_up()

    def _give_up_left(self, now: float) -> None:
        waits = any(one.left is None for one in self._open.values())
        left = [(one, one.left) for one in self._open.values() if one.left is not None and not one.stopped]
        for place, (one, since) in enumerate(left):
            if place >= MAX_LEFT or (waits and now - since >= PATIENCE):
                one.stop()

    def _tell_seen(self) -> None:
        """Tell the engine what is seen, one time after the other: it must not hear of them in another order."""
        if self._session.ready and not self._telling and self._seen != self._told:
            self._telling, self._told = True, self._seen
            series, studies = map(list, self._seen)
            params = {"series_uids": series, "study_uids": studies}
            self._session.ask("show", params, self._on_told, self._on_told)

    def _on_told(self, _: Any) -> None:
        self._telling = False
        self._tell_seen()

    def _may_be_asked(self, uid: str) -> bool:
        waited = uid not in self._failures or self._clock() - self._failures[uid][0] >= RETRY_AFTER
        is_told = uid in self._answers and uid not in self._outdated
        return uid not in self._open and not is_told and waited

    def _ask_more(self) -> None:
        seen = Counter(one.source for one in self._open.values() if one.left is None)
        for uid, source in list(self._wanted.items()):
            if not self._session.ready or len(self._open) >= MAX_OPEN:
                return
            if seen[source] < MAX_FROM_ONE:
                del self._wanted[uid]
                if self._may_be_asked(uid):
                    seen[source] += 1
                    self._ask(uid, source)

    def _ask(self, uid: str, source: Source) -> None:
        self._failures.pop(uid, None)
        self._outdated.discard(uid)
        call = self._session.ask(
            "thumbnail",
            {"series_uid": uid},
            lambda result: self._on_done(uid, result),
            lambda error: self._on_failed(uid, error),
        )
        if not call.done():
            self._open[uid] = _Open(call, source)

    def _on_done(self, uid: str, result: Mapping[str, Any]) -> None:
        self._open.pop(uid, None)
        self._answers[uid] = Thumbnail(
            str(result.get("path") or ""), bool(result.get("placeholder")), str(result.get("reason") or "")
        )
        _drop_oldest(self._answers)
        if lacking(self._answers[uid].reason) is not None:
            self._session.package_missing.emit(self._answers[uid].reason, "thumbnail")
        self.answered.emit(uid)
        self._ask_more()

    def _on_failed(self, uid: str, error: VisualDicomError) -> None:
        self._open.pop(uid, None)
        if not isinstance(error, Cancelled):
            self._failures[uid] = (self._clock(), str(error))
            _drop_oldest(self._failures)
        self.answered.emit(uid)
        self._ask_more()

    def _on_ready(self, ready: bool, _sentence: str) -> None:
        if ready:
            self.forgive()  # an engine that went away has failed all of them
            self._answers = {uid: made for uid, made in self._answers.items() if not made.placeholder}
            self._told, self._telling = None, False
            if self._wanted or self._seen[1]:
                self._tell_seen()
            self._ask_more()


def _drop_oldest(remembered: dict[str, Any]) -> None:
    if len(remembered) > MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
