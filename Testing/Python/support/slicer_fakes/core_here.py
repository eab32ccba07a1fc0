"""Whether slicer-core is here: Slicer's own nodes and logics, without its application."""

from __future__ import annotations

import importlib
import os
from functools import cache

import pytest


@cache
def obstacle() -> str:
    """Say why there is no slicer-core; nothing if there is."""
    try:
        slicer = importlib.import_module("slicer")
        importlib.import_module("vtk")
    except ImportError as error:
        return f"slicer-core cannot be loaded: {error}"
    return "" if hasattr(slicer, "vtkMRMLScene") else "The module slicer is not slicer-core."


def require_slicer_core() -> None:
    """Skip the module that calls this where there is no slicer-core; fail on a build machine."""
    if obstacle() and os.environ.get("CI", "").lower() == "true":
        pytest.fail(obstacle(), pytrace=False)
    if obstacle():
        pytest.skip(obstacle(), allow_module_level=True)
