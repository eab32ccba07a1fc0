"""DCMTK's ``storescp`` with TLS: it answers C-ECHO and keeps what it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import peers
from .certificates import Authority, Certificate
from .processes import PeerProcess


class TlsStorescp(PeerProcess):
    """A running ``storescp +tls``.

    :ivar clients: the authority of the certificates that clients must have; None asks for none.
    """

    def __init__(
        self,
        folder: Path,
        certificate: Certificate,
        *,
        clients: Authority | None = None,
        ae_title: str = "STORESCP",
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, ae_title=ae_title)
        self.certificate = certificate
        self.clients = clients
        self.options = tuple(options)

    def prepare(self) -> list[str]:
        """Return the command line."""
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        command = [peers.require("storescp"), "-od", str(storage), "-aet", self.ae_title]
        command += ["+tls", str(self.certificate.key), str(self.certificate.file)]
        command += ["-ic"] if self.clients is None else ["-rc", "+cf", str(self.clients.file)]
        return [*command, *self.options, str(self.port)]
