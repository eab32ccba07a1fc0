"""Without Qt the tests of the window are skipped in sight of all, and the other tests run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
#: What PySide6 says on a computer without libEGL.
BROKEN = 'raise ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")\n'


@pytest.fixture
def run_without_qt(tmp_path):
    """Run pytest with a PySide6 that does not load."""
    package = tmp_path / "PySide6"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    for part in ("QtCore", "QtGui", "QtWidgets", "QtTest"):
        (package / f"{part}.py").write_text(BROKEN, encoding="utf-8")

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        chosen = [TESTS / "gui" / "test_shim.py", TESTS / "unit" / "domain" / "test_domain_cancel.py"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, chosen)],
            env={**os.environ, "PYTHONPATH": str(tmp_path), "CI": "", **environment},
            cwd=TESTS.parents[1],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_without_qt_the_window_is_skipped_and_the_rest_runs(run_without_qt):
    done = run_without_qt()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Qt cannot be loaded: libEGL.so.1" in done.stdout
    assert "1 skipped" in done.stdout
    assert " passed" in done.stdout


def test_without_qt_a_build_machine_fails(run_without_qt):
    done = run_without_qt(CI="true")
    assert done.returncode != 0
    assert "Qt cannot be loaded: libEGL.so.1" in done.stdout
