"""The few things that need a helper to be the same in PythonQt and PySide6."""

from __future__ import annotations

from typing import Any


def value(thing: Any, name: str) -> Any:
    """Read a Qt property, which is an attribute in PythonQt and a method in PySide6."""
    found = getattr(thing, name)
    return found() if callable(found) else found
