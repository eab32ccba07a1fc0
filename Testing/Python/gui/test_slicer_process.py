"""The engine as the browser inside Slicer starts it: behind a launcher, and where no process can be started."""

from __future__ import annotations

import builtins
import io
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import qt

from support.gil import idle_in_qt, needs_libc
from support.process_table import children, processes
from support.slicer_fakes.process import MainThreadDatabase, RowsForSession, make_python_slicer
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.errors import LocalError, SchemaMismatch
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.client import engine_environment
from VisualDICOMBrowserLib.engine.configuration import Configuration, default_configuration_file
from VisualDICOMBrowserLib.engine.job_queue import CatalogueJobQueue
from VisualDICOMBrowserLib.engine.log_file import MAX_BYTES
from VisualDICOMBrowserLib.gui.engine_process import QProcessTransport
from VisualDICOMBrowserLib.host_slicer import engine_start
from VisualDICOMBrowserLib.host_slicer.fallback import TransportWithFallback
from VisualDICOMBrowserLib.host_slicer.user_files import configuration_file, log_file
from VisualDICOMBrowserLib.jobs.queue import unfinished
from VisualDICOMBrowserLib.store.catalogue import Catalogue
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the launcher is a script")

SAMPLES = Path(__file__).parents[2] / "Data" / "ctk-databases"
WAIT_MS = 20_000

#: A Slicer whose end nobody announces.
SLICER = """
import sys
from pathlib import Path
from VisualDICOMBrowserLib.host_desktop import qt_shim
qt = qt_shim.install()
app = qt.QCoreApplication(["Slicer"])
from VisualDICOMBrowserLib.host_slicer.engine_start import make_session
session = make_session(Path(sys.argv[1]), Path(sys.argv[2]))
session.ready_changed.connect(lambda ready, why: print("ready", ready, why, flush=True))
session.start()
app.exec_()
"""


def filled_database(folder: Path) -> Path:
    """Make a database that CTK wrote, with its files."""
    shutil.copytree(SAMPLES / "copied", folder)
    for source in (SAMPLES / "source").glob("*.dcm"):
        header = read_header(source)
        target = DatabaseFolder(folder).instance_path(header.study_uid, header.series_uid, header.sop_uid)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return folder


class Slicer:
    """A database folder, a PythonSlicer on the search path, a home, and sessions on all of it."""

    def __init__(self, folder: Path, monkeypatch, qtbot) -> None:
        self.bin = folder / "bin"
        self.config = folder / "config.json"
        self.database = filled_database(folder / "database")
        self.sessions = []
        self._qtbot = qtbot
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, str(folder / name))
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("PATH", f"{self.bin}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setitem(sys.modules, "slicer", SimpleNamespace(dicomDatabase=MainThreadDatabase(self.database)))

    def session(self):
        session = engine_start.make_session(self.database, self.config)
        session.heard = []
        session.said.connect(session.heard.append)
        self.sessions.append(session)
        return session

    def started(self):
        session = self.session()
        session.start()
        self.wait(lambda: session.ready)
        return session

    def starts(self):
        """The processes of each start: the launcher's and Python's."""
        file = self.bin / "starts.jsonl"
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def wait(self, condition):
        self._qtbot.waitUntil(lambda: bool(condition()), timeout=WAIT_MS)

    def ask(self, session, method, **params):
        answers = []
        session.ask(method, params, answers.append, answers.append)
        self.wait(lambda: answers)
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def close(self):
        for session in self.sessions:
            session.close()


@pytest.fixture
def slicer(tmp_path, monkeypatch, qtbot):
    slicer = Slicer(tmp_path, monkeypatch, qtbot)
    yield slicer
    slicer.close()


@pytest.fixture
def with_python(slicer):
    make_python_slicer(slicer.bin)
    return slicer


def is_running(pid):
    return any(entry.pid == pid and entry.state not in "ZX" for entry in processes())


def is_in_process(session):
    return session._client.hello.pid == os.getpid()


def texts(session):
    return [message.text for message in session.heard]


# Under PythonSlicer


def test_the_engine_runs_under_pythonslicer_and_ends_with_the_session(with_python):
    session = with_python.started()
    ((launcher, python),) = with_python.starts()
    assert session._client.hello.pid == python
    assert len({launcher, python, os.getpid()}) == 3
    assert with_python.ask(session, "index_batch", limit=10)["files"] == []  # Slicer keeps the rows
    assert texts(session) == []
    session.close()
    wait_until(lambda: not is_running(python) and not is_running(launcher))


def test_slicers_own_variables_do_not_reach_the_engine(slicer, monkeypatch):
    make_python_slicer(slicer.bin)
    monkeypatch.setenv("PYTHONHOME_OF_SLICER", "x")
    monkeypatch.setenv("LD_PRELOAD_", "stays")
    monkeypatch.setenv("QT_PLUGIN_PATH", "/slicer/plugins")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    slicer.started()
    given = json.loads((slicer.bin / "environment.json").read_text())
    assert given.keys().isdisjoint({"PYTHONHOME_OF_SLICER", "QT_PLUGIN_PATH"})
    assert given["https_proxy"] == "http://proxy:3128"
    assert given["LD_PRELOAD_"] == "stays"
    assert given["PYTHONPATH"] == engine_environment()["PYTHONPATH"].partition(os.pathsep)[0]


@pytest.fixture
def mute_server():
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Server("Mute", *listener.getsockname()[:2], "MUTE", timeout=60.0)


def test_an_engine_that_was_killed_is_started_again_with_its_queue(with_python, mute_server):
    Configuration(with_python.config).add(mute_server)
    session = with_python.started()
    session.ask("retrieve", {"target": {"level": "study", "uids": ["1.2.3"]}}, failed=lambda _error: None)
    with_python.wait(lambda: session.jobs.any_open)
    (job,) = session.jobs.records()
    os.kill(session._client.hello.pid, signal.SIGKILL)
    with_python.wait(lambda: not session.ready)
    assert texts(session)[0].startswith("The engine stopped unexpectedly")
    (again,) = session.heard[0].remedies
    assert again.label == "Start again"
    again.act()
    with_python.wait(lambda: session.ready)
    with closing(Catalogue.open(DatabaseFolder(with_python.database).catalogue, read_only=True)) as catalogue:
        assert [record.job_id for record in unfinished(CatalogueJobQueue(catalogue))] == [job.job_id]
    assert len(with_python.starts()) == 2
    assert not is_in_process(session)


def test_a_launcher_that_was_killed_takes_the_engine_with_it_and_gives_the_folder_back(with_python):
    session = with_python.started()
    ((launcher, python),) = with_python.starts()
    os.kill(launcher, signal.SIGKILL)
    with_python.wait(lambda: not session.ready)
    session.start()
    with_python.wait(lambda: session.ready)
    assert not is_running(python)
    holder = json.loads(DatabaseFolder(with_python.database).lock_file.read_text())
    assert holder["pid"] == session._client.hello.pid


def test_the_engine_ends_with_a_slicer_that_was_killed(with_python):
    environment = {**os.environ, "PYTHONPATH": engine_environment()["PYTHONPATH"]}
    command = [sys.executable, "-c", SLICER, str(with_python.database), str(with_python.config)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready True \n"
        ((launcher, python),) = with_python.starts()
        assert is_running(python)
        process.kill()
    wait_until(lambda: not is_running(python) and not is_running(launcher), timeout=6)


def test_an_engine_that_says_why_it_cannot_start_is_not_tried_in_another_way(with_python):
    with closing(sqlite3.connect(with_python.database / "ctkDICOM.sql")) as connection, connection:
        connection.execute("UPDATE SchemaInfo SET Version = '9.9'")
    session = with_python.session()
    session.start()
    with_python.wait(lambda: session.heard)
    assert "9.9" in texts(session)[0]
    with pytest.raises(SchemaMismatch):
        session._client._ready.result(0)


@pytest.mark.parametrize("how", ["SEGV", "ABRT"])
def test_an_engine_that_crashes_at_once_is_not_tried_in_this_process(slicer, how):
    make_python_slicer(slicer.bin, f"#!/bin/sh\nkill -{how} $$\n")
    session = slicer.session()
    session.start()
    slicer.wait(lambda: session.heard)
    assert texts(session)[0].startswith("The engine stopped unexpectedly (exit code -")


# Without a child process


def run_in_process(slicer):
    session = slicer.started()
    assert is_in_process(session)
    assert texts(session) == [engine_start.IN_PROCESS]
    return session


@pytest.mark.parametrize(
    "script",
    [
        None,
        "#!/nowhere/at/all\n",  # the system does not run it
        "#!/bin/sh\necho The application was blocked by your administrator. >&2\nexit 1\n",  # the launcher cannot
        "#!/bin/sh\nkill -KILL $$\n",  # the system ends it at once
    ],
)
def test_where_no_child_process_can_run_the_engine_runs_here_and_the_user_is_told(slicer, script):
    if script is not None:
        make_python_slicer(slicer.bin, script)
    session = run_in_process(slicer)
    found = slicer.ask(session, "local", filter={}, level="image")
    assert found["patients"]
    assert slicer.ask(session, "index_batch", limit=10)["files"] == []
    session.close()
    assert not any(thread.name == "engine" for thread in threading.enumerate())


def test_without_child_processes_there_are_pictures_all_the_same(slicer, monkeypatch):
    monkeypatch.setattr(sys, "executable", "")  # as Slicer has it without a PythonSlicer
    before = {entry.pid for entry in children()}
    session = run_in_process(slicer)
    patient = slicer.ask(session, "local", filter={}, level="image")["patients"][0]
    series = patient["studies"][0]["series"][0]
    picture = slicer.ask(session, "thumbnail", series_uid=series["series_uid"])
    assert (picture["placeholder"], picture["reason"]) == (False, "")
    assert Path(picture["path"]).is_file()
    sop_uid = slicer.ask(session, "stack", series_uid=series["series_uid"])["images"][0][0]
    assert Path(slicer.ask(session, "frame", sop_uid=sop_uid, frame=0)["path"]).is_file()
    assert slicer.ask(session, "elements", sop_uid=sop_uid, offset=0, limit=10, search="")["rows"]
    assert {entry.pid for entry in children()} <= before


def test_the_user_is_told_once(slicer):
    session = run_in_process(slicer)
    session._client._fail(LocalError("The engine has ended."))
    assert not session.ready
    session.start()
    slicer.wait(lambda: session.ready)
    assert texts(session).count(engine_start.IN_PROCESS) == 1


def test_in_this_process_nothing_opens_slicers_database(slicer, monkeypatch):
    opened = []

    def noting(opener):
        def note(file, *rest, **options):
            opened.append(str(file))
            return opener(file, *rest, **options)

        return note

    monkeypatch.setattr(MainThreadDatabase, "_rows", no_rows)
    for module, name in ((sqlite3, "connect"), (os, "open"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    session = run_in_process(slicer)
    slicer.ask(session, "verify")
    slicer.ask(session, "refresh_local")
    session.close()
    assert [file for file in opened if "database" in file]
    assert not [file for file in opened if "ctkDICOM" in file]


@needs_libc
def test_imports_and_a_removal_in_this_process_with_rows_of_the_main_thread(slicer, tmp_path):
    files = make_ct_series(tmp_path / "disc", 12, 20_000)
    session = run_in_process(slicer)
    keeper = RowsForSession(session, slicer.database)
    transport = session._client._transport._used
    answers = []

    def ask(method, **params):
        """Ask while this thread keeps Python's lock, as Slicer does."""
        answers.clear()
        session.ask(method, params, answers.append, answers.append)
        idle_in_qt(transport._tick, lambda: transport._interval, lambda: answers, timeout=60)
        return answers[0]

    assert ask("import_paths", paths=[str(tmp_path / "disc")])["imported"] == len(files)
    assert sum(map(len, keeper.rows.batches)) == len(files)
    assert ask("verify")["ok"]
    make_ct_series(tmp_path / "corrected", 12, 20_000, patient_name="Merged^Patient")
    assert ask("import_paths", paths=[str(tmp_path / "corrected")], replace=True)["replaced"] == len(files)
    removed = list(keeper.rows.removed)
    assert set(removed) == {files[0].series_uid}
    assert ask("verify")["ok"]
    target = {"level": "series", "uids": [files[0].series_uid]}
    assert ask("remove", target=target)["instances"] == len(files)
    assert keeper.rows.removed == [*removed, files[0].series_uid]
    assert ask("verify")["ok"]


def no_rows(_database, _statement, *_values):
    return []


def test_a_program_that_neither_speaks_nor_ends_is_given_up(slicer, tmp_path):
    make_python_slicer(slicer.bin, "#!/bin/sh\nexec sleep 600\n")
    heard, fallen = [], []
    silent = QProcessTransport(["PythonSlicer"], tmp_path / "log")
    echo = QProcessTransport(["/bin/sh", "-c", "cat"], tmp_path / "log")
    transport = TransportWithFallback(silent, lambda: echo, lambda: fallen.append(True), patience_ms=100)
    transport.start(heard.append, heard.append)
    transport.write_line(b"early\n")
    slicer.wait(lambda: heard)
    assert (heard, fallen) == ([b"early"], [True])
    transport.close_input()
    slicer.wait(lambda: len(heard) == 2)
    assert heard == [b"early", 0]
    assert silent.wait(0)


def test_closing_before_the_engine_is_up_starts_nothing_else(slicer):
    make_python_slicer(slicer.bin, "#!/bin/sh\ncat >/dev/null\nexit 1\n")
    session = slicer.session()
    session.start()
    session.close()
    assert texts(session) == []
    assert session._client.hello is None


# Files of the user


def test_the_servers_are_those_of_the_desktop_window(slicer):
    assert configuration_file() == default_configuration_file()


def test_the_log_lies_in_a_folder_that_can_be_written(slicer, monkeypatch, tmp_path):
    assert log_file().parent.is_dir()
    assert str(log_file()).startswith(str(tmp_path))
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(blocked))
    assert log_file().parent.parent == Path(qt.QStandardPaths.writableLocation(qt.QStandardPaths.TempLocation))


def test_a_long_log_is_put_aside_and_a_new_one_is_there(with_python):
    log = log_file()
    log.write_bytes(b"x" * (MAX_BYTES + 1))
    with_python.session()
    assert log.read_bytes() == b""
    assert log.with_name("engine.log.1").stat().st_size == MAX_BYTES + 1


@pytest.mark.parametrize("has_reader", [True, False])
def test_the_log_is_shown_or_else_its_folder(slicer, monkeypatch, has_reader):
    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()) or has_reader)
    engine_start.show_log()
    log = log_file()
    assert opened == ([str(log)] if has_reader else [str(log), str(log.parent)])
