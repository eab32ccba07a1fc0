"""Changes of Slicer's database: ours are told to Slicer, and those that others make to the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..domain.errors import VisualDicomError
from ..gui.parts.throttle import Throttle
from ..gui.session import Session

_log = logging.getLogger(__name__)

#: As Slicer's DICOM module waits: ``databaseChanged`` comes many times in a run of an indexer.
PAUSE_MS = 2_000


class DatabaseChanges:
    """Emits and hears ``databaseChanged`` of a ``ctkDICOMDatabase``, seldom.

    Others are Slicer's listener, its own browser, modules; also Slicer's watch on the file, which notes our own
    indexer too. So what is heard while we write waits until we are through, and our own signal is not heard.

    :param may: tells whether the database is still the one that is meant.
    :param is_writing: tells whether this program is changing the database; then :meth:`written` follows.
    """

    def __init__(
        self, session: Session, database: Any, may: Callable[[], bool], is_writing: Callable[[], bool]
    ) -> None:
        self._session = session
        self._database = database
        self._may = may
        self._is_writing = is_writing
        self._emitting = False
        self._asking = False
        self._missed = False
        self._emit_later = Throttle(PAUSE_MS, self._emit, at_once=False)
        self._ask_later = Throttle(PAUSE_MS, self._ask, at_once=False)
        database.databaseChanged.connect(self._on_changed)

    def tell(self) -> None:
        """Have Slicer's browsers show what we changed, soon."""
        self._emit_later()

    def written(self) -> None:
        """We are through with writing: what was heard meanwhile may concern others."""
        if self._missed:
            self._ask()

    def close(self) -> None:
        """Hear and tell nothing more."""
        self._emit_later.cancel()
        self._ask_later.cancel()
        self._database.databaseChanged.disconnect(self._on_changed)

    def _emit(self) -> None:
        if not self._may():
            return
        self._emitting = True
        try:
            self._database.databaseChanged()  # in Slicer a signal is emitted by calling it
        finally:
            self._emitting = False

    def _on_changed(self) -> None:
        if not self._emitting:
            self._ask_later()

    def _ask(self) -> None:
        self._missed = self._asking or self._is_writing()
        if self._missed or not self._session.ready or not self._may():
            return
        self._asking = True
        self._session.ask("refresh_local", {}, self._on_refreshed, self._on_failed)

    def _on_refreshed(self, _answer: dict[str, Any]) -> None:
        self._asking = False
        self.written()

    def _on_failed(self, error: VisualDicomError) -> None:
        self._asking = False
        _log.warning("Changes in Slicer's database could not be followed: %s", error)
        if error.retryable and self._session.ready:
            self._ask_later()
