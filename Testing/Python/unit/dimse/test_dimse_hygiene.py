"""What the network layer leaves behind, and what it says: nothing."""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support import pdu as kit
from support.client import MemoryHandler, chain, farewell, fetch, server_at, storage
from support.messages import encode_message, find_rsp, get_rsp, respond, store_rq
from support.scripted_peer import Conversation, Script, ScriptedPeer
from VisualDICOMBrowserLib.dimse.echo import echo
from VisualDICOMBrowserLib.dimse.find import Finder
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import PeerError, VisualDicomError

Factory = Callable[..., ScriptedPeer]
CT = "1.2.840.10008.5.1.4.1.1.2"
SECRET = "Secret^Name"
NAME = b"\x10\0\x10\0PN" + len(SECRET.encode() + b" ").to_bytes(2, "little") + SECRET.encode() + b" "
STORE = store_rq(3, CT, "1.4", NAME * 3000)


def good(peer: Conversation) -> None:
    peer.accept_association()
    request = peer.receive_message()
    if request.field == 0x0030:
        peer.send(respond(request))
    elif request.field == 0x0020:
        peer.send(find_rsp(request, NAME))
        peer.send(find_rsp(request))
    else:
        peer.send(STORE)
        peer.receive_message()
        peer.send(get_rsp(request, completed=1))
    farewell(peer)


def sends(data: bytes, *, half: bool = False) -> Script:
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_pdu()
        (peer.send_half if half else peer.send)(data)

    return script


def rejects(peer: Conversation) -> None:
    peer.reject_association(1, 1, 7)


def hangs_up(peer: Conversation) -> None:
    peer.receive_association()


def resets(peer: Conversation) -> None:
    peer.accept_association()
    peer.receive_pdu()
    peer.reset()


def comments(peer: Conversation) -> None:
    peer.accept_association()
    request = peer.receive_message()
    peer.send(respond(request, 0xC001, more={"ErrorComment": f"no {SECRET}"}))
    farewell(peer)


SCRIPTS = [
    good,
    good,
    good,
    sends(encode_message(STORE), half=True),
    sends(kit.p_data(kit.Pdv(1, NAME, True, True))),
    sends(SECRET.encode() * 20),
    sends(kit.abort(2, 1)),
    comments,
    rejects,
    hangs_up,
    resets,
    sends(kit.pdu(4, NAME, claimed_length=0xFFFFFFFF)),
]


def work(number: int, address: tuple[str, int]) -> None:
    server, token = server_at(address), CancelToken()
    if number % 3 == 0:
        echo(server, token)
    elif number % 3 == 1:
        with Finder.connect(server, token) as finder:
            finder.patients({"PatientName": f"*{SECRET}*", "PatientID": "ü"}, 10)
    else:
        fetch(server, {"StudyInstanceUID": "1.2"}, MemoryHandler(), storage(CT))


def mixed(make_peer: Factory, count: int) -> list[VisualDicomError]:
    """Make so many associations, good ones and others, and return the errors."""
    errors: list[VisualDicomError] = []
    for number in range(count):
        peer = make_peer(SCRIPTS[(number // 3) % len(SCRIPTS)])
        try:
            work(number, peer.address)
        except VisualDicomError as error:
            errors.append(error)
        peer.close()
    return errors


@pytest.fixture
def quiet_peer() -> Iterator[Factory]:
    """Make peers whose scripts may be left alone in the middle."""

    def make(script: Script) -> ScriptedPeer:
        def tolerant(peer: Conversation) -> None:
            with suppress(ConnectionError, AssertionError):
                script(peer)

        return ScriptedPeer(tolerant)

    return make


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors by /proc")
def test_after_many_associations_threads_descriptors_and_memory_are_as_before(quiet_peer: Factory):
    mixed(quiet_peer, 36)  # fills caches
    gc.collect()
    threads, files = threading.active_count(), descriptors()
    tracemalloc.start()
    try:
        mixed(quiet_peer, 3)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        mixed(quiet_peer, 36)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert (threading.active_count(), descriptors()) == (threads, files)
    assert grown < 100_000


def test_nothing_is_logged_or_printed_and_no_error_holds_patient_data(
    quiet_peer: Factory, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(1)
    caplog.set_level(1, "pynetdicom")
    errors = mixed(quiet_peer, 36)
    assert len(errors) >= 24
    assert all(isinstance(error, PeerError) for error in errors)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    told = "".join(repr(link) + str(link) for error in errors for link in chain(error))
    assert "Secret" not in told
    assert "Name" not in told


def test_more_descriptors_than_select_can_count_do_no_harm(quiet_peer: Factory):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1400:
        if hard < 1400:
            pytest.skip("The system allows no 1,400 descriptors.")
        resource.setrlimit(resource.RLIMIT_NOFILE, (1400, hard))
    spare = os.open(os.devnull, os.O_RDONLY)
    held = [spare]
    try:
        while held[-1] < 1100:
            held.append(os.dup(spare))
        for number in range(3):
            peer = quiet_peer(good)
            work(number, peer.address)
            peer.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(held) > 900
