"""pynetdicom: not there in every Python, and loud in all of them, in its logs as much as in Slicer's root logger."""

from __future__ import annotations

import logging

from ..domain.errors import PackageMissing


def require_pynetdicom() -> None:
    """Have pynetdicom loaded and silent; called before anything of it is used. Idempotent.

    At its defaults one C-FIND of 200 matches writes some 2,500 records, a hundred of them with names of patients.

    :raises PackageMissing: it is not installed.
    """
    try:
        from pynetdicom import _config  # noqa: PLC0415
    except ImportError as error:
        raise PackageMissing("To talk to DICOM servers, the Python package pynetdicom is needed.") from error
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logger = logging.getLogger("pynetdicom")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
