"""The project's own ``listen``, as a process like any other peer: to measure it, and to kill it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .processes import PeerProcess

PACKAGE_ROOT = Path(__file__).resolve().parents[3] / "VisualDICOMBrowser"
END_SECONDS = 60.0


class ListenProcess(PeerProcess):
    """A running ``listen`` that takes whatever anybody sends.

    :ivar options: more words for its command line.
    :ivar database: its database folder.
    """

    def __init__(self, folder: Path, *, ae_title: str = "US", options: Sequence[str] = ()) -> None:
        super().__init__(folder, ae_title=ae_title)
        self.options = tuple(options)
        self.database = folder / "database"

    def prepare(self) -> list[str]:
        """Return the command line."""
        command = [sys.executable, "-m", "VisualDICOMBrowserLib", "listen", "--json"]
        command += ["--database", str(self.database), "--config", str(self.folder / "config.json")]
        command += ["--aet", self.ae_title, "--port", str(self.port), "--allow", "*@*", "--unsolicited"]
        return [*command, *self.options]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return {**kept, "HOME": str(self.folder), "PYTHONPATH": str(PACKAGE_ROOT), "PYTHONUTF8": "1"}

    def interrupt(self) -> dict[str, Any]:
        """End it as Ctrl-C does, and return its document."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(END_SECONDS)
        document: dict[str, Any] = json.loads(self.log_path.read_text(encoding="utf-8").splitlines()[-1])
        return document
