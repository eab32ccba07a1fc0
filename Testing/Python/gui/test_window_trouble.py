"""The whole window when a server goes away and comes back, while another one answers."""

from __future__ import annotations

import pytest

from support.fault_proxy import Cut
from support.processes import free_port
from support.window_hands import Hands
from VisualDICOMBrowserLib.domain.servers import Server

UGLY = ("Errno", "Traceback", "Exception", "None", "0x")


def is_plain(text: str) -> bool:
    return bool(text) and not any(word in text for word in UGLY)


def test_a_server_that_is_not_there_is_told_by_name_and_the_others_results_are_there(open_window, demo, archive):
    hands = open_window(demo.server, archive.server())
    archive.peer.stop()
    try:
        hands.search("")
        assert "Sample, Patricia" in hands.names()
        (line,) = hands.patients._notes.lines
        assert line.startswith("Archive: ")
        assert is_plain(line)
        assert is_plain(hands.wait_for_message("Archive"))
    finally:
        archive.peer.start().make_lasting()
    hands.press("Retry", hands.patients._notes)
    hands.wait_for_search()
    hands.wait(lambda: "Window, Wanda" in hands.names(), "the patient of the server that is back")
    assert hands.patients._notes.lines == []
    assert hands.messages() == []
    assert len(hands.names()) == demo.patients + 1


def test_the_remedy_on_the_message_asks_that_server_again(open_window, archive, fault_proxy):
    proxy = fault_proxy(archive.peer.address, to_client=[Cut(after=0)])
    hands = open_window(archive.server(address=proxy.address))
    hands.search("Window")
    assert hands.names() == []
    hands.wait_for_message("Archive")
    proxy.heal()
    hands.press("Retry", hands.browser._messages)
    hands.wait(lambda: hands.names() == ["Window, Wanda"], "the patient")


@pytest.fixture
def before_archive(open_window, archive, fault_proxy):
    """The window with the patient of the archive, and the proxy that leads there."""
    proxy = fault_proxy(archive.peer.address)
    hands = open_window(archive.server(address=proxy.address))
    hands.find_patient("Window")
    hands.wait(lambda: all(map(hands.sheet._picture, hands.canvas.visible_rows())), "the pictures")
    return hands, proxy


def test_a_fetch_that_the_server_breaks_off_says_why_and_goes_on_by_itself(before_archive, archive):
    hands, proxy = before_archive
    uid = archive.first[0].series_uid
    proxy.to_client = (Cut(after=500_000),)
    hands.open_cell(uid)
    reason = hands.wait(lambda: hands.sheet.content.state(hands.shown_row(uid)).reason, "a reason")
    assert "Trying again in" in reason
    assert is_plain(reason)
    assert hands.row(uid).local_instances > 2
    proxy.heal()
    hands.wait_for_state(uid, "here")
    assert hands.ask("verify")["ok"]


def test_a_fetch_that_the_server_refuses_says_why_and_is_made_by_retry(before_archive, archive, scripted_peer):
    hands, proxy = before_archive
    uid = archive.second[0].series_uid
    refusing = scripted_peer(lambda peer: peer.reject_association(1, 1, 7))
    proxy.target = refusing.address
    hands.open_cell(uid)
    hands.wait_for_state(uid, "failed")
    reason = hands.sheet.content.state(hands.shown_row(uid)).reason
    assert "AE title" in reason
    assert is_plain(reason)
    hands.wait(lambda: reason in hands.browser._strip.problem.words, "the problem in the strip")
    proxy.target = archive.peer.address
    hands.click_chip(uid)
    hands.wait_for_state(uid, "here")


@pytest.fixture
def alone(open_window) -> Hands:
    return open_window(Server("Nowhere", "127.0.0.1", free_port(), "NOWHERE"))


def test_without_any_answer_the_list_and_the_message_say_so(alone):
    alone.search("anybody")
    assert alone.names() == []
    assert alone.patients._empty.words == "No patients match."
    assert is_plain(alone.wait_for_message("Nowhere"))
