"""TLS below the DICOM upper layer: who is trusted, the handshake, and bytes through records.

After the TLS profiles of PS3.15: B.12 (BCP 195 as of RFC 8996 and RFC 9325) and the older, non-downgrading B.10. TLS
1.2 is the lowest version, all ciphers have forward secrecy, and a port either speaks TLS or does not: nothing is ever
tried again without. The certificate of a server is always verified, and so is its name.

Not with the time-outs of :class:`ssl.SSLSocket`: they count whole records of 16 KiB, while here any byte resets the
stall timer. So the socket does not block, and waiting is done beside it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import Cancelled, ConnectionLost, UsageError
from ..domain.tls import ListenerTls, TlsSettings
from .tls_errors import handshake_error, handshake_stalled, transfer_error

#: Longest password that OpenSSL takes, in bytes.
_MAX_PASSWORD = 1024
#: Waits without a descriptor of its own, and above descriptor 1023; Windows has select only.
_Selector: Callable[[], selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


@dataclass(frozen=True)
class ClientTls:
    """How to speak TLS to a server.

    :ivar name: what its certificate must be made out for.
    """

    context: ssl.SSLContext
    name: str


def client_tls(settings: TlsSettings, host: str) -> ClientTls:
    """Return how to speak TLS to a server at ``host``.

    :raises UsageError: a file is missing, or is not what it should be.
    """
    files = (settings.ca_file, settings.certificate, settings.key, settings.key_password_file)
    context = _client_context(settings, tuple(_stamp(name) for name in files))
    name = settings.host_name or host
    return ClientTls(context, name.partition("%")[0].rstrip("."))  # neither a zone nor the root is in certificates


@lru_cache(maxsize=16)
def _client_context(settings: TlsSettings, _stamps: tuple[object, ...]) -> ssl.SSLContext:
    """Return a context, another one when a file has changed. Kept, since reading what the system trusts takes time."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, settings.ca_file)
    if settings.certificate is not None:
        _identify(context, settings.certificate, settings.key, settings.key_password_file)
    return context


def listener_context(settings: ListenerTls) -> ssl.SSLContext:
    """Return a context for connections that are accepted, with what the files hold now.

    :raises UsageError: a file is missing, or is not what it should be.
    """
    for name in (settings.certificate, settings.key, settings.key_password_file, settings.ca_file):
        _stamp(name)
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # nobody resumes, and a peer that only writes would never read them
    _identify(context, settings.certificate, settings.key, settings.key_password_file)
    if settings.ca_file is not None:
        _trust(context, settings.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def connect_tls(sock: socket.socket, tls: ClientTls, seconds: float, token: CancelToken) -> TlsSocket:
    """Secure a socket that connected. It is taken over, and closed on an error.

    :param seconds: for the whole handshake.
    :raises TlsFailed: a certificate or a version is not as it must be, or the peer does not speak TLS.
    :raises PeerStalled: the handshake took too long.
    :raises ConnectionLost: the peer closed the connection.
    :raises Cancelled: the token was raised.
    """

    def wrap() -> ssl.SSLSocket:
        return tls.context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=tls.name)

    return _secured(sock, wrap, seconds, token, tls.name)


def wrap_accepted(
    sock: socket.socket, context: ssl.SSLContext, seconds: float, token: CancelToken | None = None
) -> TlsSocket:
    """Secure a socket that was accepted; to be called by the thread that goes on to serve it, for a peer may be mute.

    It is taken over, and closed on an error. Errors as with :func:`connect_tls`.
    """

    def wrap() -> ssl.SSLSocket:
        return context.wrap_socket(sock, do_handshake_on_connect=False, server_side=True)

    return _secured(sock, wrap, seconds, token or CancelToken(), None)


def _secured(
    sock: socket.socket, wrap: Callable[[], ssl.SSLSocket], seconds: float, token: CancelToken, name: str | None
) -> TlsSocket:
    try:
        sock.setblocking(False)
        secured = TlsSocket(wrap())
    except (OSError, ValueError) as error:  # ValueError: a name that no certificate can have
        sock.close()
        raise handshake_error(error, name) from error
    try:
        with token.calling(lambda: secured.shutdown(socket.SHUT_RDWR)):
            secured.shake_hands(seconds)
    except TimeoutError as error:
        secured.close()
        raise handshake_stalled(seconds, name) from error
    except OSError as error:
        secured.close()
        raise Cancelled if token.cancelled else handshake_error(error, name) from error
    if token.cancelled:
        secured.close()
        raise Cancelled
    return secured


class RecordIncomplete(Exception):
    """Bytes came in time, but not yet all of a record."""


class TlsSocket:
    """A secured socket, with those methods of a socket that a connection needs.

    One thread reads and writes; any thread may call :meth:`shutdown`.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock
        self._seconds = 0.0
        self._selector = _Selector()
        self._events = selectors.EVENT_READ
        self._selector.register(sock, self._events)

    @property
    def version(self) -> str | None:
        """The version that is spoken, such as ``TLSv1.3``."""
        return self._socket.version()

    def shake_hands(self, seconds: float) -> None:
        """Agree on keys.

        :raises TimeoutError: it took longer than that.
        :raises OSError: it failed, see :func:`.handshake_error`.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._socket.do_handshake()
                return
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                self._wait(want, deadline - time.monotonic())

    def settimeout(self, seconds: float) -> None:
        """Have each wait for the peer end after that time."""
        self._seconds = seconds

    def recv_into(self, view: memoryview) -> int:
        """Read at least one byte and return how many, or 0 at the end.

        :raises TimeoutError: nothing came in time.
        :raises RecordIncomplete: something came, but not enough to be read.
        :raises PeerError: the peer says what it does not like about our certificate.
        :raises OSError: the connection is lost.
        """
        try:
            try:
                return self._socket.recv_into(view)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                self._wait(want, self._seconds)
            try:
                return self._socket.recv_into(view)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise RecordIncomplete from None
        except ssl.SSLError as error:
            raise transfer_error(error) from error

    def send(self, view: memoryview) -> int:
        """Send some of the bytes and return how many.

        :raises TimeoutError: the peer took nothing in time.
        :raises PeerError: the peer says what it does not like about our certificate.
        :raises OSError: the connection is lost.
        """
        try:
            while True:
                try:
                    return self._socket.send(view)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                    self._wait(want, self._seconds)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self._hear_last_word()
            raise
        except ssl.SSLError as error:
            raise transfer_error(error) from error

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Set an option of the TCP socket."""
        self._socket.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int) -> int:
        """Return an option of the TCP socket."""
        return self._socket.getsockopt(level, option)

    def getpeername(self) -> object:
        """Return the address of the peer."""
        return self._socket.getpeername()

    def fileno(self) -> int:
        """Return the descriptor, -1 if it is closed. That there is nothing to read from it says nothing."""
        return self._socket.fileno()

    def say_goodbye(self) -> None:
        """Tell the peer that no more comes (RFC 8446, 6.1), if it takes that at once; its own is not waited for."""
        with contextlib.suppress(OSError, ValueError):  # it may be gone, or the handshake was never finished
            self._socket.unwrap()

    def shutdown(self, how: int) -> None:
        """Break the connection. :meth:`ssl.SSLSocket.shutdown` would go on without TLS where another thread reads."""
        with contextlib.suppress(OSError):  # not connected any more is what we want
            socket.socket.shutdown(self._socket, how)

    def close(self) -> None:
        """Close the socket."""
        self._selector.close()
        self._socket.close()

    def _wait(self, want: ssl.SSLError, seconds: float) -> None:
        events = selectors.EVENT_READ if isinstance(want, ssl.SSLWantReadError) else selectors.EVENT_WRITE
        if events != self._events:
            self._selector.modify(self._socket, events)
            self._events = events
        if seconds <= 0 or not self._selector.select(seconds):
            raise TimeoutError

    def _hear_last_word(self) -> None:
        """Read why the peer closed: TLS 1.3 refuses a certificate only after the handshake."""
        with contextlib.suppress(RecordIncomplete, OSError, ConnectionLost):
            self._seconds = 0.0
            while self.recv_into(memoryview(bytearray(1024))):
                pass


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _trust(context: ssl.SSLContext, path: str) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a server's own certificate may be all that is trusted
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        raise UsageError(f"The file {path} holds no certificates in PEM format.") from error


def _identify(context: ssl.SSLContext, certificate: str, key: str | None, password_file: str | None) -> None:
    holder = key or certificate

    def password() -> bytes:
        if password_file is None:
            raise UsageError(f"The private key in {holder} is protected by a password, and none is configured.")
        return _password(password_file)

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        raise UsageError(_not_usable(error, certificate, holder, password_file)) from error
    except OSError as error:
        raise UsageError(f"Certificate and private key in {certificate} and {holder} cannot be read.") from error


def _not_usable(error: ssl.SSLError, certificate: str, holder: str, password_file: str | None) -> str:
    reason = error.reason or ""
    if reason == "KEY_VALUES_MISMATCH":
        return f"The private key in {holder} does not belong to the certificate in {certificate}."
    if "TOO_SMALL" in reason or "TOO_WEAK" in reason:
        return f"The certificate in {certificate} is too weak to be used: its key or its signature is out of date."
    if password_file is not None and "DECRYPT" in reason:
        return f"The password in {password_file} is not that of the private key in {holder}."
    return f"There is no certificate with its private key in PEM format in {certificate} and {holder}."


def _password(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            line = file.readline(_MAX_PASSWORD + 2).rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.") from error
    if len(line) > _MAX_PASSWORD:
        raise UsageError(f"The first line of {path} is too long for a password.")
    return line


def _stamp(path: str | None) -> tuple[int, int] | None:
    """Return what changes when a file does.

    :raises UsageError: there is no such file.
    """
    if path is None:
        return None
    try:
        status = Path(path).stat()
        with Path(path).open("rb"):
            return status.st_mtime_ns, status.st_size
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.") from error
