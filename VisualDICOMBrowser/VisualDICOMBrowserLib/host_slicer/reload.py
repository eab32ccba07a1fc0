"""Loading the package anew while Slicer runs, for who works on it."""

from __future__ import annotations

import sys

_PACKAGE = __name__.partition(".")[0]


def forget_library() -> None:
    """End the browser, and have Python load the package anew when it is imported next.

    Slicer's own reload takes the module file alone. The window goes first: what of the old package is still referred to
    afterwards has nothing left to do.
    """
    from .window import close_browser  # noqa: PLC0415 - only if it must be: it may not have been loaded at all

    close_browser()
    for name in [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]
