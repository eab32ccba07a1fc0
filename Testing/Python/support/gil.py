"""The main thread as it is in Slicer: it keeps Python's lock (GIL) while Qt waits or works, unlike PySide6."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable

import pytest

needs_libc = pytest.mark.skipif(os.name != "posix", reason="sleeps in C with Python's lock held")


def hold(seconds: float) -> None:
    """Sleep, and let no other Python thread run meanwhile."""
    library = ctypes.PyDLL(None)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        library.usleep(int(min(left, 0.5) * 1e6))


def idle_in_qt(tick: Callable[[], object], interval_ms: Callable[[], int], until: Callable[[], object], timeout: float):
    """Be Qt's event loop with one timer: hold the lock for the interval, then call the timer's slot.

    :raises AssertionError: ``timeout`` seconds went by; only the slot and the condition ran Python in them.
    """
    library = ctypes.PyDLL(None)
    deadline = time.monotonic() + timeout
    while not (result := until()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {timeout:g} s in vain.")
        library.usleep(interval_ms() * 1000)
        tick()
    return result
