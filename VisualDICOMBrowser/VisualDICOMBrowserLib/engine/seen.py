"""Waiting for the rows of files that are safe already, where another program writes the rows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TypeVar

from ..store.local import LocalStore
from .runner import Unfinished

Result = TypeVar("Result")


def when_seen(store: LocalStore, sop_uids: Collection[str], finish: Callable[[], Result]) -> Result | Unfinished:
    """Return the end of a task: at once if nothing has to be waited for."""
    if store.host is None or not sop_uids:
        return finish()
    return Unfinished(partial(store.host.queue.when_seen, sop_uids), finish)
