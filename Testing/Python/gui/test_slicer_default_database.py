"""How Slicer comes to have a DICOM database open, when it has none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from support.slicer_fakes.application import FakeSlicer


@pytest.fixture
def slicer(qapp, tmp_path: Path) -> Iterator[FakeSlicer]:
    with FakeSlicer(tmp_path).installed() as fake:
        yield fake


def add_dicom_module(slicer: FakeSlicer, opens: bool) -> None:
    """Have the module DICOM, which is shown while it creates a database."""

    def create() -> bool:
        slicer.select("DICOM")
        return opens

    module = ModuleType("DICOM")
    module.DICOMFileDialog = SimpleNamespace(createDefaultDatabase=create)
    sys.modules["DICOM"] = module


def default_database() -> Any:
    from VisualDICOMBrowserLib.host_slicer import default_database as module  # noqa: PLC0415 - it needs the fake Slicer

    return module


def test_the_default_database_is_made_and_the_module_shown_again(slicer):
    add_dicom_module(slicer, opens=True)
    slicer.select("VisualDICOMBrowser")
    assert default_database().create_default_database()
    assert slicer.shown[-2:] == ["DICOM", "VisualDICOMBrowser"]


def test_a_database_that_cannot_be_made_leaves_slicers_explanation_on_the_screen(slicer):
    add_dicom_module(slicer, opens=False)
    assert not default_database().create_default_database()
    assert slicer.shown[-1] == "DICOM"


def test_without_a_main_window_it_cannot_be_made(qapp, tmp_path):
    with FakeSlicer(tmp_path, window=False).installed() as slicer:
        add_dicom_module(slicer, opens=True)
        with pytest.raises(RuntimeError, match="main window"):
            default_database().create_default_database()


def test_a_slicer_that_is_still_starting_opens_its_database_first(slicer):
    asked: list[str] = []
    dicom = SimpleNamespace(performPostModuleDiscoveryTasks=lambda: asked.append("asked"))
    vars(slicer.modules)["DICOMInstance"] = dicom
    default_database().prepare_database()
    slicer.module.dicomDatabase = object()
    default_database().prepare_database()
    assert asked == ["asked"]
