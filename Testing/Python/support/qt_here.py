"""Whether the tests of the window can run on this computer.

PySide6 does not load where a library of the system is missing (libEGL on servers), and pytest-qt then ends the whole
run before the first test. The tests of the window are then skipped, visibly; where ``CI=true`` is set they fail.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

PARTS = ("QtCore", "QtGui", "QtWidgets", "QtTest")


@cache
def obstacle() -> str | None:
    """Say why there is no Qt, or None if there is."""
    try:
        for part in PARTS:
            importlib.import_module(f"PySide6.{part}")
    except ImportError as error:
        return f"Qt cannot be loaded: {error}"
    return None


def drop_pytest_qt(manager: pytest.PytestPluginManager) -> None:
    """Do without pytest-qt where it could not even start; to be called before it is configured."""
    if manager.hasplugin("pytest-qt") and obstacle() is not None:
        manager.unregister(name="pytest-qt")


def draw_offscreen_without_display() -> None:
    """Let Qt draw into memory where there is no display."""
    if os.name == "posix" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        os.environ["QT_QPA_PLATFORM"] = os.environ.get("QT_QPA_PLATFORM") or "offscreen"


class ModuleWithoutQt(pytest.Module):
    """Takes the place of a test module that cannot even be imported."""

    def collect(self) -> NoReturn:
        """Skip the module, or fail on a build machine."""
        reason = str(obstacle())
        if os.environ.get("CI", "").lower() == "true":
            raise self.CollectError(reason)
        raise pytest.skip.Exception(reason, allow_module_level=True)


def make_module(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Give what to collect instead of a test module; None for the module itself."""
    return None if obstacle() is None else ModuleWithoutQt.from_parent(parent, path=module_path)
