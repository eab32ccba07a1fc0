"""Listings of an object's elements, written to a file a line each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ..dicom.listing import Row, list_elements
from ..domain.errors import StorageError
from .mapped import mapped

# Characters of values in one listing; beyond that they are cut shorter, so that a page of rows stays small.
_MAX_TEXT = 2_000_000
_SHORTENED = 256


def write_listing(source: Path, destination: Path) -> dict[str, int | str]:
    """Write the elements of a file as JSON lines; see :meth:`.Row.to_list`. Return ``{"total", "warning"}``.

    :raises BadData: it is not DICOM.
    :raises StorageError: it cannot be read, or the destination not written.
    """
    with mapped(source) as data:
        listing = list_elements(data)
    try:
        with destination.open("w", encoding="ascii", newline="\n") as file:
            file.writelines(json.dumps(row.to_list()) + "\n" for row in _within_bounds(listing.rows))
    except OSError as error:
        raise StorageError(f"The listing cannot be written: {error.strerror or 'unknown reason'}.") from error
    return {"total": len(listing.rows), "warning": listing.warning}


def _within_bounds(rows: Iterable[Row]) -> Iterable[Row]:
    left = _MAX_TEXT
    for row in rows:
        left -= len(row.value)
        if left < 0 and len(row.value) > _SHORTENED:
            row.value = f"{row.value[:_SHORTENED]}… ({row.length} bytes in all)"
        yield row
