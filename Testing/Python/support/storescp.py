"""DCMTK's ``storescp`` as a peer: takes what its options say, and keeps each data set as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import peers
from .processes import PeerProcess

MAX_PDU = "131072"


class Storescp(PeerProcess):
    """A running storescp. By itself it takes the uncompressed transfer syntaxes only; ``+xa`` takes all.

    :ivar options: more words for its command line, such as ``+xi``.
    :ivar storage: where it puts its files.
    """

    def __init__(
        self, folder: Path, *, ae_title: str = "STORESCP", nodelay: bool = True, options: Sequence[str] = ()
    ) -> None:
        super().__init__(folder, ae_title=ae_title, nodelay=nodelay)
        self.options = tuple(options)
        self.storage = folder / "storage"
        self.storage.mkdir()

    def prepare(self) -> list[str]:
        """Return the command line."""
        # +B keeps what was on the wire.
        fixed = ["-aet", self.ae_title, "-od", str(self.storage), "--max-pdu", MAX_PDU, "+B"]
        return [peers.require("storescp"), *fixed, *self.options, str(self.port)]

    @property
    def files(self) -> list[Path]:
        """What it has stored."""
        return sorted(path for path in self.storage.iterdir() if path.is_file())
