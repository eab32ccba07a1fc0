"""Keys beyond ASCII: in which character sets they are asked for, when that ends, and what is never sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from support.client import farewell, server_at
from support.messages import Message, find_rsp
from support.pdu import EXPLICIT_LITTLE, ReleaseRequest, release_rp
from support.scripted_peer import Conversation, ScriptedPeer
from VisualDICOMBrowserLib.dicom.values import encodings_of, to_text
from VisualDICOMBrowserLib.dimse.find import Finder
from VisualDICOMBrowserLib.dimse.spelling import MAX_MORE, UTF8, encode_text, other_sets, set_of
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import OperationRefused

Factory = Callable[..., ScriptedPeer]
JAPANESE, KOREAN, CHINESE = "\\ISO 2022 IR 87", "\\ISO 2022 IR 149", "\\ISO 2022 IR 58"

LIKELY = {
    "*Müller*": "ISO_IR 100",
    "Dvořák": "ISO_IR 101",
    "Yıldız": "ISO_IR 148",
    "*Люксембург*": "ISO_IR 144",
    "Διονυσιος": "ISO_IR 126",
    "שרון": "ISO_IR 138",
    "قباني": "ISO_IR 127",
    "สมชาย": "ISO_IR 166",
    "*山田*": JAPANESE,
    "やまだ^たろう": JAPANESE,
    "홍^길동": KOREAN,
    "王^小东": "GB18030",
}


@pytest.mark.parametrize("text", LIKELY)
def test_the_likely_set_of_a_script_comes_first_and_can_be_read(text: str):
    sets = other_sets([text, "ASCII"])
    assert sets[0] == LIKELY[text]
    assert len(sets) <= MAX_MORE
    for terms in [UTF8, *sets]:
        assert to_text(encode_text(text, terms), "PN", encodings_of(terms.encode())) == text


def test_plain_text_has_no_other_set_and_emoji_have_none():
    assert other_sets(["Doe^Jane", "*"]) == []
    assert other_sets(["😀"]) == []


def test_what_the_server_answered_in_comes_first():
    assert other_sets(["山田"], [set_of("GB18030")])[0] == "GB18030"
    assert other_sets(["Müller"], [set_of("ISO 2022 IR 6\\ISO 2022 IR 101")])[0] == "ISO_IR 101"
    assert other_sets(["Müller"], [JAPANESE])[0] == "ISO_IR 100"  # cannot write it


def test_sets_that_write_alike_are_asked_for_once():
    assert other_sets(["ü"]) == ["ISO_IR 100"]


def test_korean_is_escaped_after_each_delimiter():
    """PS3.5, I.2."""
    wanted = b"\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    assert encode_text("洪^吉洞=홍^길동", KOREAN) == wanted


def test_letters_and_their_marks_are_composed():
    assert encode_text("Mu\u0308ller", UTF8) == "Müller".encode()
    assert encode_text("\uf900", UTF8) == "\uf900".encode()


# With servers


def answer(request: Message, terms: str, name: str) -> bytes:
    return b"".join(
        tag + vr + len(value).to_bytes(2, "little") + value
        for tag, vr, value in (
            (b"\x08\0\x05\0", b"CS", _even(terms.encode())),
            (b"\x10\0\x10\0", b"PN", _even(encode_text(name, terms))),
            (b"\x10\0\x20\0", b"LO", b"4711"),
        )
    )


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)


class Archive:
    """A server that knows keys in some sets only; ``asked`` are the sets it was asked in.

    :param stored: for the set of a question, the set and the name of each answer; "refused" to refuse it.
    """

    def __init__(self, stored: Mapping[str, list[tuple[str, str]] | str]) -> None:
        self.stored = stored
        self.asked: list[str] = []

    def __call__(self, peer: Conversation) -> None:
        peer.accept_association()
        for _ in range(1 + MAX_MORE):
            try:
                request = peer.receive_message()
            except AssertionError:
                if isinstance(peer.received[-1], ReleaseRequest):
                    peer.send(release_rp())
                    return
                break
            value = request.dataset(EXPLICIT_LITTLE).SpecificCharacterSet
            terms = value if isinstance(value, str) else "\\".join(value)
            self.asked.append(terms)
            held = self.stored.get(terms, [])
            if isinstance(held, str):
                peer.send(find_rsp(request, status=0xC001))
                continue
            for one in held:
                peer.send(find_rsp(request, answer(request, *one)))
            peer.send(find_rsp(request))
        farewell(peer)

    def names(self, peers: Factory, pattern: str, limit: int = 10) -> list[str]:
        peer = peers(self)
        with Finder.connect(server_at(peer.address), CancelToken()) as finder:
            return [patient.name for patient in finder.patients({"PatientName": pattern}, limit)[0]]


def test_a_server_that_compares_bytes_is_asked_in_its_own_set(scripted_peer: Factory):
    archive = Archive({JAPANESE: [(JAPANESE, "Yamada=山田")]})
    assert archive.names(scripted_peer, "*山田*") == ["Yamada=山田"]
    assert archive.asked[:2] == [UTF8, JAPANESE]
    assert len(archive.asked) <= 1 + MAX_MORE


def test_a_server_that_converts_is_asked_once(scripted_peer: Factory):
    archive = Archive({UTF8: [("ISO_IR 100", "Müller")]})
    assert archive.names(scripted_peer, "*Müller*") == ["Müller"]
    assert archive.asked == [UTF8]


def test_a_mixed_archive_that_compares_bytes_tells_all(scripted_peer: Factory):
    archive = Archive({UTF8: [(UTF8, "Müller^A")], "ISO_IR 100": [("ISO_IR 100", "Müller^B")]})
    assert archive.names(scripted_peer, "*Müller*") == ["Müller^A", "Müller^B"]


def test_a_server_that_answers_in_utf8_whatever_is_asked_is_asked_twice(scripted_peer: Factory):
    stored = [(UTF8, "Müller")]
    archive = Archive({UTF8: stored, "ISO_IR 100": stored})
    assert archive.names(scripted_peer, "*Müller*") == ["Müller"]
    assert archive.asked == [UTF8, "ISO_IR 100"]


def test_a_server_that_ignores_what_it_does_not_understand_is_asked_again(scripted_peer: Factory):
    archive = Archive({UTF8: [("ISO_IR 100", "Someone")], "ISO_IR 100": [("ISO_IR 100", "Müller")]})
    assert "Müller" in archive.names(scripted_peer, "*Müller*")


def test_a_server_that_refuses_utf8_is_asked_in_another_set(scripted_peer: Factory):
    archive = Archive({UTF8: "refused", "ISO_IR 100": [("ISO_IR 100", "Müller")]})
    assert archive.names(scripted_peer, "*Müller*") == ["Müller"]


def test_a_server_that_refuses_every_set_has_refused(scripted_peer: Factory):
    archive = Archive({UTF8: "refused", "ISO_IR 100": "refused"})
    with pytest.raises(OperationRefused):
        archive.names(scripted_peer, "*Müller*")
    assert archive.asked == [UTF8, "ISO_IR 100"]
