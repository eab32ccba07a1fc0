"""Child processes that make pictures, and what happens when one of them breaks.

A child serves one request at a time. One that crashes, hangs or talks nonsense is killed, the next request starts
another, and the file that did it is said to be to blame: a thumbnail becomes a placeholder with the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ..domain.cancel import CancelToken
from ..domain.errors import BadData, Cancelled, InternalError, StorageError
from .placeholder import NOT_SHOWN, ThumbnailOutcome, draw_placeholder

WORKER = "VisualDICOMBrowserLib.imaging.worker"
#: Seconds a child may take until it serves: a cold disk under a virus scanner is slow.
START_TIMEOUT = 60.0
#: Seconds a child gets to end by itself after its input was closed.
END_TIMEOUT = 1.0
_LONGEST_ANSWER = 1 << 16

# The folder that holds the package. The child runs there: `python -m` looks for modules in the current folder
# first, which must not be a folder of somebody else, and Python 3.10 has no switch against it.
_ROOT = Path(__file__).resolve().parents[2]


# The worker module keeps what it read last, for one request at a time.
_one_at_a_time = threading.Lock()


class ChildFailed(BadData):
    """A child did not make it; ``str()`` is the reason that goes with the placeholder."""


class DecodeChild:
    """One worker process, started when first asked, and again after it was killed.

    :param command: the program and its arguments; it must speak the protocol of :mod:`.worker`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._worker_pid = 0
        self._count = 0
        self._closed = threading.Event()

    @property
    def pid(self) -> int | None:
        """The process id of the running worker (a launcher in front of it has another), None if there is none."""
        return self._worker_pid or None

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request (its id is added) and return the answer.

        :param timeout: seconds for the answer; the start of the process does not count.
        :raises ChildFailed: it crashed, hung or talked nonsense, and is dead now.
        :raises InternalError: it could not be started.
        :raises Cancelled: the child was closed.
        """
        with self._lock:
            process = self._running()
            self._count += 1
            try:
                return self._exchange(process, {"id": self._count, **request}, timeout)
            except ChildFailed:
                self._kill()
                self._check_open()
                raise

    def warm(self) -> None:
        """Start the process ahead of the first request; what goes wrong comes up again at that request."""
        with self._lock, contextlib.suppress(InternalError, Cancelled):
            self._running()

    def close(self) -> None:
        """End the process within 2 seconds, whatever it does; safe from any thread, and more than once."""
        self._closed.set()
        process = self._process
        if process is not None:
            _end(process, self._worker_pid)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Cancelled("The decoder was closed.")

    def _running(self) -> subprocess.Popen[bytes]:
        self._check_open()
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._kill()
        return self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            process = _launch(self._command)
        except OSError as error:
            raise InternalError(f"The decoder process could not be started: {error.strerror}.") from error
        self._process, self._answers = process, queue.Queue()
        assert process.stdout is not None
        threading.Thread(target=_collect, args=(process.stdout, self._answers), daemon=True).start()
        try:
            self._check_open()  # close() may not have seen the process
            self._worker_pid = int(self._receive(process, START_TIMEOUT).get("ready", 0))
        except ChildFailed as error:
            self._kill()
            self._check_open()
            raise InternalError("The decoder process could not be started.") from error
        except Cancelled:
            self._kill()
            raise
        return process

    def _exchange(self, process: subprocess.Popen[bytes], request: dict[str, Any], timeout: float) -> dict[str, Any]:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: close() closed the pipe
            raise ChildFailed("The file could not be read: the decoder ended.") from error
        reply = self._receive(process, timeout)
        if reply.get("id") != request["id"]:
            raise ChildFailed("The file could not be read: the decoder lost its way.")
        return reply

    def _receive(self, process: subprocess.Popen[bytes], timeout: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise ChildFailed("The file could not be read: the decoder ran out of time.") from None
        if not line:
            raise ChildFailed(f"The file could not be read: the decoder {_obituary(process)}.")
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise ChildFailed("The file could not be read: the decoder lost its way.")
        return reply

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _end(process, self._worker_pid, patience=0.0)
        self._worker_pid = 0


class DecodeHere:
    """Takes the place of a worker process where none can be started; works on the thread that asks.

    A file that breaks a decoder breaks this program, and a picture that takes long cannot be given up: the last resort.
    Comparing is, between two frames.
    """

    pid: int | None = None

    def __init__(self) -> None:
        self._closed = False

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Answer a request.

        :param timeout: seconds for a comparison, and for waiting until it begins; of no use for pictures.
        :raises ChildFailed: a worker process would have ended by it, or a comparison cannot begin in time.
        :raises Cancelled: the decoder was closed.
        """
        from .worker import answer  # noqa: PLC0415 - with worker processes, this one has no use for decoders

        if not _one_at_a_time.acquire(timeout=timeout if request.get("kind") == "compare" else -1):
            raise ChildFailed("The file could not be read: the decoder is busy with another one.")
        try:
            if self._closed:
                raise Cancelled("The decoder was closed.")
            return answer({"id": 0, "seconds": timeout, **request})
        except Cancelled:
            raise
        except Exception as error:
            reason = f"The picture could not be made: the decoder failed ({type(error).__name__})."
            raise ChildFailed(reason) from error
        finally:
            _one_at_a_time.release()

    def warm(self) -> None:
        """Nothing has to be started."""

    def close(self) -> None:
        """Begin no further picture."""
        self._closed = True


class Decoder:
    """Makes thumbnails, frames for a viewer and listings in child processes, or in this one.

    :param interpreter: the Python that runs the worker, this one by default.
    :param command: another program that speaks the worker's protocol, instead.
    :param max_children: how many pictures are made at the same time.
    :param here: work in this process: see :class:`DecodeHere`.
    """

    def __init__(
        self,
        *,
        interpreter: str | None = None,
        command: Sequence[str] | None = None,
        max_children: int = 1,
        here: bool = False,
    ) -> None:
        words = list(command or (interpreter or sys.executable, "-m", WORKER))
        self._children: list[DecodeChild | DecodeHere] = [
            DecodeHere() if here else DecodeChild(words) for _ in range(max(1, max_children))
        ]
        self._idle: queue.LifoQueue[DecodeChild | DecodeHere] = queue.LifoQueue()
        for child in self._children:
            self._idle.put(child)
        self._warmer: threading.Thread | None = None
        self._warming = threading.Lock()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """The process ids of the running workers."""
        return [child.pid for child in self._children if child.pid is not None]

    def warm(self) -> None:
        """Start the child that will be asked first, in the background; return at once. Only the first call counts."""
        with self._warming:
            if self._warmer is None:
                self._warmer = threading.Thread(target=self._children[-1].warm, daemon=True)
                self._warmer.start()

    def render(self, source: Path, destination: Path, modality: str = "", timeout: float = 20.0) -> ThumbnailOutcome:
        """Write the thumbnail of a file, or a placeholder with the reason; waits for an idle child.

        :param timeout: seconds for the picture; waiting and starting a process do not count.
        :raises StorageError: the source cannot be read or the destination not written.
        :raises InternalError: no process could be started, so nothing is known about the file.
        :raises Cancelled: the decoder is closed.
        """
        request = {
            "source": os.path.abspath(source),  # noqa: PTH100  resolve() would follow links
            "destination": os.path.abspath(destination),  # noqa: PTH100
            "modality": modality,
        }
        child = self._idle.get()
        try:
            return _outcome(child.ask(request, timeout))
        except ChildFailed as error:
            return draw_placeholder(modality, destination, NOT_SHOWN, reason=str(error))
        finally:
            self._idle.put(child)

    def ask(
        self, kind: str, source: Path, destination: Path, timeout: float = 20.0, *, token: CancelToken, **details: Any
    ) -> dict[str, Any]:
        """Have a child write something about ``source``; see :mod:`.worker` for the kinds and answers.

        :param timeout: seconds for the answer; waiting for an idle child and starting one do not count.
        :param token: given up before the child is asked if this is cancelled.
        :raises BadData: the file is to blame; :class:`ChildFailed` if the child did not survive it.
        :raises StorageError: the source cannot be read or the destination not written.
        :raises InternalError: no process could be started.
        :raises Cancelled: the token was raised, or the decoder is closed.
        """
        request = {"kind": kind, "source": str(source.absolute()), "destination": str(destination.absolute())}
        child = self._idle.get()
        try:
            token.check()
            reply = child.ask({**request, **details}, timeout)
        finally:
            self._idle.put(child)
        if "error" in reply:
            raise StorageError(str(reply["error"]))
        if "damaged" in reply:
            raise BadData(str(reply["damaged"]))
        return {name: value for name, value in reply.items() if name != "id"}

    def close(self) -> None:
        """End all children within 2 seconds. A picture being made then raises :class:`.Cancelled`."""
        threads = [threading.Thread(target=child.close) for child in self._children]
        for thread in threads:
            thread.start()
        with self._warming:
            threads += [self._warmer] if self._warmer else []
        for thread in threads:
            thread.join()


def _outcome(reply: dict[str, Any]) -> ThumbnailOutcome:
    if "error" in reply:
        raise StorageError(str(reply["error"]))
    try:
        return ThumbnailOutcome(
            bool(reply["placeholder"]), str(reply["reason"]), int(reply["width"]), int(reply["height"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ChildFailed("The file could not be read: the decoder lost its way.") from error


def _launch(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        env=_environment(),
        # A group of its own: Ctrl+C is for us, and a launcher can be killed with what it launched.
        start_new_session=os.name == "posix",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _environment() -> dict[str, str]:
    """Return ours, with the package to be found, and without the memory that arithmetic threads reserve."""
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(_ROOT), inherited] if inherited else [str(_ROOT)])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _collect(stream: IO[bytes], answers: queue.Queue[bytes]) -> None:
    """Put each line of a child into a queue, and an empty one at the end. Runs on a thread."""
    with stream:
        for line in iter(lambda: stream.readline(_LONGEST_ANSWER), b""):
            answers.put(line)
    answers.put(b"")


def _obituary(process: subprocess.Popen[bytes]) -> str:
    """Say how a process ended whose output has ended."""
    try:
        code = process.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        return "fell silent"
    if code < 0:
        return f"crashed ({_signal_name(-code)})"
    return f"ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end(process: subprocess.Popen[bytes], worker_pid: int, patience: float = END_TIMEOUT) -> None:
    """Close a child's input, wait ``patience`` seconds, then kill it and what it launched."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
        return
    _kill_tree(process, worker_pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_TIMEOUT)


def _kill_tree(process: subprocess.Popen[bytes], worker_pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
            return
        process.kill()
        if worker_pid and worker_pid != process.pid:
            os.kill(worker_pid, signal.SIGTERM)  # terminates at once there
