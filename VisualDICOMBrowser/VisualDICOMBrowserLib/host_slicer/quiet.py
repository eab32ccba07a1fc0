"""What of our log reaches Slicer's: troubles only, and no patient data.

Slicer's root logger takes everything from DEBUG on, and shows it to the user; an exception's text may quote what a file
or a server holds.
"""

from __future__ import annotations

import copy
import logging
import sys

from ..jobs.attempt import where

_OURS = "VisualDICOMBrowserLib"
_NETWORK = "pynetdicom"


class _WithoutTexts(logging.Handler):
    """Hands records to the root logger, with the class and the line of an exception instead of its text."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record = copy.copy(record)
            record.msg, record.args = f"{record.getMessage()} {where(error)}", ()
            record.exc_info = record.exc_text = None
        logging.getLogger().handle(record)


def quiet_logs() -> None:
    """Let only warnings and errors of this package through, and nothing of pynetdicom if this process has it.

    The engine is another process with its own log. Idempotent.
    """
    ours = logging.getLogger(_OURS)
    ours.setLevel(logging.WARNING)
    ours.propagate = False
    if not ours.handlers:
        ours.addHandler(_WithoutTexts())
    if _NETWORK in sys.modules:
        network = logging.getLogger(_NETWORK)
        network.setLevel(logging.CRITICAL + 1)
        network.propagate = False
