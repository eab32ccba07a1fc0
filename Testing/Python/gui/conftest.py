"""Fixtures for tests of the window; without a display it is drawn offscreen."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import qt_here
from support.fake_session import FakeSession
from VisualDICOMBrowserLib.host_desktop import qt_shim

if qt_here.obstacle() is None:
    qt_here.draw_offscreen_without_display()
    qt_shim.install()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return qt_here.make_module(module_path, parent)


@pytest.fixture
def session(qapp) -> FakeSession:
    """A session without an engine: it notes what it is asked, and answers when told to."""
    return FakeSession()
