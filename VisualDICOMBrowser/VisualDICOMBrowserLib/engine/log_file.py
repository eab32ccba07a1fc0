"""The engine's log file, for those who start the engine and show its log."""

from __future__ import annotations

import contextlib
from pathlib import Path

#: What a log may grow to before it is put aside at the next start, in bytes.
MAX_BYTES = 1_000_000
_TAIL_BYTES, _TAIL_LINES = 4096, 5


def trim(log: Path) -> None:
    """Put a log that has grown long aside, as ``<name>.1``; one that another program writes to stays."""
    if log.exists() and log.stat().st_size > MAX_BYTES:
        with contextlib.suppress(PermissionError):  # Windows moves no file that somebody has open
            log.replace(log.with_name(f"{log.name}.1"))


def tail_of(log: Path) -> str:
    """Return the last lines of a log file, or nothing if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL_LINES:])
