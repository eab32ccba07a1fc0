"""The engine process and its client, with real child processes around a small engine of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from pathlib import Path

import pytest

from support.small_engine import ENGINE
from VisualDICOMBrowserLib.domain.errors import (
    BadData,
    Cancelled,
    FolderInUse,
    InternalError,
    LocalError,
    OperationRefused,
    UsageError,
)
from VisualDICOMBrowserLib.engine.child import SubprocessTransport
from VisualDICOMBrowserLib.engine.client import EngineClient, engine_command, engine_environment
from VisualDICOMBrowserLib.engine.messages import Event, Goodbye, Request, Response, decode, encode
from VisualDICOMBrowserLib.engine.parent import _poll, wait_for_exit

NOTICE_S = 5.0


class Bench:
    """Starts engines, and knows where they log."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "small_engine.py"
        self.script.write_text(ENGINE, encoding="utf-8")
        self.log = folder / "engine.log"

    def command(self, *words: str, parent: int | None = None) -> list[str]:
        return [sys.executable, str(self.script), str(os.getpid() if parent is None else parent), *words]

    def transport(self, *words: str) -> SubprocessTransport:
        return SubprocessTransport(self.command(*words), self.log, engine_environment())

    def client(self, *words: str) -> EngineClient:
        return EngineClient(self.transport(*words))

    def script_client(self, code: str) -> EngineClient:
        return EngineClient(SubprocessTransport([sys.executable, "-c", code], self.log, engine_environment()))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def client(bench):
    with bench.client() as running:
        yield running


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def wait_until_gone(pid: int, seconds: float) -> bool:
    return wait_for(lambda: is_gone(pid), seconds)


def test_the_engine_says_who_it_is(client):
    assert client.hello.pid != os.getpid()
    assert client.hello.database == "a folder"


def test_a_call_returns_its_result(client):
    assert client.call("add", {"a": 2, "b": 3}, timeout=10) == 5


def test_errors_come_back_as_their_classes(client):
    with pytest.raises(BadData, match="Damaged"):
        client.call("damaged", timeout=10)
    with pytest.raises(OperationRefused) as caught:
        client.call("refuse", {"status": 0xA700}, timeout=10)
    assert (caught.value.status, caught.value.retryable) == (0xA700, True)


def test_a_bug_is_an_internal_error_and_nothing_of_its_text_leaves(client, bench):
    with pytest.raises(InternalError) as caught:
        client.call("bug", timeout=10)
    assert "DOE" not in str(caught.value)
    client.close()
    assert "DOE" not in bench.log.read_text()
    assert "ValueError in bug" in bench.log.read_text()


def test_only_listed_methods_with_listed_parameters_can_be_called(client):
    for method, params in [("close", {}), ("__init__", {}), ("add", {"c": 1}), ("add", {"a": "1", "b": 1})]:
        with pytest.raises(UsageError):
            client.call(method, params, timeout=10)


def test_results_that_cannot_be_sent_are_errors_of_that_call_only(client):
    with pytest.raises(LocalError, match="too long"):
        client.call("huge", timeout=10)
    with pytest.raises(InternalError):
        client.call("strange", timeout=10)
    assert client.call("add", {"a": 1, "b": 1}, timeout=10) == 2


def test_a_long_call_does_not_block_a_short_one_and_can_be_stopped(client):
    long = client.call_async("sleep")
    assert client.call("add", {"a": 1, "b": 1}, timeout=10) == 2
    long.stop()
    with pytest.raises(Cancelled):
        long.result(10)


def test_a_call_that_takes_too_long_is_given_up(client):
    with pytest.raises(LocalError, match="did not answer within"):
        client.call("sleep", timeout=0.05)


def test_a_thousand_events_arrive_as_few_and_the_last_among_them(client):
    heard, last = [], threading.Event()

    def listen(event):
        heard.append(event.data["done"])
        if event.data["done"] == 1000:
            last.set()

    client.on_event(listen)
    client.call("progress", {"count": 1000}, timeout=10)
    assert last.wait(10)
    assert len(heard) < 20
    assert heard == sorted(heard)


def test_native_noise_on_descriptor_1_goes_to_the_log(client, bench):
    assert client.call("print", timeout=10) == "quiet"
    client.close()
    assert "native noise" in bench.log.read_text()


def test_a_client_that_does_not_read_does_not_block_the_engine(bench):
    with bench.log.open("wb") as log:
        process = subprocess.Popen(
            bench.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=engine_environment()
        )
    with process:
        process.stdin.write(encode(Request(1, "flood", {"count": 3000, "size": 1000})))
        process.stdin.flush()
        assert wait_for(lambda: b"flooded" in bench.log.read_bytes(), 20)
        assert process.stdout.readline().startswith(b'{"type":"hello"')
        process.stdin.close()
        lines = process.stdout.read().splitlines()
    messages = [decode(line) for line in lines]
    assert sum(isinstance(message, Event) for message in messages) == 3000
    assert [message.result for message in messages if isinstance(message, Response)] == ["done"]
    assert isinstance(messages[-1], Goodbye)


def test_the_engine_ends_when_its_input_does(bench):
    with bench.client() as client:
        pid = client.hello.pid
        start = time.monotonic()
        client.close()
        assert wait_until_gone(pid, NOTICE_S)
    assert time.monotonic() - start < NOTICE_S
    with pytest.raises(LocalError, match="closed"):
        client.call("add", {"a": 1, "b": 1})


@pytest.mark.parametrize("how", ["hangs", "hangs with the lock"])
def test_an_engine_that_hangs_while_closing_ends_all_the_same(bench, how):
    with bench.client(how) as client:
        pid = client.hello.pid
        start = time.monotonic()
        client._transport.close_input()
        assert wait_until_gone(pid, NOTICE_S)
        assert time.monotonic() - start < NOTICE_S


def test_an_engine_that_hangs_while_starting_ends_all_the_same(bench):
    client = bench.client("slow start")
    client.start()
    with pytest.raises(LocalError, match="did not start within"):
        client.wait_ready(0.5)
    client.close()
    assert client._transport.wait(0)


def test_an_engine_that_opens_for_long_tells_how_far_it_is_and_ends_when_asked(bench):
    client, events = bench.client("long opening"), []
    client.on_event(events.append)
    client.start()
    assert wait_for(lambda: len(events) > 2, 30)
    assert {(event.subject, event.name) for event in events} == {("engine", "opening")}
    done = [event.data["done"] for event in events]
    assert done == sorted(done)
    client.close()
    assert client._goodbye == Goodbye("The client closed the connection.")


def test_an_engine_that_tells_how_far_it_is_is_waited_for(bench):
    client, waits = bench.client(), []

    class Ready(Future):
        def result(self, timeout=None):
            waits.append(timeout)
            client._openings += len(waits) < 4
            raise TimeoutError

    client._ready = Ready()
    with pytest.raises(LocalError, match="did not start within 7 seconds"):
        client.wait_ready(7)
    assert waits == [7] * 4


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_an_engine_whose_parent_is_killed_ends_though_its_input_stays_open(bench):
    read_end, write_end = os.pipe()
    code = "import subprocess, sys; subprocess.run(sys.argv[1:], stdin=0)"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *bench.command(parent=0)],
        stdin=read_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=engine_environment(),
    )
    try:
        hello = parent.stdout.readline()
        pid = int(hello.partition(b'"pid":')[2].partition(b",")[0])
        parent.send_signal(signal.SIGKILL)
        assert wait_until_gone(pid, NOTICE_S)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        os.close(read_end)
        os.close(write_end)


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_an_engine_that_is_told_to_end_closes_and_says_so(bench):
    ended = threading.Event()
    with bench.client() as client:
        client.on_end(lambda _: ended.set())
        os.kill(client.hello.pid, signal.SIGTERM)
        assert ended.wait(NOTICE_S)
        with pytest.raises(LocalError, match="asked to end"):
            client.call("add", {"a": 1, "b": 1})


def test_a_crash_fails_the_open_calls_with_what_the_log_says(client):
    waiting = client.call_async("sleep")
    crashing = client.call_async("crash")
    for call in (waiting, crashing):
        with pytest.raises(LocalError, match=r"stopped unexpectedly \(exit code 7\)(?s:.*)last words"):
            call.result(10)
    with pytest.raises(LocalError):
        client.call("add", {"a": 1, "b": 1})


def test_the_end_of_an_engine_is_told_once_before_open_calls_fail(client):
    told = []
    client.on_end(lambda error: told.append(("end", str(error))))
    waiting = client.call_async("sleep")
    waiting.add_done_callback(lambda call: told.append(("call", str(call.exception()))))
    client.call_async("crash")
    assert client._transport.wait(10)
    sentence = str(waiting.exception(10))
    assert sentence.startswith("The engine stopped unexpectedly (exit code 7).\n")
    assert told == [("end", sentence), ("call", sentence)]


def test_the_end_of_an_engine_that_was_closed_is_not_told(bench):
    told = []
    with bench.client() as client:
        client.on_end(told.append)
    assert told == []


def test_an_engine_that_cannot_start_says_why(bench):
    with pytest.raises(FolderInUse, match="Another engine"), bench.client("in use"):
        pass
    with pytest.raises(InternalError) as caught, bench.client("buggy"):
        pass
    assert "DOE" not in str(caught.value)
    assert "DOE" not in bench.log.read_text()


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("print('Warning: something')", "cannot be understood"),
        ("import sys; sys.exit('no such module')", r"exit code 1\)(?s:.*)no such module"),
        ('print(\'{"type":"hello","protocol":2}\')', "another version of the protocol"),
        ('print(\'{"type":"event","subject":"","name":"","data":1}\')', "out of turn"),
        ("import os; os.write(1, b'x' * 17_000_000)", "stopped unexpectedly"),
    ],
)
def test_what_is_no_engine_is_told_from_one(bench, code, complaint):
    with pytest.raises(LocalError, match=complaint), bench.script_client(code):
        pass


def test_a_program_that_does_not_exist_cannot_be_started(tmp_path):
    client = EngineClient(SubprocessTransport([str(tmp_path / "nothing")], tmp_path / "log"))
    with pytest.raises(LocalError, match="cannot be started"):
        client.start()
    client.close()


def test_garbage_from_the_client_ends_the_engine(bench):
    with bench.client() as client:
        client._transport.write_line(b"garbage\n")
        assert client._transport.wait(NOTICE_S)
        with pytest.raises(LocalError, match="not JSON"):
            client.call("add", {"a": 1, "b": 1})


@pytest.mark.parametrize("wait", [wait_for_exit, _poll])
def test_the_end_of_another_process_is_noticed(wait):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watcher = threading.Thread(target=wait, args=(process.pid,), daemon=True)
    watcher.start()
    watcher.join(0.2)
    assert watcher.is_alive()
    process.communicate(b"\n")
    watcher.join(5)
    assert not watcher.is_alive()


@pytest.mark.parametrize("wait", [wait_for_exit, _poll])
def test_a_process_that_is_already_gone_is_not_waited_for(wait):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    watcher = threading.Thread(target=wait, args=(process.pid,), daemon=True)
    watcher.start()
    watcher.join(5)
    assert not watcher.is_alive()


MAIN_WITH_A_SMALL_ENGINE = """
import sys, types
from VisualDICOMBrowserLib.engine.__main__ import leave, main

class Engine:
    def __init__(self, database, config=None, *, rows_by_host, listen, opening):
        assert (rows_by_host, listen) == (False, True)
        opening(1, 2)
        self.database, self.config = database, config
    def subscribe(self, callback):
        callback("opened", str(self.database), None)
        return lambda: None
    def close(self): print("closed")
    def servers(self): return [self.config]

sys.modules["VisualDICOMBrowserLib.engine.engine"] = types.SimpleNamespace(Engine=Engine)
leave(main(sys.argv[1:]))
"""


def test_the_program_hosts_the_engine_of_a_folder_and_logs_where_it_is_told(bench, tmp_path):
    command = [sys.executable, "-c", MAIN_WITH_A_SMALL_ENGINE]
    command += ["--database", str(tmp_path), "--config", "servers.json", "--log", str(tmp_path / "own.log")]
    opened, opening = threading.Event(), []
    client = EngineClient(SubprocessTransport(command, bench.log, engine_environment()))
    client.on_event(lambda event: opened.set() if event.name == "opened" else opening.append(event.data))
    with client:
        assert client.hello.database == str(tmp_path)
        assert client.call("servers", timeout=10) == ["servers.json"]
        assert opened.wait(5)
    assert opening == [{"done": 1, "total": 2}]
    assert "closed" in (tmp_path / "own.log").read_text()
    assert bench.log.read_bytes() == b""


def test_the_program_without_a_folder_is_used_wrongly():
    command = [sys.executable, "-m", "VisualDICOMBrowserLib.engine"]
    done = subprocess.run(command, capture_output=True, env=engine_environment(), timeout=30, check=False)
    assert done.returncode == 2
    assert b"--database" in done.stderr


def test_the_command_names_the_folder_and_this_process(tmp_path):
    command = engine_command("python", tmp_path, tmp_path / "servers.json")
    assert command[1:3] == ["-m", "VisualDICOMBrowserLib.engine"]
    assert command[command.index("--parent-pid") + 1] == str(os.getpid())
    assert str(tmp_path) in command
    assert "--rows-by-host" not in command
    assert "--rows-by-host" in engine_command("python", tmp_path, rows_by_host=True)
