"""The whole window on many series of several servers: what is looked at comes first, wherever the user scrolled by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.corpus import CorpusFile
from support.counting_server import CountingServer
from support.messages import STUDY_ROOT_GET, Message
from support.pdu import EXPLICIT_LITTLE
from support.scripted_peer import Conversation, ScriptedPeer
from support.synthetic import make_ct_series
from support.window_hands import Hands
from VisualDICOMBrowserLib.domain.model import Patient, Series, Study
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.gui.studies.thumbnail_requests import MAX_OPEN
from VisualDICOMBrowserLib.store.catalogue import Catalogue
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

SERIES = 200


class Slow(CountingServer):
    """Sends nothing before it is let; notes the series that it was asked for, in their order."""

    def __init__(self, files: list[CorpusFile]) -> None:
        super().__init__(files)
        self.let = threading.Event()
        self.asked: list[str] = []

    def _get(self, peer: Conversation, message: Message) -> None:
        assert message.command["AffectedSOPClassUID"] == STUDY_ROOT_GET
        self.asked.append(message.dataset(EXPLICIT_LITTLE).SeriesInstanceUID)
        peer.wait_for(self.let)
        super()._get(peer, message)


@dataclass
class Spy:
    """Hears what the window asks the engine, and how much of it is open."""

    hands: Hands
    open: int = 0
    most: int = 0
    shown: list[list[str]] = field(default_factory=list)  # that arrived

    def __post_init__(self) -> None:
        self._ask = self.hands.window.session.ask
        self.hands.window.session.ask = self.ask

    def ask(self, method, params=None, done=None, failed=None):
        if method == "show":
            return self._ask(method, params, lambda result: (self.shown.append(params["series_uids"]), done(result)))
        if method != "thumbnail":
            return self._ask(method, params, done, failed)
        self.open += 1
        self.most = max(self.most, self.open)
        return self._ask(method, params, lambda result: self._end(done, result), lambda error: self._end(failed, error))

    def _end(self, tell, what) -> None:
        self.open -= 1
        tell(what)


def known(folder: Path, files: list[CorpusFile], server: Callable[[int], str]) -> None:
    """Note in the catalogue that servers have these series, one file each, of one study."""
    place = DatabaseFolder(folder)
    place.root.mkdir(parents=True, exist_ok=True)
    patient = Patient("SYNTHETIC", "Synthetic^Series")
    study = Study(files[0].study_uid, patient, "20260101", modalities=("CT",), sop_classes=(files[0].sop_class,))
    catalogue = Catalogue.open(place.catalogue)
    for number, file in enumerate(files):
        series = Series(file.series_uid, file.study_uid, number + 1, "CT", f"Series {number + 1}", instance_count=1)
        catalogue.note_found(server(number), [study], [series], patients=[patient])
    catalogue.close()


@pytest.fixture
def files(tmp_path: Path) -> list[CorpusFile]:
    return [make_ct_series(tmp_path / str(number), 1, 2_000, series=number)[0] for number in range(1, SERIES + 1)]


@pytest.fixture
def slow(files) -> Iterator[Slow]:
    made = Slow(files)
    yield made
    made.let.set()


def seen(hands: Hands) -> list[str]:
    return [row.uid for row in hands.canvas.visible_rows()]


def pictured(hands: Hands) -> set[str]:
    return {row.uid for row in hands.canvas.visible_rows() if hands.sheet._picture(row) is not None}


def open_on_all(hands: Hands) -> None:
    hands.browser.show_detail(False)
    hands.wait(lambda: hands.people.isVisible() and hands.names(), "the person")
    hands.choose_patient("Synthetic")
    hands.wait(hands.studies, "the study")
    hands.unfold(hands.studies()[0])
    hands.wait(lambda: len(hands.sheet.all_series()) == SERIES, "the series")


def test_pictures_of_what_is_seen_come_before_those_of_what_was_scrolled_by(
    open_window, scripted_peer, tmp_path, files, slow
):
    known(tmp_path / "window" / "database", files, lambda _: "PACS")
    host, port = scripted_peer(slow).address
    hands = open_window(Server("PACS", host, port, "PACS"))
    spy = Spy(hands)
    open_on_all(hands)
    hands.wait(lambda: len(slow.asked) == 2, "the first pictures to be asked for")  # as many as there are associations
    for _ in range(60):
        hands.turn_wheel(hands.canvas, -5)
        hands.window.spin(0.01)
    last = seen(hands)
    assert not set(last) & set(slow.asked)
    hands.wait(lambda: spy.shown and spy.shown[-1] == last, "the engine to know what is seen")
    before = len(slow.asked)
    slow.let.set()
    hands.wait(lambda: pictured(hands) == set(last), "the pictures")
    came = slow.asked[before:]
    first = [uid for uid in came if uid in last]
    assert set(first) == set(last)
    # Between them at most what had been taken from the queue before, and the next that followed the last of them.
    others = came[: came.index(first[-1])]
    assert len([uid for uid in others if uid not in last]) <= 2
    assert spy.most <= MAX_OPEN


def test_the_pictures_of_a_dead_server_hold_up_no_other(open_window, scripted_peer, tmp_path, files, slow):
    known(tmp_path / "window" / "database", files, lambda number: "DEAD" if number % 3 else "PACS")
    slow.let.set()
    dead: ScriptedPeer = scripted_peer(Conversation.stay_silent)
    servers = (Server(name, *peer.address, "X") for name, peer in (("DEAD", dead), ("PACS", scripted_peer(slow))))
    hands = open_window(*servers)
    open_on_all(hands)
    there = [file.series_uid for file in files[::3]]
    hands.wait(lambda: set(seen(hands)) & set(there), "series of both servers")
    hands.wait(lambda: pictured(hands) == set(seen(hands)) & set(there), "the pictures", timeout=8)
    assert len(dead.conversations) <= 4  # none of them was answered, or given up
    assert not hands.sheet._requests.failure(files[1].series_uid)
