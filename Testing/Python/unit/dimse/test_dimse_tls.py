"""TLS: who is trusted, what is said when somebody is not, and connections that stall, break or never begin."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from support.certificates import Authorities, listener_tls
from support.client import Background, at_most, server_at
from support.fault_proxy import Cut, Delay, Fault, FaultProxy, Flip, Stall, Throttle
from support.messages import respond
from support.scripted_peer import Conversation, HungUp, ScriptedPeer
from support.tls_front import TlsFront, server_context
from support.waiting import wait_until
from VisualDICOMBrowserLib.dimse.echo import echo
from VisualDICOMBrowserLib.dimse.tls import client_tls, listener_context, wrap_accepted
from VisualDICOMBrowserLib.dimse.transport import Connection, Timers
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, ConnectionLost, PeerStalled, TlsFailed, UsageError
from VisualDICOMBrowserLib.domain.tls import TlsSettings

HOST = "127.0.0.1"
TIMERS = Timers(connect=2.0, association=2.0, stall=0.5)
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities.below(tmp_path_factory.mktemp("certificates"))


def descriptors() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(autouse=True)
def no_descriptor_stays() -> Iterator[None]:
    if not Path("/proc/self/fd").exists():
        yield
        return
    before = descriptors()
    yield
    wait_until(lambda: descriptors() <= before, what="descriptors to be closed")


def answering(peer: Conversation) -> None:
    """Answer one C-ECHO, if it comes to that."""
    try:
        peer.accept_association()
        peer.send(respond(peer.receive_message()))
        peer.accept_release()
    except HungUp:
        return


def ask(context: ssl.SSLContext, settings: TlsSettings | None, timeout: float = 2.0) -> tuple[str | None, ...]:
    """Send a C-ECHO to a server behind ``context``; return the versions of TLS that were spoken."""
    with ScriptedPeer(answering) as peer, TlsFront(peer.address, context) as front:
        echo(replace(server_at(front.address, timeout=timeout), tls=settings), CancelToken())
        return tuple(front.versions)


def demanding(kit: Authorities, highest: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a server that wants client certificates."""
    context = server_context(kit.ours.issue(), highest=highest)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(kit.ours.file)
    return context


# Who is trusted


@pytest.mark.parametrize(("highest", "version"), [(V12, "TLSv1.2"), (V13, "TLSv1.3")])
def test_a_trusted_server_is_spoken_to(kit: Authorities, highest: ssl.TLSVersion, version: str):
    assert ask(server_context(kit.ours.issue(), highest=highest), kit.trusting) == (version,)


def test_a_certificate_that_is_named_itself_is_trusted(kit: Authorities):
    own = kit.strange.issue()
    assert ask(server_context(own), TlsSettings(ca_file=str(own.file))) == ("TLSv1.3",)


def test_the_name_in_the_certificate_may_be_told(kit: Authorities):
    context = server_context(kit.ours.issue("archive.example"))
    assert ask(context, replace(kit.trusting, host_name="archive.example")) == ("TLSv1.3",)


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda kit: (kit.ours.issue(expired=True), kit.trusting), "The server's certificate has expired"),
        (lambda kit: (kit.strange.issue(), kit.trusting), "issued by an authority that is not trusted"),
        (lambda kit: (kit.ours.issue(), TlsSettings()), "issued by an authority that is not trusted"),
        (lambda kit: (kit.ours.issue("other.example"), kit.trusting), r"not made out for 127\.0\.0\.1"),
        (
            lambda kit: (kit.ours.issue(), replace(kit.trusting, host_name="archive.example")),
            r"not made out for archive\.example",
        ),
    ],
    ids=["expired", "unknown authority", "not of the system's", "another address", "another name"],
)
@pytest.mark.parametrize("highest", [V12, V13])
def test_a_server_that_is_not_trusted_learns_nothing(kit: Authorities, highest: ssl.TLSVersion, refused, said: str):
    certificate, settings = refused(kit)
    with ScriptedPeer(answering) as peer, TlsFront(peer.address, server_context(certificate, highest=highest)) as front:
        with pytest.raises(TlsFailed, match=said) as caught:
            echo(replace(server_at(front.address), tls=settings), CancelToken())
        assert (front.versions, peer.conversations, caught.value.retryable) == ([], [], False)


@pytest.mark.parametrize("highest", [V12, V13])
def test_a_server_may_want_to_know_who_we_are(kit: Authorities, highest: ssl.TLSVersion):
    assert len(ask(demanding(kit, highest), kit.known_as(kit.ours))) == 1


@pytest.mark.parametrize("highest", [V12, V13])
@pytest.mark.parametrize(
    ("who", "said"),
    [
        (lambda kit: kit.trusting, "wants a client certificate"),
        (lambda kit: kit.known_as(kit.strange), "refuses our certificate: it does not know who issued it"),
        (lambda kit: kit.known_as(kit.ours, expired=True), "refuses our certificate: it says that it has expired"),
    ],
    ids=["missing", "unknown", "expired"],
)
def test_why_a_server_does_not_want_us_is_said(kit: Authorities, highest: ssl.TLSVersion, who, said: str):
    with pytest.raises(TlsFailed, match=said):
        ask(demanding(kit, highest), who(kit))


# What is spoken


def test_outdated_versions_are_not_spoken(kit: Authorities):
    old = server_context(
        kit.ours.issue(), lowest=ssl.TLSVersion.TLSv1, highest=ssl.TLSVersion.TLSv1_1, ciphers="ALL:@SECLEVEL=0"
    )
    with pytest.raises(TlsFailed, match=r"share no version of TLS: 1\.2 is the lowest"):
        ask(old, kit.trusting)


def test_ciphers_without_forward_secrecy_are_not_used(kit: Authorities):
    with pytest.raises(TlsFailed, match="shares no cipher"):
        ask(server_context(kit.ours.issue(), highest=V12, ciphers="AES128-GCM-SHA256"), kit.trusting)


def reset_when_spoken_to(peer: Conversation) -> None:
    with pytest.raises(AssertionError):
        peer.receive_pdu(0.2)
    peer.reset()


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        (lambda peer: peer.abort(), TlsFailed, "does not speak TLS here"),
        (lambda peer: peer.close(), ConnectionLost, "perhaps it does not speak TLS here"),
        (reset_when_spoken_to, ConnectionLost, "perhaps it does not speak TLS here"),
        (lambda peer: peer.stay_silent(), PeerStalled, r"within 1 seconds: perhaps it does not speak TLS here"),
    ],
    ids=["answers", "closes", "resets", "mute"],
)
def test_a_server_without_tls_is_never_spoken_to_in_the_clear(
    kit: Authorities, script, error: type[Exception], said: str
):
    with ScriptedPeer(script) as peer:
        with at_most(2.5), pytest.raises(error, match=said):
            echo(replace(server_at(peer.address), tls=kit.trusting), CancelToken())
        assert len(peer.conversations) == 1


def test_a_server_that_expects_tls_and_hangs_up_is_suspected_of_it(kit: Authorities):
    with pytest.raises(ConnectionLost, match="expects TLS"):
        ask(server_context(kit.ours.issue()), None)


def test_an_alert_instead_of_an_answer_shows_a_server_that_expects_tls():
    def alert(peer: Conversation) -> None:
        peer.receive_association()
        peer.send(b"\x15\x03\x01\x00\x02\x02\x46")
        peer.wait_for_hangup()

    with ScriptedPeer(alert) as peer, pytest.raises(Exception, match="speaks TLS at this port, and TLS is not"):
        echo(server_at(peer.address), CancelToken())


# Bytes through records


@dataclass
class Ends:
    """A connection, and the other end of it in clear text."""

    connection: Connection
    other: socket.socket
    front: TlsFront
    proxy: FaultProxy


@pytest.fixture
def joined(kit: Authorities) -> Iterator[Ends]:
    with joined_by(kit) as ends:
        yield ends


class joined_by:  # noqa: N801
    """Connect through TLS, and a proxy with faults that begin so many bytes after the handshake."""

    def __init__(self, kit: Authorities, token: CancelToken | None = None) -> None:
        self._listener = socket.create_server((HOST, 0))
        self._front = TlsFront(self._listener.getsockname()[:2], server_context(kit.ours.issue()))
        self._proxy = FaultProxy(self._front.address)
        tls = client_tls(kit.trusting, HOST)
        connection = Connection.open(*self._proxy.address, TIMERS, token or CancelToken(), tls)
        self._ends = Ends(connection, self._listener.accept()[0], self._front, self._proxy)

    def __enter__(self) -> Ends:
        return self._ends

    def __exit__(self, *_: object) -> None:
        self._ends.connection.close()
        self._ends.other.close()
        self._proxy.close()
        self._front.close()
        self._listener.close()


def later(ends: Ends, *, to_client: tuple[Fault, ...] = (), to_server: tuple[Fault, ...] = ()) -> None:
    """Have faults happen so many bytes after what has passed already."""
    settle(ends)
    (up, down) = ends.proxy._flows
    with ends.proxy._lock:
        up.faults = [replace(fault, after=fault.after + up.passed) for fault in to_server]
        down.faults = [replace(fault, after=fault.after + down.passed) for fault in to_client]


def settle(ends: Ends) -> None:
    """Exchange a byte each way, after which nothing of the handshake is on its way any more."""
    ends.connection.write(b"?")
    assert ends.other.recv(1) == b"?"
    ends.other.sendall(b"!")
    assert read(ends.connection, 1) == b"!"


def read(connection: Connection, count: int, timeout: float | None = None) -> bytes:
    data = bytearray()
    while len(data) < count:
        buffer = bytearray(count - len(data))
        data += buffer[: connection.read_into(memoryview(buffer), timeout)]
    return bytes(data)


def test_bytes_go_both_ways_whole_and_are_counted(joined: Ends):
    data = bytes(range(256)) * 4096
    sending = Background(lambda: joined.other.sendall(data))
    assert read(joined.connection, len(data)) == data
    assert sending.ended_by(5.0) is None
    joined.connection.write(data)
    got = bytearray()
    joined.other.settimeout(5)
    while len(got) < len(data):
        got += joined.other.recv(65536)
    assert got == data
    assert (joined.connection.bytes_in, joined.connection.bytes_out) == (len(data), len(data))


def test_small_messages_leave_at_once(joined: Ends):
    assert joined.connection._socket._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_end_is_told_to_the_peer(joined: Ends):
    settle(joined)
    joined.connection.close()
    wait_until(lambda: joined.front.ended_in_order, what="close_notify to come")
    assert joined.front.ended_in_order == 1


def test_a_stall_within_a_record_is_a_stall(joined: Ends):
    later(joined, to_client=(Stall(after=9000),))
    joined.other.sendall(bytes(16000))
    with at_most(1.5), pytest.raises(PeerStalled, match=r"sent no data for 0\.5 seconds"):
        read(joined.connection, 16000)


def test_any_byte_resets_the_stall_timer_within_a_record(joined: Ends):
    later(joined, to_client=tuple(Delay(after=4000 * n, seconds=0.35) for n in range(1, 5)))
    joined.other.sendall(b"x" * 16000)
    assert read(joined.connection, 16000) == b"x" * 16000


def test_a_limit_for_all_bytes_holds_within_a_record(joined: Ends):
    later(joined, to_client=(Throttle(after=1, bytes_per_second=4000),))
    joined.other.sendall(bytes(16000))
    with at_most(1.5), pytest.raises(PeerStalled, match=r"for 0\.7 seconds"):
        read(joined.connection, 1, timeout=0.7)


def test_a_peer_that_stops_reading_is_a_stall(joined: Ends):
    later(joined, to_server=(Stall(after=50_000),))
    with at_most(4.0), pytest.raises(PeerStalled, match=r"accepted no data for 0\.5 seconds"):
        joined.connection.write(bytes(64 << 20))


@pytest.mark.parametrize("reset", [True, False])
def test_a_cut_within_a_record_is_a_lost_connection(joined: Ends, reset: bool):
    later(joined, to_client=(Cut(after=9000, reset=reset),))
    joined.other.sendall(bytes(16000))
    with at_most(3.0), pytest.raises(ConnectionLost):
        read(joined.connection, 16000)


def test_what_was_altered_on_the_way_is_noticed(joined: Ends):
    later(joined, to_client=(Flip(after=9000),))
    joined.other.sendall(bytes(16000))
    with pytest.raises(ConnectionLost, match="damaged or altered"):
        read(joined.connection, 16000)


def test_a_peer_that_said_goodbye_is_lost(joined: Ends):
    settle(joined)
    joined.other.close()
    with pytest.raises(ConnectionLost):
        read(joined.connection, 1)


def test_shutdown_from_another_thread_wakes_a_reader_and_leaves_tls_on(joined: Ends):
    reading = Background(lambda: read(joined.connection, 1, timeout=20))
    joined.connection.shutdown()
    assert isinstance(reading.ended_by(1.0), ConnectionLost)
    with pytest.raises(ConnectionLost):
        joined.connection.write(b"secret")


@pytest.mark.parametrize("work", [lambda c: read(c, 1, timeout=20), lambda c: c.write(bytes(64 << 20), 20)])
def test_cancelling_wakes_who_reads_or_writes(kit: Authorities, work: Callable[[Connection], object]):
    token = CancelToken()
    with joined_by(kit, token) as ends, token.calling(ends.connection.shutdown):
        later(ends, to_server=(Stall(after=10_000),))
        busy = Background(lambda: work(ends.connection))
        token.cancel()
        assert isinstance(busy.ended_by(1.0), Cancelled)


def test_cancelling_ends_a_handshake(kit: Authorities):
    token = CancelToken()
    with socket.create_server((HOST, 0)) as mute:
        address, tls = mute.getsockname(), client_tls(kit.trusting, HOST)
        busy = Background(lambda: Connection.open(*address, Timers(association=20), token, tls))
        with mute.accept()[0] as other:
            assert other.recv(1) == b"\x16"  # the handshake has begun
            token.cancel()
            assert isinstance(busy.ended_by(1.0), Cancelled)


# Connections that are accepted


def accepted(
    kit: Authorities, client: Callable[[tuple[str, int]], object], *, seconds: float = 1.0, ask_client: bool = True
) -> str | None:
    """Accept a connection that ``client`` makes; return the version of TLS."""
    own = kit.ours.issue()
    context = listener_context(listener_tls(own, kit.ours if ask_client else None))
    with socket.create_server((HOST, 0)) as listener:
        calling = Background(lambda: client(listener.getsockname()[:2]))
        sock, _ = listener.accept()
        try:
            with closing(wrap_accepted(sock, context, seconds)) as secured:
                return secured.version
        finally:
            calling.ended_by(5.0)


def calls(settings: TlsSettings) -> Callable[[tuple[str, int]], None]:
    return lambda address: Connection.open(*address, TIMERS, CancelToken(), client_tls(settings, HOST)).close()


def test_a_known_caller_is_accepted(kit: Authorities):
    assert accepted(kit, calls(kit.known_as(kit.ours))) == "TLSv1.3"
    assert accepted(kit, calls(kit.trusting), ask_client=False) == "TLSv1.3"


def test_a_caller_without_certificate_is_refused(kit: Authorities):
    with pytest.raises(TlsFailed, match="The peer showed no client certificate"):
        accepted(kit, calls(kit.trusting))


def test_an_unknown_caller_is_refused(kit: Authorities):
    with pytest.raises(TlsFailed, match="The peer's certificate was issued by an authority that is not trusted"):
        accepted(kit, calls(kit.known_as(kit.strange)))


def test_a_caller_with_an_expired_certificate_is_refused(kit: Authorities):
    with pytest.raises(TlsFailed, match="The peer's certificate has expired"):
        accepted(kit, calls(kit.known_as(kit.ours, expired=True)))


def test_a_caller_in_the_clear_is_refused(kit: Authorities):
    def plain(address: tuple[str, int]) -> None:
        with socket.create_connection(address) as sock:
            sock.sendall(bytes.fromhex("0100000000440001") + bytes(60))
            sock.recv(100)

    with pytest.raises(TlsFailed, match="does not speak TLS"):
        accepted(kit, plain)


def test_a_mute_caller_costs_the_time_given(kit: Authorities):
    own = kit.ours.issue()
    with (
        socket.create_server((HOST, 0)) as listener,
        socket.create_connection(listener.getsockname()[:2]),
        at_most(1.5),
        pytest.raises(PeerStalled, match=r"The peer did not complete .* within 0\.4 seconds"),
    ):
        wrap_accepted(listener.accept()[0], listener_context(listener_tls(own)), 0.4)


def test_serving_a_mute_caller_can_be_cancelled(kit: Authorities):
    own, token = kit.ours.issue(), CancelToken()
    with socket.create_server((HOST, 0)) as listener, socket.create_connection(listener.getsockname()[:2]):
        sock, context = listener.accept()[0], listener_context(listener_tls(own))
        serving = Background(lambda: wrap_accepted(sock, context, 20, token))
        token.cancel()
        assert isinstance(serving.ended_by(1.0), Cancelled)


# Files


def test_a_key_behind_a_password_is_opened(kit: Authorities, tmp_path: Path):
    mine = kit.ours.issue("workstation.example")
    word = tmp_path / "word"
    word.write_text("geheim\nsecond line\n", encoding="utf-8")
    settings = replace(kit.trusting, certificate=str(mine.file), key=str(mine.protected("geheim")))
    with pytest.raises(UsageError, match="protected by a password, and none is configured"):
        client_tls(settings, HOST)
    assert ask(demanding(kit, V13), replace(settings, key_password_file=str(word))) == ("TLSv1.3",)
    word.write_text("wrong", encoding="utf-8")
    with pytest.raises(UsageError):
        client_tls(replace(settings, key_password_file=str(word)), HOST)


def test_files_that_do_not_fit_are_named(kit: Authorities, tmp_path: Path):
    text = tmp_path / "text"
    text.write_text("no certificate", encoding="utf-8")
    one, two = kit.ours.issue("a.example"), kit.ours.issue("b.example")
    for settings, said in (
        (TlsSettings(ca_file=str(tmp_path / "gone")), r"gone cannot be read: No such file"),
        (TlsSettings(ca_file=str(text)), "text holds no certificates in PEM format"),
        (TlsSettings(certificate=str(text)), "no certificate with its private key"),
        (TlsSettings(certificate=str(one.file)), "no certificate with its private key"),
        (TlsSettings(certificate=str(one.file), key=str(two.key)), "does not belong to the certificate"),
    ):
        with pytest.raises(UsageError, match=said):
            client_tls(settings, HOST)


def test_files_that_do_not_fit_are_the_fault_of_that_server(tmp_path: Path):
    server = replace(server_at((HOST, 104)), tls=TlsSettings(ca_file=str(tmp_path / "gone")))
    with pytest.raises(TlsFailed, match="gone cannot be read"):
        echo(server, CancelToken())


def test_a_file_that_changes_is_read_again(kit: Authorities, tmp_path: Path):
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(kit.strange.file.read_bytes())
    settings = TlsSettings(ca_file=str(trusted))
    with pytest.raises(TlsFailed):
        ask(server_context(kit.ours.issue()), settings)
    trusted.write_bytes(kit.ours.file.read_bytes() + b"\n")
    assert ask(server_context(kit.ours.issue()), settings) == ("TLSv1.3",)
