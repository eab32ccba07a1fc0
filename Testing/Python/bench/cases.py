"""What the measurements with other programs have in common: the programs themselves, and series of a given size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from support.corpus import CorpusFile
from support.peers import find
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.errors import LocalError


class Sized(Protocol):
    """A case to be measured."""

    @property
    def count(self) -> int:
        """How many instances."""

    @property
    def size(self) -> int:
        """Bytes of each."""


def require(*programs: str) -> None:
    """Return quietly if programs are installed.

    :raises LocalError: one is not.
    """
    for program in programs:
        if find(program) is None:
            raise LocalError(f"{program} is not installed; as root on Debian: python3 run.py test --collect-only -q")


def in_words(case: Sized) -> str:
    """Describe how much is moved."""
    size = f"{case.size / 1e6:g} MB" if case.size >= 100_000 else f"{case.size / 1e3:g} KB"
    return f"{case.count} x {size}"


@contextmanager
def made_for(case: Sized) -> Iterator[tuple[Path, list[CorpusFile]]]:
    """Make the instances of a case; give a folder for everything, and them."""
    with tempfile.TemporaryDirectory(prefix="vdb-bench-") as folder:
        top = Path(folder)
        yield top, make_ct_series(top / "source", case.count, case.size)
