"""What the command ``gui`` says where there can be no window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.engine.client import engine_environment

WITHOUT = """
import sys
sys.modules["PySide6"] = None
from VisualDICOMBrowserLib.cli import main
sys.exit(main(sys.argv[1:]))
"""
BROKEN = 'raise ImportError("libEGL.so.1: cannot open shared object file", name="PySide6.QtCore")'
PLAIN = "import sys; from VisualDICOMBrowserLib.cli import main; sys.exit(main(sys.argv[1:]))"


def run(program: str, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line with homes of its own."""
    homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}
    return subprocess.run(
        [sys.executable, "-c", program, "--database", str(folder / "database"), *words],
        env={**os.environ, **engine_environment(), **homes, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_pyside_the_command_says_how_to_get_it(tmp_path):
    done = run(WITHOUT, tmp_path, "gui")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: The window needs PySide6. Install it with: pip install 'visual-dicom-browser[desktop]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_with_a_pyside_that_does_not_load_the_command_says_why(tmp_path):
    package = tmp_path / "broken" / "PySide6"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    for part in ("QtCore", "QtGui", "QtWidgets"):
        (package / f"{part}.py").write_text(BROKEN, encoding="utf-8")
    path = os.pathsep.join([str(package.parent), engine_environment()["PYTHONPATH"]])
    done = run(PLAIN, tmp_path, "gui", PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: Qt cannot be loaded, because a library of the system is missing:"
        " libEGL.so.1: cannot open shared object file.\n"
    )


def test_a_theme_that_does_not_exist_is_wrong_usage(tmp_path):
    done = run(WITHOUT, tmp_path, "gui", "--theme", "pink")
    assert done.returncode == 2
    assert "pink" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="displays of X")
def test_without_a_display_the_command_says_so(tmp_path):
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    done = run(PLAIN, tmp_path, "gui", DISPLAY=":60000", QT_QPA_PLATFORM="xcb")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The window cannot be opened: there is no display")
