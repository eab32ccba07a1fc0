"""Instances made byte by byte, ways into a store, and what must hold of a folder at rest."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import VisualDICOMBrowserLib
from unit.store.dicom_bytes import CT, EXPLICIT_LITTLE, element
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.results import ImportResult
from VisualDICOMBrowserLib.store import catalogue_schema
from VisualDICOMBrowserLib.store.catalogue import Catalogue
from VisualDICOMBrowserLib.store.file_meta import file_head
from VisualDICOMBrowserLib.store.importer import Importer
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.receive import Receiver
from VisualDICOMBrowserLib.store.recovery import files_below
from VisualDICOMBrowserLib.store.writer import Batch

AET = "SENDER"


@dataclass(frozen=True)
class Sample:
    """A small CT instance, as announced and as sent."""

    number: int = 1
    series: int = 1
    study: int = 1
    patient_id: str = "4711"
    name: str = "Doe^Jane"
    pixels: bytes = b"\1\2" * 50
    sop_class: str = CT
    transfer_syntax: str = EXPLICIT_LITTLE

    @property
    def sop_uid(self) -> str:
        return f"1.2.{self.study}.{self.series}.{self.number}"

    @property
    def series_uid(self) -> str:
        return f"1.2.{self.study}.{self.series}"

    @property
    def study_uid(self) -> str:
        return f"1.2.{self.study}"

    @property
    def dataset(self) -> bytes:
        values = [
            (0x00080016, "UI", self.sop_class),
            (0x00080018, "UI", self.sop_uid),
            (0x00080060, "CS", "CT"),
            (0x00100010, "PN", self.name),
            (0x00100020, "LO", self.patient_id),
            (0x00100030, "DA", "19700101"),
            (0x0020000D, "UI", self.study_uid),
            (0x0020000E, "UI", self.series_uid),
            (0x00200011, "IS", str(self.series)),
            (0x00200013, "IS", str(self.number)),
        ]
        return b"".join(_text(*value) for value in values) + element(0x7FE00010, "OW", self.pixels)

    @property
    def file(self) -> bytes:
        return file_head(self.sop_class, self.sop_uid, self.transfer_syntax, AET) + self.dataset


@dataclass(frozen=True)
class Moved(Sample):
    """The same instance, of another series and study."""

    @property
    def series_uid(self) -> str:
        return f"1.2.99.{self.series}"

    @property
    def study_uid(self) -> str:
        return "1.2.99"


def _text(tag: int, vr: str, text: str) -> bytes:
    value = text.encode()
    return element(tag, vr, value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2))


def samples(count: int, **values: object) -> list[Sample]:
    return [Sample(number=number, **values) for number in range(1, count + 1)]


def write_files(folder: Path, items: Iterable[Sample]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for item in items:
        paths.append(folder / f"{item.sop_uid}.dcm")
        paths[-1].write_bytes(item.file)
    return paths


def receive(store: LocalStore, items: Iterable[Sample], batch: Batch | None = None) -> Batch:
    """Have a store receive instances, and wait until they are settled."""
    batch = batch or Batch()
    receiver = Receiver(store.folder, store.writer, batch, AET)
    return _received(receiver, items, batch)


def swap(store: LocalStore, items: Sequence[Sample]) -> Batch:
    """Have a store receive instances that take the place of what is here."""
    batch = Batch()
    receiver = Receiver(store.folder, store.writer, batch, AET)
    receiver.replace = True
    return _received(receiver, items, batch)


def keep_safe(store: LocalStore, items: Iterable[Sample], then: Callable[[], None] | None = None) -> Batch:
    """Have a store confirm instances before it writes their rows, as the listener does."""
    batch = Batch()
    receiver = Receiver(
        store.folder, store.writer, batch, AET, keep=lambda pending, part: store.safekeeping.keep(pending, part, then)
    )
    return _received(receiver, items, batch)


def _received(receiver: Receiver, items: Iterable[Sample], batch: Batch) -> Batch:
    for item in items:
        file = receiver.open(item)
        file.write(memoryview(item.dataset))
        file.finish()
    batch.wait()
    return batch


def bring_in(store: LocalStore, paths: Sequence[Path], *, link: bool = False, replace: bool = False) -> ImportResult:
    return Importer(store, link=link, replace=replace, token=CancelToken()).run(paths)


def local_uids(store: LocalStore) -> set[str]:
    return {image.sop_uid for image in store._rows.snapshot().images}


def part_files(folder: DatabaseFolder) -> list[Path]:
    return [path for path in files_below(folder.root) if path.name.endswith(".part")]


def dicom_files(folder: DatabaseFolder) -> list[Path]:
    return sorted(path for path in files_below(folder.dicom_folder))


def rows(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Look into a database that this process has not open: closing it would drop the locks."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, values).fetchall()


def change(path: Path, statement: str, *values: object) -> None:
    """Change a database as another program would: in a process of its own, because of the locks."""
    code = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "with connection: connection.execute(sys.argv[2], sys.argv[3:])\n"
        "connection.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(path), statement, *map(str, values)], check=True, timeout=60)


def environment() -> dict[str, str]:
    """Return the environment for a child that imports the package and this kit."""
    package = Path(next(iter(VisualDICOMBrowserLib.__path__))).parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(Path(__file__).parents[2])])}


def assert_at_rest(folder: DatabaseFolder) -> set[str]:
    """Check a folder that nobody has open: every row a readable file, every file a row, nothing half-done.

    Return the local instances.
    """
    with LocalStore.open(folder.root) as store:
        assert store.verify().to_dict()["ok"], store.verify()
        local = local_uids(store)
        assert store.readable(local) == local
        for kind in ("receive", "remove", "unlink", "replace"):
            assert store.catalogue.intents(kind) == []
    assert part_files(folder) == []
    assert_databases_agree(folder, local)
    return local


def assert_databases_agree(folder: DatabaseFolder, local: set[str]) -> None:
    for path in (folder.ctk_database, folder.ctk_tag_cache, folder.catalogue):
        assert rows(path, "PRAGMA integrity_check") == [("ok",)], path.name
    assert {uid for (uid,) in rows(folder.ctk_tag_cache, "SELECT DISTINCT SOPInstanceUID FROM TagCache")} == local
    assert {u for (u,) in rows(folder.catalogue, "SELECT sop_uid FROM instances WHERE file IS NOT NULL")} == local
    series = (
        "SELECT SeriesInstanceUID FROM Series WHERE SeriesInstanceUID NOT IN (SELECT SeriesInstanceUID FROM Images)"
    )
    assert rows(folder.ctk_database, series) == []
    leftover = [name.name for name in folder.root.iterdir() if name.name.endswith(("-journal", "-wal", "-shm"))]
    assert leftover == []


@contextmanager
def child(code: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python code in a process with pipes at its input and output; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def catalogue_in_memory() -> Catalogue:
    """Return an empty catalogue, closed when nobody refers to it: from 3.13 on, Python warns of one that is not."""
    catalogue = Catalogue(catalogue_schema.in_memory())
    weakref.finalize(catalogue, catalogue._connection.close)
    return catalogue
