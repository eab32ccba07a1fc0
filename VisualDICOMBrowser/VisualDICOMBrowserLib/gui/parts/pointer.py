"""Where the mouse is: Qt 5 and Qt 6 name it differently."""

from __future__ import annotations

from typing import Any


def place_of(event: Any) -> tuple[float, float]:
    """Return the position of a mouse event in its widget. The event's own point must not be kept."""
    point = event.position() if hasattr(event, "position") else event.localPos()
    return point.x(), point.y()
