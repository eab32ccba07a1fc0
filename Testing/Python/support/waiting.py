"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = 10.0, what: str = "the condition") -> T:
    """Call ``condition`` until it returns something true, and return that.

    :raises AssertionError: ``timeout`` seconds went by; the message names ``what``.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {timeout:g} s in vain for {what}.")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return result


def join_all(threads: Sequence[threading.Thread], timeout: float = 10.0) -> None:
    """Wait for threads to end.

    :raises AssertionError: one is still alive after ``timeout`` seconds.
    """
    for thread in threads:
        thread.join(timeout)
    alive = [thread.name for thread in threads if thread.is_alive()]
    assert not alive, f"The threads {alive} did not end."
