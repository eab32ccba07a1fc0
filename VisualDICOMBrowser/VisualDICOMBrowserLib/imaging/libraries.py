"""The libraries that decode compressed pixels, any of which may be absent; knowing them loads none."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Library:
    """A library that decodes: its module and the package that brings it."""

    module: str
    package: str


GDCM = Library("gdcm", "python-gdcm")
CHARLS = Library("jpeg_ls", "pyjpegls")
OPENJPEG = Library("openjpeg", "pylibjpeg-openjpeg")
LIBRARIES = (GDCM, CHARLS, OPENJPEG)

_LACK = re.compile(r".* images need the package (\S+)\.")


def lack_of(library: Library, images: str) -> str:
    """Return the reason why images are not shown where a library is absent."""
    return f"{images} images need the package {library.package}."


def lacking(reason: str) -> Library | None:
    """Return the library whose absence is the reason; None if it is another one."""
    match = _LACK.fullmatch(reason)
    return next((library for library in LIBRARIES if match and library.package == match[1]), None)


def is_outdated(reason: str) -> bool:
    """Tell whether the reason is the absence of a library that is here now."""
    library = lacking(reason)
    return library is not None and importlib.util.find_spec(library.module) is not None
