"""Whether the server programs that a test needs are on this computer."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

#: Where packages put servers although users do not have the folder in their path.
EXTRA_FOLDERS = ("/usr/sbin", "/usr/local/sbin")


def find(binary: str) -> str | None:
    """Return the full path of a program, or None."""
    return shutil.which(binary) or shutil.which(binary, path=os.pathsep.join(EXTRA_FOLDERS))


def require(binary: str) -> str:
    """Return the full path of a peer's program.

    Without it the test is skipped, visibly; where ``CI=true`` is set it fails, so that a build machine
    cannot pass by lacking the peers.
    """
    path = find(binary)
    if path is None:
        do_without(f"The peer {binary} is not installed.")
    return path


def do_without(message: str) -> NoReturn:
    """Skip the test for want of something, or fail it where ``CI=true`` is set."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
