"""What every test is watched for: unexpected log messages, and what it left behind.

That is threads, processes, sockets and files of the engine that are open still, and the engine's temporary folders.

``conftest.py`` takes the fixtures and hooks from here.
"""

from __future__ import annotations

import gc
import logging
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .guardian import guardian
from .process_table import ProcessEntry, children
from .processes import lasting

LEAK_SECONDS = 5.0
DESCRIPTORS = "/proc/self/fd"
WATCHED_FILES = (".part", ".dcm", ".sql", ".sqlite", ".lock")

MARKERS = (
    "expects_log(*parts): warnings and errors in the log that hold one of these texts do not fail the test",
    "soak: takes minutes; runs only when asked for with -m",
)

#: Helper processes of Python's own that stay until the end.
_PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def register_markers(config: pytest.Config) -> None:
    """Make the kit's markers known."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def skip_soak_tests(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked ``soak`` unless an expression was given with ``-m``."""
    if config.getoption("markexpr"):
        return
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="soak test, runs with -m soak"))


class LogKeeper(logging.Handler):
    """Keeps the records of warnings and worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        self.records.append(record)


@pytest.fixture(autouse=True)
def logfail(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test for any log record of level WARNING or above that it did not declare with ``expects_log``."""
    keeper = LogKeeper()
    root = logging.getLogger()
    root.addHandler(keeper)
    try:
        yield
    finally:
        root.removeHandler(keeper)
    expected = [part for mark in request.node.iter_markers("expects_log") for part in mark.args]
    lines = [f"{record.levelname} {record.name}: {record.getMessage()}" for record in keeper.records]
    unexpected = [line for line in lines if not any(part in line for part in expected)]
    if unexpected:
        pytest.fail("Unexpected log messages:\n  " + "\n  ".join(unexpected), pytrace=False)


@pytest.fixture(autouse=True)
def leak_check() -> Iterator[None]:
    """Fail the test if anything of its own is still there afterwards: see the module."""
    threads_before = set(threading.enumerate())
    children_before = {entry.pid for entry in children()}
    open_before, folders_before = open_things(), temporary_folders()
    yield
    for thread in new_threads(threads_before):
        _await_end(thread)
    left = {
        "threads": [thread.name for thread in new_threads(threads_before)],
        "processes": [f"{entry.pid} {entry.command_line}" for entry in new_children(children_before)],
        "descriptors": sorted((_opened_since(open_before)).elements()),
        "temporary folders": sorted(temporary_folders() - folders_before),
    }
    if any(left.values()):
        words = ", ".join(f"{kind} {names}" for kind, names in left.items() if names)
        pytest.fail(f"The test left behind {words}.", pytrace=False)


def _await_end(thread: threading.Thread) -> None:
    """Wait for a thread, of which Python may know before it runs, when nobody can join it."""
    deadline = time.monotonic() + LEAK_SECONDS
    while thread.ident is None and thread in threading.enumerate() and time.monotonic() < deadline:
        time.sleep(0.001)
    if thread.ident is not None:
        thread.join(max(0.0, deadline - time.monotonic()))


def open_things() -> Counter[str]:
    """Return what is open in this process of the kinds that matter, where the system tells: sockets and files."""
    found: Counter[str] = Counter()
    for entry in os.scandir(DESCRIPTORS) if os.path.isdir(DESCRIPTORS) else ():  # noqa: PTH112
        try:
            target = os.readlink(entry.path)  # noqa: PTH115
        except OSError:
            continue  # closed in this moment
        kind = target.partition(":")[0]
        if kind == "socket" or target.endswith(WATCHED_FILES):
            found[kind] += 1
    return found


def _opened_since(before: Counter[str]) -> Counter[str]:
    """Return what is open and was not then; what only waits to be closed or collected gets its time."""
    deadline, delay = time.monotonic() + LEAK_SECONDS, 0.005
    while (left := open_things() - before) and time.monotonic() < deadline:
        time.sleep(delay)
        delay = min(2 * delay, 0.2)
        if delay > 0.1:  # it costs more than all else here
            gc.collect()
    return left


def temporary_folders() -> set[str]:
    """Return this process's session folders."""
    pattern = f"visual-dicom-browser-*-{os.getpid()}-*"
    return {path.name for path in Path(tempfile.gettempdir()).glob(pattern)}


def new_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    """Return the living threads, without daemons, that are not in ``before``."""
    return [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]


def new_children(before: set[int]) -> list[ProcessEntry]:
    """Return the child processes that are not in ``before`` and belong to the test."""
    return [entry for entry in children() if entry.pid not in before and not _belongs_to_the_session(entry)]


def _belongs_to_the_session(entry: ProcessEntry) -> bool:
    return (
        entry.group in lasting or entry.pid == guardian.pid or any(name in entry.command_line for name in _PYTHONS_OWN)
    )
