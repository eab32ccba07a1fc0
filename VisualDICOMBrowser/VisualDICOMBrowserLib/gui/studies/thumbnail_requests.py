"""Asks the engine for the pictures of series that are looked at, and only for those."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from ...domain.errors import Cancelled, VisualDicomError
from ...domain.overview import Thumbnail
from ...imaging.libraries import lacking
from ..parts.signals import Signal
from ..session import Call, Session

#: So many requests are open at once.
MAX_OPEN = 6
#: After so many seconds a picture that could not be had is asked for again, when it is looked at.
RETRY_AFTER = 60.0
#: So many answers are remembered, and as many failures; the catalogue remembers the pictures too.
MAX_REMEMBERED = 4_000


class ThumbnailRequests:
    """What has been asked for, answered and refused. ``answered`` tells the UID of a series that has an answer.

    :param clock: seconds, for :data:`RETRY_AFTER`.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = monotonic) -> None:
        self.answered = Signal()
        self._session = session
        self._clock = clock
        self._wanted: list[str] = []
        self._open: dict[str, Call] = {}
        self._stopped: set[str] = set()
        self._answers: dict[str, Thumbnail] = {}
        self._outdated: set[str] = set()
        self._failures: dict[str, tuple[float, str]] = {}
        self._disconnect = session.ready_changed.connect(self._on_ready)

    def want(self, series_uids: Sequence[str]) -> None:
        """Ask for these, the first one first; those no longer among them are given up."""
        wanted = set(series_uids)
        for uid, call in list(self._open.items()):
            if uid not in wanted and uid not in self._stopped:
                self._stopped.add(uid)
                call.stop()
        self._wanted = list(series_uids)
        self._ask_more()

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

    def close(self) -> None:
        """Ask for nothing more."""
        self._disconnect()
        self.want(())

    def _may_be_asked(self, uid: str) -> bool:
        waited = uid not in self._failures or self._clock() - self._failures[uid][0] >= RETRY_AFTER
        is_told = uid in self._answers and uid not in self._outdated
        return uid not in self._open and not is_told and waited

    def _ask_more(self) -> None:
        while self._session.ready and self._wanted and len(self._open) < MAX_OPEN:
            uid = self._wanted.pop(0)
            if self._may_be_asked(uid):
                self._ask(uid)

    def _ask(self, uid: str) -> None:
        self._failures.pop(uid, None)
        self._outdated.discard(uid)
        call = self._session.ask(
            "thumbnail",
            {"series_uid": uid},
            lambda result: self._on_done(uid, result),
            lambda error: self._on_failed(uid, error),
        )
        if not call.done():
            self._open[uid] = call

    def _on_done(self, uid: str, result: Mapping[str, Any]) -> None:
        self._forget(uid)
        self._answers[uid] = Thumbnail(
            str(result.get("path") or ""), bool(result.get("placeholder")), str(result.get("reason") or "")
        )
        _drop_oldest(self._answers)
        if lacking(self._answers[uid].reason) is not None:
            self._session.package_missing.emit(self._answers[uid].reason, "thumbnail")
        self.answered.emit(uid)
        self._ask_more()

    def _on_failed(self, uid: str, error: VisualDicomError) -> None:
        self._forget(uid)
        if not isinstance(error, Cancelled):
            self._failures[uid] = (self._clock(), str(error))
            _drop_oldest(self._failures)
        self.answered.emit(uid)
        self._ask_more()

    def _forget(self, uid: str) -> None:
        self._open.pop(uid, None)
        self._stopped.discard(uid)

    def _on_ready(self, ready: bool, _sentence: str) -> None:
        if ready:
            self.forgive()  # an engine that went away has failed all of them
            self._answers = {uid: made for uid, made in self._answers.items() if not made.placeholder}
            self._ask_more()


def _drop_oldest(remembered: dict[str, Any]) -> None:
    if len(remembered) > MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
