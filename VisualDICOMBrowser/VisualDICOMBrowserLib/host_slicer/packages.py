"""Python packages that Slicer's Python lacks: found, and installed once the user consents.

Slicer's own ``slicer.packaging`` (5.12 and later) asks, shows the progress and tells what went wrong. Whatever is
installed already, by Slicer or by another extension, is held at its version, so that nothing of it is ever replaced.
All but :func:`missing_packages` is for the main thread, where pip's dialogs belong.
"""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Callable, Collection
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

#: What is wanted; ranges as in pyproject.toml.
REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"
_REQUESTER = "Visual DICOM Browser"

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# pip reads no constraint whose version is not in the form of PEP 440.
_VERSION = re.compile(r"v?(\d+!)?\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)*(\+[A-Za-z0-9.]+)?")

_log = logging.getLogger(__name__)


def missing_packages() -> list[str]:
    """Return the names of the required packages that are not installed; looks at metadata and imports nothing."""
    return [name for name in _required_names() if not _is_installed(name)]


def ensure_packages() -> bool:
    """Have the missing packages installed, if the user consents; tell whether all are there afterwards.

    Nothing is installed while Slicer runs its tests.
    """
    import slicer.packaging  # noqa: PLC0415

    wanted = slicer.packaging.load_requirements(REQUIREMENTS)
    return _install(lambda held: slicer.packaging.pip_ensure(wanted, constraints=held, requester=_REQUESTER))


def install_from_folder(folder: Path) -> bool:
    """Install what is missing from a folder of wheels, without internet; tell whether all is there afterwards."""
    import slicer.packaging  # noqa: PLC0415

    every = slicer.packaging.load_requirements(REQUIREMENTS)
    wanted = [str(one) for one in every if not slicer.packaging.pip_check(one)]
    words = ["--no-index", "--find-links", str(folder), "--only-binary", ":all:", *wanted]
    if not wanted:
        return True
    return _install(lambda held: slicer.packaging.pip_install(words, constraints=held, requester=_REQUESTER))


def _install(act: Callable[[Path], object]) -> bool:
    """Run an installation with a file of constraints; what goes wrong, Slicer has shown to the user."""
    import slicer.packaging  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        held = Path(folder) / "constraints.txt"
        held.write_text("".join(f"{line}\n" for line in _constraints(_required_names())), encoding="utf-8")
        try:
            act(held)
        except subprocess.CalledProcessError as error:
            _log.error("pip ended with code %s", error.returncode)
        except RuntimeError as error:  # so pip_ensure tells that the user declined
            _log.info("Packages were not installed: %s", error)
    return bool(slicer.packaging.pip_check(slicer.packaging.load_requirements(REQUIREMENTS)))


def _constraints(but: Collection[str]) -> list[str]:
    """Return what holds every installed package, but for these, at its version."""
    free = {_canonical(name) for name in but}
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if name and version and _NAME.fullmatch(name) and _VERSION.fullmatch(version):
            found.setdefault(_canonical(name), version)  # the first on the path is the one that is imported
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in free]


def _required_names() -> list[str]:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [match[0] for line in lines if (match := _NAME.match(line))]


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
