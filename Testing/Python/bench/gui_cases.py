"""The measurements of :mod:`bench.gui`, each on a window and an engine process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtTest

from bench.gui_window import settled_frames
from support.browser_window import BrowserWindow, qt
from support.catalogue_filler import Filling, add_patient, fill
from support.gui_watch import FrameWatch, ticking, turn_wheel, turns
from support.orthanc import Orthanc
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.store.reader import CatalogueReader

SCROLL_STEPS = 200
SERIES, INSTANCES, INSTANCE_BYTES = 4, 120, 131_072
PERSONS_CHOSEN = 300


def make_database(folder: Path) -> dict[str, int]:
    """Fill a database with 1,000 persons and 10,000 series; return the keys of two persons with pictures."""
    fill(folder, Filling(patients=998, series=8_900, local=False))
    add_patient(folder, 50_000, "Ordinary^Patient", 10, 10)
    add_patient(folder, 50_001, "Large^Patient", 10, 100)
    reader = CatalogueReader(folder)
    rows = reader.patients(reader.patient_rows(QueryFilter(), Places()))
    reader.close()
    assert len(rows) == 1000
    named = {row.patient.name: row.row for row in rows}
    return {"ordinary": named["Ordinary^Patient"], "large": named["Large^Patient"]}


# Scrolling


def scroll_steps(window: BrowserWindow, large: int) -> dict[str, list[float]]:
    """Turn the wheel notch by notch through 1,000 pictures; return the seconds until painted.

    ``frame``: until the next frame; ``complete``: until a frame in which no picture is missing.
    """
    browser = window.browser
    sheet = browser._page.sheet
    settled_frames(browser, lambda: browser.choose_patient(large))
    for study in list(sheet.content.studies):
        sheet.unfold(study.study.study_uid)
    assert len(sheet.content.shown()) == 1000
    window.spin(0.5)
    found: dict[str, list[float]] = {"frame": [], "complete": []}
    for _ in range(SCROLL_STEPS):
        frame, complete = _scroll_once(window, sheet)
        found["frame"].append(frame)
        found["complete"].append(complete)
        window.spin(0.02)
    return found


def _scroll_once(window: BrowserWindow, sheet: Any) -> tuple[float, float]:
    painted = _PaintedPictures(sheet)
    began = time.perf_counter()
    frames = _frames_until(sheet.canvas, lambda: turn_wheel(sheet.canvas, -1), painted.complete)
    painted.stop()
    return frames[0] - began, frames[-1] - began


class _PaintedPictures:
    """Which series were painted with and without their picture last."""

    def __init__(self, sheet: Any) -> None:
        self._sheet, self._original = sheet, sheet.canvas._picture
        # what is not painted again stays as it was before
        self._seen = {row.uid: self._original(row) is not None for row in sheet.canvas.visible_rows()}
        sheet.canvas._picture = self._note

    def _note(self, row: Any) -> Any:
        picture = self._original(row)
        self._seen[row.uid] = picture is not None
        return picture

    def complete(self) -> bool:
        rows = self._sheet.canvas.visible_rows()
        return bool(rows) and all(self._seen.get(row.uid) for row in rows)

    def pictured(self) -> int:
        return sum(bool(self._seen.get(row.uid)) for row in self._sheet.canvas.visible_rows())

    def stop(self) -> None:
        self._sheet.canvas._picture = self._original


def _frames_until(canvas: Any, act: Callable[[], object], complete: Callable[[], bool]) -> list[float]:
    """Do something, and return the times of all frames up to the first that is complete."""
    loop, frames = qt.QEventLoop(), []

    def on_frame(at: float) -> None:
        frames.append(at)
        if complete():
            loop.quit()

    watch, timeout = FrameWatch((canvas,), on_frame), qt.QTimer()
    timeout.setSingleShot(True)
    timeout.timeout.connect(lambda: loop.exit(1))
    timeout.start(20_000)
    act()
    late = loop.exec_()
    watch.stop()
    assert not late, "The pictures were never painted."
    return frames


# Arriving


@contextmanager
def archive(folder: Path) -> Iterator[Server]:
    """Run Orthanc with one person: four series, 480 instances in all."""
    with Orthanc(folder / "orthanc") as peer:
        files = [
            file.path
            for number in range(1, SERIES + 1)
            for file in make_ct_series(folder / f"source{number}", INSTANCES, INSTANCE_BYTES, series=number)
        ]
        assert not peer.load(files)
        yield Server("Archive", *peer.address, called_aet=peer.ae_title)


def arrive(folder: Path, server: Server) -> tuple[dict[str, Any], list[float], list[float]]:
    """Fetch the four series while they are looked at; return facts, gaps between ticks, and times of turns.

    The window shows the person, the pictures, the preview of the first series, its elements, and the list of jobs.
    """
    with BrowserWindow(folder, server) as window:
        browser = window.browser
        show_the_person(window)
        rows = browser._page.sheet.all_series()
        browser._strip.button.click()
        browser._show_detail(rows[0])
        window.spin(1.0)
        began = time.perf_counter()
        with ticking() as ticks, turns() as spent:
            browser._page.fetch_asked.emit(rows)
            window.wait(lambda: _here(window) == SERIES * INSTANCES, "the series", timeout=120)
            window.spin(0.5)
        facts = {"instances": _here(window), "seconds": round(time.perf_counter() - began - 0.5, 2)}
    return facts, ticks.gaps, spent


def show_the_person(window: BrowserWindow) -> None:
    """Search, choose the only person, and wait for the pictures."""
    browser = window.browser
    browser.search()
    sheet = browser._page.sheet
    choose_first(window)
    window.wait(lambda: len(sheet.all_series()) == SERIES, "the series' rows")
    window.wait(lambda: all(sheet._picture(row) is not None for row in sheet.all_series()), "the pictures")
    window.spin(0.3)


def choose_first(window: BrowserWindow) -> None:
    """Choose the first person as soon as the list has one."""
    model = window.browser._patients._model
    if model.keys:
        window.browser.choose_patient(model.keys[0])
        return
    window.browser._patients._model.keys_changed.connect(
        lambda: window.browser.choose_patient(model.keys[0]) if model.keys else None
    )


def _here(window: BrowserWindow) -> int:
    return sum(row.local_instances for row in window.browser._page.sheet.all_series())


# Searching


def search_once(folder: Path, server: Server) -> float:
    """Return the seconds from Enter to the frame with four pictures, on an empty database and a warm engine.

    The only person found is chosen by the program the moment the list has it.
    """
    with BrowserWindow(folder, server) as window:
        browser = window.browser
        sheet = browser._page.sheet
        painted = _PaintedPictures(sheet)
        choose_first(window)
        window.spin(1.0)
        began = time.perf_counter()
        frames = _frames_until(
            sheet.canvas,
            lambda: QtTest.QTest.keyClick(browser._search_bar._field, QtCore.Qt.Key.Key_Return),
            lambda: painted.pictured() == SERIES,
        )
        painted.stop()
    return frames[-1] - began


# Ordinary actions


def actions(window: BrowserWindow, keys: dict[str, int]) -> dict[str, float]:
    """Return the processor time of the longest turn of the loop, in seconds, of things that users do."""
    browser = window.browser
    field = browser._search_bar._field
    sheet = browser._page.sheet

    def type_text() -> None:
        for letter in "doe":
            QtTest.QTest.keyClick(field, letter)
            window.spin(0.05)
        for _ in range(3):
            QtTest.QTest.keyClick(field, QtCore.Qt.Key.Key_Backspace)
            window.spin(0.05)

    def fold_out() -> None:
        for study in list(sheet.content.studies):
            sheet.unfold(study.study.study_uid)
            window.spin(0.05)

    deeds: dict[str, Callable[[], object]] = {
        "choose a patient of 10 x 10": lambda: browser.choose_patient(keys["ordinary"]),
        "unfold all studies": fold_out,
        "larger thumbnails": lambda: sheet._zoom(1),
        "choose all series": lambda: QtTest.QTest.keyClick(
            sheet.canvas, QtCore.Qt.Key.Key_A, QtCore.Qt.KeyboardModifier.ControlModifier
        ),
        "choose a patient of 10 x 100": lambda: browser.choose_patient(keys["large"]),
        "type in the search field": type_text,
        "catalogue changed": window.session.catalogue_changed.emit,
        "resize the window": lambda: browser.resize(1000, 700),
    }
    longest = {}
    for name, act in deeds.items():
        with turns() as spent:
            act()
            window.spin(0.6)
        longest[name] = max(spent)
    return longest


# Memory


def growth(window: BrowserWindow, keys: Sequence[int]) -> list[int]:
    """Choose person after person, and return the resident bytes of this process at the start, half way, and the end."""
    sizes = []
    for at, key in enumerate(keys):
        if at in (len(keys) // 10, len(keys) // 2):
            sizes.append(_resident())
        window.browser.choose_patient(key)
        window.spin(0.01)
    return [*sizes, _resident()]


def _resident() -> int:
    if not Path("/proc/self/statm").exists():
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
