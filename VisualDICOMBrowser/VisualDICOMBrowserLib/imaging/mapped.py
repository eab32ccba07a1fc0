"""Files as memory, for those who look at all of one; in a child process, which a file that shrinks meanwhile kills."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..dicom.encoding import Data
from ..domain.errors import StorageError


@contextmanager
def mapped(path: Path) -> Iterator[Data]:
    """Have the content of a file for the length of a ``with`` block.

    :raises StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = _map(file.fileno())
    except OSError as error:
        raise StorageError(f"The file cannot be read: {error.strerror}.") from error
    try:
        yield data
    finally:
        if isinstance(data, mmap.mmap):
            data.close()


def _map(descriptor: int) -> Data:
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file
        return b""
