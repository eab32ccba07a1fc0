"""What the operating system says about processes: groups, states, children (Linux; elsewhere less exact)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessEntry:
    """One row of the process table. ``state`` is the letter of proc(5): R, S, D, T (stopped), Z (zombie)."""

    pid: int
    name: str
    state: str
    parent: int
    group: int

    @property
    def command_line(self) -> str:
        """The arguments, or the name where they cannot be read."""
        try:
            return (_PROC / str(self.pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            return self.name


def processes() -> Iterator[ProcessEntry]:
    """Yield all processes of this computer; nothing where there is no /proc."""
    if not _PROC.is_dir():
        return
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            entry = _entry(folder)
            if entry is not None:
                yield entry


def _entry(folder: Path) -> ProcessEntry | None:
    try:
        text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # it ended while we looked
    head, _, tail = text.rpartition(")")
    state, parent, group = tail.split()[:3]
    return ProcessEntry(int(folder.name), head.partition("(")[2], state, int(parent), int(group))


def group_members(group: int) -> list[ProcessEntry]:
    """Return the living members of a process group; a zombie only waits for its parent and does not count."""
    return [entry for entry in processes() if entry.group == group and entry.state not in "ZX"]


def group_is_gone(group: int) -> bool:
    """Tell whether no member of the process group lives."""
    if _PROC.is_dir():
        return not group_members(group)
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def children() -> list[ProcessEntry]:
    """Return the living child processes of this process."""
    return [entry for entry in processes() if entry.parent == os.getpid() and entry.state not in "ZX"]
