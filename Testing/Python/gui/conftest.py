"""Fixtures for tests of the window; without a display it is drawn offscreen."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import qt_here
from support.corpus import CorpusFile
from support.fake_session import FakeSession
from support.orthanc import Orthanc
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.demo.launcher import DemoServer, demo_pacs
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.host_desktop import qt_shim

if TYPE_CHECKING:
    from support.window_hands import Hands

if qt_here.obstacle() is None:
    qt_here.draw_offscreen_without_display()
    qt_shim.install()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return qt_here.make_module(module_path, parent)


@pytest.fixture(autouse=True, scope="module")
def _no_widgets_left() -> Iterator[None]:
    """Delete on this thread what a module's tests left: on another thread it would crash Qt."""
    yield
    gc.collect()


@pytest.fixture
def session(qapp) -> FakeSession:
    """A session without an engine: it notes what it is asked, and answers when told to."""
    return FakeSession()


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoServer]:
    """The embedded PACS, for reading only."""
    with demo_pacs() as pacs:
        yield pacs


@pytest.fixture
def open_window(qapp, tmp_path: Path) -> Iterator[Callable[..., Hands]]:
    """Open the whole window on servers, a folder and an engine of its own; it is closed after the test."""
    from support.browser_window import BrowserWindow  # noqa: PLC0415 - needs the module qt
    from support.window_hands import Hands  # noqa: PLC0415

    with ExitStack() as stack:

        def make(*servers: Server) -> Hands:
            return Hands(stack.enter_context(BrowserWindow(tmp_path / "window", *servers)))

        yield make


@dataclass(frozen=True)
class Archive:
    """An Orthanc with one patient: a study of two series, and an older one."""

    peer: Orthanc
    first: list[CorpusFile]
    second: list[CorpusFile]
    older: list[CorpusFile]

    def server(self, name: str = "Archive", address: tuple[str, int] | None = None, **options: Any) -> Server:
        """Describe it, or the proxy before it, for the window."""
        host, port = address or self.peer.address
        return Server(name, host, port, self.peer.ae_title, **options)


PATIENT = "Window^Wanda"


@pytest.fixture(scope="module")
def archive(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A PACS for a test module; nothing in it is changed by anybody but by who stops and starts it."""
    root = tmp_path_factory.mktemp("archive")
    who = {"patient_id": "WIN-1", "patient_name": PATIENT}
    first = make_ct_series(root / "1", 24, 100_000, study=71, series=1, **who)
    second = make_ct_series(root / "2", 12, 100_000, study=71, series=2, **who)
    older = make_ct_series(root / "3", 12, 100_000, study=70, series=1, **who)
    assert orthanc.load([file.path for file in (*first, *second, *older)]) == []
    return Archive(orthanc, first, second, older)
