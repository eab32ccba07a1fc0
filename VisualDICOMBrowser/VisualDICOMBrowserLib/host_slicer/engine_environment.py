"""The environment in which PythonSlicer runs the engine.

Slicer's launcher has filled this process's environment for Slicer, and the user's shell may have left something in it
before that. PythonSlicer is a launcher too: it puts the paths of Slicer's Python and libraries in front by itself, also
when it is started from a plain terminal. So what only directs Python, Qt and the loader elsewhere goes:

============================================  =====================================================================
``PYTHON*``                                   ``PYTHONHOME`` and ``PYTHONPATH`` lead to Slicer's paths once more, or to
                                              another Python's; ``PYTHONINSPECT`` would keep an engine that has ended
``QT_PLUGIN_PATH`` and its like               lead the launcher, which has a Qt of its own built in, to Slicer's plugins
``LD_LIBRARY_PATH``, ``LD_PRELOAD``,          Slicer's libraries, or what was to be slipped under its OpenGL
``DYLD_*``
``__PYVENV_LAUNCHER__``                       makes Python on macOS look for its libraries elsewhere
============================================  =====================================================================

All else stays: home, search path, language, time zone, temporary folders, proxies, certificates, what Windows needs,
limits on threads that the user set (``OMP_NUM_THREADS``), and display and ``QT_QPA_PLATFORM``, without which the
launcher does not start. ITK's settings stay as well; nothing in the engine reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_PREFIXES = ("PYTHON", "DYLD_", "QML")
_NAMES = {
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "QT_PLUGIN_PATH",
    "QT_QPA_PLATFORM_PLUGIN_PATH",
    "QTWEBENGINEPROCESS_PATH",
    "__PYVENV_LAUNCHER__",
}


def clean_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return the engine's environment, in which its Python finds this package, and no packages of the user's own."""
    kept = {name: text for name, text in values.items() if not _leads_astray(name.upper())}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONNOUSERSITE": "1"}


def _leads_astray(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES)
