"""A Python that has a few packages and no others, as Slicer's has not all that pip would install."""

from __future__ import annotations

import venv
from importlib import metadata
from pathlib import Path

import VisualDICOMBrowserLib
from VisualDICOMBrowserLib.engine.child import SubprocessTransport
from VisualDICOMBrowserLib.engine.client import EngineClient, engine_command, engine_environment

#: What Slicer brings of what the engine can use.
IN_SLICER = ("pydicom", "numpy", "pillow")


def bare_python(folder: Path, *packages: str) -> Path:
    """Make a Python with the standard library and links to some of this one's packages; return its program."""
    builder = venv.EnvBuilder(symlinks=True, with_pip=False)
    builder.create(folder)
    context = builder.ensure_directories(folder)
    (site,) = Path(context.env_dir).glob("lib/python*/site-packages")
    for package in packages:
        for name, origin in _parts(package).items():
            (site / name).symlink_to(origin)
    return Path(context.env_exe)


def _parts(package: str) -> dict[str, Path]:
    """Give the files and folders that a package has in site-packages, with where they are."""
    distribution = metadata.distribution(package)
    names = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    return {name: Path(str(distribution.locate_file(name))) for name in names}


def bare_environment() -> dict[str, str]:
    """Return an environment in which a Python finds this project and, beyond its own packages, nothing."""
    return engine_environment() | {"PYTHONPATH": str(Path(VisualDICOMBrowserLib.__file__).parents[1])}


def engine_on(python: Path, database: Path, config: Path, log: Path) -> EngineClient:
    """Return the client, not started, of an engine that runs under a Python."""
    command = engine_command(str(python), database, config)
    return EngineClient(SubprocessTransport(command, log, bare_environment()))
