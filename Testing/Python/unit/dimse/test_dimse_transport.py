"""Connections: found, refused, swallowed, cancelled; and nothing left of those that failed."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.client import Background, at_most
from support.processes import free_port
from support.waiting import wait_until
from VisualDICOMBrowserLib.dimse import send_queue
from VisualDICOMBrowserLib.dimse.transport import Connection, Timers
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, ConnectionLost, PeerStalled, ServerUnreachable

HOST = "127.0.0.1"
QUICK = Timers(connect=0.5, stall=0.3)
PATIENT = Timers(connect=30.0)
Resolver = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        yield server


@pytest.fixture
def pair(listener: socket.socket) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and the other end of it."""
    with closing(opened(listener.getsockname(), QUICK)) as connection:
        other, _ = listener.accept()
        with other:
            yield connection, other


def opened(address: tuple[str, int], timers: Timers, token: CancelToken | None = None) -> Connection:
    return Connection.open(*address, timers, token or CancelToken())


def read(connection: Connection, count: int = 100, timeout: float | None = None) -> bytes:
    buffer = bytearray(count)
    return bytes(buffer[: connection.read_into(memoryview(buffer), timeout)])


def names(monkeypatch: pytest.MonkeyPatch, resolve: Resolver) -> None:
    """Have names resolved by the test; addresses stay what they are."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: object, **options: int) -> list[tuple[object, ...]]:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(host, *args, **options)
        return resolve()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def entry(address: tuple[str, int]) -> tuple[object, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)


# Connecting


def test_bytes_go_both_ways_and_are_counted(pair: tuple[Connection, socket.socket]):
    connection, other = pair
    connection.write(b"ping")
    assert other.recv(10) == b"ping"
    other.sendall(b"pongs")
    assert read(connection) == b"pongs"
    assert (connection.bytes_out, connection.bytes_in) == (4, 5)


def test_small_messages_leave_at_once(pair: tuple[Connection, socket.socket]):
    assert pair[0]._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert pair[0]._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_closed_port_is_named():
    port = free_port()
    with pytest.raises(ServerUnreachable, match=f"127.0.0.1:{port} cannot be reached: nothing listens on this port"):
        opened((HOST, port), QUICK)


def test_a_server_that_does_not_answer_costs_the_connect_time(black_hole: tuple[str, int]):
    with at_most(1.5), pytest.raises(ServerUnreachable, match=r"no answer within 0\.5 seconds"):
        opened(black_hole, QUICK)


def test_a_first_address_that_swallows_everything_leaves_time_for_the_second(
    black_hole: tuple[str, int], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    names(monkeypatch, lambda: [entry(black_hole), entry(listener.getsockname())])
    with at_most(1.5), closing(opened(("two.example", 104), Timers(connect=1.0))) as connection:
        assert connection._socket.getpeername() == listener.getsockname()


def test_an_address_needs_no_thread(listener: socket.socket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread was started"))
    opened(listener.getsockname(), QUICK).close()


def test_a_name_is_resolved(listener: socket.socket):
    opened(("localhost", listener.getsockname()[1]), PATIENT).close()
    assert listener.accept()[0].close() is None


def unknown() -> list[tuple[object, ...]]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_an_unknown_name_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch):
    names(monkeypatch, unknown)
    with pytest.raises(ServerUnreachable, match=r"host nowhere\.example is not known: check its name"):
        opened(("nowhere.example", 104), QUICK)


@pytest.mark.parametrize("host", ["with\0zero", "a" * 70 + ".example", "\udcff.example"])
def test_a_name_that_can_be_none_is_said_to_be_unknown(host: str, capfd: pytest.CaptureFixture[str]):
    with at_most(1.0), pytest.raises(ServerUnreachable, match="is not known"):
        opened((host, 104), Timers(connect=5.0))
    assert capfd.readouterr() == ("", "")


def test_a_name_without_address_is_unreachable(monkeypatch: pytest.MonkeyPatch):
    names(monkeypatch, list)
    with pytest.raises(ServerUnreachable, match="no address found"):
        opened(("empty.example", 104), QUICK)


@pytest.fixture
def mute_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Resolve no name until the test is over; the event tells that somebody waits."""
    asked, over = threading.Event(), threading.Event()

    def resolve() -> list[tuple[object, ...]]:
        asked.set()
        over.wait(20)
        return unknown()

    names(monkeypatch, resolve)
    yield asked
    over.set()
    wait_until(lambda: not any(t.name == "vdb-resolve" for t in threading.enumerate()), what="the resolver to end")


def test_a_mute_name_server_costs_the_connect_time(mute_resolver: threading.Event):
    with at_most(1.5), pytest.raises(ServerUnreachable, match="could not be resolved in time"):
        opened(("slow.example", 104), QUICK)
    assert mute_resolver.is_set()


def test_cancelling_ends_the_wait_for_a_name_server(mute_resolver: threading.Event):
    token = CancelToken()
    work = Background(lambda: opened(("slow.example", 104), PATIENT, token))
    assert mute_resolver.wait(10)
    token.cancel()
    assert isinstance(work.ended_by(2.0), Cancelled)


def test_cancelling_ends_the_wait_for_a_connection(black_hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch):
    token, connecting = CancelToken(), threading.Event()
    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda *args: connecting.set() or real(*args))
    work = Background(lambda: opened(black_hole, PATIENT, token))
    assert connecting.wait(10)
    token.cancel()
    assert isinstance(work.ended_by(2.0), Cancelled)


def test_a_token_raised_before_means_no_connection(listener: socket.socket):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        opened(listener.getsockname(), PATIENT, token)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors by /proc")
def test_connections_that_fail_leave_no_descriptor(black_hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch):
    token = CancelToken()
    token.cancel()
    cases = [(black_hole, Timers(connect=0.1), None), ((HOST, free_port()), QUICK, None), (black_hole, QUICK, token)]
    before = descriptors()
    for address, timers, cancelled in cases:
        with pytest.raises((ServerUnreachable, Cancelled)):
            opened(address, timers, cancelled)
    assert descriptors() == before


def test_no_descriptors_left_is_said_in_words(monkeypatch: pytest.MonkeyPatch):
    def no_more(*args: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", no_more)
    with pytest.raises(ServerUnreachable, match="too many open files"):
        opened((HOST, 104), QUICK)


# Reading and writing


def test_silence_is_a_stall_and_says_how_long(pair: tuple[Connection, socket.socket]):
    with at_most(1.3), pytest.raises(PeerStalled, match=r"sent no data for 0\.3 seconds"):
        read(pair[0])


def test_no_time_left_reads_nothing_though_bytes_are_there(pair: tuple[Connection, socket.socket]):
    connection, other = pair
    other.sendall(b"x")
    with pytest.raises(PeerStalled):
        read(connection, timeout=-0.1)
    assert read(connection) == b"x"


def test_a_peer_that_stops_reading_is_a_stall(pair: tuple[Connection, socket.socket]):
    with at_most(3.0), pytest.raises(PeerStalled, match=r"accepted no data for 0\.3 seconds"):
        pair[0].write(bytes(64 << 20))
    assert 0 < pair[0].bytes_out < 64 << 20


def test_nothing_follows_on_what_could_only_be_sent_in_part(pair: tuple[Connection, socket.socket]):
    """An A-ABORT in the middle of a PDU is none, and would only be waited for once more."""
    connection, other = pair
    with pytest.raises(PeerStalled):
        connection.write(bytes(64 << 20))
    sent = connection.bytes_out
    other.settimeout(5.0)
    taken = 0
    while taken < sent:
        taken += len(other.recv(1 << 20))
    with at_most(0.1), pytest.raises(ConnectionLost):
        connection.write(b"abort")
    assert connection.bytes_out == sent


@pytest.mark.skipif(sys.platform != "linux", reason="what the system tells differs")
def test_what_the_peer_has_not_taken_is_known(listener: socket.socket):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    with closing(opened(listener.getsockname(), QUICK)) as connection:
        other, _ = listener.accept()
        with other:
            connection.write(bytes(200_000))
            waiting = send_queue.unsent_bytes(connection._socket)
            assert 0 < waiting < 200_000
            other.settimeout(5)
            while send_queue.unsent_bytes(connection._socket) >= waiting:
                assert other.recv(65536)
    assert send_queue.unsent_bytes(connection._socket) == 0  # closed


def test_where_nobody_tells_little_is_kept(listener: socket.socket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(send_queue, "_ask", None)
    with closing(opened(listener.getsockname(), QUICK)) as connection:
        kept = connection._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert kept <= 2 * 512 * 1024  # Linux doubles it
        assert connection.traffic == (0, 0, 0)


def test_a_closed_connection_is_lost(pair: tuple[Connection, socket.socket]):
    connection, other = pair
    other.close()
    with pytest.raises(ConnectionLost):
        read(connection)
    with pytest.raises(ConnectionLost):
        connection.write(bytes(64 << 20))


def test_shutdown_from_another_thread_wakes_a_reader(listener: socket.socket):
    with closing(opened(listener.getsockname(), PATIENT)) as connection:
        work = Background(lambda: read(connection))
        connection.shutdown()
        assert isinstance(work.ended_by(1.0), ConnectionLost)


def test_closing_twice_and_shutting_down_what_is_closed_do_no_harm(pair: tuple[Connection, socket.socket]):
    connection, _ = pair
    connection.close()
    connection.shutdown()
    connection.close()
    with pytest.raises(ConnectionLost):
        connection.write(b"x")
