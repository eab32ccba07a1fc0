"""The whole window when its engine dies: it says so, offers to start another one, and goes on with it."""

from __future__ import annotations

import pytest

from support.synthetic import make_ct_series
from support.window_hands import Hands, engine_processes, kill_engine


@pytest.fixture
def hands(open_window, tmp_path) -> Hands:
    files = make_ct_series(tmp_path / "disc", 6, 20_000, patient_name="Engine^Edda", study=91)
    hands = open_window()
    hands.drop(hands.browser, [files[0].path.parent])
    hands.wait(lambda: hands.names() == ["Engine, Edda"], "the patient")
    hands.wait_for_message("Imported 6 images.")
    hands.browser._messages.close_all()
    hands.choose_patient("Engine")
    hands.wait(hands.studies, "the study")
    return hands


def die(hands: Hands) -> None:
    kill_engine()
    hands.wait_for_message("The engine stopped unexpectedly")


def test_an_engine_that_was_killed_is_told_and_another_one_started(hands):
    uid = hands.sheet.content.shown()[0].uid
    (first,) = engine_processes()
    die(hands)
    assert not hands.window.session.ready
    assert hands.names() == ["Engine, Edda"]  # what is known can still be looked at
    hands.press("Start again", hands.browser._messages)
    hands.wait(lambda: hands.window.session.ready, "another engine")
    (second,) = engine_processes()
    assert second.pid != first.pid
    assert hands.messages() == []
    hands.click_cell(uid)
    hands.wait(lambda: hands.preview.state.count == 6, "the images")
    assert hands.ask("verify")["ok"]


def test_what_is_asked_of_a_dead_engine_says_how_to_go_on(hands):
    die(hands)
    hands.press("Close this message", hands.browser._messages)
    assert hands.messages() == []
    uid = hands.sheet.content.shown()[0].uid
    hands.menu_of_cell(uid)
    hands.choose("Remove from this computer")
    hands.wait_for_message("Nothing was removed.")
    hands.press("Start again", hands.browser._messages)
    hands.wait(lambda: hands.window.session.ready, "another engine")


def test_an_engine_that_dies_while_one_looks_at_a_series_leaves_the_picture_and_goes_on_afterwards(hands):
    uid = hands.sheet.content.shown()[0].uid
    hands.click_cell(uid)
    hands.wait(lambda: hands.preview.state.count == 6, "the images")
    hands.wait(hands.preview._current_pixels, "the picture")
    die(hands)
    assert hands.preview._current_pixels() is not None
    hands.press("Start again", hands.browser._messages)
    hands.wait(lambda: hands.window.session.ready, "another engine")
    hands.wait(lambda: hands.elements.pages.currentIndex() == 0, "the elements")
    assert hands.elements.model.rowCount() > 10


def test_an_engine_that_cannot_start_may_be_started_later(hands, monkeypatch):
    die(hands)
    session = hands.window.session
    make = session._make_client

    def without_program():
        client = make()
        client._transport._program = "/nowhere/python"
        return client

    monkeypatch.setattr(session, "_make_client", without_program)
    hands.press("Start again", hands.browser._messages)
    hands.wait_for_message("The engine cannot be started: No such file or directory.")
    monkeypatch.undo()
    hands.press("Start again", hands.browser._messages)
    hands.wait(lambda: session.ready, "the engine")
    assert hands.ask("verify")["ok"]
