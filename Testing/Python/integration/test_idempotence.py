"""The same study twenty times, by five workers at once, by import and from a server: as if it had come once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.corpus import CorpusFile
from support.sender import data_set_bytes
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.model import Level, Target

WORKERS, TIMES = 5, 20
#: What differs from one time to the next: keys that are given out, and times.
PASSING = ("InsertTimestamp", "DisplayedFieldsUpdatedTimestamp", "UID", "PatientsUID", "id", "patient", "record")
LASTING = {
    "ctkDICOM.sql": ("Patients", "Studies", "Series", "Images"),
    "ctkDICOMTagCache.sql": ("TagCache",),
    "visual-dicom-browser.sqlite": ("patients", "studies", "series", "instances", "intents"),
}

Work = Callable[[Engine], object]


@pytest.fixture(scope="module")
def files(orthanc, tmp_path_factory) -> list[CorpusFile]:
    folder = tmp_path_factory.mktemp("idempotence")
    made = [file for n in (1, 2) for file in make_ct_series(folder / "study" / str(n), 12, 5_000, study=77, series=n)]
    assert orthanc.load([file.path for file in made]) == []
    return made


def importing(files: list[CorpusFile]) -> Work:
    return lambda engine: engine.import_paths([files[0].path.parents[1]])


def retrieving(files: list[CorpusFile]) -> Work:
    return lambda engine: engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)), "PACS")


WAYS = {"import": (importing,), "retrieve": (retrieving,), "both": (importing, retrieving)}


@pytest.mark.parametrize("way", WAYS)
def test_twenty_times_by_five_workers_is_as_once(benches, orthanc, files, way):
    works = [make(files) for make in WAYS[way]]
    once, often = benches("once"), benches("often")
    for bench in (once, often):
        bench.add("PACS", orthanc)
    with once.engine() as engine:
        works[-1](engine)
    with often.engine() as engine, ThreadPoolExecutor(WORKERS) as pool:
        results: list[Any] = list(pool.map(lambda n: works[n % len(works)](engine), range(TIMES)))

    assert all(not result.conflicts and not result.replaced for result in results)
    assert sum(getattr(result, "imported", 0) + getattr(result, "received", 0) for result in results) >= len(files)
    assert rows_in(often.database) == rows_in(once.database)
    same = data_set_bytes if way == "both" else bytes  # of both ways, the file meta information tells
    assert files_in(often.database, same) == files_in(once.database, same)
    with often.engine() as engine:
        assert engine.verify().ok
        assert engine.verify().files == len(files)


def files_in(folder: Path, read: Callable[[bytes], bytes]) -> dict[str, bytes]:
    """Return all files but the databases themselves."""
    found = [path for path in (folder / "dicom").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): read(path.read_bytes()) for path in found}


def rows_in(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what lasts of all tables, while nobody has them open."""
    return {f"{name} {table}": _rows(folder / name, table) for name, tables in LASTING.items() for table in tables}


def _rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        wanted = ", ".join(column for column in columns if column not in PASSING)
        return sorted(connection.execute(f"SELECT {wanted} FROM {table}").fetchall(), key=repr)
