"""The engine as a child over Qt's event loop, with real child processes around a small engine of the test's own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

import pytest
import qt

from support.process_table import children, processes
from support.small_engine import ENGINE
from VisualDICOMBrowserLib.domain.errors import Cancelled, FolderInUse, LocalError
from VisualDICOMBrowserLib.engine.client import EngineClient, engine_environment
from VisualDICOMBrowserLib.gui.engine_process import QProcessTransport

WAIT_MS = 10_000
LAUNCHER = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)"


class Bench:
    """Starts engines and turns the event loop until something is so."""

    def __init__(self, folder, qtbot):
        self.script = folder / "small_engine.py"
        self.script.write_text(ENGINE, encoding="utf-8")
        self.log = folder / "engine.log"
        self._qtbot = qtbot
        self._clients = []

    def client(self, *words, command=None, budget_ms=4.0):
        command = command or [sys.executable, str(self.script), str(os.getpid()), *words]
        client = EngineClient(QProcessTransport(command, self.log, engine_environment(), budget_ms))
        self._clients.append(client)
        return client

    def started(self, *words, **options):
        client = self.client(*words, **options)
        ready = client.start()
        self.wait(ready.done)
        ready.result(0)
        return client

    def wait(self, condition):
        self._qtbot.waitUntil(condition, timeout=WAIT_MS)

    def result(self, call):
        self.wait(call.done)
        return call.result(0)

    def close(self):
        for client in self._clients:
            client.close()


@pytest.fixture
def bench(tmp_path, qtbot):
    bench = Bench(tmp_path, qtbot)
    yield bench
    bench.close()


def is_running(pid):
    return any(entry.pid == pid for entry in children())


def test_calls_are_answered_on_the_event_loop(bench):
    client = bench.started()
    assert client.hello.pid != os.getpid()
    assert bench.result(client.call_async("add", {"a": 2, "b": 3})) == 5


def test_a_long_call_can_be_stopped(bench):
    client = bench.started()
    call = client.call_async("sleep")
    assert bench.result(client.call_async("add", {"a": 1, "b": 1})) == 2
    call.stop()
    with pytest.raises(Cancelled):
        bench.result(call)


def test_requests_made_before_the_engine_is_up_reach_it(bench):
    client = bench.client()
    client.start()
    call = client.call_async("add", {"a": 4, "b": 4})
    assert bench.result(call) == 8


def test_many_lines_are_delivered_in_order_with_other_events_between(bench):
    client = bench.started(budget_ms=0.0)
    heard, ticks, between = [], [], []
    timer = qt.QTimer()
    timer.timeout.connect(lambda: ticks.append(len(heard)))
    timer.start(0)
    client.on_event(lambda event: (heard.append(int(event.subject.split()[1])), between.append(len(ticks))))
    assert bench.result(client.call_async("flood", {"count": 500, "size": 1000})) == "done"
    bench.wait(lambda: len(heard) == 500)
    timer.stop()
    assert heard == list(range(500))
    assert len(set(between)) > 100  # the other timer had its turn again and again


def test_slow_listeners_hold_the_loop_no_longer_than_the_budget(bench):
    client = bench.started(budget_ms=4.0)
    heard, heard_before_tick = [], [0]

    def listen(event):
        heard.append(event.subject)
        time.sleep(0.002)  # a listener that works

    client.on_event(listen)
    timer = qt.QTimer()
    timer.timeout.connect(lambda: heard_before_tick.append(len(heard)))
    timer.start(0)
    call = client.call_async("flood", {"count": 200, "size": 10})
    bench.wait(lambda: call.done() and len(heard) == 200)
    timer.stop()
    in_one_go = [heard_before_tick[i] - heard_before_tick[i - 1] for i in range(1, len(heard_before_tick))]
    assert max(in_one_go) <= 6  # two of 2 ms fit in; Qt may read and deliver again before the timer


def test_a_crash_fails_the_open_calls_with_what_the_log_says(bench):
    client = bench.started()
    waiting, crashing = client.call_async("sleep"), client.call_async("crash")
    for call in (waiting, crashing):
        with pytest.raises(LocalError, match=r"stopped unexpectedly \(exit code 7\)(?s:.*)last words"):
            bench.result(call)
    with pytest.raises(LocalError):
        bench.result(client.call_async("add", {"a": 1, "b": 1}))


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_a_killed_engine_is_told_by_its_signal(bench):
    client = bench.started()
    call = client.call_async("sleep")
    os.kill(client.hello.pid, signal.SIGKILL)
    with pytest.raises(LocalError, match=r"exit code -9"):
        bench.result(call)


def test_an_engine_that_cannot_start_says_why(bench):
    with pytest.raises(FolderInUse, match="Another engine"):
        bench.started("in use")


def test_a_program_that_does_not_exist_cannot_be_started(bench, tmp_path):
    client = bench.client(command=[str(tmp_path / "nothing")])
    with pytest.raises(LocalError, match="cannot be started: No such file"):
        client.start()


@pytest.mark.skipif(os.name != "posix", reason="marks a file executable")
def test_a_program_that_does_not_run_is_told_with_the_reason(bench, tmp_path):
    program = tmp_path / "broken"
    program.write_bytes(b"#!/nowhere/at/all\n")
    program.chmod(0o755)
    ready = bench.client(command=[str(program)]).start()
    bench.wait(ready.done)
    with pytest.raises(LocalError, match=r"stopped unexpectedly(?s:.*)No such file|execve|Permission"):
        ready.result(0)


def test_an_endless_line_ends_the_engine(bench):
    code = "import os\nwhile True: os.write(1, b'x' * 1_000_000)"
    ready = bench.client(command=[sys.executable, "-c", code]).start()
    bench.wait(ready.done)
    with pytest.raises(LocalError, match="stopped unexpectedly"):
        ready.result(0)


def test_closing_ends_the_engine_and_tells_the_open_calls(bench):
    client = bench.started()
    pid = client.hello.pid
    call = client.call_async("sleep")
    client.close()
    assert not is_running(pid)
    with pytest.raises(LocalError):
        call.result(0)


def test_beginning_to_close_does_not_wait_and_the_engine_goes_by_itself(bench):
    client = bench.started()
    pid = client.hello.pid
    start = time.monotonic()
    client.begin_close()
    assert time.monotonic() - start < 0.5
    bench.wait(lambda: not is_running(pid))
    client.close()


def test_an_engine_that_hangs_is_killed(bench, monkeypatch):
    monkeypatch.setattr("VisualDICOMBrowserLib.engine.client.END_TIMEOUT_S", 0.3)
    client = bench.started("hangs")
    pid = client.hello.pid
    client.close()
    assert not is_running(pid)


@pytest.mark.skipif(os.name != "posix", reason="looks at process ids")
def test_behind_a_launcher_the_engine_itself_is_killed(bench):
    command = [sys.executable, "-c", LAUNCHER, str(bench.script), str(os.getpid())]
    client = bench.started(command=command)
    transport, pid = client._transport, client.hello.pid
    assert pid != transport._process.processId()
    client._transport.kill(pid)
    assert client._transport.wait(5)
    bench.wait(lambda: not any(entry.pid == pid and entry.state != "Z" for entry in processes()))


def test_writing_to_an_engine_that_is_gone_is_an_error(bench):
    client = bench.started()
    client.close()
    with pytest.raises(BrokenPipeError):
        client._transport.write_line(b"{}\n")


def test_writing_to_an_engine_that_does_not_read_does_not_block(bench, monkeypatch):
    monkeypatch.setattr("VisualDICOMBrowserLib.gui.engine_process.MAX_WAITING", 1_000_000)
    transport = QProcessTransport([sys.executable, "-c", "import time; time.sleep(60)"], bench.log)
    transport.start(lambda line: None, lambda code: None)
    start = time.monotonic()
    for _ in range(22):  # more than the pipe takes and may wait
        with contextlib.suppress(BrokenPipeError):
            transport.write_line(b"x" * 50_000 + b"\n")
    with pytest.raises(BrokenPipeError, match="does not read"):
        transport.write_line(b"y\n")
    assert time.monotonic() - start < 2
    transport.kill(None)
    assert transport.wait(5)


def test_a_reader_that_fails_hears_the_next_lines_and_the_end(bench, qtbot):
    heard, ended = [], []

    def on_line(line):
        heard.append(line)
        raise ValueError(line)

    transport = QProcessTransport([sys.executable, "-c", "print('a'); print('b')"], bench.log)
    with qtbot.captureExceptions() as raised:
        transport.start(on_line, ended.append)
        bench.wait(lambda: bool(ended))
    assert [line.strip() for line in heard] == [b"a", b"b"]
    assert ended == [0]
    assert {kind for kind, _, _ in raised} == {ValueError}


def test_what_was_never_started_is_ended_already(tmp_path):
    transport = QProcessTransport([sys.executable], tmp_path / "log")
    transport.close_input()
    transport.kill(None)
    assert transport.wait(0)
    assert transport.log_tail() == ""
