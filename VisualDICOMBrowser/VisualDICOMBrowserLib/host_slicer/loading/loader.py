"""Loads what the user chose in the browser; the :class:`.SeriesLoader` of Slicer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import slicer

from ...gui.host import LoadOption, LoadProgress
from ...gui.messages import Message, Remedy, Tone
from ...gui.parts.signals import Signal
from ...gui.session import Session
from .marks import LoadedMarks
from .plugins import Plugins
from .run import Later, LoadRun, Order, Report
from .slice_views import fit_slice_views
from .wishes import Wishes
from .words import loaded_words, name_of, several

#: Between two steps: long enough for the window to be drawn.
_STEP_MS = 15
_MOST_DETAILS = 200
_BRIEF = 160


def call_later(act: Callable[[], None]) -> None:
    """Have a function called from the event loop."""
    import qt  # noqa: PLC0415 - whoever gives the loader another way needs no Qt

    qt.QTimer.singleShot(_STEP_MS, act)


def _briefly(warnings: Sequence[str]) -> list[str]:
    """Return one short warning as it is, of others that there are some; the details have them."""
    if len(warnings) == 1 and len(warnings[0]) <= _BRIEF:
        return list(warnings)
    return [("There is a warning." if len(warnings) == 1 else "There are warnings.")] if warnings else []


class SlicerLoader:
    """See :class:`.SeriesLoader`.

    :param session: knows what is here, fetches what is not, and tells the user.
    :param later: has a function called from the event loop.
    """

    def __init__(self, session: Session, later: Later = call_later) -> None:
        self.loaded_changed = Signal()
        self.progress_changed = Signal()
        self.choice_asked = Signal()
        self._session = session
        self._later = later
        self._plugins = Plugins()
        self._queue: deque[Order] = deque()
        self._run: LoadRun | None = None
        self._closed = False
        self._marks = LoadedMarks(later)
        self._marks.changed.connect(self.loaded_changed.emit)
        self._wishes = Wishes(session, self._on_here)
        self._wishes.changed.connect(self._show_waiting)

    @property
    def loaded(self) -> frozenset[str]:
        """The series of which something is in the scene."""
        return self._marks.series

    def load(self, series_uids: Sequence[str], *, choose: bool = False) -> None:
        """See :meth:`.SeriesLoader.load`. A series that waits already is not loaded twice."""
        fresh = [uid for uid in dict.fromkeys(series_uids) if not self._waits(uid, choose)]
        self._enqueue(self._wishes.take(fresh, choose), choose)

    def choose(self, places: Sequence[int]) -> None:
        """See :meth:`.SeriesLoader.choose`."""
        if self._run is not None:
            self._run.choose(places)

    def cancel(self) -> None:
        """See :meth:`.SeriesLoader.cancel`."""
        self._queue.clear()
        self._wishes.drop()
        if self._run is not None:
            self._run.cancel()

    def close(self) -> None:
        """See :meth:`.SeriesLoader.close`."""
        self._closed = True
        self._queue.clear()
        self._wishes.close()
        self._marks.close()
        if self._run is not None:
            self._run.cancel()

    def _waits(self, uid: str, choose: bool) -> bool:
        if uid in self._wishes:
            if choose:
                self._wishes.ask_choice(uid)
            return True
        for order in self._queue:
            if uid in order.series_uids:
                order.choose = order.choose or choose
                return True
        return self._run is not None and uid in self._run.order.series_uids

    def _on_here(self, uid: str, choose: bool) -> None:
        if not self._closed and not self._waits(uid, choose):
            self._enqueue([uid], choose)

    def _enqueue(self, uids: Sequence[str], choose: bool) -> None:
        if uids:
            self._queue.append(Order(list(uids), choose))
            self._start_next()

    def _start_next(self) -> None:
        if self._run is not None or not self._queue or self._closed:
            return
        order = self._queue.popleft()
        self._run = LoadRun(
            order,
            self._plugins,
            row_of=lambda uid: self._wishes.rows([uid]).get(uid),
            later=self._later,
            progress=self._show,
            ask=self._ask,
            is_loaded=lambda uid: uid in self.loaded,
            done=self._on_done,
        )
        self._run.start()

    def _name_of(self, uid: str) -> str:
        return name_of(self._wishes.rows([uid]).get(uid))

    def _ask(self, options: tuple[LoadOption, ...]) -> None:
        if not self._closed:
            self.choice_asked.emit(options)

    def _show(self, progress: LoadProgress | None) -> None:
        if not self._closed:
            self.progress_changed.emit(progress)

    def _show_waiting(self) -> None:
        """Say what is waited for while nothing is being loaded."""
        if self._run is None:
            number = len(self._wishes)
            verb = "is loaded when it is here" if number == 1 else "are loaded when they are here"
            self._show(LoadProgress(f"{number} series {verb}.") if number else None)

    def _on_done(self, report: Report) -> None:
        order = self._run.order if self._run is not None else Order([])
        self._run = None
        if self._closed:
            return
        self._marks.read()
        self._tell(order, report)
        self._show_waiting()
        self._start_next()

    def _tell(self, order: Order, report: Report) -> None:
        """Say what came of it, in one message."""
        sentences, remedies = [], []
        if report.loaded:
            nodes = [node for uid in report.node_ids if (node := slicer.mrmlScene.GetNodeByID(uid)) is not None]
            sentences.append(loaded_words(nodes, len({one.series_uid for one in report.loaded})))
        if report.cancelled:
            sentences.append("The rest was cancelled." if report.loaded else "Nothing was loaded: cancelled.")
        sentences += report.problems[:1] if len(report.problems) == 1 else []
        if len(report.problems) > 1:
            sentences.append(f"{len(report.problems)} things could not be loaded.")
        sentences += _briefly(report.warnings)
        if report.references:
            names = several([self._name_of(uid) for uid in report.references])
            sentences.append(f"It refers to {names}, here and not loaded.")
            remedies.append(Remedy("Load these too", lambda: self.load(report.references)))
        if report.unseen:
            sentences.append("The slice views stay where they were, beside it.")
            remedies.append(Remedy("Show in slice views", fit_slice_views))
        tone = Tone.PROBLEM if report.problems else Tone.WARNING if report.warnings else Tone.NOTE
        told = (*report.problems, *report.warnings)
        details = tuple(line for line in told if line not in sentences)[:_MOST_DETAILS]
        about = f"load:{order.series_uids[0]}" if len(order.series_uids) == 1 else "load"
        self._session.said.emit(Message(" ".join(sentences), tone, about, tuple(remedies), details))
