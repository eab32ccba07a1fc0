"""What the measurements of the window have in common: finding the frame that shows everything."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from support.browser_window import spin
from support.gui_watch import FrameWatch, picture_of

#: The window is done when nothing was painted for so long, in seconds.
QUIET_S = 0.6


def settled_frames(browser: Any, act: Callable[[], object]) -> tuple[float, float, int]:
    """Do something, wait until the window is at rest, and return the times of two frames and the number of all.

    The first one is the first that was painted at all. The other is the first in which the patients and the sheet
    are, pixel for pixel, as they are when all is at rest; the copies made to find it out count against us.
    """
    parts = (browser._patients._view.viewport(), browser._page.sheet.canvas)
    frames: list[tuple[float, list[Any]]] = []
    watch = FrameWatch(parts, lambda at: frames.append((at, picture_of(browser, parts))))
    try:
        act()
        while not frames or time.perf_counter() - frames[-1][0] < QUIET_S:
            spin(0.05)
    finally:
        watch.stop()
    last = picture_of(browser, parts)
    complete = next(at for at, pictures in frames if pictures == last)
    return frames[0][0], complete, len(frames)
