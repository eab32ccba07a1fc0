"""The desktop program as a process of its own: it opens, is used with real keys and mouse, and ends cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.process_table import children
from support.waiting import wait_until
from support.xvfb import CONTROL, Xvfb, hands_on, socket_of
from VisualDICOMBrowserLib.engine.client import engine_environment

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")

#: The program with a small central widget that notes what happens to it.
PROGRAM = """
import json, os, sys
from pathlib import Path
from VisualDICOMBrowserLib.host_desktop import app
import PySide6.QtCore as core, PySide6.QtWidgets as widgets

FOLDER = Path(sys.argv[1])

class Browser(widgets.QWidget):
    def __init__(self, session, parent):
        super().__init__(parent)
        self._session = session
        layout = widgets.QVBoxLayout(self)
        self.edit, self.button = widgets.QLineEdit(self), widgets.QPushButton("Break", self)
        layout.addWidget(self.edit)
        layout.addWidget(self.button)
        self.edit.textChanged.connect(lambda text: self.note("text", text))
        self.button.clicked.connect(self.fail)
        session.ready_changed.connect(self.ready)
        session.said.connect(lambda message: self.note("said", message.text))
        self.setEnabled(False)
        self.setEnabled(True)

    def changeEvent(self, event):
        if number := os.environ.pop("SIGNAL", ""):
            os.kill(os.getpid(), int(number))
            self.note("signalled", number)

    def ready(self, ready, sentence):
        at = [[w.mapToGlobal(w.rect().center()).x(), w.mapToGlobal(w.rect().center()).y()]
              for w in (self.edit, self.button)]
        self.note("ready", [ready, sentence, self._session._client.hello.pid if ready else 0, at])

    def fail(self):
        raise ValueError("DOE^JANE")

    def note(self, *what):
        with (FOLDER / "notes").open("a") as file:
            file.write(json.dumps(what) + "\\n")

    def arrangement(self):
        return ""

    def arrange(self, text):
        pass

    def close_session(self):
        self.note("closing", widgets.QApplication.topLevelWidgets()[0].isVisible())
        self._session.close()

sys.exit(app.main(FOLDER / "database", FOLDER / "config.json", theme_name="dark", log_folder=FOLDER / "logs",
                  make_browser=Browser))
"""


class Desktop:
    """The running program."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            env={**environment, "PYTHONPATH": engine_environment()["PYTHONPATH"]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def notes(self, about: str) -> list:
        path = self.folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [note[1] for line in lines if (note := json.loads(line))[0] == about]

    def ready(self) -> list:
        wait_until(lambda: self.notes("ready") or self.process.poll() is not None, 30, "the engine of the window")
        return self.notes("ready")[0]

    def end(self, seconds: float = 8.0) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, errors.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture
def desktop(tmp_path):
    running = []

    def start(environment: dict[str, str]) -> Desktop:
        running.append(Desktop(tmp_path, environment))
        return running[-1]

    yield start
    for program in running:
        program.close()


@pytest.fixture(scope="module")
def xvfb():
    with Xvfb() as server:
        yield server


OFFSCREEN = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and any(entry.pid == pid for entry in children())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_window_and_the_engine(desktop, number):
    program = desktop(OFFSCREEN)
    ready, sentence, engine, _ = program.ready()
    assert (ready, sentence) == (True, "")
    start = time.monotonic()
    program.process.send_signal(number)
    assert program.end() == (0, "")
    assert time.monotonic() - start < 6
    assert not is_running(engine)
    assert program.notes("closing") == [False]  # the window was hidden before anybody waited


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_window_is_made_and_qt_loses_what_is_raised_closes_it(desktop, number):
    program = desktop({**OFFSCREEN, "SIGNAL": str(int(number))})
    assert program.end(30) == (0, "")
    assert program.notes("signalled") == [str(int(number))]


def test_real_keys_and_mouse_reach_the_window_and_ctrl_q_ends_it(desktop, xvfb):
    program = desktop(xvfb.environment())
    _, _, engine, (edit, button) = program.ready()
    with hands_on(xvfb.display) as hands:
        hands.click(*edit)
        hands.type("Doe*, Jane")
        wait_until(lambda: program.notes("text")[-1:] == ["Doe*, Jane"], what="the text")
        hands.click(*button)
        wait_until(lambda: program.notes("said"), what="the message about the failure")
        hands.click(*button)
        hands.key("q", CONTROL)
        assert program.end() == (0, "")
    assert not is_running(engine)
    assert "Something went wrong" in program.notes("said")[0]
    log = (program.folder / "logs" / "window.log").read_text()
    assert "ValueError in fail" in log
    assert "DOE" not in log


def test_without_a_display_the_program_says_so(desktop):
    program = desktop({**OFFSCREEN, "QT_QPA_PLATFORM": "xcb", "DISPLAY": ":60000"})
    code, errors = program.end(30)
    assert code == 2
    assert errors.startswith("Error: The window cannot be opened")
    assert len(errors.splitlines()) == 1


def test_a_display_of_the_tests_leaves_nothing_behind():
    with Xvfb(200, 100) as server:
        assert socket_of(server.display).exists()
        display = server.display
    assert not socket_of(display).exists()
