"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
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
