"""The whole window receives: settings are made by hand, a real sender sends, another one is refused."""

from __future__ import annotations

import socket

import pytest
import qt

from support import pdu as kit
from support.caller import ask, calling
from support.listened import AET, sent, storescu
from support.processes import free_port
from support.synthetic import make_ct_series
from support.window_hands import Hands

COUNT = 8


@pytest.fixture
def hands(open_window) -> Hands:
    return open_window()


def open_page(hands: Hands):
    """Open the settings' page on receiving, and wait for the settings."""
    settings = hands.browser._settings
    hands.click(hands.search_bar._gear)
    hands.click(settings.tabs, settings.tabs.tabRect(1).center())
    hands.wait(settings.receiving.form.isEnabled, "the settings")
    return settings.receiving


def listen(hands: Hands, port: int) -> None:
    """Have the window listen for STORESCU, all the time."""
    page = open_page(hands)
    fields = page.form.fields
    hands.fill(fields["aet"], AET)
    hands.fill(fields["port"], str(port))
    for name in ("enabled", "unsolicited"):
        hands.tick(fields[name])
    hands.fill(fields["allowed"].aet, "STORESCU")
    hands.key(qt.Qt.Key_Return)
    hands.press("Save", page)
    hands.wait(lambda: page.state.text() == f"Open at 127.0.0.1, port {port}.", "the open port")


def test_what_others_send_appears_and_who_is_refused_is_told(hands, tmp_path):
    files = make_ct_series(tmp_path / "files", COUNT, 20_000, patient_name="Pushed^Paula", study=95)
    port = free_port()
    listen(hands, port)
    with calling(port) as peer:
        assert ask(peer, called=AET, title="STRANGER") == kit.AssociateReject(1, 1, 3)
    assert sent(storescu(port, files)) == [0]
    table = hands.browser._settings.receiving._calls
    hands.wait(lambda: table.topLevelItemCount() == 2, "both calls")
    hands.wait(lambda: table.topLevelItem(0).text(3) == f"{COUNT} images", "the end of the call")
    assert table.topLevelItem(1).text(1) == "STRANGER"
    assert table.topLevelItem(1).text(3).startswith("Refused: Nobody of this AE title")
    hands.key(qt.Qt.Key_Escape)
    hands.wait(lambda: hands.names() == ["Pushed, Paula"], "the patient")
    hands.choose_patient("Pushed")
    hands.wait_for_state(files[0].series_uid, "here")
    assert hands.ask("verify")["ok"]


def test_while_somebody_sends_the_foot_of_the_window_says_so(hands, tmp_path):
    files = make_ct_series(tmp_path / "files", 400, 100_000, study=96)
    port = free_port()
    listen(hands, port)
    sender = storescu(port, files)
    strip = hands.browser._strip
    hands.wait(lambda: strip.calls.text().startswith("STORESCU is sending, "), "the sender")
    sender.kill()
    sender.communicate()
    hands.wait(lambda: not strip.calls.isVisible(), "the end of the call")
    assert hands.ask("verify")["ok"]


def test_other_content_under_a_known_uid_is_told_once_its_sender_has_left(hands, tmp_path):
    old, new = (
        make_ct_series(tmp_path / name, 3, 20_000, patient_name=f"{name}^Paula", study=97) for name in ("old", "new")
    )
    port = free_port()
    listen(hands, port)
    assert sent(storescu(port, old)) == [0]
    assert sent(storescu(port, new)) != [0]
    text = hands.wait_for_message("STORESCU sent 1 image with other content")  # it gives up after the first refusal
    assert "have them sent again" in text
    assert f"{old[0].sop_uid}: It has other content than what is here, which was kept." in hands.details(
        "STORESCU sent"
    )
    assert "(0010,0010) PatientName" in hands.details("STORESCU sent")


def test_a_port_that_is_taken_is_told_in_plain_words(hands):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page = open_page(hands)
        hands.fill(page.form.fields["port"], str(taken.getsockname()[1]))
        hands.tick(page.form.fields["enabled"])
        hands.press("Save", page)
        hands.wait(lambda: "another program listens there" in page.state.text(), "the problem")
        assert not hands.ask("listener")["open"]
