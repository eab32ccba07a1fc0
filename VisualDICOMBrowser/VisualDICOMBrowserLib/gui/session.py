"""What the widgets know of the world: the engine's calls and events, and the catalogue to read from.

Everything happens on the GUI thread: the transport reads there. An engine that is gone can be started again, which is
another engine process with another client; widgets see it by ``ready_changed``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from ..domain.errors import BadData, Cancelled, PackageMissing, VisualDicomError
from ..engine.client import EngineCall, EngineClient
from ..engine.messages import OPENING, Event
from ..store.reader import CatalogueReader
from .call_book import CallBook
from .job_book import JobBook
from .messages import Message, Remedy, Tone
from .parts.signals import Signal

_log = logging.getLogger(__name__)

Done = Callable[[Any], object]
Failed = Callable[[VisualDicomError], object]


class Call(Protocol):
    """A request under way."""

    def stop(self) -> None:
        """Ask the engine to cancel it."""

    def done(self) -> bool:
        """Whether it has ended."""


class _SessionCall:
    """A call that may have to wait for the engine; one that is stopped before then is never made."""

    def __init__(self, make: Callable[[], EngineCall]) -> None:
        self._make = make
        self._call: EngineCall | None = None
        self._stopped = False
        self.on_end: Callable[[Future[Any]], object] = lambda _: None

    def begin(self) -> None:
        if self._stopped:
            return
        self._call = self._make()
        self._call.add_done_callback(lambda future: self.on_end(future))

    def stop(self) -> None:
        self._stopped = True
        if self._call is not None:
            self._call.stop()

    def done(self) -> bool:
        return self._stopped if self._call is None else self._call.done()


class Session:
    """One folder and the engine that runs on it, for all widgets of a window.

    :param make_client: makes the client of an engine that is not started yet; called for each start.

    =====================  =====================  =======================================================
    signal                 values                 when
    =====================  =====================  =======================================================
    ``ready_changed``      ready, sentence        the engine came up, or is gone (and why)
    ``series_changed``     Series Instance UID    instances of it were stored or removed, or its picture made
    ``catalogue_changed``  none                   a search, import or removal changed what there is
    ``servers_changed``    none                   the configuration changed
    ``listener_changed``   none                   others can call from now on, or no more, or otherwise
    ``caller_refused``     data of the event      somebody who called was refused
    ``index_wanted``       data of the event,     files wait for rows that this program keeps
                           or empty
    ``removal_wanted``     the same               rows that this program keeps are to be removed
    ``said``               :class:`.Message`      there is something to tell the user
    ``package_missing``    sentence, method       a call failed by it, or was answered with a placeholder
    ``jobs.changed``       job id or None         see :class:`.JobBook`
    ``calls.changed``      none                   see :class:`.CallBook`
    ``calls.ended``        a record               the same
    =====================  =====================  =======================================================
    """

    def __init__(self, make_client: Callable[[], EngineClient], reader: CatalogueReader) -> None:
        self.reader = reader
        self.jobs = JobBook()
        self.calls = CallBook()
        self.ready_changed = Signal()
        self.series_changed = Signal()
        self.catalogue_changed = Signal()
        self.servers_changed = Signal()
        self.listener_changed = Signal()
        self.caller_refused = Signal()
        self.index_wanted = Signal()
        self.removal_wanted = Signal()
        self.said = Signal()
        self.package_missing = Signal()
        self._plain = {
            "catalogue-changed": self.catalogue_changed,
            "servers-changed": self.servers_changed,
            "listener-changed": self.listener_changed,
        }
        self._with_data = {
            "caller-refused": self.caller_refused,
            "index-wanted": self.index_wanted,
            "removal-wanted": self.removal_wanted,
        }
        self.ready = False
        self._make_client = make_client
        self._client = make_client()
        self._starting = True
        self._early: list[_SessionCall] = []
        self._closed = False
        self._started = False
        self._again = False  # an engine was up before
        self._end = ""  # why there is no engine

    def start(self) -> None:
        """Start the engine, or another one after it is gone; ``ready_changed`` tells when it is there."""
        if self._closed or (self._started and (self.ready or self._starting)):
            return
        if self._started:
            self._client.close()  # nothing runs any more
            self._client = self._make_client()
        self._started = self._starting = True
        self._end = ""
        self._client.on_event(self._on_event)
        self._client.on_end(lambda error: self._set_ready(False, str(error)))
        try:
            started = self._client.start()
        except VisualDicomError as error:
            self._set_ready(False, str(error))
            return
        started.add_done_callback(self._on_started)

    def restart(self) -> None:
        """End the engine and start another, which has packages that were installed meanwhile; open calls fail."""
        if self.ready and not self._closed:
            self._set_ready(False, "")
        self.start()

    def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        done: Done | None = None,
        failed: Failed | None = None,
    ) -> Call:
        """Call the engine. ``done`` gets the result, ``failed`` the error; without it, the error becomes a message.

        While the engine starts, calls wait for it; if it cannot, they fail with the reason. A missing package is told
        by ``package_missing`` in any case: ``failed`` need not tell it.
        """
        call = _SessionCall(lambda: self._client.call_async(method, params))
        call.on_end = lambda future: self._settle(method, future, done, failed)
        if self._starting:
            self._early.append(call)
        else:
            call.begin()
        return call

    def say(self, text: str, tone: Tone = Tone.NOTE, about: str = "") -> None:
        """Tell the user something."""
        self.said.emit(Message(text, tone, about))

    def begin_close(self) -> None:
        """Tell the engine to end, without waiting; no callback comes afterwards, and :meth:`close` must follow."""
        self._closed = True
        self._client.begin_close()

    def close(self) -> None:
        """End the engine and let go of the catalogue; no callback comes afterwards."""
        self._closed = True
        self._client.close()
        self.reader.close()

    def _on_started(self, future: Future[Any]) -> None:
        error = future.exception()
        if self._closed:
            return
        if error is not None:
            self._set_ready(False, str(error))
            return
        self._set_ready(True, "")
        if self._again:
            self.catalogue_changed.emit()  # an engine puts the catalogue in order when it starts
        self._again = True
        self._read_books()

    def _read_books(self) -> None:
        self.ask("jobs", done=self.jobs.replace)
        self.ask("calls", done=self.calls.replace)

    def _set_ready(self, ready: bool, sentence: str) -> None:
        self.ready, self._starting, self._end = ready, False, sentence
        if not ready:
            self.jobs.replace(())  # they ended with the engine
            self.calls.replace(())
        self.ready_changed.emit(ready, sentence)
        early, self._early = self._early, []
        for call in early:
            call.begin()
        if sentence:
            self._tell_end()

    def _tell_end(self) -> None:
        text, *details = self._end.splitlines()
        again = Remedy("Start again", self.start)
        self.said.emit(Message(text, Tone.PROBLEM, "engine", (again,), tuple(details)))

    def _settle(self, method: str, future: Future[Any], done: Done | None, failed: Failed | None) -> None:
        if self._closed:
            return
        error = future.exception()
        if error is None:
            if done is not None:
                done(future.result())
        elif not isinstance(error, VisualDicomError):
            raise error
        else:
            if isinstance(error, PackageMissing):
                self.package_missing.emit(str(error), method)
            self._tell_failure(error, failed)

    def _tell_failure(self, error: VisualDicomError, failed: Failed | None) -> None:
        if failed is not None:
            failed(error)
        elif self.ready and not isinstance(error, (Cancelled, PackageMissing)):
            self.say(str(error), Tone.PROBLEM)
        if self._end:
            self._tell_end()  # again: who closed the message needs its button

    def _on_event(self, event: Event) -> None:
        if event.name in ("job", "progress"):
            try:
                self.jobs.note(event.data)
            except BadData as error:
                _log.error("An event of the engine cannot be read: %s", error)
        elif event.name == "association":
            self.calls.note(event.data)
        elif event.name == "series-changed":
            self.series_changed.emit(event.subject)
        elif event.name == OPENING:
            self._note_opening(event.data)
        elif event.name == "events-lost":
            self._catch_up()
        elif event.name in self._plain:
            self._plain[event.name].emit()
        elif event.name in self._with_data:
            self._with_data[event.name].emit(event.data)

    def _note_opening(self, data: dict[str, int]) -> None:
        """Tell how far the engine is; what it has read can be looked at."""
        if self._starting:
            text = "Reading what is on this computer, for the first time or after many changes: {} of {} studies."
            done, total = data["done"], data["total"]
            self.say(text.format(f"{done:,}", f"{total:,}") if total else f"{text.partition(':')[0]} …", about=OPENING)
            self.catalogue_changed.emit()

    def _catch_up(self) -> None:
        """Have everything read again that events may have told."""
        self._read_books()
        self.index_wanted.emit({})
        self.removal_wanted.emit({})
        self.catalogue_changed.emit()
        self.listener_changed.emit()
