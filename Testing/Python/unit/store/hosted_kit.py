"""A store whose rows another program keeps, and that program: a plain one, or with fakes of Slicer's objects."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from support.host_of_rows import HostOfRows, StoreAsEngine
from support.slicer_fakes.database import FakeDatabase, FakeIndexer, work
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.errors import Cancelled, StorageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.imaging.comparison import differing_elements
from VisualDICOMBrowserLib.store.host_link import HostPlan
from VisualDICOMBrowserLib.store.local import LocalStore


class SlicerHost(HostOfRows):
    """Has fakes of ``ctkDICOMDatabase`` and ``ctkDICOMIndexer`` do it, and does not look what they delete."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.database = FakeDatabase()
        self.database.openDatabase(f"{self.folder.root}/ctkDICOM.sql")
        self.indexer = FakeIndexer()
        self.indexer.backgroundImportEnabled = True
        self.indexer.setDatabase(self.database)

    def write_rows(self, names: list[str]) -> None:
        paths = [name if Path(name).is_absolute() else f"{self.database.databaseDirectory}/{name}" for name in names]
        paths = [path for path in paths if Path(path).exists()]  # one may be moved while it waits
        if paths:
            self.indexer.addListOfFiles(paths, False)
            with suppress(FileNotFoundError):  # moved since: the fake has written nothing, and all is handed over again
                work(self.indexer)

    def remove_series(self, series_uid: str) -> None:
        self.database.removeSeries(series_uid, True)
        self.removed.append(series_uid)


class Stage(StoreAsEngine):
    """A store, and the program that keeps its rows; both can be restarted."""

    def __init__(self, root: Path, host: type[HostOfRows] = HostOfRows) -> None:
        self.host = host(root)
        self.wishes: list[tuple[str, dict]] = []
        self.opened: list[LocalStore] = []
        super().__init__(self.open())

    def open(self) -> LocalStore:
        plan = HostPlan(lambda name, data: self.wishes.append((name, data)))
        self.opened.append(LocalStore.open(self.host.folder.root, host=plan))
        self.opened[-1].duplicates.compare = differing_elements
        return self.opened[-1]

    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    def index(self, **options):
        return self.host.index(self, **options)

    def intents(self, kind: str = "receive") -> set[str]:
        return {uid for uid, _, _ in self.store.catalogue.intents(kind)}

    def known(self) -> set[str]:
        return {f.instance.sop_uid for f in self.store.catalogue.local_files(Level.STUDY, ["1.2.1"])}

    def remove(self, target: Target, **options):
        """Remove in another thread, and be the program meanwhile."""
        results: list[object] = []

        def work() -> None:
            try:
                results.append(self.store.remove(target, **options))
            except (StorageError, Cancelled) as error:
                results.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            self.host.remove(self)
            thread.join(0.02)
        return results[0]

    def settle(self, sop_uids: Iterable[str]) -> None:
        """Be the program until nothing of these instances is waited for."""
        uids = list(sop_uids)

        def is_settled() -> bool:
            self.host.remove(self)
            self.index()
            return self.store.unseen(uids) == self.store.refused(uids)

        wait_until(is_settled)
