"""A configured DICOM server."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .errors import UsageError
from .tls import TlsSettings, is_host

DEFAULT_CALLING_AET = "VISUALDICOM"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_MAX_ASSOCIATIONS = 2

# PS3.5 6.2, VR AE: at most 16 characters of the default repertoire, no backslash, no control characters.
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
MAX_NAME = 64


class RetrieveMethod(Enum):
    """How instances are fetched from a server."""

    GET = "get"
    MOVE = "move"


@dataclass(frozen=True)
class Server:
    """A DICOM server as the user configured it.

    :param name: what the user calls it; unique in the configuration.
    :param host: host name or address.
    :param port: TCP port, 1 to 65535.
    :param called_aet: the server's AE title.
    :param calling_aet: our AE title when talking to it.
    :param retrieve: C-GET or C-MOVE.
    :param proxy: name of the server that a C-MOVE sends to and that we C-GET from, or None.
    :param timeout: seconds without a byte after which the peer counts as stalled.
    :param max_associations: how many associations may be open to it at once.
    :param fetch_ahead: whether the studies that are open on the screen are fetched whole before anybody asks for that.
    :param tls: how connections to it are secured; None if they are not.
    :raises UsageError: a value that cannot be right.
    """

    name: str
    host: str
    port: int
    called_aet: str
    calling_aet: str = DEFAULT_CALLING_AET
    retrieve: RetrieveMethod = RetrieveMethod.GET
    proxy: str | None = None
    timeout: float = DEFAULT_TIMEOUT_S
    max_associations: int = DEFAULT_MAX_ASSOCIATIONS
    fetch_ahead: bool = False
    tls: TlsSettings | None = None

    def __post_init__(self) -> None:
        if not (self.name.strip() and self.name.isprintable() and len(self.name) <= MAX_NAME):
            raise UsageError("A server needs a name of 1 to 64 printable characters.")
        if not is_host(self.host):
            raise UsageError(f"Server {self.name}: the host must be a host name or an address.")
        if not 1 <= self.port <= 65535:
            raise UsageError(f"Server {self.name}: the port must lie between 1 and 65535.")
        for label, title in (("called", self.called_aet), ("calling", self.calling_aet)):
            if not is_ae_title(title):
                raise UsageError(
                    f"Server {self.name}: the {label} AE title must have 1 to 16 ASCII characters and no backslash."
                )
        if not 0.5 <= self.timeout <= 3600:
            raise UsageError(f"Server {self.name}: the time-out must lie between 0.5 and 3600 seconds.")
        if not 1 <= self.max_associations <= 32:
            raise UsageError(f"Server {self.name}: the number of associations must lie between 1 and 32.")
        if self.proxy == self.name:
            raise UsageError(f"Server {self.name} cannot be its own proxy.")

    def to_dict(self) -> dict[str, Any]:
        """Return the server as plain values, for the configuration file and for JSON output."""
        values = dataclasses.asdict(self)
        values["retrieve"] = self.retrieve.value
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Server:
        """Read a server from plain values.

        :raises UsageError: a key is missing, unknown or of the wrong type.
        """
        if not isinstance(values, dict):
            raise UsageError("A server in the configuration is no set of named values.")
        known = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(str(key) for key in values if key not in known)
        if unknown:
            raise UsageError(f"Unknown server setting: {', '.join(unknown)}.")
        for key, value in values.items():
            if not isinstance(value, _TYPES[key]) or (isinstance(value, bool) and bool not in _TYPES[key]):
                raise UsageError(f"A server in the configuration has a wrong value for {key!r}.")
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in values:
                raise UsageError(f"A server in the configuration lacks {name!r}.")
        tls = values.get("tls")
        changed = {
            "retrieve": _method(values.get("retrieve", RetrieveMethod.GET.value)),
            "tls": None if tls is None else TlsSettings.from_dict(tls),
        }
        return cls(**{**values, **changed})


_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "host": (str,),
    "port": (int,),
    "called_aet": (str,),
    "calling_aet": (str,),
    "retrieve": (str,),
    "proxy": (str, type(None)),
    "timeout": (int, float),
    "max_associations": (int,),
    "fetch_ahead": (bool,),
    "tls": (dict, type(None)),
}


def is_ae_title(text: str) -> bool:
    """Tell whether a text may be an AE title (PS3.5, 6.2)."""
    return _AE_TITLE.fullmatch(text) is not None and bool(text.strip())


def _method(word: str) -> RetrieveMethod:
    try:
        return RetrieveMethod(word)
    except ValueError as error:
        raise UsageError("A server in the configuration has a wrong value for 'retrieve'.") from error
