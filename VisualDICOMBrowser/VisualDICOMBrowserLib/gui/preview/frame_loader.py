"""Asks the engine for frames, a few at once and the most urgent first, and keeps those that were used last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...domain.errors import BadData, Cancelled, VisualDicomError
from ...imaging.libraries import lacking
from ..parts.signals import Signal
from ..session import Call, Session
from .stack_state import Frame, Recent
from .windowing import Window

#: Bytes of pixels kept.
BUDGET = 64 * 1024 * 1024
#: Requests open at a time.
AT_ONCE = 4

_CHANNELS = {"gray16": 1, "rgb8": 3}


@dataclass(frozen=True, eq=False)
class Pixels:
    """A frame that can be shown; equal to itself alone.

    :ivar values: ``(rows, columns)`` of uint16, or ``(rows, columns, 3)`` of uint8.
    :ivar slope: with ``intercept`` from stored to modality values.
    :ivar window: what the file asks for.
    :ivar inverted: whether low values are white (MONOCHROME1).
    :ivar aspect: height of a pixel by its width.
    :ivar note: why these are not the object's own pixels, or empty.
    :ivar remark: a sentence if ``window`` only comes near what the file asks for, or empty.
    """

    values: Any
    slope: float = 1.0
    intercept: float = 0.0
    window: Window = field(default=Window(32768, 65536))
    inverted: bool = False
    aspect: float = 1.0
    note: str = ""
    remark: str = ""

    @property
    def coloured(self) -> bool:
        """Whether it has colours, to which no window applies."""
        return bool(self.values.ndim == 3)

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.values.shape[0])

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return int(self.values.shape[1])


def read_pixels(answer: Mapping[str, Any]) -> Pixels:
    """Read the file that the engine wrote for a frame.

    :raises BadData: the answer or the file is not what it should be.
    """
    import numpy as np  # noqa: PLC0415

    try:
        channels = _CHANNELS[answer["format"]]
        shape = (int(answer["height"]), int(answer["width"]))
        kind = "<u2" if channels == 1 else "u1"
        numbers = [float(answer[name]) for name in ("slope", "intercept", "center", "width_of_window", "aspect")]
        slope, intercept, center, width, aspect = numbers
        if min(shape) < 1 or not all(map(math.isfinite, numbers)):
            raise BadData("The engine described a picture that cannot be.")
        values = np.fromfile(str(answer["path"]), dtype=kind, count=shape[0] * shape[1] * channels)
        return Pixels(
            values.reshape(shape if channels == 1 else (*shape, channels)),
            slope,
            intercept,
            Window(center, width),
            bool(answer["inverted"]),
            max(0.01, min(100.0, aspect or 1.0)),
            str(answer["reason"]) if answer.get("placeholder") else "",
            str(answer.get("note", "")),
        )
    except (OSError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise BadData("The picture could not be read from the engine's cache.") from error


@dataclass
class _Request:
    call: Call | None = None
    again: bool = False


class FrameLoader:
    """Frames of one series at a time. ``arrived`` tells a :class:`Frame` that can be had, or that failed."""

    def __init__(self, session: Session, budget: int = BUDGET) -> None:
        self.arrived = Signal()
        self._session = session
        self._kept: Recent[Frame, Pixels] = Recent(budget)
        self._failed: dict[Frame, str] = {}
        self._open: dict[Frame, _Request] = {}
        self._wanted: list[Frame] = []

    def get(self, frame: Frame) -> Pixels | None:
        """Return a frame that is here."""
        return self._kept.get(frame)

    def has(self, frame: Frame) -> bool:
        """Whether asking again would bring nothing new: the frame is here, or cannot be had."""
        return frame in self._kept or frame in self._failed

    def reason(self, frame: Frame) -> str:
        """Return why a frame cannot be had; empty if it can, or nobody knows yet."""
        return self._failed.get(frame, "")

    def want(self, frames: Sequence[Frame]) -> None:
        """Have these frames, the most urgent first; what is under way and not among them is stopped."""
        self._wanted = list(frames)[: self._room(frames)]
        for frame in [frame for frame in self._open if frame not in self._wanted]:
            self._stop(frame)
        self._start_some()

    def retry(self) -> None:
        """Forget what failed, so that it is asked for again."""
        self._failed.clear()

    def renew(self) -> None:
        """Forget what failed and the placeholders: another engine may have what this one lacked."""
        self.retry()
        self._kept.keep(lambda pixels: not pixels.note)

    def clear(self) -> None:
        """Stop everything and forget all frames."""
        self.want(())
        self._kept.clear()
        self._failed.clear()

    def _room(self, frames: Sequence[Frame]) -> int:
        """How many frames fit without one wanted frame driving out another."""
        known = next((pixels for frame in frames if (pixels := self._kept.get(frame)) is not None), None)
        return len(frames) if known is None else max(1, self._kept.budget // max(1, known.values.nbytes))

    def _start_some(self) -> None:
        for frame in self._wanted:
            if len(self._open) >= AT_ONCE:
                return
            if frame not in self._open and not self.has(frame):
                self._ask(frame)

    def _ask(self, frame: Frame, *, again: bool = False) -> None:
        request = self._open[frame] = _Request(again=again)
        params = {"sop_uid": frame.sop_uid, "frame": frame.number}
        done, failed = partial(self._on_done, frame, request), partial(self._on_failed, frame, request)
        request.call = self._session.ask("frame", params, done, failed)

    def _stop(self, frame: Frame) -> None:
        call = self._open.pop(frame).call
        if call is not None:
            call.stop()

    def _on_done(self, frame: Frame, request: _Request, answer: Any) -> None:
        if self._open.get(frame) is not request:
            return
        try:
            pixels = read_pixels(answer)
        except BadData as error:
            if request.again:
                self._on_failed(frame, request, error)
            else:
                self._ask(frame, again=True)  # others may have needed the file's room before it was read
            return
        self._kept.put(frame, pixels, pixels.values.nbytes)
        if lacking(pixels.note) is not None:
            self._session.package_missing.emit(pixels.note, "frame")
        self._settle(frame)

    def _on_failed(self, frame: Frame, request: _Request, error: VisualDicomError) -> None:
        if self._open.get(frame) is not request:
            return
        if not isinstance(error, Cancelled):
            self._failed[frame] = str(error)
        self._settle(frame)

    def _settle(self, frame: Frame) -> None:
        del self._open[frame]
        self.arrived.emit(frame)
        self._start_some()
