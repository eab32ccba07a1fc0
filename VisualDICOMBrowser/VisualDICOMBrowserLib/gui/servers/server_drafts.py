"""Servers as they are being typed: what is wrong with each value, what was changed, what is new; without Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...domain.errors import UsageError
from ...domain.servers import (
    DEFAULT_CALLING_AET,
    DEFAULT_MAX_ASSOCIATIONS,
    DEFAULT_TIMEOUT_S,
    RetrieveMethod,
    Server,
)
from .tls_errors import server_tls_errors

#: The port that DICOM has by convention (PS3.8, 9.1.1 names 104 as well known).
DEFAULT_PORT = 104
FIELDS = tuple(field.name for field in dataclasses.fields(Server) if field.name != "tls")

#: Values that are right, to find out whether one is wrong.
_RIGHT: dict[str, Any] = {"name": "Server", "host": "localhost", "port": DEFAULT_PORT, "called_aet": "ANY"}
_MISSING = {"name": "It needs a name.", "host": "It needs a host name or an address.", "called_aet": "It is missing."}


def new_values() -> dict[str, Any]:
    """Return what a new server begins with."""
    return {
        "name": "",
        "host": "",
        "port": DEFAULT_PORT,
        "called_aet": "",
        "calling_aet": DEFAULT_CALLING_AET,
        "retrieve": RetrieveMethod.GET.value,
        "proxy": None,
        "timeout": DEFAULT_TIMEOUT_S,
        "max_associations": DEFAULT_MAX_ASSOCIATIONS,
        "fetch_ahead": False,
        "tls": None,
    }


@dataclass
class Draft:
    """One server.

    :ivar saved: as it is configured; None for a new one.
    :ivar values: as it is typed.
    :ivar touched: the fields somebody typed in: an empty one that nobody has been to is not called wrong yet.
    """

    saved: Mapping[str, Any] | None
    values: dict[str, Any]
    touched: set[str] = field(default_factory=set)

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        return self.saved is None or dict(self.saved) != self.values

    @property
    def title(self) -> str:
        """What it is called in a list."""
        return str(self.values["name"]).strip() or "New server"

    @property
    def saved_name(self) -> str | None:
        """Its name in the configuration."""
        return None if self.saved is None else str(self.saved["name"])


class Drafts:
    """All servers of the configuration, and those not in it yet."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def take(self, servers: Iterable[Mapping[str, Any]]) -> None:
        """Take the configuration; what is typed and not saved stays, unless its server is gone."""
        before = {draft.saved_name: draft for draft in self.drafts if draft.saved is not None}
        fresh = [draft for draft in self.drafts if draft.saved is None]
        self.drafts = [_merged(before.get(str(server["name"])), server) for server in servers] + fresh

    def add(self) -> Draft:
        """Begin a new server."""
        draft = Draft(None, new_values())
        self.drafts.append(draft)
        return draft

    def discard(self, draft: Draft) -> None:
        """Go back to what is configured; a new server goes away."""
        if draft.saved is None:
            self.drafts.remove(draft)
        else:
            draft.values, draft.touched = dict(draft.saved), set()

    def errors(self, draft: Draft) -> dict[str, str]:
        """Return what is wrong, by field, in sentences; ``tls.key`` is a field of the TLS settings."""
        errors = {name: sentence for name in FIELDS if (sentence := _error(name, draft.values[name]))}
        errors.update(server_tls_errors(draft.values["tls"]))
        others = [other for other in self.drafts if other is not draft]
        if "name" not in errors and any(other.title == draft.title for other in others):
            errors["name"] = "Another server has this name."
        proxy = draft.values["proxy"]
        if proxy is not None and proxy == draft.values["name"]:
            errors["proxy"] = "A server cannot be its own proxy."
        elif proxy is not None and proxy not in {other.saved_name for other in others}:
            errors["proxy"] = f"There is no server {proxy}."
        return errors

    def proxies(self, draft: Draft) -> list[str]:
        """Return the servers that can be a proxy for one."""
        return [other.saved_name for other in self.drafts if other is not draft and other.saved_name is not None]


def _merged(draft: Draft | None, server: Mapping[str, Any]) -> Draft:
    """Keep what is typed and not saved of a server that may have been changed meanwhile."""
    if draft is None:
        return Draft(dict(server), dict(server))
    if not draft.changed:
        draft.values, draft.touched = dict(server), set()
    draft.saved = dict(server)
    if not draft.changed:
        draft.touched = set()
    return draft


def _error(name: str, value: Any) -> str:
    """Return what :class:`.Server` says of one value, in its own words."""
    if name in _MISSING and not str(value).strip():
        return _MISSING[name]
    try:
        Server.from_dict({**_RIGHT, name: value})
    except UsageError as error:
        sentence = str(error).removeprefix(f"Server {_RIGHT['name']}: ")
        return sentence[:1].upper() + sentence[1:]
    return ""
