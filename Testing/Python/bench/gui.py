"""How quickly the window opens, scrolls and answers, as one document; the definitions:

``open_seconds``
    1,000 persons, 10,000 series, engine running. From just before a finished widget is shown, with a person of 10
    studies with 10 series each chosen, until the first painted frame in which list and sheet are, pixel for pixel,
    what they are at rest: rows and pictures from the files. A new process each time; making the copies to compare
    counts. ``open_with_construction_seconds`` begins before the widget is made.
``max_gap_ms``, ``p99_gap_ms``
    Between ticks of a 1 ms timer on the GUI thread while four series of 120 instances (63 MB) come from a local
    Orthanc, with person, pictures, preview, elements, and the list of jobs in view. Server and engine are not niced.
``scroll_p95_ms``
    From a notch of the wheel until the window (1280 x 820) is painted with no visible picture missing, in a sheet of
    1,000 pictures in files, one notch about every 20 ms.
``search_to_four_thumbnails_seconds``
    From Enter in an empty database with a warm engine until four pictures are painted, which the engine makes of what
    it fetches from a local Orthanc. The program chooses the only person found as soon as the list has it.
``longest_turn_ms``
    The most processor time that the GUI thread spends at a stretch, without a chance for other events, on things that
    users do.
``memory_mb``
    Resident memory of the window's process after a tenth, a half, and all of 300 persons were chosen one by one.

Medians of the repetitions; ``worst`` has the worst ones. Everything but the opening is measured in this process.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from support.gui_watch import percentile
from support.peers import find
from VisualDICOMBrowserLib.domain.errors import LocalError

Say = Callable[[str], None]

REPETITIONS = 5
_OPEN = Path(__file__).with_name("gui_open.py")


def measure(say: Say) -> dict[str, Any]:
    """Return the document.

    :raises LocalError: no Orthanc.
    """
    if find("Orthanc") is None:
        raise LocalError("Orthanc is not installed; as root on Debian: python3 run.py test --collect-only -q")
    from bench import gui_cases  # noqa: PLC0415 - Qt comes with it

    with tempfile.TemporaryDirectory(prefix="vdb-bench-") as name:
        folder = Path(name)
        say("Filling a database with 1,000 persons and 10,000 series ...")
        database = folder / "filled" / "database"
        keys = gui_cases.make_database(database)
        found, worst = _opened(database, folder, keys["ordinary"], say)
        say("Scrolling, choosing, typing ...")
        with gui_cases.BrowserWindow(folder / "filled") as window:
            steps = gui_cases.scroll_steps(window, keys["large"])["complete"]
            found["scroll_p95_ms"] = _ms(percentile(steps, 95))
            worst["scroll_ms"] = _ms(max(steps))
            found["longest_turn_ms"] = {what: _ms(time) for what, time in gui_cases.actions(window, keys).items()}
            sizes = gui_cases.growth(window, window.browser._patients._model.keys[: gui_cases.PERSONS_CHOSEN])
            found["memory_mb"] = [size >> 20 for size in sizes]
        with gui_cases.archive(folder / "archive") as server:
            _add_arrivals(
                found, worst, [gui_cases.arrive(folder / f"arrive{n}", server) for n in _told(say, "Fetching")]
            )
            times = [gui_cases.search_once(folder / f"search{n}", server) for n in _told(say, "Searching")]
            found["search_to_four_thumbnails_seconds"] = round(statistics.median(times), 3)
            worst["search_to_four_thumbnails_seconds"] = round(max(times), 3)
    return {**found, "worst": worst, "repetitions": REPETITIONS, **_machine()}


def _told(say: Say, what: str) -> Sequence[int]:
    say(f"{what}, {REPETITIONS} times ...")
    return range(REPETITIONS)


def _opened(database: Path, folder: Path, key: int, say: Say) -> tuple[dict[str, Any], dict[str, Any]]:
    runs = [_open_once(database, folder, key) for _ in _told(say, "Opening the window")]
    names = {
        "open_seconds": "open",
        "open_with_construction_seconds": "with_construction",
        "first_frame_seconds": "first_frame",
    }
    medians = {name: round(statistics.median(run[key] for run in runs), 3) for name, key in names.items()}
    return medians, {name: round(max(run[key] for run in runs), 3) for name, key in names.items()}


def _open_once(database: Path, folder: Path, key: int) -> dict[str, float]:
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, _OPEN, database, folder, str(key)],
        check=False, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    if done.returncode:
        raise LocalError(f"The window could not be opened:\n{done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _add_arrivals(found: dict[str, Any], worst: dict[str, Any], runs: Sequence[Any]) -> None:
    longest = [max(gaps) for _, gaps, _ in runs]
    found["max_gap_ms"] = _ms(statistics.median(longest))
    found["p99_gap_ms"] = _ms(statistics.median(percentile(gaps, 99) for _, gaps, _ in runs))
    found["longest_turn_ms"]["series arriving"] = _ms(statistics.median(max(spent) for _, _, spent in runs))
    found["arrival_seconds"] = statistics.median(facts["seconds"] for facts, _, _ in runs)
    worst["max_gap_ms"] = _ms(max(longest))
    worst["p99_gap_ms"] = _ms(max(percentile(gaps, 99) for _, gaps, _ in runs))


def _machine() -> dict[str, Any]:
    from PySide6 import QtCore, QtWidgets  # noqa: PLC0415

    app = QtWidgets.QApplication.instance()
    return {
        "qt": QtCore.qVersion(),
        "platform": app.platformName() if app is not None else "",
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
