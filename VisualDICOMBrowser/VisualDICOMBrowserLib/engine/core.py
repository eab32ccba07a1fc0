"""What the parts of an engine share: store, jobs, decoder, configuration, and the way to tell of events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..dimse.pool import AssociationPool
from ..domain.servers import Server
from ..imaging.children import Decoder
from ..store.local import LocalStore
from .configuration import Configuration
from .listening import Listening
from .runner import JobRunner

_log = logging.getLogger(__name__)

Subscriber = Callable[[str, str, Any], None]


class Events:
    """Tells subscribers what happens, on the threads where it happens."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._lock = threading.Lock()

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Have ``callback(name, subject, data)`` called with each event; return what ends that."""
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def emit(self, name: str, subject: str, data: Any) -> None:
        """Tell everybody."""
        with self._lock:
            subscribers = list(self._subscribers)
        for callback in subscribers:
            try:
                callback(name, subject, data)
            except Exception as error:
                # Somebody else's fault, and no reason to lose the job whose event it was.
                _log.error("A subscriber failed: %s", type(error).__name__)


@dataclass(frozen=True)
class Core:
    """See the module."""

    configuration: Configuration
    store: LocalStore
    jobs: JobRunner
    events: Events
    listening: Listening
    decoder: Decoder = field(default_factory=Decoder)
    associations: AssociationPool = field(default_factory=AssociationPool)
    _stored: set[str] = field(default_factory=set)

    def servers(self, names: Sequence[str] | None) -> list[Server]:
        """Return the servers of these names, each once; all of them for None.

        :raises UsageError: there is no such server.
        """
        if names is None:
            return self.configuration.servers()
        return [self.configuration.server(name) for name in dict.fromkeys(names)]

    def decoder_soon(self) -> None:
        """Pictures are going to be wanted: start what makes them, where they can be kept."""
        if not self.store.read_only:
            self.decoder.warm()

    def tell_series(self, series_uids: Iterable[str]) -> None:
        """Tell that something about series changed: what is here of them, or their picture."""
        uids = list(dict.fromkeys(series_uids))
        counts = self.store.catalogue.local_counts(uids)
        for uid in uids:
            self.events.emit("series-changed", uid, {"local_instances": counts.get(uid, 0)})

    def tell_stored(self, series_uids: frozenset[str]) -> None:
        """Tell that instances of series were stored; of series that are new here, the lists are not right any more."""
        self.tell_series(series_uids)
        if not series_uids <= self._stored:
            self._stored.update(series_uids)
            self.tell_catalogue()

    def tell_removed(self, series_uids: Iterable[str]) -> None:
        """Tell that instances of series were removed."""
        uids = list(series_uids)
        self._stored.difference_update(uids)
        self.tell_series(uids)
        self.tell_catalogue()

    def tell_catalogue(self) -> None:
        """Tell that there is more or less to show than before."""
        self.events.emit("catalogue-changed", "catalogue", {})

    def tell_servers(self) -> None:
        """Tell that the configuration changed."""
        self.events.emit("servers-changed", "servers", {})
