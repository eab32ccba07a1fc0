"""Servers as 3D Slicer keeps them in its settings: what they mean here.

Slicer has had three forms of them. Its visual DICOM browser keeps each row of its table as a JSON text under
``DICOM/ServerNodes/<row>``, and kept it as a map of values before; its older query dialog keeps a map under
``ServerNodes/<row>``. The maps' keys are the English headings of the tables' columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import BadData, UsageError
from .results import Failure
from .servers import DEFAULT_CALLING_AET, DEFAULT_TIMEOUT_S, RetrieveMethod, Server

#: Returns the value of a setting by its whole key, None if there is none; a map of values as a mapping. It may raise
#: :class:`.BadData` for one that cannot be read.
ReadSetting = Callable[[str], object]

_MAX_ENTRIES = 1000
_MAX_JSON = 65_536
_MAX_TIMEOUT_S = 3600.0
_NAMELESS = "entry {}"
_PROTOCOLS = {"": RetrieveMethod.GET, "CGET": RetrieveMethod.GET, "CMOVE": RetrieveMethod.MOVE}
_Values = Mapping[str, Any]


@dataclass(frozen=True)
class FoundServers:
    """What Slicer's settings have.

    :ivar servers: those to import, by Slicer's names; a proxy is one of these names, or cannot be had.
    :ivar unchecked: names of those that Slicer's user did not choose to search: among them are the public examples
        that Slicer lists by itself.
    :ivar unusable: what cannot be a server, with the reason.
    """

    servers: tuple[Server, ...] = ()
    unchecked: tuple[str, ...] = ()
    unusable: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class _Entry:
    """One row of a table of Slicer."""

    name: str
    checked: bool
    proxy: str
    outcome: Server | str  # the reason why it is none


def found_servers(read: ReadSetting, *, unchecked: bool = False) -> FoundServers:
    """Return the servers of Slicer's settings. Nothing that stands there raises.

    Those are taken that Slicer would search: checked in its table, or the proxy of such a one. A server that both
    tables have is taken from that of the visual browser.

    :param unchecked: take the others too.
    """
    newer = _visual_browser(read)
    there = {_address(one.outcome) for one in newer if isinstance(one.outcome, Server) and (one.checked or unchecked)}
    entries = newer + [one for one in _query_dialog(read) if not _is_one_of(one.outcome, there)]
    taken = entries if unchecked else _with_proxies(entries)
    kept = {id(entry) for entry in taken}
    return FoundServers(
        servers=tuple(entry.outcome for entry in taken if isinstance(entry.outcome, Server)),
        unchecked=tuple(entry.name for entry in entries if id(entry) not in kept),
        unusable=tuple(Failure(entry.name, entry.outcome) for entry in taken if isinstance(entry.outcome, str)),
    )


def _with_proxies(entries: list[_Entry]) -> list[_Entry]:
    """Return the checked entries, and those that they need to be fetched through."""
    by_name = {entry.name: entry for entry in reversed(entries)}
    needed: set[str] = set()
    waiting = [entry.proxy for entry in entries if entry.checked]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            waiting.append(by_name[name].proxy)
    return [entry for entry in entries if entry.checked or (entry.name in needed and by_name[entry.name] is entry)]


def _address(server: Server) -> tuple[str, int, str]:
    return server.host.casefold(), server.port, server.called_aet


def _is_one_of(outcome: Server | str, there: set[tuple[str, int, str]]) -> bool:
    return isinstance(outcome, Server) and _address(outcome) in there


# The two tables


def _visual_browser(read: ReadSetting) -> list[_Entry]:
    def entry(values: _Values, name: str) -> _Entry:
        proxy = _text(values.get("Retrieve Proxy", values.get("Proxy")))
        protocol = _text(values.get("Retrieve Protocol", values.get("Protocol")))
        method = _PROTOCOLS.get(protocol)
        timeout = _seconds(values.get("Timeout"))
        outcome = (
            f"The retrieve protocol {protocol} is not supported."
            if method is None
            else _server(name, values, "Called AETitle", _text(values.get("Calling AETitle")), method, proxy, timeout)
        )
        return _Entry(name, _is_checked(values.get("QueryRetrieveCheckState")), proxy, outcome)

    return _entries(read, "DICOM/", entry)


def _query_dialog(read: ReadSetting) -> list[_Entry]:
    try:
        calling = _text(read("CallingAETitle"))
    except BadData:
        calling = ""

    def entry(values: _Values, name: str) -> _Entry:
        method = RetrieveMethod.GET if _is_checked(values.get("CGET")) else RetrieveMethod.MOVE
        outcome = _server(name, values, "AETitle", calling, method, "", DEFAULT_TIMEOUT_S)
        return _Entry(name, _is_checked(values.get("CheckState")), "", outcome)

    return _entries(read, "", entry)


def _entries(read: ReadSetting, group: str, entry: Callable[[_Values, str], _Entry]) -> list[_Entry]:
    """Return the entries of a table."""
    found = []
    for row in range(_count(read, f"{group}ServerNodeCount")):
        nameless = _NAMELESS.format(row + 1)
        try:
            values = _values(read(f"{group}ServerNodes/{row}"))
        except BadData as error:
            found.append(_Entry(nameless, True, "", str(error)))
            continue
        found.append(entry(values, _text(values.get("Name")) or _text(values.get("Address")) or nameless))
    return found


def _count(read: ReadSetting, key: str) -> int:
    try:
        return min(_whole(read(key)) or 0, _MAX_ENTRIES)
    except BadData:
        return 0


def _values(raw: object) -> _Values:
    if isinstance(raw, Mapping):
        return {str(key): value for key, value in raw.items()}
    if raw is None:
        raise BadData("It is missing in the settings.")
    if not isinstance(raw, (str, bytes)) or len(raw) > _MAX_JSON:
        raise BadData("It is in a form that is not known here.")
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadData("It is not valid JSON.") from error
    if not isinstance(values, dict):
        raise BadData("It is in a form that is not known here.")
    return values


def _server(
    name: str, values: _Values, title: str, calling: str, method: RetrieveMethod, proxy: str, timeout: float
) -> Server | str:
    """Return the server, or the reason why it cannot be one."""
    host, port = _text(values.get("Address")), _whole(values.get("Port"))
    if not host:
        return "It has no address."
    if port is None:
        return "Its port is no number."
    try:
        return Server(
            name=name,
            host=host,
            port=port,
            called_aet=_text(values.get(title)),
            calling_aet=calling or DEFAULT_CALLING_AET,
            retrieve=method,
            proxy=proxy or None,
            timeout=timeout,
        )
    except UsageError as error:
        sentence = str(error).removeprefix(f"Server {name}: ")
        return sentence[:1].upper() + sentence[1:]


# Single values: a number may be a text, and an absent one is as good as an empty one


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    """Return a whole number of at most nine digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    word = str(value).strip() if isinstance(value, (int, str)) else ""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 9 else None


def _is_checked(value: object) -> bool:
    """Tell it from a number of Qt::CheckState."""
    return bool(_whole(value))


def _seconds(value: object) -> float:
    """Return a time-out: Slicer's is for the connection alone, ours for any silence, and is not made shorter by it."""
    return min(max(DEFAULT_TIMEOUT_S, float(_whole(value) or 0)), _MAX_TIMEOUT_S)
