"""Pictures of series in memory: read a little at a time, kept while they are of use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import qt

from ..parts.signals import Signal

#: So long may one tick take, in seconds; the thread that reads is the one that paints.
BUDGET = 0.004
#: So many bytes of pictures are kept.
MAX_BYTES = 128 << 20
_PAUSE_MS = 6
_ROUNDING = 6.0

Key = tuple[str, int]


class ThumbnailStore:
    """Pictures by file and side, ready to be painted: scaled once, with round corners.

    ``loaded`` tells the paths of the files that were read since it last did.

    :param ratio: physical pixels per device-independent one.
    :param clock: seconds, for the budget.
    """

    def __init__(
        self,
        parent: qt.QObject,
        ratio: float = 1.0,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.loaded = Signal()
        self._ratio = ratio
        self._max_bytes = max_bytes
        self._clock = clock
        self._pictures: OrderedDict[Key, Any] = OrderedDict()
        self._bytes = 0
        self._failed: set[str] = set()
        self._stale: set[str] = set()
        self._wanted: list[Key] = []
        self._expected: list[Key] = []
        self._hurries = False  # the timer runs for what is wanted now
        self._timer = qt.QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.work)

    @property
    def bytes(self) -> int:
        """How much memory the pictures take."""
        return self._bytes

    def picture(self, path: str, side: int) -> qt.QPixmap | None:
        """Return a picture if it is there; :meth:`want` gets it otherwise."""
        found = self._pictures.get((path, side))
        if found is not None:
            self._pictures.move_to_end((path, side))
        return found

    def has_failed(self, path: str) -> bool:
        """Tell whether a file could not be read as a picture."""
        return path in self._failed

    def want(self, keys: Sequence[Key]) -> None:
        """Read these files next, the first one first; whatever was wanted before and is not among them is not."""
        self._wanted = [key for key in keys if self._is_missing(key)]
        if self._wanted and not self._hurries:
            self._hurries = True
            self._timer.start(0)

    def expect(self, keys: Sequence[Key]) -> None:
        """Read these files, which may be wanted soon, when there is nothing else to read."""
        self._expected = [key for key in keys if self._is_missing(key)]
        if self._expected and not self._timer.isActive():
            self._timer.start(_PAUSE_MS)

    def renew(self, path: str) -> None:
        """Read a file again when it is wanted next; the old picture stays until then."""
        self._failed.discard(path)
        self._stale.add(path)

    def set_ratio(self, ratio: float) -> None:
        """Make pictures for another display from now on."""
        if ratio != self._ratio:
            self._ratio = ratio
            self._pictures.clear()
            self._bytes = 0

    def close(self) -> None:
        """Read nothing more."""
        self._timer.stop()
        self._wanted, self._expected = [], []

    def work(self) -> None:
        """Read files for as long as the budget lasts."""
        self._hurries = False
        end, read = self._clock() + BUDGET, []
        while waiting := self._wanted or self._expected:
            path, side = waiting.pop(0)
            if self._is_missing((path, side)):  # it may have been wanted since it was expected
                self._read(path, side)
                read.append(path)
            if self._clock() >= end:
                break
        if self._wanted or self._expected:
            self._timer.start(_PAUSE_MS)
        if read:
            self.loaded.emit(read)

    def _is_missing(self, key: Key) -> bool:
        return (key not in self._pictures or key[0] in self._stale) and key[0] not in self._failed

    def _read(self, path: str, side: int) -> None:
        image = qt.QImage()
        self._stale.discard(path)
        for key in [key for key in self._pictures if key[0] == path] if (path, side) in self._pictures else ():
            self._drop(key)
        if not image.load(path) or image.isNull():
            self._failed.add(path)
            return
        self._keep((path, side), _framed(image, round(side * self._ratio), self._ratio))

    def _keep(self, key: Key, pixmap: qt.QPixmap) -> None:
        self._pictures[key] = pixmap
        self._bytes += _bytes_of(pixmap)
        while self._bytes > self._max_bytes and len(self._pictures) > 1:
            self._drop(next(iter(self._pictures)))

    def _drop(self, key: Key) -> None:
        self._bytes -= _bytes_of(self._pictures.pop(key))


def _bytes_of(pixmap: qt.QPixmap) -> int:
    return 4 * int(pixmap.width()) * int(pixmap.height())


def _framed(image: qt.QImage, extent: int, ratio: float) -> qt.QPixmap:
    """Fit an image into the middle of a black square with round corners; ``extent`` in physical pixels."""
    scaled = image.scaled(extent, extent, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
    pixmap = qt.QPixmap(extent, extent)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    outline = qt.QPainterPath()
    outline.addRoundedRect(qt.QRectF(0, 0, extent, extent), _ROUNDING * ratio, _ROUNDING * ratio)
    painter = qt.QPainter()
    painter.begin(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    painter.fillPath(outline, qt.QBrush(qt.QColor(0, 0, 0)))
    painter.setClipPath(outline)
    painter.drawImage((extent - scaled.width()) // 2, (extent - scaled.height()) // 2, scaled)
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
