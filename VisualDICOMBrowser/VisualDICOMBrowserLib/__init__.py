"""Visual DICOM Browser: find, fetch, look at, load and send a patient's DICOM images.

``from VisualDICOMBrowserLib import Engine`` gives the public Python API. Importing this package costs
nothing: pydicom and pynetdicom are loaded when an engine is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Engine", "__version__"]

if TYPE_CHECKING:
    from .engine.engine import Engine


def __getattr__(name: str) -> Any:
    """Load the engine at first use (PEP 562), so that Slicer's start-up does not pay for it."""
    if name == "Engine":
        from .engine.engine import Engine  # noqa: PLC0415

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
