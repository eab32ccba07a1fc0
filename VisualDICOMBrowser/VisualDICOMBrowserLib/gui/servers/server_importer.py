"""Takes over the servers of 3D Slicer's settings, and tells what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...domain.errors import VisualDicomError
from ...domain.slicer_servers import FoundServers
from ..messages import Message, Tone
from ..session import Session

ReadServers = Callable[[], FoundServers]

_ABOUT = "server-import"
#: More names than this are counted, not named.
_MOST_NAMES = 4


class ServerImporter:
    """See the module.

    :param read_servers: returns what the settings have; it may raise a :class:`.VisualDicomError`.
    """

    def __init__(self, session: Session, read_servers: ReadServers) -> None:
        self._session = session
        self._read = read_servers

    def run(self) -> None:
        """Import once; the outcome comes as a message."""
        try:
            found = self._read()
        except VisualDicomError as error:
            self._session.say(str(error), Tone.PROBLEM, _ABOUT)
            return
        params = {"servers": [server.to_dict() for server in found.servers]}
        self._session.ask(
            "import_servers",
            params,
            lambda outcome: self._session.said.emit(told(found, outcome)),
            lambda error: self._session.say(str(error), Tone.PROBLEM, _ABOUT),
        )


def told(found: FoundServers, outcome: Mapping[str, Any]) -> Message:
    """Return what to tell of an import.

    :param outcome: as :meth:`.ServerImport.to_dict` writes it.
    """
    failed = [(failure.subject, failure.reason) for failure in found.unusable]
    failed += [(item["name"], item["reason"]) for item in outcome["skipped"]]
    parts = (
        ("Imported from 3D Slicer", [server["name"] for server in outcome["imported"]]),
        ("Known already", outcome["known"]),
        ("Not checked in 3D Slicer", found.unchecked),
        ("Cannot be imported", [name for name, _ in failed]),
    )
    sentences = [f"{title}: {_listed(names)}." for title, names in parts if names]
    if not outcome["imported"]:
        sentences.insert(0, "No server was imported.")
    details = tuple(f"{name}: {reason}" for name, reason in failed)
    return Message(" ".join(sentences), Tone.WARNING if failed else Tone.NOTE, _ABOUT, details=details)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_MOST_NAMES])} and {more} more"
