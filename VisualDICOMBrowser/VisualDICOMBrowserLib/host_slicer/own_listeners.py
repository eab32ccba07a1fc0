"""Slicer's own storage listeners: which of them may hold a port that this program wants, and what to do then.

There are two. The DICOM module's is a ``storescp``, kept in ``slicer.dicomListener`` from its start to its stop. That
of Slicer's visual browser cannot be asked; its settings tell whether it is switched on.
"""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

#: QProcess::NotRunning.
_NOT_RUNNING = 0


def port_user(port: int) -> str:
    """Return who in Slicer listens at a port, and what to do; empty if nobody does."""
    if _is_listening(getattr(slicer, "dicomListener", None), port):
        return _(
            "Slicer's own storage listener uses this port. Stop it in the DICOM module, or choose another port here."
        )
    if _is_switched_on(port):
        return _(
            "The storage listener of Slicer's visual DICOM browser is set to this port. Switch it off in that browser's"
            " settings, or choose another port here."
        )
    return ""


def _is_listening(listener: Any, port: int) -> bool:
    """Tell whether the DICOM module's listener, if there is one, runs at a port, which it keeps as a text."""
    if listener is None or str(listener.port) != str(port):
        return False
    process = listener.process
    return process is not None and process.state() != _NOT_RUNNING


def _is_switched_on(port: int) -> bool:
    settings = qt.QSettings()
    if str(settings.value("DICOM/StorageEnabled")).lower() not in ("true", "1"):
        return False
    return str(settings.value("DICOM/StoragePort") or "") == str(port)
