"""``storescu`` sends to our ``listen``, beside the same to DCMTK's ``storescp``. Medians, in turns, each time empty.

The time is that from the start of the senders until the last one ends, so until everything is confirmed. Both sides of
both have TCP_NODELAY. ``storescp`` keeps no database and leaves it to the system when its files are on the disk; so a
third figure tells what it costs by itself to write as many files and have each on the disk under its name.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import in_words, require
from support.listen_process import ListenProcess
from support.storescp import Storescp
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.errors import LocalError
from VisualDICOMBrowserLib.store.files import PartFile, fsync_folder

Say = Callable[[str], None]

_REPETITIONS = 3


@dataclass(frozen=True)
class _Case:
    """So many instances of so many bytes, by so many senders."""

    count: int
    size: int
    senders: int

    @property
    def name(self) -> str:
        return f"{in_words(self)} by {self.senders} at once"


_CASES = [_Case(count, size, senders) for count, size in ((400, 500_000), (1000, 8_000)) for senders in (1, 4)]


def measure(say: Say) -> list[dict[str, Any]]:
    """Return one row for each case."""
    require("storescp", "storescu")
    return [_measured(case, say) for case in _CASES]


def _measured(case: _Case, say: Say) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"listen": [], "storescp": [], "files alone": []}
    with tempfile.TemporaryDirectory(prefix="vdb-bench-") as folder:
        top = Path(folder)
        sources = [top / f"source{number}" for number in range(case.senders)]
        for number, source in enumerate(sources, 1):
            make_ct_series(source, case.count // case.senders, case.size, study=number)
        for repetition in range(_REPETITIONS):
            seconds["listen"].append(_ours(case, sources, top / f"ours{repetition}"))
            seconds["storescp"].append(_theirs(sources, top / f"theirs{repetition}"))
            seconds["files alone"].append(_files_alone(case, top / f"files{repetition}"))
            last = ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items())
            say(f"{case.name}, {repetition + 1} of {_REPETITIONS}: {last}")
    ours, theirs, files = (statistics.median(values) for values in seconds.values())
    return {
        "case": f"{case.name}, both sides with TCP_NODELAY, against storescp",
        "peer": "storescu",
        "ours": round(ours, 3),
        "theirs": round(theirs, 3),
        "unit": "s",
        "ratio": round(ours / theirs, 3),
        "files_alone": round(files, 3),
    }


def _ours(case: _Case, sources: Sequence[Path], folder: Path) -> float:
    with ListenProcess(folder) as peer:
        seconds = _send(peer.port, peer.ae_title, sources)
        document = peer.interrupt()
    if document["stored"] != case.count:
        raise LocalError(f"Only {document['stored']} of {case.count} instances were stored.")
    return seconds


def _theirs(sources: Sequence[Path], folder: Path) -> float:
    with Storescp(folder, options=["--fork"]) as peer:
        return _send(peer.port, peer.ae_title, sources)


def _send(port: int, ae_title: str, sources: Sequence[Path]) -> float:
    """Send each folder by a process of its own."""
    command = ["storescu", "--max-pdu", "131072", "+sd", "-aec", ae_title, "127.0.0.1", str(port)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    started = time.monotonic()
    senders = [
        subprocess.Popen([*command, str(source)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        for source in sources
    ]
    codes = [sender.wait(300) for sender in senders]
    if any(codes):
        raise LocalError("storescu could not send everything.")
    return time.monotonic() - started


def _files_alone(case: _Case, folder: Path) -> float:
    """Write the files one after the other, as if one sender waited for each."""
    data = os.urandom(case.size)
    folder.mkdir()
    started = time.monotonic()
    for number in range(case.count):
        part = PartFile(folder / f"{number}.dcm")
        part.write(data)
        part.commit()
        fsync_folder(folder)
    return time.monotonic() - started
