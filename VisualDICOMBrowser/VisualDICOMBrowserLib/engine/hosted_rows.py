"""What the program that keeps the rows of the database is asked to do, and says that it did."""

from __future__ import annotations

from typing import Any

from ..domain.errors import UsageError
from ..store.host_link import HostLink
from ..store.index_queue import IndexBatch, IndexOutcome
from .core import Core


class HostedRows:
    """The part of the engine that speaks with that program; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def index_batch(self, limit: int) -> IndexBatch:
        """See :meth:`.Engine.index_batch`."""
        if self._core.store.read_only:  # what is to be done is told by the engine that holds the folder
            return IndexBatch()
        return self._link.queue.next_batch(limit)

    def index_done(self, batch: int) -> IndexOutcome:
        """See :meth:`.Engine.index_done`."""
        outcome = self._link.queue.done(batch)
        if outcome.superseded:
            self.refresh()
        return outcome

    def series_to_remove(self) -> dict[str, Any]:
        """See :meth:`.Engine.series_to_remove`."""
        if self._core.store.read_only:
            return {"removal": "", "series": []}
        number, series_uids = self._link.wishes.next()
        return {"removal": number, "series": list(series_uids)}

    def series_removed(self, removal: str) -> None:
        """See :meth:`.Engine.series_removed`."""
        self._link.wishes.note_done(removal)

    def refresh(self) -> dict[str, Any]:
        """See :meth:`.Engine.refresh_local`."""
        changed = self._core.store.refresh()
        if changed:
            self._core.tell_catalogue()
        return {"changed": changed}

    @property
    def _link(self) -> HostLink:
        link = self._core.store.host
        if link is None:
            raise UsageError("This engine keeps the rows of the database itself.")
        return link
