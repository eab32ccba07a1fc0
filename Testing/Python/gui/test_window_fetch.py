"""The whole window on an Orthanc: fetching in every way it offers, cancelling, and a server that is slow."""

from __future__ import annotations

import time

import pytest

from support.browser_window import BrowserWindow
from support.fault_proxy import Throttle
from support.window_hands import CONTROL, Hands, engine_processes, kill_engine
from VisualDICOMBrowserLib.gui.studies.series_state import Presence
from VisualDICOMBrowserLib.jobs.description import JobRecord
from VisualDICOMBrowserLib.jobs.states import JobState

HERE, PARTLY, REMOTE = Presence.HERE.value, Presence.PARTLY.value, Presence.REMOTE.value
UNDER_WAY = (Presence.QUEUED.value, Presence.ARRIVING.value)
#: Bytes a second: the larger series takes about ten seconds.
SLOW = 250_000


class Watch:
    """Notes the states of a series, as the sheet shows them, whenever a job tells something."""

    def __init__(self, hands: Hands, uid: str) -> None:
        self.states: list[str] = []
        self.here: list[int] = []
        self._hands, self._uid = hands, uid
        self.look()
        hands.window.session.jobs.changed.connect(lambda *_: self.look())
        hands.window.session.series_changed.connect(lambda *_: self.look())

    def look(self) -> None:
        state = self._hands.sheet.content.state(self._hands.shown_row(self._uid))
        self.here.append(state.here)
        if state.presence.value not in self.states:
            self.states.append(state.presence.value)


@pytest.fixture
def hands(open_window, archive) -> Hands:
    hands = open_window(archive.server())
    hands.find_patient("Window")
    return hands


def uid_of(files) -> str:
    return files[0].series_uid


def is_clean(hands: Hands) -> bool:
    return bool(hands.ask("verify")["ok"])


def pictures_are_there(hands: Hands) -> bool:
    return all(hands.sheet._picture(row) for row in hands.canvas.visible_rows())


def test_the_menu_fetches_a_series_until_all_of_it_is_here_and_right(hands, archive):
    uid = uid_of(archive.first)
    hands.wait(lambda: pictures_are_there(hands), "the pictures")
    watch = Watch(hands, uid)
    entries = hands.menu_of_cell(uid)
    assert entries["Fetch"]
    assert not entries["Cancel fetching"]
    hands.choose("Fetch")
    hands.wait_for_state(uid, HERE)
    assert Presence.ARRIVING.value in watch.states
    assert watch.here == sorted(watch.here)
    assert hands.row(uid).local_instances == len(archive.first)
    assert is_clean(hands)
    assert hands.row(uid_of(archive.second)).local_instances <= 1


def test_studies_that_are_open_come_whole_if_their_server_is_set_to_that(open_window, archive):
    hands = open_window(archive.server(fetch_ahead=True))
    hands.find_patient("Window")
    for files in (archive.first, archive.second, archive.older):
        hands.wait_for_state(uid_of(files), HERE)
        assert hands.row(uid_of(files)).local_instances == len(files)
    assert is_clean(hands)


def test_what_is_here_is_fetched_again_in_its_place(hands, archive):
    uid = uid_of(archive.second)
    hands.open_cell(uid)
    hands.wait_for_state(uid, HERE)
    hands.wait(lambda: not hands.window.session.jobs.any_open, "the end of the first fetch")
    assert hands.menu_of_cell(uid)["Fetch again and replace"]
    hands.choose("Fetch again and replace")
    hands.wait(lambda: again(hands), "the second fetch")
    assert again(hands)[0].done == len(archive.second)
    assert hands.row(uid).local_instances == len(archive.second)
    assert is_clean(hands)


def again(hands: Hands) -> list[JobRecord]:
    """Return the fetches that were to replace what is here, and are done."""
    records = hands.window.session.jobs.records()
    return [one for one in records if one.description.params.get("force") and one.state is JobState.COMPLETED]


def test_a_double_click_fetches_and_shows(hands, archive):
    uid = uid_of(archive.second)
    hands.open_cell(uid)
    hands.wait_for_state(uid, HERE)
    hands.wait(lambda: hands.preview.state.count == len(archive.second), "the stack")
    assert is_clean(hands)


def test_the_button_fetches_what_is_chosen_and_the_pictogram_one(hands, archive):
    first, second, older = map(uid_of, (archive.first, archive.second, archive.older))
    hands.click_cell(first)
    hands.click_cell(second, keys=CONTROL)
    button = hands.wait(lambda: hands.page._header._fetch.text() == "Fetch (2)" and hands.page._header._fetch, "2")
    hands.click(button)
    hands.wait_for_state(first, HERE)
    hands.wait_for_state(second, HERE)
    assert hands.state(older) in (REMOTE, PARTLY)
    hands.click_chip(older)
    hands.wait_for_state(older, HERE)
    hands.wait(lambda: not hands.page._header._cancel.isVisible(), "the end")
    assert is_clean(hands)


def test_what_is_removed_stays_on_the_server_and_can_be_fetched_again(hands, archive):
    uid = uid_of(archive.second)
    before = archive.peer.counts()
    hands.open_cell(uid)
    hands.wait_for_state(uid, HERE)
    hands.menu_of_cell(uid)
    hands.choose("Remove from this computer")
    hands.wait_for_message(f"Removed {len(archive.second)} images")
    hands.wait_for_state(uid, REMOTE, PARTLY)
    assert is_clean(hands)
    assert archive.peer.counts() == before
    hands.click_chip(uid)
    hands.wait_for_state(uid, HERE)
    hands.wait(lambda: hands.preview.state.count == len(archive.second), "the stack")


@pytest.fixture
def slow(open_window, archive, fault_proxy):
    """The window before a server that has become slow once pictures and studies are known."""
    proxy = fault_proxy(archive.peer.address)
    hands = open_window(archive.server(address=proxy.address))
    hands.find_patient("Window")
    hands.wait(lambda: pictures_are_there(hands), "the pictures")
    proxy.to_client = (Throttle(bytes_per_second=SLOW),)
    return hands, proxy


def test_a_slow_fetch_that_is_cancelled_ends_soon_shows_what_is_here_and_can_be_completed(slow, archive):
    hands, proxy = slow
    uid = uid_of(archive.first)
    hands.open_cell(uid)
    hands.wait(lambda: hands.row(uid).local_instances > 2, "some images")
    assert hands.state(uid) == Presence.ARRIVING.value
    assert hands.preview.state.count > 0  # one looks at it meanwhile
    began = time.monotonic()
    hands.click(hands.wait(lambda: hands.page._header._cancel.isVisible() and hands.page._header._cancel, "Cancel"))
    hands.wait_for_state(uid, PARTLY, timeout=2.0)
    assert time.monotonic() - began < 2.0
    here = hands.row(uid).local_instances
    assert 2 < here < len(archive.first)
    proxy.heal()
    assert hands.menu_of_cell(uid)["Try again"]
    hands.choose("Try again")
    hands.wait_for_state(uid, HERE)
    assert is_clean(hands)


def test_the_pictogram_and_the_jobs_panel_cancel_too(slow, archive):
    hands, _ = slow
    first, second = uid_of(archive.first), uid_of(archive.second)
    for uid in (first, second):
        hands.click_chip(uid)
        hands.wait_for_state(uid, *UNDER_WAY)
    hands.click_chip(first)
    hands.wait_for_state(first, PARTLY, REMOTE, timeout=2.0)
    hands.press("Show", hands.browser._strip)
    jobs = hands.browser._jobs
    hands.wait(lambda: jobs.isVisible() and jobs.model.rowCount() == 2, "the list of jobs")
    running = next(row for row in range(2) if not jobs.model.record(row).state.terminal)
    hands.click(jobs.view.viewport(), jobs.view.visualRect(jobs.model.index(running, 0)).center())
    hands.wait(jobs.cancel.isEnabled, "the button")
    hands.click(jobs.cancel)
    hands.wait_for_state(second, PARTLY, REMOTE, timeout=2.0)
    hands.wait(lambda: all(jobs.model.record(row).state.terminal for row in range(2)), "the list to follow")
    assert {jobs.model.record(row).state.value for row in range(2)} == {"cancelled"}


def test_closing_the_window_in_the_middle_of_a_fetch_ends_the_engine(slow, archive):
    hands, _ = slow
    uid = uid_of(archive.first)
    hands.open_cell(uid)
    hands.wait(lambda: hands.row(uid).local_instances > 2, "some images")
    (engine,) = engine_processes()
    began = time.monotonic()
    hands.browser.hide()
    hands.browser.close_session()
    assert time.monotonic() - began < 5.0
    assert engine.pid not in {one.pid for one in engine_processes()}


def test_a_fetch_goes_on_with_the_next_engine_when_the_first_is_killed(slow, archive):
    hands, proxy = slow
    uid = uid_of(archive.first)
    hands.click_chip(uid)
    hands.wait(lambda: hands.row(uid).local_instances > 2, "some images")
    kill_engine()
    hands.wait_for_message("The engine stopped unexpectedly")
    proxy.heal()
    hands.press("Start again", hands.browser._messages)
    hands.wait_for_state(uid, HERE)
    assert is_clean(hands)


def test_a_fetch_that_was_cut_off_by_closing_is_offered_by_the_next_window(slow, archive):
    hands, proxy = slow
    uid = uid_of(archive.first)
    hands.click_chip(uid)
    hands.wait(lambda: hands.row(uid).local_instances > 2, "some images")
    hands.browser.hide()
    hands.browser.close_session()
    proxy.heal()
    with BrowserWindow(hands.window.database.parent) as window:
        again = Hands(window)
        again.wait_for_message("One job was not finished when the program ended.")
        again.press("Continue", again.browser._messages)
        again.find_patient("Window")
        again.wait_for_state(uid, HERE)
        assert again.messages() == []
