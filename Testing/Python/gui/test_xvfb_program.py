"""The program as a user meets it: started by its command, used by key and mouse on an X server, and closed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from support.guardian import guardian
from support.process_table import ProcessEntry, processes
from support.waiting import wait_until
from support.xvfb import CONTROL, Hands, Xvfb, hands_on
from VisualDICOMBrowserLib.demo.launcher import DemoServer, demo_pacs
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.overview import Places, SeriesRow
from VisualDICOMBrowserLib.engine.client import engine_environment
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.store.reader import CatalogueReader

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="starts an X server and looks into /proc")

SECONDS = 60.0
TITLE = "Visual DICOM Browser"
# Where things are in a new window (1280 x 820 at the upper left corner), with room for other fonts.
LIST = (0, 75, 278, 790)
FIRST_PATIENT = (8, 79, 250, 110)
SHEET = (290, 130, 1260, 470)
FIRST_THUMBNAIL = (410, 230)
PREVIEW = (290, 490, 570, 760)
ELEMENTS = (680, 540, 1260, 780)
WELCOME = (300, 250, 980, 600)


class Program:
    """A started program with folders of its own."""

    def __init__(self, folder: Path, environment: dict[str, str], *words: str) -> None:
        self.home, self.temporary = folder / "home", folder / "tmp"
        for made in (self.home, self.temporary):
            made.mkdir()
        homes = {"HOME": str(self.home), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "TMPDIR": str(self.temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "VisualDICOMBrowserLib", *words],
            env={**environment, **homes, "PYTHONPATH": engine_environment()["PYTHONPATH"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        self.said = ""
        guardian.watch(self.process.pid)

    def end(self) -> int:
        """Wait until it and all that it started are gone; return the exit code."""
        out, errors = self.process.communicate(timeout=SECONDS)
        self.said = (out + errors).decode()
        wait_until(lambda: not self.processes(), 8, "the end of its children")
        return self.process.returncode

    def processes(self) -> list[ProcessEntry]:
        """Return what lives of it and of its descendants: they inherit its folder for temporary files."""
        mark = f"TMPDIR={self.temporary}".encode()
        return [entry for entry in processes() if entry.state not in "ZX" and mark in _environment_of(entry.pid)]

    def left_behind(self) -> list[str]:
        """Return what lies in its temporary folder and in its home, besides the caches of libraries."""
        found = [*self.temporary.iterdir(), *(p for p in self.home.rglob("*") if p.is_file())]
        return [str(path.relative_to(self.home.parent)) for path in found if ".cache" not in path.parts]

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        for entry in self.processes():
            os.kill(entry.pid, signal.SIGKILL)
        self.process.communicate(timeout=SECONDS)
        guardian.forget(self.process.pid)


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it ended while we looked
        return []


class Screen:
    """What a user sees and does."""

    def __init__(self, server: Xvfb, hands: Hands) -> None:
        self.server, self.hands = server, hands

    def window(self, program: Program) -> int:
        """Wait for the window and give it the keyboard."""
        wait_until(lambda: self.hands.windows(TITLE) or program.process.poll() is not None, SECONDS, "the window")
        window = self.hands.windows(TITLE)[0]
        wait_until(lambda: _is_drawn(self.look(LIST)) or _is_drawn(self.look(WELCOME)), SECONDS, "something in it")
        self.hands.focus(window)
        return window

    def look(self, place: tuple[int, int, int, int]) -> Image.Image:
        """Return what is on a part of the screen."""
        return self.server.picture().crop(place).convert("RGB")

    def see(self, place: tuple[int, int, int, int], condition: Callable[[Image.Image], object], what: str) -> None:
        """Wait for something to be seen."""
        wait_until(lambda: condition(self.look(place)), SECONDS, what)

    def see_change(self, place: tuple[int, int, int, int], do: Callable[[], object], what: str) -> None:
        """Do something that changes a part of the screen."""
        before = self.look(place)
        do()
        self.see(place, lambda now: ImageChops.difference(now, before).getbbox(), what)


def _is_drawn(picture: Image.Image) -> bool:
    """Whether there is more than a flat surface and a line or two."""
    return len(picture.getcolors(1 << 24)) > 12


def _has_grey_levels(picture: Image.Image) -> bool:
    """Whether it holds an image: text on a dark ground has fewer shades, and covers less."""
    histogram = picture.convert("L").histogram()
    return sum(1 for count in histogram if count > 5) > 60 and sum(histogram[40:220]) > 8000


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Have programs hear Ctrl-C: a shell lets what it starts in the background ignore it, and that is inherited."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def screen() -> Iterator[Screen]:
    with Xvfb() as server, hands_on(server.display) as hands:
        yield Screen(server, hands)


@pytest.fixture
def start(screen: Screen, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    running: list[Program] = []

    def begin(*words: object, **environment: str) -> Program:
        running.append(Program(tmp_path, screen.server.environment(**environment), *map(str, words)))
        return running[-1]

    yield begin
    screen.server.picture().save(tmp_path / "last.png")  # of use after a failure
    for program in running:
        program.close()


@pytest.fixture(scope="module")
def pacs() -> Iterator[DemoServer]:
    with demo_pacs(timeout=2 * SECONDS) as server:
        yield server


@pytest.fixture
def start_gui(start: Callable[..., Program], pacs: DemoServer, tmp_path: Path) -> Callable[[], Program]:
    """Starts the window on a database folder and a configuration with one server."""
    Configuration(tmp_path / "config.json").add(pacs.server)
    return lambda: start("gui", "--database", tmp_path / "D", "--config", tmp_path / "config.json")


def series_of(database: Path) -> list[SeriesRow]:
    """Return all series that the catalogue knows."""
    with closing(CatalogueReader(database)) as reader:
        studies = [
            row.study.study_uid
            for patient in reader.patient_rows(QueryFilter(), Places())
            for row in reader.studies(patient, QueryFilter(), Places())
        ]
        return [row for rows in reader.series(studies, QueryFilter(), Places()).values() for row in rows]


def whole_series(database: Path) -> list[SeriesRow]:
    """Return the series of several images that are completely on this computer."""
    return [row for row in series_of(database) if (row.instances or 0) > 1 and row.local_instances == row.instances]


def verified(database: Path) -> dict[str, Any]:
    """Compare files and rows, with the program's own command."""
    words = ["-m", "VisualDICOMBrowserLib", "--database", str(database), "verify", "--json"]
    environment = {**os.environ, **engine_environment()}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, timeout=SECONDS, check=True)
    return dict(json.loads(done.stdout))


def find_patient(screen: Screen, text: str) -> None:
    """Type a part of a name, search, and go down to the patient found."""
    screen.see_change(LIST, lambda: screen.hands.type(text), "fewer patients")
    screen.hands.key("Return")
    screen.see(FIRST_PATIENT, _is_drawn, "the patient")
    screen.hands.key("Down")
    screen.see(SHEET, _has_grey_levels, "thumbnails")


def test_the_demo_is_used_by_keys_and_mouse_and_leaves_nothing_behind(screen, start):
    program = start("demo", "--theme", "light")
    screen.window(program)
    screen.see(LIST, _is_drawn, "the patients of the search that the demo makes")
    find_patient(screen, "Yama")
    screen.see_change(PREVIEW, lambda: screen.hands.click(*FIRST_THUMBNAIL), "the preview")
    screen.see(PREVIEW, _has_grey_levels, "an image in the preview")
    screen.see(ELEMENTS, _is_drawn, "elements")
    screen.hands.move(474, 636)
    before = screen.look(PREVIEW)

    def turned(now: Image.Image) -> object:
        screen.hands.turn(-1)  # as a user does: until something moves; at first the thumbnail stands in
        return ImageChops.difference(now, before).getbbox()

    screen.see(PREVIEW, turned, "the next frame")
    os.killpg(program.process.pid, signal.SIGINT)  # Ctrl-C in a terminal tells all processes of the group
    assert program.end() == 0
    assert len(program.said.splitlines()) == 2  # that the PACS starts, and what it holds
    assert program.left_behind() == []


def test_a_double_click_fetches_a_series_and_the_window_manager_closes_the_window(screen, start_gui, tmp_path):
    program = start_gui()
    window = screen.window(program)
    screen.hands.key("Return")
    screen.see(FIRST_PATIENT, _is_drawn, "patients")
    find_patient(screen, "Sample")
    assert not whole_series(tmp_path / "D")
    screen.hands.click(*FIRST_THUMBNAIL, times=2)
    wait_until(lambda: whole_series(tmp_path / "D"), SECONDS, "the series")
    screen.hands.ask_to_close(window)
    assert program.end() == 0
    assert program.said == ""
    (fetched,) = whole_series(tmp_path / "D")
    document = verified(tmp_path / "D")
    assert document["ok"]
    assert document["files"] >= fetched.local_instances > 1
    assert (tmp_path / "window.ini").exists()
    assert list(program.temporary.iterdir()) == []


def test_a_window_closed_while_a_series_arrives_leaves_a_sound_folder(screen, start_gui, tmp_path):
    program = start_gui()
    screen.window(program)
    screen.see_change(FIRST_PATIENT, lambda: screen.hands.key("Return"), "patients")
    screen.hands.key("Down")
    screen.see(SHEET, _has_grey_levels, "thumbnails")
    screen.hands.click(*FIRST_THUMBNAIL, times=2)
    screen.hands.key("q", CONTROL)
    assert program.end() == 0
    assert program.said == ""
    assert verified(tmp_path / "D")["ok"]


def test_a_first_start_shows_how_to_begin(screen, start):
    program = start("gui", "--theme", "light")
    screen.window(program)
    screen.see(WELCOME, _is_drawn, "the welcome page")
    assert screen.look(PREVIEW).convert("L").histogram()[20] < 50  # the black ground of the preview is not there
    screen.see_change(WELCOME, lambda: screen.hands.click(510, 420), "the form of a new server")
    screen.hands.key("q", CONTROL)
    assert program.end() == 0
    assert program.said == ""
    assert any(path.endswith("window.log") for path in program.left_behind())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_terminal_ends_the_window(screen, start_gui, number):
    program = start_gui()
    screen.window(program)
    os.killpg(program.process.pid, number)
    assert program.end() == 0
    assert program.said == ""
    assert list(program.temporary.iterdir()) == []


def _pacs_of(program):
    return [entry for entry in program.processes() if "VisualDICOMBrowserLib.demo" in entry.command_line]


@pytest.mark.parametrize(("number", "code", "says"), [(signal.SIGINT, 1, 2), (signal.SIGTERM, 143, 1)])
def test_a_demo_ended_while_it_starts_leaves_nothing_behind(start, number, code, says):
    program = start("demo")
    wait_until(lambda: _pacs_of(program), SECONDS, "the PACS")
    (pacs,) = _pacs_of(program)

    def has_written() -> bool:
        os.kill(pacs.pid, signal.SIGCONT)
        time.sleep(0.02)
        os.kill(pacs.pid, signal.SIGSTOP)  # else it may be ready, and the window be made, before the signal comes
        return bool(list(program.temporary.glob("demo-pacs-*/*")))

    wait_until(has_written, SECONDS, "the PACS to write studies")
    program.process.send_signal(number)
    os.kill(pacs.pid, signal.SIGCONT)
    assert program.end() == code
    assert len(program.said.splitlines()) == says
    assert program.left_behind() == []


def test_no_process_outlives_a_killed_window(screen, start_gui):
    program = start_gui()
    screen.window(program)
    wait_until(lambda: len(program.processes()) > 1, SECONDS, "the engine")
    program.process.kill()
    assert program.end() == -signal.SIGKILL


def test_without_a_display_the_demo_says_so_and_leaves_nothing_behind(start):
    program = start("demo", DISPLAY=":60000")
    assert program.end() == 2
    assert program.said.startswith("Error: The window cannot be opened: there is no display")
    assert len(program.said.splitlines()) == 1
    assert program.left_behind() == []
