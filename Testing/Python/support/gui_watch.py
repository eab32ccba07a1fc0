"""What a window does with its thread: finished frames, gaps between timer ticks, and what it works between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets


class FrameWatch(QtCore.QObject):
    """Calls ``on_frame`` with the time (``perf_counter``) when a frame is done in which a watched widget was painted.

    A frame is done before the loop waits again: Qt paints and flushes a window in one go. What else is done in the
    same turn of the loop is counted in.
    """

    def __init__(self, widgets: Sequence[QtWidgets.QWidget], on_frame: Callable[[float], object]) -> None:
        super().__init__()
        self._widgets, self._on_frame = tuple(widgets), on_frame
        self._painted = False
        for widget in widgets:
            widget.installEventFilter(self)
        _dispatcher().aboutToBlock.connect(self._on_turn)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Note paint events, and let them pass."""
        if event.type() == QtCore.QEvent.Type.Paint:
            self._painted = True
        return False

    def stop(self) -> None:
        """Watch no longer."""
        _dispatcher().aboutToBlock.disconnect(self._on_turn)
        for widget in self._widgets:
            widget.removeEventFilter(self)

    def _on_turn(self) -> None:
        if self._painted:
            self._painted = False
            self._on_frame(time.perf_counter())


def picture_of(window: QtWidgets.QWidget, parts: Sequence[QtWidgets.QWidget]) -> list[QtGui.QImage]:
    """Return copies of what was last painted of parts of a window: its own memory, nothing is painted for this."""
    store = window.backingStore()
    image = store.paintDevice() if store is not None else None
    if not isinstance(image, QtGui.QImage):
        return []
    ratio = image.devicePixelRatio()
    found = []
    for part in parts:
        corner = part.mapTo(window, QtCore.QPoint(0, 0))
        area = QtCore.QRect(corner * ratio, part.size() * ratio)
        found.append(image.copy(area))
    return found


@dataclass
class Ticks:
    """Times between the ticks of a timer, in seconds."""

    gaps: list[float] = field(default_factory=list)

    @property
    def max_ms(self) -> float:
        """The longest gap, in milliseconds."""
        return 1000 * max(self.gaps)

    def percentile_ms(self, percent: float) -> float:
        """The gap that so many percent are not longer than, in milliseconds."""
        return 1000 * percentile(self.gaps, percent)


@contextmanager
def ticking(interval_ms: int = 1) -> Iterator[Ticks]:
    """Have a precise timer tick on this thread while the block runs its event loop."""
    ticks, last = Ticks(), time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        ticks.gaps.append(now - last)
        last = now

    timer = QtCore.QTimer()
    timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(interval_ms)
    try:
        yield ticks
    finally:
        timer.stop()


@contextmanager
def turns() -> Iterator[list[float]]:
    """Note the processor time of this thread, in seconds, between chances of other events while the block runs.

    These chances are the ticks of a 1 ms timer. Waiting and other programs do not count, so it tells what is ours on
    a busy machine too.
    """
    spent: list[float] = []
    last = time.thread_time()

    def on_tick() -> None:
        nonlocal last
        now = time.thread_time()
        spent.append(now - last)
        last = now

    timer = QtCore.QTimer()
    timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
    timer.timeout.connect(on_tick)
    timer.start(1)
    try:
        yield spent
    finally:
        on_tick()
        timer.stop()


def turn_wheel(widget: QtWidgets.QWidget, notches: int) -> None:
    """Turn the wheel above the middle of a widget; positive is away from the user."""
    middle = QtCore.QPointF(widget.rect().center())
    event = QtGui.QWheelEvent(
        middle, QtCore.QPointF(widget.mapToGlobal(middle)), QtCore.QPoint(), QtCore.QPoint(0, 120 * notches),
        QtCore.Qt.MouseButton.NoButton, QtCore.Qt.KeyboardModifier.NoModifier, QtCore.Qt.ScrollPhase.NoScrollPhase,
        False,
    )  # fmt: skip
    QtWidgets.QApplication.sendEvent(widget, event)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent of the values are not greater than."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _dispatcher() -> Any:
    return QtCore.QAbstractEventDispatcher.instance()
