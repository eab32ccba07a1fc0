"""What the window says of receiving: how the listener is, what others must know, who calls; without Qt."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...domain.listener import ANY, AllowedPeer
from ..messages import counted
from .receiving_draft import EVERYWHERE

#: Tells what part of the program around the browser listens at a port, and what to do; empty if none does.
PortUser = Callable[[int], str]


def state_words(status: Mapping[str, Any], port_user: PortUser = lambda _: "") -> str:
    """Return how the listener is, in a sentence or two.

    :param status: as :meth:`.ListenerStatus.to_dict` writes it.
    """
    if status["problem"]:
        hint = "" if status["open"] else port_user(status["settings"]["port"])
        return f"{status['problem']} {hint}".rstrip()
    if not status["open"]:
        return "Closed. It opens by itself while a server sends what is fetched by C-MOVE."
    where = "all addresses of this computer" if _is_everywhere(status["address"]) else status["address"]
    secured = ", secured by TLS" if status["secured"] else ""
    return f"Open at {where}, port {status['port']}{secured}."


def hints(settings: Mapping[str, Any], servers: int) -> list[str]:
    """Return what the settings keep out, in sentences.

    :param servers: how many servers are configured: they may always call.
    """
    found = []
    if is_loopback(settings["bind"]):
        found.append("Only programs on this computer can call.")
    if not settings["allowed"] and not servers:
        found.append("Nobody is allowed to call yet.")
    if not settings["unsolicited"]:
        found.append("Images that nobody here asked for are refused.")
    if not settings["port"]:
        found.append("The port is another one each time; others need a fixed one to register.")
    return found


def registration(status: Mapping[str, Any]) -> str:
    """Return what the administrator of another program has to enter there."""
    settings = status["settings"]
    addresses = " or ".join(status["reachable_at"]) or "this computer's name or address"
    port = status["port"] or settings["port"] or "another one each time"
    lines = [f"AE title: {settings['aet']}", f"Address: {addresses}", f"Port: {port}"]
    return "\n".join([*lines, *(["TLS: yes"] if settings["tls"] is not None else [])])


def is_loopback(address: str) -> bool:
    """Tell whether only this computer reaches an address; a text that is none is not."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def peer_words(peer: str) -> str:
    """Return an allowed caller, ``AET@HOST``, for people."""
    read = AllowedPeer.parse(peer)
    if (read.aet, read.host) == (ANY, ANY):
        return "anybody, from anywhere"
    return f"{'any AE title' if read.aet == ANY else read.aet} at {'any address' if read.host == ANY else read.host}"


def call_words(call: Mapping[str, Any]) -> str:
    """Return what came of a call, or why there was none.

    :param call: as :meth:`.CallRecord.to_dict` writes it.
    """
    if not call["admitted"]:
        times = f" ({call['times']:,} times)" if call["times"] > 1 else ""
        return f"Refused{times}: {call['reason']}"
    counts = ((call[name], words) for name, words in _COUNTS.items())
    parts = [f"{number:,} {words}" for number, words in counts if number]
    parts += [f"{call['conflicting']:,} with another content than what is here"] if call["conflicting"] else []
    came = ", ".join([counted(call["stored"], "image"), *parts]) if call["stored"] or parts else "no images"
    if not call["over"]:
        return f"{came} so far"
    return f"{came}; it broke off: {call['reason']}" if call["reason"] else came


_COUNTS = {
    "duplicates": "here already",
    "refused": "refused, for nobody asked for them",
    "failed": "that could not be kept",
}


def sending_words(calls: Iterable[Mapping[str, Any]]) -> str:
    """Return who is sending what nobody here asked for; empty if nobody has sent such an image yet."""
    sending = [call for call in calls if not call["over"] and _pushed(call)]
    if not sending:
        return ""
    images = counted(sum(map(_pushed, sending)), "image")
    if len(sending) == 1:
        return f"{sending[0]['aet'] or sending[0]['address']} is sending, {images}"
    return f"{len(sending):,} others are sending, {images}"


def _pushed(call: Mapping[str, Any]) -> int:
    return int(call["stored"] + call["duplicates"] - call["asked_for"])


def _is_everywhere(address: str) -> bool:
    return address in (EVERYWHERE, "::")
