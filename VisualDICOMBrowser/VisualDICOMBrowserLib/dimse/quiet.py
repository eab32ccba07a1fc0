"""Silence of pynetdicom: its logs hold patient names, and Slicer's root logger would show them all."""

from __future__ import annotations

import logging


def silence_pynetdicom() -> None:
    """Keep pynetdicom from logging; called before anything of it is used. Idempotent.

    At its defaults one C-FIND of 200 matches writes some 2,500 records, a hundred of them with names.
    """
    from pynetdicom import _config  # noqa: PLC0415

    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logger = logging.getLogger("pynetdicom")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
