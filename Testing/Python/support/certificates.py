"""Certificates for tests, made by trustme: right ones, expired ones, and those of an authority that nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from VisualDICOMBrowserLib.domain.tls import ListenerTls, TlsSettings

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files in PEM format."""

    file: Path
    key: Path

    def protected(self, password: str) -> Path:
        """Write the key once more, behind a password, and return the file."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        path = self.key.with_suffix(".protected.pem")
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode()),
            )
        )
        return path


def listener_tls(own: Certificate, clients: Authority | None = None) -> ListenerTls:
    """Return settings of a listener.

    :param clients: the authority of the certificates that callers must have; None asks for none.
    """
    return ListenerTls(str(own.file), str(own.key), ca_file=str(clients.file) if clients is not None else None)


class Authority:
    """Issues certificates into a folder.

    :ivar file: its own certificate.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ca = trustme.CA()
        self._folder = folder
        self._numbers = count(1)
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, expired: bool = False) -> Certificate:
        """Make a certificate; for this computer unless names are given."""
        until = LONG_AGO if expired else datetime.now(timezone.utc) + timedelta(days=2)
        issued = self._ca.issue_cert(*(names or _NAMES), not_before=LONG_AGO - timedelta(days=9), not_after=until)
        number = next(self._numbers)
        file, key = self._folder / f"{number}.pem", self._folder / f"{number}.key.pem"
        for place, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(str(file), append=place > 0)
        issued.private_key_pem.write_to_path(str(key))
        return Certificate(file, key)


@dataclass(frozen=True)
class Authorities:
    """Two authorities, of which the first is trusted."""

    ours: Authority
    strange: Authority

    @classmethod
    def below(cls, root: Path) -> Authorities:
        """Make them in a folder."""
        return cls(Authority(root / "ours"), Authority(root / "strange"))

    @property
    def trusting(self) -> TlsSettings:
        """How to speak to a server with a certificate of ours."""
        return TlsSettings(ca_file=str(self.ours.file))

    def known_as(self, authority: Authority, *, expired: bool = False) -> TlsSettings:
        """Return the same for a client with a certificate of an authority."""
        mine = authority.issue("workstation.example", expired=expired)
        return replace(self.trusting, certificate=str(mine.file), key=str(mine.key))
