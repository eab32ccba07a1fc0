"""What the window tells of packages that the engine lacks, and how they are got."""

from __future__ import annotations

import sys
from pathlib import Path

from support.bare_python import IN_SLICER, bare_environment, bare_python
from support.window_hands import Hands
from VisualDICOMBrowserLib.engine.client import EngineClient, engine_command
from VisualDICOMBrowserLib.gui import missing_packages
from VisualDICOMBrowserLib.gui.engine_process import QProcessTransport
from VisualDICOMBrowserLib.gui.host import Host
from VisualDICOMBrowserLib.gui.messages import Message, Tone
from VisualDICOMBrowserLib.gui.missing_packages import MissingPackages
from VisualDICOMBrowserLib.gui.preview.frame_loader import FrameLoader
from VisualDICOMBrowserLib.gui.preview.stack_state import Frame
from VisualDICOMBrowserLib.gui.studies.thumbnail_requests import ThumbnailRequests

NETWORK = "To talk to DICOM servers, the Python package pynetdicom is needed."
CODEC = "JPEG-LS images need the package pyjpegls."


def tell(session, host: Host) -> MissingPackages:
    return MissingPackages(session, None, host)


def press(message: Message, label: str) -> None:
    next(remedy for remedy in message.remedies if remedy.label == label).act()


def test_without_an_installer_the_sentence_says_what_to_do(session):
    tell(session, Host())
    session.package_missing.emit(NETWORK, "search")
    (message,) = session.messages
    assert message.text == f"{NETWORK} Install it with pip, and start the program again."
    assert (message.tone, message.about, message.remedies) == (Tone.WARNING, "packages", ())


def test_what_the_user_asks_is_answered_each_time_and_what_the_window_asks_once(session):
    tell(session, Host())
    for method in ("thumbnail", "explore", "thumbnail", "search", "explore", "test_server"):
        session.package_missing.emit(NETWORK, method)
    session.package_missing.emit(CODEC, "frame")
    texts = [message.text.partition(" Install")[0] for message in session.messages]
    assert texts == [NETWORK, NETWORK, NETWORK, CODEC]
    assert {message.about for message in session.messages} == {"packages"}


def test_install_restarts_the_engine_and_says_how_to_go_on(session):
    tell(session, Host(install=lambda: True))
    session.package_missing.emit(NETWORK, "thumbnail")
    press(session.messages[-1], "Install…")
    assert session.restarts == 1
    assert session.messages[-1].text.startswith("The packages are installed.")
    assert (session.messages[-1].tone, session.messages[-1].about) == (Tone.NOTE, "packages")
    session.package_missing.emit(NETWORK, "thumbnail")
    assert session.messages[-1].text == NETWORK


def test_who_declines_may_install_later(session):
    answers = [False, True]
    tell(session, Host(install=lambda: answers.pop(0)))
    session.package_missing.emit(NETWORK, "search")
    press(session.messages[-1], "Install…")
    assert session.restarts == 0
    assert session.messages[-1].text == f"The packages were not installed. {NETWORK}"
    press(session.messages[-1], "Install…")
    assert session.restarts == 1


def test_a_folder_of_wheels_is_chosen_and_installed_from(session, monkeypatch):
    asked: list[Path] = []
    monkeypatch.setattr(missing_packages, "choose_folder", lambda _parent, _title, then: then("/media/wheels"))
    tell(session, Host(install_from=lambda folder: not asked.append(folder)))
    session.package_missing.emit(NETWORK, "search")
    press(session.messages[-1], "From a folder…")
    assert asked == [Path("/media/wheels")]
    assert session.restarts == 1


def test_nothing_is_told_after_the_end(session):
    missing = tell(session, Host())
    missing.close()
    session.package_missing.emit(NETWORK, "search")
    assert session.messages == []


def missing_told(session) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    session.package_missing.connect(lambda sentence, method: told.append((sentence, method)))
    return told


def test_a_thumbnail_without_its_decoder_tells_and_is_asked_for_again_of_another_engine(session):
    told, requests = missing_told(session), ThumbnailRequests(session)
    requests.want({"1.2": ()})
    session.asked("thumbnail")[0].answer({"path": "/a.png", "placeholder": True, "reason": CODEC})
    assert told == [(CODEC, "thumbnail")]
    session.ready_changed.emit(True, "")
    requests.want({"1.2": ()})
    assert len(session.asked("thumbnail")) == 2
    session.asked("thumbnail")[1].answer({"path": "/a.png", "placeholder": True, "reason": "The picture is damaged."})
    assert len(told) == 1


def test_a_frame_without_its_decoder_tells_and_is_asked_for_again_of_another_engine(session, tmp_path):
    told, loader, frame = missing_told(session), FrameLoader(session), Frame("1.2.3", 0)
    (tmp_path / "grey.raw").write_bytes(bytes(8))
    answer = {"path": str(tmp_path / "grey.raw"), "width": 2, "height": 2, "format": "gray16", "inverted": False}
    answer |= dict.fromkeys(("slope", "intercept", "center", "width_of_window", "aspect"), 1.0)
    loader.want([frame])
    session.asks[0].answer(answer | {"placeholder": True, "reason": CODEC})
    assert told == [(CODEC, "frame")]
    loader.retry()
    assert loader.has(frame)
    loader.renew()
    assert not loader.has(frame)


def test_a_window_whose_engine_lacks_a_package_gets_it_and_searches(open_window, demo, tmp_path, monkeypatch):
    hands: Hands = open_window(demo.server)
    session, folder = hands.window.session, hands.window.database.parent
    programs = [str(bare_python(tmp_path / "venv", *IN_SLICER))]

    def make_client() -> EngineClient:
        command = engine_command(programs[-1], folder / "database", folder / "config.json")
        return EngineClient(QProcessTransport(command, folder / "engine.log", bare_environment()))

    def install() -> bool:
        programs.append(sys.executable)
        return True

    monkeypatch.setattr(session, "_make_client", make_client)
    monkeypatch.setattr(hands.browser._missing, "_host", Host(install=install))
    session.restart()
    hands.wait(lambda: session.ready, "an engine without pynetdicom")
    hands.search("")
    session.ask("echo", {"server": demo.server.name})
    hands.wait_for_message(NETWORK)
    assert hands.messages() == [NETWORK]
    hands.press("Install…", hands.browser._messages)
    hands.wait(lambda: session.ready, "the engine that has it")
    hands.search("")
    assert "Sample, Patricia" in hands.names()
    assert hands.ask("verify")["ok"]
