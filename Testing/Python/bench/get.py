"""C-GET of a series into a database folder, verified, beside what others do with the same series.

``theirs`` is stock pynetdicom that decodes each instance and saves it, in a process of its own, without database
and without verification; and DCMTK's ``getscu +B``, which keeps the bytes as they come. Medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import in_words, made_for, require
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from VisualDICOMBrowserLib.domain.errors import LocalError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.engine import Engine

Say = Callable[[str], None]
Peer = Orthanc | Dcmqrscp

_STOCK = Path(__file__).with_name("stock_get.py")


@dataclass(frozen=True)
class _Case:
    """So many instances of so many bytes; ``nodelay``: whether the peer switches Nagle's algorithm off."""

    count: int
    size: int
    repetitions: int
    nodelay: bool = True

    @property
    def name(self) -> str:
        return f"{in_words(self)}, peer with {'TCP_NODELAY=1' if self.nodelay else 'Nagle on'}"


_CASES = (_Case(400, 500_000, 3), _Case(2000, 8_000, 1), _Case(100, 8_000, 1, nodelay=False))


def measure(say: Say) -> list[dict[str, Any]]:
    """Return one row for each case, peer and other program."""
    require("Orthanc", "dcmqrscp", "getscu")
    rows = []
    for case in _CASES:
        say(f"Making {case.count} instances ...")
        with made_for(case) as (top, files):
            for peer in _peers(top, case):
                with peer:
                    say(f"Loading {_name(peer)} ...")
                    _load(peer, [file.path for file in files])
                    rows += _compare(case, peer, files[0].study_uid, files[0].series_uid, top, say)
    return rows


def _name(peer: Peer) -> str:
    return "dcmqrscp" if isinstance(peer, Dcmqrscp) else "Orthanc"


def _load(peer: Peer, paths: list[Path]) -> None:
    refused = peer.index(paths) if isinstance(peer, Dcmqrscp) else peer.load(paths)
    if refused:
        raise LocalError(f"{_name(peer)} refused {len(refused)} instances.")


def _peers(top: Path, case: _Case) -> Iterator[Peer]:
    for kind in (Dcmqrscp, Orthanc):
        folder = top / kind.__name__
        folder.mkdir()
        yield kind(folder, nodelay=case.nodelay)


def _compare(case: _Case, peer: Peer, study: str, series: str, top: Path, say: Say) -> list[dict[str, Any]]:
    """Measure in turns, so that a busy moment of the machine strikes all."""
    programs: dict[str, Callable[[Path], float]] = {
        "ours": lambda out: _ours(peer, series, case.count, out),
        "stock pynetdicom": lambda out: _stock(peer, study, series, case.count, out),
        "getscu": lambda out: _getscu(peer, study, series, case, out),
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for repetition in range(case.repetitions):
        for name, program in programs.items():
            with tempfile.TemporaryDirectory(dir=top) as out:
                seconds[name].append(program(Path(out)))
        last = ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items())
        say(f"{case.name}, {_name(peer)}, {repetition + 1} of {case.repetitions}: {last}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        {
            "case": f"{case.name}, against {name}",
            "peer": _name(peer),
            "ours": round(medians["ours"], 3),
            "theirs": round(theirs, 3),
            "unit": "s",
            "ratio": round(medians["ours"] / theirs, 3),
        }
        for name, theirs in medians.items()
        if name != "ours"
    ]


def _ours(peer: Peer, series: str, count: int, out: Path) -> float:
    """Plan, fetch into a new database folder, and verify; the time is the job's own, from start to end."""
    with Engine(out / "database", out / "config.json") as engine:
        engine.configuration.add(Server("peer", *peer.address, called_aet=peer.ae_title))
        _let_it_be_known(engine, series)
        result = engine.retrieve(Target(Level.SERIES, (series,)), "peer")
    if result.verified != count:
        raise LocalError(f"Only {result.verified} of {count} instances came: {result.warnings}")
    return result.seconds


def _let_it_be_known(engine: Engine, series: str) -> None:
    """Search first, as everybody does; the others get the study's UID as an argument too."""
    engine.query(level=Level.SERIES)
    if engine._store.catalogue.parents(Level.SERIES, series) is None:
        raise LocalError("The peer does not list the series.")


def _stock(peer: Peer, study: str, series: str, count: int, out: Path) -> float:
    host, port = peer.address
    command = [sys.executable, _STOCK, host, str(port), peer.ae_title, study, series, out]
    with _timed() as elapsed:
        done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    _check_count(out, count)
    # The interpreter's start is not what is compared: the script tells its own time.
    return min(float(done.stdout), elapsed())


def _getscu(peer: Peer, study: str, series: str, case: _Case, out: Path) -> float:
    host, port = peer.address
    keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}"]
    command = ["getscu", "-S", "+B", "-od", out, "-aec", peer.ae_title, *(part for key in keys for part in ("-k", key))]
    environment = {**os.environ, "TCP_NODELAY": "1"} if case.nodelay else dict(os.environ)
    with _timed() as elapsed:
        subprocess.run([*command, host, str(port)], check=True, capture_output=True, timeout=300, env=environment)
    _check_count(out, case.count)
    return elapsed()


def _check_count(out: Path, count: int) -> None:
    found = sum(1 for path in out.iterdir() if path.is_file())
    if found != count:
        raise LocalError(f"The other program fetched {found} of {count} instances.")


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    started = time.monotonic()
    yield lambda: time.monotonic() - started
