"""A port that Slicer's own storage listeners use: who it is, and what to do, is said on the page on receiving."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import qt

from support.slicer_fakes.application import FakeSlicer
from support.slicer_fakes.dicom_listener import NOT_RUNNING, RUNNING, STARTING, DICOMListener
from VisualDICOMBrowserLib.domain.listener import ListenerSettings, ListenerStatus
from VisualDICOMBrowserLib.gui.receiving.receiving_words import state_words

PORT = 11112


@pytest.fixture
def slicer(qapp, tmp_path: Path) -> Iterator[FakeSlicer]:
    with FakeSlicer(tmp_path).installed() as fake:
        yield fake


@pytest.fixture
def port_user(slicer: FakeSlicer) -> Callable[[int], str]:
    found = importlib.import_module("VisualDICOMBrowserLib.host_slicer.own_listeners").port_user
    assert callable(found)
    return found


def start(slicer: FakeSlicer, port: str = str(PORT), state: int | None = RUNNING) -> None:
    vars(slicer.module)["dicomListener"] = DICOMListener(port, state)


def test_nobody_in_slicer_listens_by_default(port_user):
    assert port_user(PORT) == ""


@pytest.mark.parametrize("state", [STARTING, RUNNING])
def test_the_dicom_modules_listener_is_named_with_what_to_do(slicer, port_user, state):
    start(slicer, state=state)
    said = port_user(PORT)
    assert said.startswith("Slicer's own storage listener uses this port. Stop it in the DICOM module")
    assert "choose another port" in said


@pytest.mark.parametrize(("port", "state"), [("104", RUNNING), (str(PORT), NOT_RUNNING), (str(PORT), None)])
def test_another_port_or_one_that_was_stopped_is_not_blamed(slicer, port_user, port, state):
    start(slicer, port, state)
    assert port_user(PORT) == ""


@pytest.mark.parametrize(
    ("enabled", "port", "named"),
    [(True, PORT, True), ("true", str(PORT), True), (False, PORT, False), (True, 104, False)],
)
def test_the_visual_browsers_listener_is_known_from_its_settings(port_user, enabled, port, named):
    settings = qt.QSettings()
    settings.setValue("DICOM/StorageEnabled", enabled)
    settings.setValue("DICOM/StoragePort", port)
    assert ("visual DICOM browser is set to this port" in port_user(PORT)) is named


def test_the_page_adds_it_to_the_engines_sentence(slicer, port_user):
    start(slicer)
    problem = f"Nothing can be received at 127.0.0.1, port {PORT}: another program listens there."
    status = ListenerStatus(ListenerSettings(port=PORT), False, problem=problem).to_dict()
    said = state_words(status, port_user)
    assert said.startswith(f"{problem} Slicer's own storage listener uses this port.")
    assert state_words(status) == problem
    for trouble in ("", "The disk is full."):
        open_there = ListenerStatus(ListenerSettings(port=PORT), True, "127.0.0.1", PORT, problem=trouble).to_dict()
        assert "Slicer" not in state_words(open_there, port_user)
