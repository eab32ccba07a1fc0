"""A module ``qt`` over PySide6, so that the same GUI code runs in Slicer and on the desktop.

Slicer's ``qt`` (PythonQt) has all classes of QtCore, QtGui and QtWidgets in one flat namespace. Where the two
bindings differ otherwise, the GUI code keeps to what is right in both.
"""

from __future__ import annotations

import sys
from types import ModuleType


def install() -> ModuleType:
    """Make ``import qt`` work in this process; once is enough.

    :raises ImportError: PySide6 is not installed.
    """
    if "qt" in sys.modules:
        return sys.modules["qt"]
    from PySide6 import QtCore, QtGui, QtWidgets  # noqa: PLC0415

    module = ModuleType("qt", __doc__)
    for part in (QtCore, QtGui, QtWidgets):
        for name in dir(part):
            if not name.startswith("_"):
                setattr(module, name, getattr(part, name))
    sys.modules["qt"] = module
    return module
