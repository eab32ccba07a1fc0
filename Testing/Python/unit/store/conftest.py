from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.imaging.comparison import differing_elements
from VisualDICOMBrowserLib.store.ctk_rows import StoredInstance
from VisualDICOMBrowserLib.store.headers import read_header
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore

_SAMPLES = Path(__file__).parents[3] / "Data" / "ctk-databases"


@pytest.fixture
def folder(tmp_path: Path) -> DatabaseFolder:
    return DatabaseFolder(tmp_path / "database")


@pytest.fixture
def ctk_sample(tmp_path: Path) -> Callable[[str], DatabaseFolder]:
    def copy(name: str) -> DatabaseFolder:
        return DatabaseFolder(Path(shutil.copytree(_SAMPLES / name, tmp_path / name)))

    return copy


@pytest.fixture(scope="session")
def source_files() -> list[Path]:
    return sorted((_SAMPLES / "source").glob("*.dcm"))


@pytest.fixture
def stored(source_files: list[Path]) -> Callable[[DatabaseFolder], list[StoredInstance]]:
    """The source files as if copied into a folder."""

    def place(folder: DatabaseFolder) -> list[StoredInstance]:
        headers = [read_header(path) for path in source_files]
        return [StoredInstance(h, folder.instance_path(h.study_uid, h.series_uid, h.sop_uid)) for h in headers]

    return place


@pytest.fixture
def store(folder: DatabaseFolder) -> Iterator[LocalStore]:
    with LocalStore.open(folder.root) as opened:
        opened.duplicates.compare = differing_elements
        yield opened
