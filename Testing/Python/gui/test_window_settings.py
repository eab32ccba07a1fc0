"""The whole window: servers are added, tested, changed and removed while others go on working."""

from __future__ import annotations

from functools import partial

import pytest
import qt

from support.fault_proxy import Throttle
from support.processes import free_port
from support.window_hands import Hands
from VisualDICOMBrowserLib.domain.servers import Server

SLOW = 250_000


def fill_form(hands: Hands, **values: str) -> None:
    fields = hands.settings.form.fields
    for name, text in values.items():
        hands.fill(fields[name], text)
    hands.key(qt.Qt.Key_Tab)


def server_names(hands: Hands) -> list[str]:
    return [server["name"] for server in hands.ask("servers")]


def outcome(hands: Hands) -> str:
    text = str(hands.settings.outcome.text())
    return "" if text == "Testing…" else text


@pytest.fixture
def hands(open_window) -> Hands:
    hands = open_window()
    hands.wait(hands.browser._welcome.isVisible, "the first page")
    hands.press("Add a server…", hands.browser._welcome)
    hands.wait(hands.settings.form.isVisible, "the form")
    return hands


def test_a_server_is_added_tested_and_then_searched(hands, archive):
    peer = archive.peer
    fill_form(hands, name="Archive", host=peer.host, port=str(peer.port), called_aet=peer.ae_title)
    hands.press("Test", hands.settings)
    assert hands.wait(partial(outcome, hands), "the outcome").startswith("It answers")
    assert server_names(hands) == []  # nothing is saved by a test
    hands.press("Save", hands.settings)
    hands.wait(lambda: server_names(hands) == ["Archive"], "the server")
    hands.press("Back to the images (Escape)")
    hands.search("Window")
    assert hands.names() == ["Window, Wanda"]


def test_a_test_that_fails_says_why_in_plain_words(hands):
    fill_form(hands, name="Nobody", host="127.0.0.1", port=str(free_port()), called_aet="NOBODY")
    hands.press("Test", hands.settings)
    text = hands.wait(partial(outcome, hands), "the outcome")
    assert "nothing listens on this port" in text
    for ugly in ("Errno", "Traceback", "Exception"):
        assert ugly not in text


def test_wrong_values_are_told_beside_their_field_and_not_saved(hands):
    fill_form(hands, name="Half", called_aet="AN AE TITLE THAT IS TOO LONG")
    assert hands.wait(hands.settings.form.errors["called_aet"].text, "the error")
    assert not hands.settings.save.isEnabled()


def test_changing_one_server_leaves_the_fetch_from_another_alone(open_window, archive, fault_proxy):
    proxy = fault_proxy(archive.peer.address)
    hands = open_window(archive.server("Busy", proxy.address), Server("Idle", "127.0.0.1", free_port(), "IDLE"))
    bar = hands.search_bar
    hands.click(bar._where)
    panel = bar._place_panel
    hands.wait(lambda: "Idle" in panel._boxes and panel.box("Idle").isVisible(), "the panel of places")
    hands.tick(bar._place_panel.box("Idle"))
    hands.key(qt.Qt.Key_Escape)
    hands.find_patient("Window")
    uid = archive.first[0].series_uid
    hands.wait(lambda: all(map(hands.sheet._picture, hands.canvas.visible_rows())), "the pictures")
    proxy.to_client = (Throttle(bytes_per_second=SLOW),)
    hands.open_cell(uid)
    hands.wait(lambda: hands.row(uid).local_instances > 2, "some images")
    (job,) = [one for one in hands.window.session.jobs.records() if one.description.kind.value == "retrieve"]
    hands.click(bar._gear)
    hands.wait(lambda: hands.settings.list.count() == 2, "the servers")
    hands.click(
        hands.settings.list.viewport(), hands.settings.list.visualItemRect(hands.settings.list.item(1)).center()
    )
    hands.wait(lambda: hands.settings.title.text() == "Idle", "the form")
    fill_form(hands, name="Renamed")
    hands.press("Save", hands.settings)
    hands.wait(lambda: server_names(hands) == ["Busy", "Renamed"], "the new name")
    assert not hands.window.session.jobs.get(job.job_id).state.terminal
    hands.press("Remove", hands.settings)
    hands.wait_for_message("The server Renamed was removed.")
    assert hands.messages() == ["The server Renamed was removed."]
    hands.press("Undo", hands.browser._messages)
    hands.wait(lambda: server_names(hands) == ["Busy", "Renamed"], "the server again")
    assert not hands.window.session.jobs.get(job.job_id).state.terminal
    proxy.heal()
    hands.key(qt.Qt.Key_Escape)
    hands.wait_for_state(uid, "here")
    assert hands.window.session.jobs.get(job.job_id).tries == 1
