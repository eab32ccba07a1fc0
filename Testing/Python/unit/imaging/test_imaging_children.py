from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import VisualDICOMBrowserLib
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import BadData, Cancelled, InternalError, StorageError
from VisualDICOMBrowserLib.imaging import worker
from VisualDICOMBrowserLib.imaging.children import Decoder
from VisualDICOMBrowserLib.imaging.placeholder import ThumbnailOutcome

ROOT = Path(VisualDICOMBrowserLib.__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="signals")

# A program that speaks the protocol; BEHAVE is what it does with a request instead of making a picture.
FAKE = """
import json, os, signal, sys, time
from pathlib import Path
def say(message):
    print(json.dumps(message), flush=True)
say({"ready": os.getpid()})
for line in sys.stdin:
    request = json.loads(line)
    BEHAVE
    say({"id": request["id"], "placeholder": False, "reason": "", "width": 1, "height": 2})
"""
# The real worker with something else in place of its renderer.
REAL = """
import os, sys, time
from pathlib import Path
from VisualDICOMBrowserLib.imaging import worker
def render(source, destination, **_):
    BEHAVE
    return worker.draw_placeholder("X", destination, reason="made")
worker.render_thumbnail = render
worker.main()
"""


def _wait(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        threading.Event().wait(0.01)


def _gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody reaps counts as ended."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


@pytest.fixture
def decoder(tmp_path: Path) -> Iterator[Callable[..., Decoder]]:
    made: list[Decoder] = []

    def make(program: str = "", behave: str = "", **options) -> Decoder:
        if program:
            script = tmp_path / "program.py"
            script.write_text(program.replace("BEHAVE", behave))
            options["command"] = [sys.executable, str(script)]
        made.append(Decoder(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return tmp_path / "out.png"


def test_a_child_makes_the_picture_and_stays_for_the_next(sample, decoder, png):
    one = decoder()
    assert one.pids == []
    assert one.render(sample("CT_small.dcm"), png, "CT") == ThumbnailOutcome(False, "", 256, 256)
    first = one.pids
    assert one.render(sample("test-SR.dcm"), png, "SR").placeholder
    assert one.pids == first
    assert first != [os.getpid()]


def test_closing_ends_the_child(sample, decoder, png):
    one = decoder()
    one.render(sample("CT_small.dcm"), png)
    (pid,) = one.pids
    one.close()
    assert _gone(pid)
    with pytest.raises(Cancelled):
        one.render(sample("CT_small.dcm"), png)


def test_relative_paths_mean_the_folder_of_the_caller(sample, decoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.dcm").write_bytes(sample("CT_small.dcm").read_bytes())
    assert not decoder().render(Path("a.dcm"), Path("a.png"), "CT").placeholder
    assert (tmp_path / "a.png").exists()


def test_modules_in_the_current_folder_are_not_imported(sample, decoder, tmp_path, monkeypatch, png):
    monkeypatch.chdir(tmp_path)
    for name in ("json", "numpy", "pydicom"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    assert not decoder().render(sample("CT_small.dcm"), png, "CT").placeholder


def test_a_missing_source_is_a_storage_error(decoder, png, tmp_path):
    with pytest.raises(StorageError):
        decoder().render(tmp_path / "none", png)
    assert not png.exists()


def test_warming_starts_the_child_that_the_first_request_is_served_by(sample, decoder, png):
    one = decoder(max_children=2)
    one.warm()
    one.warm()
    _wait(lambda: one.pids)
    warmed = one.pids
    assert not one.render(sample("CT_small.dcm"), png, "CT").placeholder
    assert one.pids == warmed


def test_warming_returns_before_the_child_is_there_and_closing_ends_it(decoder, tmp_path):
    begun = tmp_path / "begun"
    script = (
        f"import os, time; from pathlib import Path; Path({str(begun)!r}).write_text(str(os.getpid())); time.sleep(600)"
    )
    one = decoder(command=[sys.executable, "-c", script])
    one.warm()
    assert one.pids == []
    _wait(lambda: begun.exists() and begun.read_text())
    begin = time.monotonic()
    one.close()
    assert time.monotonic() - begin < 2.5
    assert _gone(int(begun.read_text()))


@pytest.mark.parametrize("order", ["warm close", "close warm", "warm close warm"])
def test_warming_and_closing_in_any_order_leaves_no_child(decoder, order):
    one = decoder()
    for step in order.split():
        getattr(one, step)()
    one.close()
    assert one.pids == []


def test_a_child_that_cannot_be_warmed_is_reported_by_the_first_request(decoder, png):
    one = decoder(command=["/no/such/program"])
    one.warm()
    with pytest.raises(InternalError, match="could not be started"):
        one.render(Path("x"), png)


def test_a_child_has_its_libraries_before_it_says_that_it_is_ready(decoder, png):
    loaded = "Path(destination).with_suffix('.txt').write_text(' '.join(sys.modules))"
    decoder(REAL, loaded).render(Path("x"), png)
    names = png.with_suffix(".txt").read_text().split()
    assert {"numpy", "pydicom", "gdcm", "jpeg_ls", "openjpeg"} <= set(names)


def _assert_placeholder(path: Path) -> None:
    with Image.open(path) as tile:
        assert tile.size == (256, 256)


def test_a_child_that_hangs_is_killed_and_replaced(decoder, png):
    one = decoder(FAKE, "time.sleep(600 * ('bad' in request['source']))")
    assert one.render(Path("good"), png) == ThumbnailOutcome(False, "", 1, 2)
    (pid,) = one.pids
    outcome = one.render(Path("bad"), png, "CT", timeout=0.3)
    assert outcome == ThumbnailOutcome(True, "The file could not be read: the decoder ran out of time.", 256, 256)
    _assert_placeholder(png)
    assert _gone(pid)
    assert one.render(Path("good"), png) == ThumbnailOutcome(False, "", 1, 2)
    assert one.pids != [pid]


@posix
def test_a_child_that_crashes_is_replaced(decoder, png):
    one = decoder(FAKE, "'bad' in request['source'] and os.kill(os.getpid(), signal.SIGSEGV)")
    outcome = one.render(Path("bad"), png, "CT")
    assert outcome.reason == "The file could not be read: the decoder crashed (SIGSEGV)."
    _assert_placeholder(png)
    assert not one.render(Path("good"), png).placeholder


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("os._exit(3)", "ended with exit code 3"),
        ("print('[]', flush=True)", "lost its way"),
        ("print('{' * 100, flush=True)", "lost its way"),
        ("print('[' * 60000, flush=True)", "lost its way"),
        ("sys.stdout.write('x' * 200000)", "lost its way"),
        ("say({'id': 99})", "lost its way"),
        ("say({'id': request['id'], 'placeholder': False, 'reason': '', 'width': None})", "lost its way"),
    ],
)
def test_a_child_that_talks_nonsense_gives_a_placeholder(decoder, png, behaviour, reason):
    outcome = decoder(FAKE, behaviour).render(Path("x"), png, "CT")
    assert outcome.placeholder
    assert outcome.reason == f"The file could not be read: the decoder {reason}."
    _assert_placeholder(png)


@posix
def test_a_picture_that_needs_too_much_memory_gives_a_placeholder(decoder, png):
    one = decoder(REAL, "'bad' in str(source) and bytearray(4 << 30)")
    outcome = one.render(Path("bad"), png, "CT")
    assert outcome.reason == "The file could not be read: it needs too much memory."
    _assert_placeholder(png)
    assert one.render(Path("good"), png).reason == "made"


def test_what_decoders_print_does_not_disturb_the_answers(decoder, png):
    one = decoder(REAL, "os.write(1, b'libdecoder: hello\\n'); print('more', flush=True)")
    assert one.render(Path("x"), png).reason == "made"


@pytest.mark.parametrize("command", [["/no/such/program"], [sys.executable, "-c", "raise SystemExit(1)"]])
def test_a_worker_that_cannot_start_is_not_the_fault_of_the_file(decoder, png, command):
    with pytest.raises(InternalError, match="could not be started"):
        decoder(command=command).render(Path("x"), png)
    assert not png.exists()


def test_closing_ends_a_child_that_hangs_within_2_seconds(decoder, png, tmp_path):
    busy = tmp_path / "busy"
    one = decoder(FAKE, f"Path({str(busy)!r}).touch(); time.sleep(600)")
    raised: list[BaseException] = []

    def render() -> None:
        try:
            one.render(Path("x"), png, timeout=60)
        except Cancelled as error:
            raised.append(error)

    thread = threading.Thread(target=render)
    thread.start()
    _wait(busy.exists)
    (pid,) = one.pids
    begin = time.monotonic()
    one.close()
    assert time.monotonic() - begin < 2
    thread.join(10)
    assert len(raised) == 1
    assert _gone(pid)
    assert not png.exists()


def test_two_children_work_at_the_same_time(decoder, png, tmp_path):
    # each waits for the other
    meet = f"""
    here = Path({str(tmp_path)!r})
    (here / ("met-" + Path(request["source"]).name)).touch()
    while len(list(here.glob("met-*"))) < 2:
        time.sleep(0.01)
    """
    one = decoder(FAKE, meet.strip(), max_children=2)
    outcomes: list[ThumbnailOutcome] = []
    threads = [
        threading.Thread(target=lambda name=name: outcomes.append(one.render(Path(name), png))) for name in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [outcome.placeholder for outcome in outcomes] == [False, False]


@posix
def test_a_child_in_the_middle_of_a_picture_dies_with_its_killed_parent(tmp_path):
    busy = tmp_path / "busy"
    script = tmp_path / "program.py"
    script.write_text(REAL.replace("BEHAVE", f"Path({str(busy)!r}).write_text(str(os.getpid())); time.sleep(600)"))
    parent = (
        "import sys; from pathlib import Path; from VisualDICOMBrowserLib.imaging.children import Decoder\n"
        f"Decoder(command=[sys.executable, {str(script)!r}]).render(Path('x'), Path('y'), timeout=600)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        _wait(lambda: busy.exists() and busy.read_text())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    worker = int(busy.read_text())
    _wait(lambda: _gone(worker))
    assert process.returncode == -signal.SIGKILL
    assert worker != process.pid


def test_frames_and_listings_come_from_the_child_that_makes_thumbnails(sample, decoder, tmp_path):
    one, token = decoder(), CancelToken()
    view = one.ask("frame", sample("CT_small.dcm"), tmp_path / "raw", token=token, frame=0)
    listing = one.ask("elements", sample("CT_small.dcm"), tmp_path / "rows", token=token)
    assert (view["width"], view["height"], view["format"]) == (128, 128, "gray16")
    assert (tmp_path / "raw").stat().st_size == 128 * 128 * 2
    assert listing["total"] == len((tmp_path / "rows").read_text().splitlines())
    with pytest.raises(BadData, match="no such frame"):
        one.ask("frame", sample("CT_small.dcm"), tmp_path / "raw", token=token, frame=1)
    with pytest.raises(StorageError):
        one.ask("frame", tmp_path / "none", tmp_path / "raw", token=token, frame=0)
    token.cancel()
    with pytest.raises(Cancelled):
        one.ask("frame", sample("CT_small.dcm"), tmp_path / "raw", token=token, frame=0)
    assert len(one.pids) == 1


def test_a_frame_that_needs_too_much_memory_is_the_fault_of_the_file(monkeypatch):
    def write(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker._viewer, "write", write)
    reply = worker.answer({"id": 3, "kind": "frame", "source": "a", "destination": "b", "frame": 0})
    assert reply == {"id": 3, "damaged": worker.OUT_OF_MEMORY}


def test_where_no_child_can_be_started_this_process_answers(sample, decoder, png, tmp_path):
    one, token = decoder(here=True, max_children=2), CancelToken()
    one.warm()
    assert one.render(sample("CT_small.dcm"), png, "CT") == ThumbnailOutcome(False, "", 256, 256)
    assert one.ask("frame", sample("CT_small.dcm"), tmp_path / "raw", token=token, frame=0)["width"] == 128
    with pytest.raises(BadData, match="no such frame"):
        one.ask("frame", sample("CT_small.dcm"), tmp_path / "raw", token=token, frame=1)
    assert one.pids == []
    one.close()
    with pytest.raises(Cancelled):
        one.render(sample("CT_small.dcm"), png)


def test_what_would_end_a_child_ends_nothing_here(decoder, png, monkeypatch):
    def render(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(worker, "render_thumbnail", render)
    outcome = decoder(here=True).render(png, png)
    assert outcome.placeholder
    assert outcome.reason == "The picture could not be made: the decoder failed (ZeroDivisionError)."
