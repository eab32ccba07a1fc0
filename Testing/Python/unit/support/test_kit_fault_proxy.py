"""The faulty wire does what its faults say."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from support.fault_proxy import Cut, Delay, FaultProxy, Flip, Stall, Throttle
from support.waiting import wait_until

DATA = bytes(range(256)) * 1000
Factory = Callable[..., FaultProxy]


def serve(listener: socket.socket) -> None:
    """Answer every connection with DATA after its first byte, then send back what comes."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=talk, args=(connection,), daemon=True).start()


def talk(connection: socket.socket) -> None:
    with connection:
        try:
            connection.recv(1)
            connection.sendall(DATA)
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            return


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def connected(proxy: FaultProxy) -> socket.socket:
    connection = socket.create_connection(proxy.address, timeout=5)
    connection.sendall(b"!")
    return connection


def receive(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        data = connection.recv(count - len(parts))
        if not data:
            break
        parts += data
    return bytes(parts)


def test_without_faults_every_byte_goes_through_and_is_counted(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server)
    with connected(proxy) as connection:
        assert receive(connection, len(DATA)) == DATA
        connection.sendall(b"ping")
        assert receive(connection, 4) == b"ping"
    assert (proxy.connections, proxy.bytes_to_server, proxy.bytes_to_client) == (1, 5, len(DATA) + 4)
    wait_until(lambda: proxy.open_connections == 0, what="the connection to end")


def test_a_stall_lets_exactly_so_many_bytes_through_and_keeps_the_connection(
    server: tuple[str, int], fault_proxy: Factory
):
    proxy = fault_proxy(server, to_client=[Stall(after=1000)])
    with connected(proxy) as connection:
        assert receive(connection, 1000) == DATA[:1000]
        assert proxy.happened.wait(5)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert proxy.open_connections == 1
        assert proxy.bytes_to_client == 1000


def test_a_stall_towards_the_server_fills_the_senders_buffers(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_server=[Stall(after=1)])
    with connected(proxy) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.sendall(bytes(50_000_000))
    assert proxy.bytes_to_server == 1


def test_a_healed_stall_goes_on_where_it_stopped(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_client=[Stall(after=1000)])
    with connected(proxy) as connection:
        assert proxy.happened.wait(5)
        proxy.heal()
        assert receive(connection, len(DATA)) == DATA


def test_a_cut_with_reset_is_seen_as_reset(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_client=[Cut(after=777)])
    with connected(proxy) as connection:
        assert receive(connection, 777) == DATA[:777]
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_cut_in_order_is_seen_as_end_of_stream(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_client=[Cut(after=777, reset=False)])
    with connected(proxy) as connection:
        assert receive(connection, 777) == DATA[:777]
        assert connection.recv(1) == b""


def test_a_flip_changes_one_byte(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_client=[Flip(after=5000, mask=0x01)])
    with connected(proxy) as connection:
        got = receive(connection, len(DATA))
    assert [(index, a ^ b) for index, (a, b) in enumerate(zip(DATA, got, strict=True)) if a != b] == [(5000, 1)]


def test_a_throttle_holds_the_rate(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_client=[Throttle(after=0, bytes_per_second=100_000)])
    with connected(proxy) as connection:
        began = time.monotonic()
        receive(connection, 40_000)
        assert 0.3 < time.monotonic() - began < 2.0


def test_a_delay_comes_once(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_client=[Delay(after=10, seconds=0.3)])
    with connected(proxy) as connection:
        began = time.monotonic()
        assert receive(connection, len(DATA)) == DATA
        assert 0.25 < time.monotonic() - began < 2.0


def test_faults_can_be_limited_to_the_first_connections(server: tuple[str, int], fault_proxy: Factory):
    proxy = fault_proxy(server, to_client=[Cut(after=0)], only_first=1)
    with pytest.raises(ConnectionError), connected(proxy) as connection:  # the reset may overtake the first byte
        connection.recv(1)
    with connected(proxy) as connection:
        assert receive(connection, len(DATA)) == DATA
    assert proxy.connections == 2


def test_a_dead_server_resets_the_client(fault_proxy: Factory):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = fault_proxy(nobody.getsockname())
        with pytest.raises(ConnectionResetError), socket.create_connection(proxy.address, timeout=5) as connection:
            connection.recv(1)  # or as early as connecting
