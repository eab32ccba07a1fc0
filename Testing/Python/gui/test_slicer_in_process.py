"""The engine on threads of this process: the same client, calls and events, and time given to it by a timer."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings

import pytest
import qt

from support.gil import idle_in_qt, needs_libc
from support.listened import AET, ANYBODY, sent, storescu
from support.processes import HOST, free_port
from support.synthetic import make_ct_series
from support.waiting import join_all
from VisualDICOMBrowserLib.domain.errors import Cancelled, FolderInUse, InternalError, LocalError, StorageError
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.engine.client import EngineClient
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.engine.engine import Engine
from VisualDICOMBrowserLib.engine.methods import METHODS, Method, number, text
from VisualDICOMBrowserLib.gui.call_book import CallBook
from VisualDICOMBrowserLib.gui.job_book import JobBook
from VisualDICOMBrowserLib.host_slicer.errands import Errands
from VisualDICOMBrowserLib.host_slicer.in_process import BUSY_MS, IDLE_MS, InProcessTransport
from VisualDICOMBrowserLib.jobs.description import JobKind

WAIT_MS = 10_000


class SmallEngine:
    """Does what the tests below need, on the threads that it is called on."""

    def __init__(self, errands: Errands) -> None:
        self.errands = errands
        self.threads = {threading.current_thread()}
        self.go_on = threading.Event()
        self.closed = False
        self.hangs = False
        self.callback = lambda *_: None

    def subscribe(self, callback):
        self.callback = callback
        return lambda: None

    def close(self):
        if self.hangs:
            self.go_on.wait(30)
        self.closed = True

    def add(self, a, b):
        self.threads.add(threading.current_thread())
        return a + b

    def bug(self):
        raise ValueError("DOE^JANE")

    def sleep(self, token):
        token.wait(60)
        token.check()

    def flood(self, count, size):
        for one in range(count):
            self.callback("changed", f"series {one}", "x" * size)
        return "done"

    def errand(self, count):
        """Have the main thread count, one number a slice, and tell where it did."""

        def steps():
            threads = set()
            for _ in range(count):
                threads.add(threading.current_thread().name)
                yield
            return sorted(threads)

        return self.errands.do(steps)

    def log(self, message):
        for name in ("VisualDICOMBrowserLib.engine", "pydicom", "somebody"):
            logging.getLogger(name).warning("%s", message)
        warnings.warn(message, stacklevel=1)


SMALL_METHODS = {
    "add": Method("add", {"a": number, "b": number}),
    "bug": Method("bug"),
    "sleep": Method("sleep", cancellable=True),
    "flood": Method("flood", {"count": number, "size": number}),
    "errand": Method("errand", {"count": number}),
    "log": Method("log", {"message": text}),
}


class Bench:
    """An engine, its client, and the event loop."""

    def __init__(self, folder, qtbot):
        self.log = folder / "engine.log"
        self.errands = Errands()
        self.jobs, self.calls = JobBook(), CallBook()
        self.engine = None
        self.client = None
        self._qtbot = qtbot

    def make(self, opening=None):
        self.engine = SmallEngine(self.errands)
        return self.engine

    def _is_at_work(self):
        return self.jobs.any_open or self.calls.any_open

    def connect(self, make=None, methods=SMALL_METHODS):
        self.transport = InProcessTransport(
            make or self.make, self.errands, self._is_at_work, self.log, database="a folder", methods=methods
        )
        self.client = EngineClient(self.transport)
        return self.client

    def started(self, **options):
        client = self.connect(**options)
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
        if self.client is not None:
            self.client.close()


@pytest.fixture
def bench(tmp_path, qtbot):
    bench = Bench(tmp_path, qtbot)
    yield bench
    bench.close()


def test_calls_are_answered_from_other_threads(bench):
    client = bench.started()
    assert client.hello.pid == os.getpid()
    assert client.hello.database == "a folder"
    assert bench.result(client.call_async("add", {"a": 2, "b": 3})) == 5
    assert threading.main_thread() not in bench.engine.threads


def test_errors_and_cancelling_are_as_with_a_process(bench, caplog):
    client = bench.started()
    sleeping, broken = client.call_async("sleep"), client.call_async("bug")
    with pytest.raises(InternalError, match="ValueError"):
        bench.result(broken)
    sleeping.stop()
    with pytest.raises(Cancelled):
        bench.result(sleeping)
    assert "DOE" not in caplog.text
    assert "A request failed: ValueError" in bench.log.read_text()


def test_an_engine_that_cannot_start_says_why(bench):
    def fail(_opening):
        raise FolderInUse("Another engine holds the folder.")

    with pytest.raises(FolderInUse, match="Another engine"):
        bench.started(make=fail)
    assert bench.transport.wait(1)


def test_hundreds_of_events_do_not_hold_the_event_loop(bench):
    client = bench.started()
    heard, pauses, last = [], [], [time.monotonic()]

    def tick():
        now = time.monotonic()
        pauses.append(now - last[0])
        last[0] = now

    def listen(event):
        heard.append(event.subject)
        time.sleep(0.002)  # a listener that works

    client.on_event(listen)
    timer = qt.QTimer()
    timer.timeout.connect(tick)
    timer.start(0)
    call = client.call_async("flood", {"count": 300, "size": 100})
    bench.wait(lambda: call.done() and len(heard) == 300)
    timer.stop()
    assert heard == [f"series {one}" for one in range(300)]
    assert len(pauses) > 300 * 0.002 / 0.020  # at least once for each budget, with room for a slow computer


def test_the_timer_is_fast_only_while_something_is_under_way(bench):
    client = bench.started()
    bench.wait(lambda: bench.transport._interval == IDLE_MS)
    call = client.call_async("sleep")
    assert bench.transport._interval == BUSY_MS
    call.stop()
    bench.wait(call.done)
    bench.wait(lambda: bench.transport._interval == IDLE_MS)
    bench.jobs._open.add("a job")
    bench.wait(lambda: bench.transport._interval == BUSY_MS)
    bench.jobs._open.clear()
    bench.wait(lambda: bench.transport._interval == IDLE_MS)


def test_errands_are_done_on_the_main_thread(bench):
    client = bench.started()
    assert bench.result(client.call_async("errand", {"count": 500})) == [threading.main_thread().name]


def test_closing_answers_the_engine_as_long_as_it_ends(bench):
    client = bench.started()
    call = client.call_async("errand", {"count": 100_000})
    bench.wait(lambda: bench.errands.are_waiting)
    client.close()
    assert bench.engine.closed
    with pytest.raises(LocalError):
        call.result(0)
    with pytest.raises(StorageError):
        bench.errands.do(lambda: iter(()))
    assert not bench.transport._thread.is_alive()


def test_an_engine_that_does_not_end_is_left_alone(bench, monkeypatch):
    monkeypatch.setattr("VisualDICOMBrowserLib.engine.client.END_TIMEOUT_S", 0.3)
    client = bench.started()
    bench.engine.hangs = True
    before = time.monotonic()
    client.close()
    assert time.monotonic() - before < 3
    assert bench.transport._thread.is_alive()
    bench.engine.go_on.set()
    join_all([bench.transport._thread])


def test_writing_to_an_engine_that_is_gone_is_an_error(bench):
    client = bench.started()
    client.close()
    with pytest.raises(BrokenPipeError):
        bench.transport.write_line(b"{}\n")


def test_what_was_never_started_is_ended_already(bench):
    bench.connect()
    bench.transport.close_input()
    bench.transport.kill(None)
    assert bench.transport.wait(0)
    with pytest.raises(BrokenPipeError):
        bench.transport.write_line(b"{}\n")


@pytest.mark.expects_log("from ")
def test_what_threads_log_goes_to_the_file_and_not_to_slicers_handler(bench, caplog, monkeypatch):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda *values: shown.append(str(values[0])))
    client = bench.started()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        bench.result(client.call_async("log", {"message": "from a thread"}))
        warnings.warn("from the main thread", stacklevel=1)
    logging.getLogger("pydicom").warning("from the main thread")
    heard = [(record.name, record.getMessage()) for record in caplog.records]
    assert heard == [("somebody", "from a thread"), ("pydicom", "from the main thread")]
    assert shown == ["from the main thread"]
    logged = bench.log.read_text().splitlines()
    assert [line.partition(" WARNING ")[2] for line in logged] == ["VisualDICOMBrowserLib.engine: from a thread"]
    client.close()
    handlers = logging.getLogger().handlers
    assert not any(str(getattr(handler, "baseFilename", "")) == str(bench.log) for handler in handlers)


@needs_libc
def test_a_search_and_an_import_get_on_while_the_main_thread_keeps_the_lock(bench, tmp_path, demo):
    config = Configuration(tmp_path / "config.json")
    config.add(demo.server)
    files = make_ct_series(tmp_path / "disc", 20, 50_000)
    client = bench.connect(lambda _: Engine(tmp_path / "database", config.path), METHODS)
    client.on_event(lambda event: bench.jobs.note(event.data) if event.name in ("job", "progress") else None)
    ready = client.start()

    def idle(until):
        idle_in_qt(bench.transport._tick, lambda: bench.transport._interval, until, timeout=60)

    idle(ready.done)
    found = client.call_async("query", {"filter": {}, "level": "series"})
    idle(found.done)
    assert found.result(0)["complete"]
    imported = client.call_async("import_paths", {"paths": [str(tmp_path / "disc")]})
    idle(imported.done)
    assert imported.result(0)["imported"] == len(files)
    (study, *_) = found.result(0)["patients"][0]["studies"]
    target = {"level": "study", "uids": [study["study_uid"]]}
    retrieved = client.call_async("retrieve", {"target": target})
    idle(retrieved.done)
    assert retrieved.result(0)["verified"] == retrieved.result(0)["requested"] > 0
    (job,) = [record for record in bench.jobs.records() if record.description.kind is JobKind.RETRIEVE]
    idle(lambda: bench.jobs.get(job.job_id).state.terminal)


@needs_libc
def test_others_can_send_here_while_the_main_thread_keeps_the_lock(bench, tmp_path):
    config = Configuration(tmp_path / "config.json")
    port = free_port()
    config.set_listener(ListenerSettings(AET, port, HOST, ANYBODY, unsolicited=True, enabled=True))
    files = make_ct_series(tmp_path / "disc", 40, 50_000)
    client = bench.connect(lambda _: Engine(tmp_path / "database", config.path, listen=True), METHODS)
    client.on_event(lambda event: bench.calls.note(event.data) if event.name == "association" else None)
    ready = client.start()

    def idle(until):
        idle_in_qt(bench.transport._tick, lambda: bench.transport._interval, until, timeout=60)

    idle(ready.done)
    sender = storescu(port, files)
    idle(lambda: sender.poll() is not None)
    assert sent(sender) == [0]
    found = client.call_async("calls")
    idle(found.done)
    assert [call["stored"] for call in found.result(0)] == [len(files)]
    idle(lambda: not bench.calls.any_open)
