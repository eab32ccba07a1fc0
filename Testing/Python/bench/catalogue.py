"""The catalogue of a large hospital: 20,000 patients with 2,000,000 instances, and twice as many. Medians.

The folder is made in ``ctkDICOM.sql`` and its tag cache (10,000 instances), mirrored by the store, and some of the
studies are on servers, too. There are no images: what is measured is looking things up. A value for each size, in ms
unless the name says otherwise:

``first_mirror_seconds``, ``open``, ``open_after_change``
    To open the store on the folder: for the first time; again; after another program added, changed, removed a study.
``first_page``, ``next_page``, ``all_keys``, ``search …``
    The window's list: the first 64 persons, by name, with all that is shown of them; the next 64; the order of all; the
    order of those that fit, with the first 64 of them.
``patient_page``
    A person's studies, and all series of them with their states.
``local_counts_100``, ``totals``, ``store_one``, ``remove_study``
    Local instances of 100 series; what is here in all; to receive an instance and have its rows and its file on the
    disk; to remove a study, of which there are no files.

``steps`` is what SQLite's machine does for the same, in its own instructions, which no other load on the computer
changes; ``growth`` is how much more that is for twice the data. ``scans`` names the statements of the window that look
through a whole table or index.
"""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import large_folder
from support.large_folder import Person, Size, accession_number, study_uid
from unit.store.store_kit import receive, samples
from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.reader import CatalogueReader, PersonMark

Say = Callable[[str], None]

SIZES = (Size(20_000), Size(40_000))
#: Persons that the window reads at once.
PAGE = 64
_REPETITIONS = 15
_STEP = 10  # instructions between two looks at the counter


def measure(say: Say) -> dict[str, Any]:
    """Return the document; takes ten minutes, and 5 GB of disk."""
    found = [_measured(size, say) for size in SIZES]
    together = {name: [one[name] for one in found] for name in found[0] if name not in ("ms", "steps", "scans")}
    steps = _side_by_side([one["steps"] for one in found])
    return {
        **together,
        "ms": _side_by_side([one["ms"] for one in found]),
        "steps": steps,
        "growth": {name: round(values[-1] / max(1, values[0]), 2) for name, values in steps.items()},
        "scans": sorted({scan for one in found for scan in one["scans"]}),
        "sqlite": sqlite3.sqlite_version,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def _side_by_side(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [one[name] for one in found] for name in found[0]}


def _measured(size: Size, say: Say) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="vdb-bench-") as top:
        root = Path(top, "database")
        say(f"{size.patients:,} patients: making {size.instances:,} instances ...")
        folder = large_folder.make(root, size)
        say("Mirroring them ...")
        first = _seconds(lambda: LocalStore.open(root).close())
        large_folder.add_servers(folder)
        say("Opening the folder, with and without changes by others ...")
        times = {"open": _median(_opened(root)), "open_after_change": _median(_opened_changed(folder))}
        say("Looking things up ...")
        with closing(CatalogueReader(root)) as reader, _watched(reader) as machine:
            for name, look in looks(reader, size).items():
                look()
                machine.steps[name] = machine.counted(look)
                times[name] = _median(_seconds(look) for _ in range(_REPETITIONS))
        with LocalStore.open(root) as store:
            times |= _changes(store, size)
        megabytes = {path.name: path.stat().st_size >> 20 for path in sorted(root.glob("*.sql*"))}
    return {
        "patients": size.patients, "series": size.series, "instances": size.instances, "megabytes": megabytes,
        "first_mirror_seconds": round(first, 1), "ms": times, "steps": machine.steps, "scans": sorted(machine.scans),
    }  # fmt: skip


def looks(reader: CatalogueReader, size: Size) -> dict[str, Callable[[], object]]:
    """Return what is looked up, by name."""

    def found(places: Places = Places(), **wanted: Any) -> None:  # noqa: B008 - frozen
        reader.patients(reader.patient_rows(QueryFilter(**wanted), places)[:PAGE])

    def page(after: PersonMark | None = None) -> PersonMark | None:
        keys, place = reader.some_patient_rows(QueryFilter(), Places(), after, PAGE)
        reader.patients(keys)
        return place

    middle = page()
    some = Person.made(size.patients // 2)
    family = some.name.partition("^")[0]
    return {
        "first_page": page,
        "next_page": lambda: page(middle),
        "all_keys": lambda: reader.patient_rows(QueryFilter(), Places()),
        "search beginning of a name": lambda: found(text=family[:4]),
        "search middle of a name": lambda: found(text=family[2:7]),
        "search rare name": lambda: found(text=some.name.replace("^", ", ")),
        "search frequent part": lambda: found(text="an"),
        "search nothing like it": lambda: found(text="qqq"),
        "search ID": lambda: found(patient_id=some.patient_id),
        "search accession number": lambda: found(accession_number=accession_number(size.studies // 2)),
        "search modality and date": lambda: found(modalities=("PT",), study_date=DateRange("20100301", "20100307")),
        "search modality": lambda: found(modalities=("PT",)),
        "search study description": lambda: found(study_description="knee 3"),
        "search on this computer": lambda: found(places=Places(servers=())),
        "search on a server": lambda: found(places=Places(here=False, servers=("Clinic",))),
        "patient_page": lambda: _patient_page(reader, some.number),
        "totals": reader.totals,
    }


def _patient_page(reader: CatalogueReader, number: int) -> None:
    (key,) = reader.patient_rows(QueryFilter(patient_id=f"{number:07}"), Places())
    studies = reader.studies(key, QueryFilter(), Places())
    reader.series([row.study.study_uid for row in studies], QueryFilter(), Places())


# Opening


def _opened(root: Path) -> Iterator[float]:
    for _ in range(5):
        yield _seconds(lambda: LocalStore.open(root).close())


def _opened_changed(folder: DatabaseFolder) -> Iterator[float]:
    """Open after changes of one study, as another program makes them while nobody has the folder open."""
    for statements in (_EDIT, _ADD, _REMOVE):
        with closing(sqlite3.connect(folder.ctk_database)) as db, db:
            for statement in statements:
                db.execute(statement, {"uid": study_uid(7), "new": "1.2.999"})
        yield _seconds(lambda: LocalStore.open(folder.root).close())


_EDIT = ("UPDATE Studies SET StudyDescription = 'changed' WHERE StudyInstanceUID = :uid",)
_ADD_STUDY = (
    "INSERT INTO Studies (StudyInstanceUID, PatientsUID, StudyDate, InsertTimestamp)"
    " SELECT :new, PatientsUID, StudyDate, '' FROM Studies WHERE StudyInstanceUID = :uid"
)
_ADD_SERIES = (
    "INSERT INTO Series (SeriesInstanceUID, StudyInstanceUID, InsertTimestamp) VALUES (:new || '.1', :new, '')"
)
_ADD_IMAGES = (
    "INSERT INTO Images (SOPInstanceUID, SeriesInstanceUID, Filename, URL, InsertTimestamp)"
    " SELECT :new || '.' || rowid, :new || '.1', Filename || rowid, '', '' FROM Images WHERE rowid <= 50"
)
_ADD = (_ADD_STUDY, _ADD_SERIES, _ADD_IMAGES)
_REMOVE = (
    "DELETE FROM Images WHERE SeriesInstanceUID = :new || '.1'",
    "DELETE FROM Series WHERE StudyInstanceUID = :new",
    "DELETE FROM Studies WHERE StudyInstanceUID = :new",
)


def _changes(store: LocalStore, size: Size) -> dict[str, float]:
    series = [f"{study_uid(number)}.{at}" for number in range(100, 120) for at in range(1, 6)]
    new, gone = iter(samples(_REPETITIONS)), iter(range(200, size.studies))

    def remove() -> None:
        store.remove(Target(Level.STUDY, (study_uid(next(gone)),)))

    return {
        "local_counts_100": _median(_seconds(lambda: store.catalogue.local_counts(series)) for _ in range(9)),
        "store_one": _median(_seconds(lambda: receive(store, [next(new)])) for _ in range(9)),
        "remove_study": _median(_seconds(remove) for _ in range(9)),
    }


# Measuring


@dataclass
class Machine:
    """Counts what SQLite does for a reader, and notes which statements look through a whole table or index."""

    connection: sqlite3.Connection
    steps: dict[str, int] = field(default_factory=dict)
    scans: set[str] = field(default_factory=set)

    def counted(self, look: Callable[[], object]) -> int:
        """Return how many instructions of its machine SQLite needs."""
        calls = 0
        statements: set[str] = set()

        def count() -> int:
            nonlocal calls
            calls += 1
            return 0

        self.connection.set_progress_handler(count, _STEP)
        self.connection.set_trace_callback(statements.add)
        try:
            look()
        finally:
            self.connection.set_progress_handler(None, 0)
            self.connection.set_trace_callback(None)
        self.scans.update(scan for statement in statements for scan in self._scans(statement))
        return calls * _STEP

    def _scans(self, statement: str) -> Iterator[str]:
        for *_, plan in self.connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall():
            if plan.startswith("SCAN ") and not re.search("CONSTANT ROW|subquery|every", plan, re.IGNORECASE):
                said = re.sub("'[^']*'", "…", statement)  # what is looked for
                yield f"{plan}: {said[:120]}"


@contextmanager
def _watched(reader: CatalogueReader) -> Iterator[Machine]:
    reader.totals()  # opens the file
    connection = reader._connection
    assert connection is not None
    yield Machine(connection)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _median(seconds: Iterable[float]) -> float:
    return round(1000 * statistics.median(seconds), 2)
