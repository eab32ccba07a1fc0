"""What the window says of receiving."""

from __future__ import annotations

from typing import Any

import pytest

from VisualDICOMBrowserLib.domain.listener import (
    AllowedPeer,
    CallRecord,
    ListenerSettings,
    ListenerStatus,
)
from VisualDICOMBrowserLib.domain.results import Conflict
from VisualDICOMBrowserLib.domain.tls import ListenerTls
from VisualDICOMBrowserLib.gui.receiving import receiving_words as words

OPEN = ListenerSettings("US", 11112, "0.0.0.0", unsolicited=True)


def status(settings: ListenerSettings = OPEN, **values: Any) -> dict[str, Any]:
    return ListenerStatus(settings, **{"open": False, **values}).to_dict()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Closed. It opens by itself while a server sends what is fetched by C-MOVE."),
        (
            {"open": True, "address": "0.0.0.0", "port": 11112},
            "Open at all addresses of this computer, port 11112.",
        ),
        (
            {"open": True, "address": "192.0.2.7", "port": 104, "secured": True},
            "Open at 192.0.2.7, port 104, secured by TLS.",
        ),
        ({"problem": "Nothing can be received there."}, "Nothing can be received there."),
    ],
)
def test_the_state_is_a_sentence(values, said):
    assert words.state_words(status(**values)) == said


def test_what_keeps_others_out_is_said():
    assert words.hints(ListenerSettings().to_dict(), 0) == [
        "Only programs on this computer can call.",
        "Nobody is allowed to call yet.",
        "Images that nobody here asked for are refused.",
    ]
    assert words.hints(OPEN.to_dict(), 1) == []
    peers = (AllowedPeer("*", "*"),)
    assert words.hints(ListenerSettings("US", 1, "::1", peers, unsolicited=True).to_dict(), 0) == [
        "Only programs on this computer can call."
    ]


def test_what_others_must_register_is_told_with_the_port_that_is_open():
    told = words.registration(status(open=True, address="0.0.0.0", port=4242, reachable_at=("192.0.2.7",)))
    assert told == "AE title: US\nAddress: 192.0.2.7\nPort: 4242"


def test_a_port_that_is_another_each_time_cannot_be_registered():
    any_free = ListenerSettings("US", 0, "0.0.0.0", unsolicited=True)
    assert words.hints(any_free.to_dict(), 1) == [
        "The port is another one each time; others need a fixed one to register."
    ]
    assert words.registration(status(any_free)).endswith("Port: another one each time")
    assert words.registration(status(any_free, open=True, address="0.0.0.0", port=4242)).endswith("Port: 4242")


def test_what_others_must_register_includes_tls_and_admits_what_is_not_known():
    secured = ListenerSettings("US", 2762, "0.0.0.0", tls=ListenerTls("/certificate.pem"))
    assert words.registration(status(secured)) == (
        "AE title: US\nAddress: this computer's name or address\nPort: 2762\nTLS: yes"
    )


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ("CT@192.0.2.7", "CT at 192.0.2.7"),
        ("*@192.0.2.7", "any AE title at 192.0.2.7"),
        ("CT@*", "CT at any address"),
        ("*@*", "anybody, from anywhere"),
    ],
)
def test_who_may_call_is_told_in_words(peer, said):
    assert words.peer_words(peer) == said


def call(number: int = 1, **values: Any) -> dict[str, Any]:
    return CallRecord(number, "CT", "192.0.2.7", **values).to_dict()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stored": 3}, "3 images so far"),
        ({"over": True}, "no images"),
        ({"over": True, "stored": 1, "duplicates": 2}, "1 image, 2 here already"),
        (
            {"over": True, "stored": 1, "conflicting": 1200, "conflicts": [Conflict("1.9", "It differs.", (), "CT")]},
            "1 image, 1,200 with another content than what is here",
        ),
        ({"over": True, "refused": 2}, "0 images, 2 refused, for nobody asked for them"),
        ({"over": True, "stored": 3, "reason": "It hung up."}, "3 images; it broke off: It hung up."),
        ({"over": True, "admitted": False, "reason": "No."}, "Refused: No."),
        ({"over": True, "admitted": False, "reason": "No.", "times": 1200}, "Refused (1,200 times): No."),
    ],
)
def test_what_came_of_a_call_is_told(values, said):
    assert words.call_words(call(**values)) == said


def test_who_sends_is_told_from_the_first_image_on():
    assert words.sending_words([call(), call(2, over=True, stored=9)]) == ""
    assert words.sending_words([call(stored=1)]) == "CT is sending, 1 image"
    assert words.sending_words([call(stored=40, duplicates=1), call(2)]) == "CT is sending, 41 images"
    assert words.sending_words([call(stored=40), call(2, stored=2)]) == "2 others are sending, 42 images"


def test_who_sends_what_was_asked_for_is_no_news():
    asked = call(stored=40, duplicates=2, asked_for=42)
    assert words.sending_words([asked]) == ""
    assert words.sending_words([asked, call(2, stored=2)]) == "CT is sending, 2 images"
    assert words.sending_words([call(stored=40, asked_for=30)]) == "CT is sending, 10 images"
