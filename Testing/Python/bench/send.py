"""C-STORE of a series from its files, beside DCMTK's ``storescu`` with the same files and server. Medians.

The time is that of the whole job: looking through the files, sending, and every answer; for ``storescu`` that of its
process. Both sides of both have TCP_NODELAY.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import in_words, made_for, require
from support.corpus import CorpusFile
from support.orthanc import Orthanc
from support.storescp import Storescp
from VisualDICOMBrowserLib.domain.errors import LocalError
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.engine import Engine

Say = Callable[[str], None]
Peer = Orthanc | Storescp


@dataclass(frozen=True)
class _Case:
    """So many instances of so many bytes."""

    count: int
    size: int
    repetitions: int

    @property
    def name(self) -> str:
        return f"{in_words(self)}, both sides with TCP_NODELAY"


_CASES = (_Case(400, 500_000, 3), _Case(2000, 8_000, 3))


def measure(say: Say) -> list[dict[str, Any]]:
    """Return one row for each case and peer."""
    require("Orthanc", "storescp", "storescu")
    rows = []
    for case in _CASES:
        say(f"Making {case.count} instances ...")
        with made_for(case) as (top, files):
            for kind in (Storescp, Orthanc):
                rows.append(_compare(case, kind, files, top, say))
    return rows


def _compare(
    case: _Case, kind: type[Storescp] | type[Orthanc], files: list[CorpusFile], top: Path, say: Say
) -> dict[str, Any]:
    """Measure in turns, each with an empty peer: taking what is there already is other work."""
    peer_name = kind.__name__.lower() if kind is Storescp else kind.__name__
    programs: dict[str, Callable[[Peer, list[CorpusFile]], float]] = {"ours": _ours, "storescu": _storescu}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for repetition in range(case.repetitions):
        for name, program in programs.items():
            with tempfile.TemporaryDirectory(dir=top) as folder, kind(Path(folder)) as peer:
                seconds[name].append(program(peer, files))
        last = ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items())
        say(f"{case.name}, {peer_name}, {repetition + 1} of {case.repetitions}: {last}")
    ours, theirs = statistics.median(seconds["ours"]), statistics.median(seconds["storescu"])
    return {
        "case": f"{case.name}, against storescu",
        "way": "to",
        "peer": peer_name,
        "ours": round(ours, 3),
        "theirs": round(theirs, 3),
        "unit": "s",
        "ratio": round(ours / theirs, 3),
    }


def _ours(peer: Peer, files: list[CorpusFile]) -> float:
    with tempfile.TemporaryDirectory() as out, Engine(Path(out, "database"), Path(out, "config.json")) as engine:
        engine.configuration.add(Server("peer", *peer.address, called_aet=peer.ae_title))
        result = engine.send_files([files[0].path.parent], "peer")
    if result.sent != len(files):
        raise LocalError(f"Only {result.sent} of {len(files)} instances were sent: {result.warnings}")
    return result.seconds


def _storescu(peer: Peer, files: list[CorpusFile]) -> float:
    host, port = peer.address
    command = ["storescu", "--max-pdu", "131072", "+sd", "-aec", peer.ae_title, host, str(port), files[0].path.parent]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=300, env={**os.environ, "TCP_NODELAY": "1"})
    return time.monotonic() - started
