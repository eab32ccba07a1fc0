from __future__ import annotations

from pathlib import Path

import pytest

from VisualDICOMBrowserLib.demo.pacs import DemoPacs
from VisualDICOMBrowserLib.demo.part10 import Held
from VisualDICOMBrowserLib.demo.studies import write_studies


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[Held]:
    return list(write_studies(tmp_path_factory.mktemp("demo-archive")))


@pytest.fixture
def pacs(archive: list[Held], tmp_path: Path):
    with DemoPacs(tmp_path, archive) as running:
        yield running
