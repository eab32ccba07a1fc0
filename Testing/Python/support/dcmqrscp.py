"""DCMTK's ``dcmqrscp`` as a peer: an image archive with C-FIND, C-MOVE and C-GET on generated configuration."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pydicom import uid
from pynetdicom.presentation import AllStoragePresentationContexts

from . import peers
from .corpus import CorpusFile, LeftOut
from .processes import HOST, PeerProcess
from .sender import send_files

MAX_PDU = 131072
MAX_ASSOCIATIONS = 16
#: Studies, and bytes a study: the most that DCMTK takes.
QUOTA = "(500, 1024mb)"
#: DCMTK's limit for one list of presentation contexts in an association profile.
PROFILE_CONTEXTS = 128
#: dcmqridx gets so many files at once.
FILES_AT_ONCE = 500

_PLAIN = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian)
_ANY = (
    *_PLAIN,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.RLELossless,
    uid.MPEG2MPML,
    uid.MPEG4HP41,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
_VERIFICATION = "1.2.840.10008.1.1"
_SERVICES = [
    _VERIFICATION,
    *(f"1.2.840.10008.5.1.4.1.2.{model}.{verb}" for model in (1, 2, 3) for verb in (1, 2, 3)),
]


@dataclass(frozen=True)
class Node:
    """A DICOM node that the server may send to (C-MOVE destination)."""

    ae_title: str
    port: int
    host: str = HOST


class Dcmqrscp(PeerProcess):
    """A running dcmqrscp. By itself it speaks the uncompressed transfer syntaxes only, and refuses all others.

    Two habits of version 3.6.7. It forks only after it has read an A-ASSOCIATE-RQ, so a mute connection keeps
    everybody else out for its 30 s time-out. And it answers C-GET through one context for each SOP class, an
    uncompressed one if there is any, and fails for objects that it cannot convert to its transfer syntax.

    :ivar compressed: accept compressed transfer syntaxes too, by an association profile for ``sop_classes``.
    :ivar disable_get: refuse C-GET.
    :ivar refused: what it did not take in :meth:`load` and :meth:`index`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "TESTQR",
        nodelay: bool = True,
        compressed: bool = False,
        sop_classes: Iterable[str] = (),
        disable_get: bool = False,
        nodes: Sequence[Node] = (),
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, ae_title=ae_title, nodelay=nodelay)
        self.compressed = compressed
        self.sop_classes = tuple(sop_classes)
        self.disable_get = disable_get
        self.nodes = tuple(nodes)
        self.options = tuple(options)
        self.refused: list[LeftOut] = []
        self._copies = count(1)
        self.storage = folder / "storage"
        self.storage.mkdir(exist_ok=True)

    def prepare(self) -> list[str]:
        """Write ``dcmqrscp.cfg`` (and the association profile) and return the command line."""
        path = self.folder / "dcmqrscp.cfg"
        path.write_text(self._configuration(), encoding="utf-8")
        command = [peers.require("dcmqrscp"), "-c", str(path), *self.options]
        if self.disable_get:
            command.append("--disable-get")
        if self.compressed:
            profile = self.folder / "profile.cfg"
            profile.write_text(association_profile(self.sop_classes), encoding="utf-8")
            command += ["-xf", str(profile), "INCOMING", "OUTGOING"]
        return command

    def _configuration(self) -> str:
        hosts = [
            f"node{number} = ({node.ae_title}, {node.host}, {node.port})" for number, node in enumerate(self.nodes)
        ]
        lines = [
            f"NetworkTCPPort = {self.port}",
            f"MaxPDUSize = {MAX_PDU}",
            f"MaxAssociations = {MAX_ASSOCIATIONS}",
            "HostTable BEGIN",
            *hosts,
            "HostTable END",
            "VendorTable BEGIN",
            "VendorTable END",
            "AETable BEGIN",
            f"{self.ae_title} {self.storage} RW {QUOTA} ANY",
            "AETable END",
        ]
        return "\n".join(lines) + "\n"

    def load(self, files: Iterable[CorpusFile]) -> list[LeftOut]:
        """Store files over the network, and return those that it did not take."""
        refused = send_files(self.address, self.ae_title, files)
        self.refused.extend(refused)
        return refused

    def index(self, paths: Iterable[Path]) -> list[LeftOut]:
        """Copy files into the storage area and register them there; far faster than :meth:`load`.

        The server may run or not. ``dcmqridx`` is quadratic in the number of files: 400 in 0.4 s, 2,000 in 11 s.
        """
        copies = {self._copy(path): path for path in paths}
        names = list(copies)
        refused: list[LeftOut] = []
        for start in range(0, len(names), FILES_AT_ONCE):
            refused += self._register(names[start : start + FILES_AT_ONCE], copies)
        self.refused.extend(refused)
        return refused

    def _copy(self, path: Path) -> Path:
        target = self.storage / f"indexed-{next(self._copies):06d}-{path.name}"
        shutil.copyfile(path, target)
        return target

    def _register(self, names: list[Path], sources: dict[Path, Path]) -> list[LeftOut]:
        done = subprocess.run(
            [peers.require("dcmqridx"), str(self.storage), *map(str, names)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=120,
        )
        complaints = done.stderr.splitlines() + done.stdout.splitlines()
        return [
            LeftOut(sources[name], "; ".join(line for line in complaints if str(name) in line))
            for name in names
            if any(str(name) in line for line in complaints)
        ]


def association_profile(sop_classes: Iterable[str] = ()) -> str:
    """Write a DCMTK association profile that accepts any transfer syntax, and both roles (for C-GET).

    It has room for 118 storage classes: those asked for, then the others that pynetdicom knows.
    """
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    storage = list(dict.fromkeys([*sop_classes, *known]))[: PROFILE_CONTEXTS - len(_SERVICES)]
    number = count(1)
    contexts = [f"PresentationContext{next(number)} = {name}\\Plain" for name in _SERVICES]
    contexts += [f"PresentationContext{next(number)} = {name}\\Any" for name in storage]
    lines = ["[[TransferSyntaxes]]", "[Any]", *_numbered("TransferSyntax", _ANY)]
    lines += ["[Plain]", *_numbered("TransferSyntax", _PLAIN)]
    lines += ["[[PresentationContexts]]", "[All]", *contexts]
    lines += ["[[SCPSCURoleSelection]]", "[Both]", *_numbered("Role", [f"{name}\\BOTH" for name in storage])]
    lines += ["[[Profiles]]", "[INCOMING]", "PresentationContexts = All", "SCPSCURoleSelection = Both"]
    lines += ["[OUTGOING]", "PresentationContexts = All"]
    return "\n".join(lines) + "\n"


def _numbered(key: str, values: Iterable[str]) -> list[str]:
    return [f"{key}{number} = {value}" for number, value in enumerate(values, 1)]
