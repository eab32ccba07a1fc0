"""Fixtures for tests of the window; without a display it is drawn offscreen."""

from __future__ import annotations

import os
import sys

import pytest

if sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from VisualDICOMBrowserLib.host_desktop import qt_shim

qt_shim.install()

from support.fake_session import FakeSession  # noqa: E402


@pytest.fixture
def session(qapp) -> FakeSession:
    """A session without an engine: it notes what it is asked, and answers when told to."""
    return FakeSession()
