"""Python packages that the engine lacks: told once, however much fails by it, with a way to get them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .host import Host
from .messages import Message, Remedy, Tone
from .parts.file_choice import choose_folder
from .session import Session

#: What the window asks for by itself, without the user's doing: not a reason to tell the same thing again.
_UNASKED = frozenset({"thumbnail", "explore", "frame"})
_ABOUT = "packages"


class MissingPackages:
    """See the module.

    :param window: the parent of dialogs.
    :param host: may offer to install packages; the sentence else says how to.
    """

    def __init__(self, session: Session, window: Any, host: Host) -> None:
        self._session = session
        self._window = window
        self._host = host
        self._told: set[str] = set()
        self._disconnect = session.package_missing.connect(self._on_missing)

    def close(self) -> None:
        """Tell nothing more."""
        self._disconnect()

    def _on_missing(self, sentence: str, method: str) -> None:
        if method in _UNASKED and sentence in self._told:
            return
        self._told.add(sentence)
        self._tell(sentence)

    def _tell(self, sentence: str, before: str = "") -> None:
        remedies = self._remedies(sentence)
        after = "" if remedies else " Install it with pip, and start the program again."
        self._session.said.emit(Message(before + sentence + after, Tone.WARNING, _ABOUT, remedies))

    def _remedies(self, sentence: str) -> tuple[Remedy, ...]:
        remedies = []
        if (install := self._host.install) is not None:
            remedies.append(Remedy("Install…", lambda: self._install(install, sentence)))
        if (install_from := self._host.install_from) is not None:
            remedies.append(Remedy("From a folder…", lambda: self._choose(install_from, sentence)))
        return tuple(remedies)

    def _choose(self, install_from: Callable[[Path], bool], sentence: str) -> None:
        def chosen(folder: str) -> None:
            self._install(lambda: install_from(Path(folder)), sentence)

        choose_folder(self._window, "Folder with the packages as wheels", chosen)

    def _install(self, install: Callable[[], bool], sentence: str) -> None:
        if not install():
            self._tell(sentence, "The packages were not installed. ")
            return
        self._told.clear()
        self._session.restart()
        self._session.say("The packages are installed. Ask again for what could not be done.", about=_ABOUT)
