"""What the window in Slicer is made of, for tests: a database that is opened and closed, sessions without an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import qt

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.gui.host import Host
from VisualDICOMBrowserLib.gui.parts.signals import Signal

from .application import FakeSlicer
from .strict import StrictFake


class SmallDatabase(StrictFake):
    """Slicer's DICOM database: a folder, and the files of series."""

    REAL = "ctkDICOMDatabase"

    def __init__(self) -> None:
        super().__init__()
        self._set(None)
        self._files: dict[str, tuple[str, ...]] = {}

    def openDatabase(self, path: str) -> None:
        self._set(Path(path).parent)
        self.opened.emit()

    def closeDatabase(self) -> None:
        self._set(None)
        self.closed.emit()

    def filesForSeries(self, uid: str) -> tuple[str, ...]:
        return self._files.get(uid, ())

    def _set(self, folder: Path | None) -> None:
        object.__setattr__(self, "isOpen", folder is not None)
        object.__setattr__(self, "databaseDirectory", "" if folder is None else str(folder))


class Ending:
    """Something that is closed."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self._log = log

    def close(self) -> None:
        self._log.append(f"{self.name} closed")


class Keeper(Ending):
    """Keeps nothing."""


class StartableSession(FakeSession):
    """A session whose engine runs when told to."""

    def __init__(self, folder: Path, log: list[str]) -> None:
        super().__init__()
        self.folder = folder
        self.ready = False
        self.log = log

    def start(self) -> None:
        self.log.append(f"start {self.folder.name}")

    def come_up(self) -> None:
        self.ready = True
        self.ready_changed.emit(True, "")

    def fail(self, sentence: str) -> None:
        self.ready = False
        self.ready_changed.emit(False, sentence)

    def close(self) -> None:
        self.log.append(f"end {self.folder.name}")


class PlainBrowser(qt.QWidget):
    """Takes the browser's place."""

    def __init__(self, session: Any, parent: Any, host: Any) -> None:
        qt.QWidget.__init__(self, parent)
        self.session = session
        self.host = host
        self.arranged = ""

    def arrangement(self) -> str:
        return f"arranged in {self.session.folder.name}"

    def arrange(self, text: str) -> None:
        self.arranged = text

    def focus_search(self) -> None:
        self.session.log.append("search focused")

    def close_session(self) -> None:
        self.host.loader.close()
        self.session.close()


class FakeLoader(Ending):
    """Loads a series by adding what it was given as nodes."""

    def __init__(self, log: list[str], load: Callable[[str], None] = lambda uid: None) -> None:
        super().__init__("loader", log)
        self.loaded_changed, self.progress_changed, self.choice_asked = Signal(), Signal(), Signal()
        self.loaded: frozenset[str] = frozenset()
        self._load = load

    def load(self, series_uids: list[str], *, choose: bool = False) -> None:
        for uid in series_uids:
            self._load(uid)

    def choose(self, places: list[int]) -> None:
        raise AssertionError("nothing was to be chosen")

    def cancel(self) -> None:
        return None


class WindowKit:
    """A fake Slicer, its database, and the parts of a window on them.

    :ivar log: what was started and ended, in order.
    :ivar sessions: all that were made.
    :ivar created: what the button for a database opens; None: it fails.
    """

    def __init__(self, slicer: FakeSlicer) -> None:
        self.slicer = slicer
        self.database = SmallDatabase()
        slicer.module.dicomDatabase = self.database
        self.log: list[str] = []
        self.sessions: list[Any] = []
        self.browsers: list[Any] = []
        self.created: Path | None = slicer.folder / "created"
        self.make_session: Callable[[Path], Any] = lambda folder: StartableSession(folder, self.log)
        self.make_browser: Callable[..., Any] = PlainBrowser
        self.load: Callable[[str], None] = lambda uid: None

    def parts(self) -> Any:
        """Return the parts; the module ``slicer`` must be the fake."""
        from VisualDICOMBrowserLib.host_slicer.parts import Parts  # noqa: PLC0415

        return Parts(
            current_folder=self.current_folder,
            watch_folder=self._watch,
            make_session=self._make_session,
            make_keeper=lambda session: Keeper("keeper", self.log),
            make_host=lambda session: Host("Slicer", FakeLoader(self.log, self.load)),
            make_browser=self._make_browser,
            create_database=self._create,
            show_log=lambda: self.log.append("log shown"),
        )

    def current_folder(self) -> Path | None:
        return Path(self.database.databaseDirectory) if self.database.isOpen else None

    def open_database(self, name: str) -> Path:
        """Open one in the folder of that name."""
        folder = self.slicer.folder / name
        folder.mkdir(exist_ok=True)
        self.database.openDatabase(str(folder / "ctkDICOM.sql"))
        return folder

    def _watch(self, changed: Callable[[Path | None], None]) -> Ending:
        listener = lambda: changed(self.current_folder())  # noqa: E731
        self.database.opened.connect(listener)
        self.database.closed.connect(listener)
        return Ending("watch", self.log)

    def _make_session(self, folder: Path) -> Any:
        self.sessions.append(self.make_session(folder))
        return self.sessions[-1]

    def _make_browser(self, *arguments: Any) -> Any:
        self.browsers.append(self.make_browser(*arguments))
        return self.browsers[-1]

    def _create(self) -> bool:
        if self.created is not None:
            self.open_database(self.created.name)
        return self.database.isOpen


def dicom_lib(kit: WindowKit, import_dicom: Callable[[str], None]) -> dict[str, ModuleType]:
    """Return the modules ``DICOMLib`` and ``DICOMLib.DICOMUtils`` with what the self-test calls."""

    @contextmanager
    def temporary_database(directory: str) -> Iterator[Any]:
        before = kit.current_folder()
        kit.database.openDatabase(f"{directory}/ctkDICOM.sql")
        try:
            yield kit.database
        finally:
            kit.database.closeDatabase()
            if before is not None:
                kit.database.openDatabase(f"{before}/ctkDICOM.sql")

    utils, package = ModuleType("DICOMLib.DICOMUtils"), ModuleType("DICOMLib")
    vars(utils).update(TemporaryDICOMDatabase=temporary_database, importDicom=import_dicom)
    vars(package).update(DICOMUtils=utils)
    return {"DICOMLib": package, "DICOMLib.DICOMUtils": utils}
