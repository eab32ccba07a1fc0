"""The servers of the running Slicer's own settings."""

from __future__ import annotations

from typing import Any

import qt

from ..domain.slicer_servers import FoundServers, found_servers


def read_servers() -> FoundServers:
    """Return the servers that are checked in Slicer's DICOM settings, and what else stands there."""
    settings = qt.QSettings()
    return found_servers(lambda key: _plain(settings.value(key)))


def _plain(value: Any) -> object:
    """Return a value without Qt's types: Slicer's visual browser writes its JSON texts as a QByteArray."""
    return value if isinstance(value, (str, bytes, int, float, dict)) or value is None else _bytes_of(value)


def _bytes_of(value: Any) -> object:
    data = getattr(value, "data", None)
    return bytes(data()) if callable(data) else value
