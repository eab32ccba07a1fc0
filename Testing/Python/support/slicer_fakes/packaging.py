"""A fake of the module ``slicer.packaging`` (Slicer 5.12), with the functions and arguments that it documents.

No pip runs: what would be installed is noted, and counts as installed.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from .strict import NotInSlicer

_PUBLIC = (
    "load_requirements",
    "load_pyproject_dependencies",
    "pip_check",
    "pip_ensure",
    "pip_install",
    "pip_uninstall",
    "isPipInstallInProgress",
)


class FakePackaging:
    """The module.

    :param installed: versions by the name of the package.
    :ivar testing: Slicer runs its tests: ``pip_ensure`` installs nothing.
    :ivar consents: what the user answers.
    :ivar error: what the installation raises.
    :ivar asked: the lists of packages that the user was asked about.
    :ivar installs: the arguments of pip, and the text of the constraints.
    """

    #: What Python 3.13 looks at when a module is imported that is there already.
    __spec__ = None

    def __init__(self, installed: Mapping[str, str]) -> None:
        self.installed = dict(installed)
        self.available = {"pynetdicom": "3.0.4", "python-gdcm": "3.2.6", "pylibjpeg-openjpeg": "2.6.0"}
        self.testing = False
        self.consents = True
        self.error: Exception | None = None
        self.asked: list[list[str]] = []
        self.requesters: list[str | None] = []
        self.installs: list[tuple[list[str], str]] = []

    def __getattr__(self, name: str) -> Any:
        if name in _PUBLIC:
            raise NotImplementedError(f"the fake of slicer.packaging lacks {name}")
        raise NotInSlicer(f"slicer.packaging has no {name}")

    def load_requirements(self, path: str | Path) -> list[Requirement]:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
        return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]

    def pip_check(self, req: str | Requirement | list[str | Requirement]) -> bool:
        return not self._missing(req)

    def pip_ensure(
        self,
        requirements: str | Requirement | list[str | Requirement],
        constraints: str | Path | None = None,
        skip_packages: list[str] | None = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: str | None = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> list[str] | None:
        if missing := [str(one) for one in self._missing(requirements)]:
            if skip_in_testing and self.testing:
                return None
            if prompt_install:
                self.asked.append(missing)
                if not self.consents:
                    raise RuntimeError("User declined package installation")
            self.pip_install(missing, constraints, None, skip_packages, True, show_progress, requester)
        return None

    def pip_install(
        self,
        requirements: str | list[str],
        constraints: str | Path | None = None,
        no_deps_requirements: str | list[str] | None = None,
        skip_packages: list[str] | None = None,
        blocking: bool = True,
        show_progress: bool = True,
        requester: str | None = None,
    ) -> list[str] | None:
        if threading.current_thread() is not threading.main_thread():
            raise AssertionError("pip's dialogs belong on the main thread")
        words = requirements.split() if isinstance(requirements, str) else list(requirements)
        held = "" if constraints is None else Path(constraints).read_text(encoding="utf-8")
        self.installs.append((words, held))
        self.requesters.append(requester)
        if self.error is not None:
            raise self.error
        for requirement in _requirements_in(words):
            if requirement.name not in self.available:
                raise subprocess.CalledProcessError(1, "pip install")
            self.installed[requirement.name] = self.available[requirement.name]
        return None

    def _missing(self, requirements: str | Requirement | list[str | Requirement]) -> list[Requirement]:
        if isinstance(requirements, str):
            requirements = [*requirements.split()]
        every = requirements if isinstance(requirements, list) else [requirements]
        wanted = [Requirement(one) if isinstance(one, str) else one for one in every]
        return [one for one in wanted if self.installed.get(one.name, "none") not in one.specifier]


def _requirements_in(words: list[str]) -> list[Requirement]:
    """Give what is not an option of pip, or the value of one."""
    found, words = [], list(words)
    while words:
        word = words.pop(0)
        if word in ("--find-links", "--only-binary"):
            words.pop(0)
        elif not word.startswith("-"):
            found.append(Requirement(word))
    return found
