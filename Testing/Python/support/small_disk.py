"""A disk of a few megabytes, to be full: a file system in memory, which only root may make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from .peers import do_without, require


class SmallDisk:
    """A context manager.

    :ivar path: where it is mounted.
    """

    def __init__(self, path: Path, megabytes: float) -> None:
        self.path = path
        self._size = f"{int(megabytes * 1024)}k"

    def __enter__(self) -> SmallDisk:
        if sys.platform != "linux" or os.geteuid() != 0:
            do_without("Only root may make a disk that is full.")
        self.path.mkdir()
        done = _run("mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", self.path)
        if done.returncode:
            do_without(f"No disk can be made here: {done.stderr.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done = _run("umount", self.path)
        assert done.returncode == 0, done.stderr

    @property
    def free(self) -> int:
        """Bytes that can be written."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Use up all room but ``leave`` bytes, in whole pages."""
        self.make_room()
        with (self.path / "filler").open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, max(4096, self.free - leave))

    def make_room(self) -> None:
        """Give back what :meth:`fill` took."""
        (self.path / "filler").unlink(missing_ok=True)

    def resize(self, megabytes: int) -> None:
        """Make it larger or smaller."""
        assert _run("mount", "-o", f"remount,size={megabytes}m", self.path).returncode == 0


def _run(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([require(program), *map(str, words)], capture_output=True, text=True, timeout=30, check=False)
