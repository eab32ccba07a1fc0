"""A program that keeps the rows of a ctkDICOM database, as Slicer does, for engines that run with ``rows_by_host``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase
from VisualDICOMBrowserLib.store.ctk_rows import StoredInstance
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.host_link import HostLink
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore


class HostedEngine(Protocol):
    """What it needs of an engine."""

    def index_batch(self, limit: int) -> Any: ...

    def index_done(self, batch: int) -> Any: ...

    def series_to_remove(self) -> dict[str, Any]: ...

    def series_removed(self, removal: str) -> None: ...


class StoreAsEngine:
    """A store with the calls that an engine offers the program that keeps the rows."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store

    def index_batch(self, limit: int) -> Any:
        return self._link.queue.next_batch(limit)

    def index_done(self, batch: int) -> Any:
        return self._link.queue.done(batch)

    def series_to_remove(self) -> dict[str, Any]:
        removal, series = self._link.wishes.next()
        return {"removal": removal, "series": list(series)}

    def series_removed(self, removal: str) -> None:
        self._link.wishes.note_done(removal)

    @property
    def _link(self) -> HostLink:
        assert self.store.host is not None
        return self.store.host


class HostOfRows:
    """Writes rows when :meth:`work` is called, or by itself between :meth:`start` and :meth:`stop`.

    It removes whole series, as the module in Slicer does: not while files of theirs lie in the folder, since
    ctkDICOMDatabase.removeSeries would delete those.

    :ivar refuses: the names of files that it does not take in.
    :ivar lets_go: False if it does not remove rows.
    :ivar batches: the files of each batch.
    """

    def __init__(self, root: Path) -> None:
        self.folder = DatabaseFolder(root)
        CtkDatabase.open(self.folder).close()
        self.refuses: Callable[[str], bool] = lambda _: False
        self.lets_go = True
        self.batches: list[tuple[str, ...]] = []
        self.removed: list[str] = []
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def index(self, engine: HostedEngine, limit: int = 5000) -> Any:
        """Take one batch in, and return what the engine makes of it."""
        batch = engine.index_batch(limit)
        self.write_rows([name for name in batch.files if not self.refuses(name)])
        if batch.number:
            self.batches.append(batch.files)
        return engine.index_done(batch.number)

    def write_rows(self, names: list[str]) -> None:
        """Write the rows of files, as stored."""
        paths = [self.folder.absolute(name) for name in names]
        with CtkDatabase.open(self.folder) as database:
            database.insert([StoredInstance(read_header(path), path) for path in paths])

    def remove(self, engine: HostedEngine) -> None:
        """Do one removal."""
        wish = engine.series_to_remove()
        if not wish["removal"]:
            return
        if self.lets_go:
            for series_uid in wish["series"]:
                self.remove_series(series_uid)
        engine.series_removed(wish["removal"])

    def remove_series(self, series_uid: str) -> None:
        """Remove the rows of a series; none if one of its files lies in the folder, which would be deleted."""
        with CtkDatabase.open(self.folder) as database:
            images = database.images(series_uids=[series_uid])
            inside = [image for image in images if not Path(image.filename).is_absolute()]
            if any(self.folder.find(image.filename) is not None for image in inside):
                return
            database.remove([image.sop_uid for image in images])
        self.removed.append(series_uid)

    def wake(self, *_: Any) -> None:
        """Look whether there is something to do; a subscriber of the engine's events."""
        self._wake.set()

    def start(self, engine: Any) -> None:
        """Follow an engine's wishes on a thread."""
        engine.subscribe(self.wake)
        self._wake.set()
        self._thread = threading.Thread(target=self._run, args=(engine,), name="host-of-rows")
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, engine: HostedEngine) -> None:
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            while not self._stopping and self.index(engine).settled:
                pass
            self.remove(engine)
