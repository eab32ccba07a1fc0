"""What every test is watched for, shown by tests of tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]

CONFTEST = """
from support.guards import leak_check, logfail, register_markers, skip_soak_tests

def pytest_configure(config):
    register_markers(config)

def pytest_collection_modifyitems(config, items):
    skip_soak_tests(config, items)
"""

HEAD = """
import logging, subprocess, threading
import pytest
"""


def outcome(folder: Path, body: str, *options: str) -> str:
    """Run a test file under the guards and return what pytest wrote."""
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_inner.py").write_text(HEAD + body, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "--strict-markers", "-p", "no:cacheprovider", *options, "."],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_warning_in_the_log_fails_the_test_unless_declared(tmp_path: Path):
    told = outcome(
        tmp_path,
        """
def test_quiet():
    logging.getLogger("x").info("nothing")

def test_noisy():
    logging.getLogger("x").warning("the disk is nearly full")

@pytest.mark.expects_log("nearly full")
def test_declared():
    logging.getLogger("x").warning("the disk is nearly full")

@pytest.mark.expects_log("nearly full")
def test_other():
    logging.getLogger("x").error("the disk is broken")
""",
    )
    assert "4 passed, 2 errors" in told
    assert "WARNING x: the disk is nearly full" in told
    assert "ERROR x: the disk is broken" in told


def test_a_process_left_behind_fails_the_test(tmp_path: Path):
    told = outcome(
        tmp_path,
        """
def test_leaks():
    global child
    child = subprocess.Popen(["sleep", "30"])

def test_the_next_one_is_not_blamed():
    pass

def test_tidy():
    child.kill()
    child.wait()
""",
    )
    assert "3 passed, 1 error" in told
    assert "sleep 30" in told


def test_a_thread_left_behind_fails_the_test(tmp_path: Path):
    told = outcome(
        tmp_path,
        """
from support import guards
guards.LEAK_SECONDS = 0.1
go = threading.Event()

def test_leaks():
    threading.Thread(target=go.wait, name="left-behind").start()

def test_a_daemon_may_stay():
    threading.Thread(target=go.wait, daemon=True).start()

def test_a_thread_that_ends_soon_is_no_leak():
    go.set()
    threading.Thread(target=go.wait).start()
""",
    )
    assert "3 passed, 1 error" in told
    assert "left-behind" in told


@pytest.mark.parametrize(
    ("options", "expected"), [((), "1 passed, 1 skipped"), (("-m", "soak"), "1 passed, 1 deselected")]
)
def test_soak_tests_run_only_when_asked_for(tmp_path: Path, options: tuple[str, ...], expected: str):
    told = outcome(
        tmp_path,
        """
def test_short():
    pass

@pytest.mark.soak
def test_long():
    pass
""",
        *options,
    )
    assert expected in told
