"""TLS in front of a peer that speaks none: ends it on loopback and passes the bytes on.

::

    with TlsFront(dcmqrscp.address, server_context(certificate)) as front:
        client.connect(*front.address)
"""

from __future__ import annotations

import select
import socket
import ssl
import warnings
from collections.abc import Callable
from functools import partial

from .certificates import Certificate
from .loopback_server import TICK, LoopbackServer

CHUNK = 65536
HANDSHAKE_SECONDS = 10.0


def server_context(
    certificate: Certificate,
    *,
    highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ciphers: str | None = None,
) -> ssl.SSLContext:
    """Return a context for a server, also one that speaks outdated versions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest
    if ciphers:
        context.set_ciphers(ciphers)
    context.load_cert_chain(certificate.file, certificate.key)
    return context


class TlsFront(LoopbackServer):
    """The server side of TLS before ``target``; handshakes that fail are simply over.

    :ivar versions: what each connection agreed on, such as ``TLSv1.3``.
    :ivar ended_in_order: how many clients said that no more comes (close_notify).
    """

    def __init__(self, target: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__("tls-front")
        self._target = target
        self._context = context
        self.versions: list[str | None] = []
        self.ended_in_order = 0
        self.begin()

    def serving(self, client: socket.socket) -> Callable[[], None]:
        """See :class:`.LoopbackServer`."""
        return partial(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(HANDSHAKE_SECONDS)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            secured = self._context.wrap_socket(
                client, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
            with secured:
                try:
                    secured.do_handshake()
                except OSError:
                    _linger(secured)
                    return
                self.versions.append(secured.version())
                with socket.create_connection(self._target, timeout=TICK) as server:
                    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    secured.settimeout(TICK)
                    self._shuttle(secured, server)

    def _shuttle(self, client: ssl.SSLSocket, server: socket.socket) -> None:
        try:
            while not self.closing.is_set():
                ready, _, _ = select.select([client, server], [], [], TICK)
                if client in ready and not self._pass(client, server):
                    self.ended_in_order += 1
                    return
                if server in ready and not self._pass(server, client):
                    return
        except OSError:
            return  # one side is gone

    def _pass(self, source: socket.socket, sink: socket.socket) -> bool:
        """Pass on what has come; tell whether that was not the end."""
        try:
            data = source.recv(CHUNK)  # all of a record: what is left in OpenSSL would not wake select
        except TimeoutError:
            return True
        rest = memoryview(data)
        while rest and not self.closing.is_set():
            try:
                rest = rest[sink.send(rest) :]
            except TimeoutError:
                continue
        return bool(data)


def _linger(client: ssl.SSLSocket) -> None:
    """Let the client read the alert: closing with unread bytes would reset the connection."""
    try:
        socket.socket.shutdown(client, socket.SHUT_WR)
        client.settimeout(1.0)
        while socket.socket.recv(client, CHUNK):
            pass
    except OSError:
        return
