"""Which part of the package may import which: the layers, held by reading every import statement."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[4]
LIB = "VisualDICOMBrowserLib"
PACKAGE = TOP / "VisualDICOMBrowser" / LIB

#: Files directly in the package (the command line, its entry point, the public names) are the layer "top".
LAYERS = {
    "domain": set(),
    "jobs": {"domain"},
    "dicom": {"domain"},
    "dimse": {"domain", "dicom"},
    "web": {"domain", "dicom"},
    "store": {"domain", "dicom"},
    "imaging": {"domain", "dicom"},
    "engine": {"domain", "jobs", "dicom", "dimse", "web", "store", "imaging"},
    "demo": {"domain"},
    "gui": {"domain", "jobs", "store", "imaging", "engine"},
    "host_slicer": {"domain", "jobs", "dimse", "web", "store", "imaging", "engine", "gui"},
    "host_desktop": {"domain", "jobs", "dimse", "web", "store", "imaging", "engine", "gui", "demo"},
}
LAYERS["top"] = set(LAYERS)

#: Where each library of a host program may be imported.
HOST_LIBRARIES = {
    "qt": {"gui", "host_slicer", "host_desktop"},
    "ctk": {"host_slicer"},
    "slicer": {"host_slicer"},
    "DICOMLib": {"host_slicer"},
    "vtk": {"host_slicer"},
    "PythonQt": {"host_slicer"},
    "DICOM": {"host_slicer"},  # a module of Slicer
    "PySide6": {"host_desktop"},
}
#: Libraries that cost too much to be loaded while Slicer starts.
HEAVY = {"pydicom", "pynetdicom", "numpy", "PIL"}
DECODERS = {"gdcm", "openjpeg", "jpeg_ls"}
DEPENDENCIES = HEAVY | DECODERS | {"platformdirs"}
STDLIB_ONLY = {"domain", "jobs"}


def layer_of(parts: tuple[str, ...]) -> str:
    return parts[0] if len(parts) > 1 else "top"


def imported_modules(tree: ast.AST, parts: tuple[str, ...]) -> Iterator[tuple[ast.stmt, str]]:
    """Give each import statement with the absolute dotted name of each thing it imports."""
    package = [LIB, *parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from ((node, f"{module}.{alias.name}") for alias in node.names)


def statements_at_file_scope(tree: ast.Module) -> Iterator[ast.AST]:
    """Give what runs when the module is imported: not functions, not what only type checkers read."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def objection(layer: str, module: str) -> str | None:
    """Tell what is wrong with an import of *module* (absolute) in *layer*."""
    root, *rest = module.split(".")
    if root == LIB:
        target = rest[0] if rest and rest[0] in LAYERS else "top"
        if target == layer or target in LAYERS[layer] or (rest == ["__version__"] and layer != "domain"):
            return None
        return f"{layer} may not import {target}"
    if root in HOST_LIBRARIES:
        return None if layer in HOST_LIBRARIES[root] else f"{layer} may not import {root}"
    if root in sys.stdlib_module_names:
        return None
    if layer in STDLIB_ONLY:
        return f"{layer} imports the standard library only, not {root}"
    return None if root in DEPENDENCIES else f"{root} is no dependency in pyproject.toml"


def violations(source: str, parts: tuple[str, ...]) -> list[str]:
    """Give what the module at *parts* (its path in the package) imports against the rule."""
    tree = ast.parse(source)
    layer = layer_of(parts)
    if layer not in LAYERS:
        return [f"{layer} is no layer that the import rule knows"]
    early = set(statements_at_file_scope(tree))
    light = layer in STDLIB_ONLY or parts[-1] == "__init__.py"
    found = []
    for node, module in imported_modules(tree, parts):
        if message := objection(layer, module):
            found.append(f"line {node.lineno}: {message}")
        if light and node in early and module.split(".")[0] in HEAVY:
            found.append(f"line {node.lineno}: no import of {module} at file scope here")
    return found


MODULES = [path.relative_to(PACKAGE).parts for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("parts", MODULES, ids="/".join)
def test_a_module_imports_only_what_its_layer_may(parts):
    assert violations(PACKAGE.joinpath(*parts).read_text(encoding="utf-8"), parts) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("domain/a.py", "from ..store import files"),
        ("domain/a.py", "from .. import jobs"),
        ("domain/a.py", "from .. import __version__"),
        ("domain/a.py", "import pydicom"),
        ("domain/a.py", f"import {LIB}.engine.engine"),
        ("jobs/a.py", "def f():\n    from ..dimse import transport"),
        ("jobs/a.py", "import numpy"),
        ("dimse/a.py", "from ..store.files import write"),
        ("dimse/sub/a.py", "from ...engine import engine"),
        ("store/a.py", "import qt"),
        ("engine/a.py", "from ..demo import pacs"),
        ("engine/a.py", "from ..gui.models import PatientModel"),
        ("imaging/a.py", "from PySide6 import QtGui"),
        ("gui/a.py", "from PySide6 import QtGui"),
        ("gui/a.py", "import slicer.util"),
        ("demo/a.py", "from ..engine.engine import Engine"),
        ("store/a.py", "from .. import Engine"),
        ("store/a.py", "import requests"),
        ("store/__init__.py", "from pydicom.uid import UID"),
        ("store/__init__.py", "try:\n    import numpy\nexcept ImportError:\n    pass"),
        ("__init__.py", "class A:\n    import pynetdicom"),
        ("attic/a.py", ""),
    ],
)
def test_the_rule_finds_a_forbidden_import(path, source):
    assert len(violations(source, tuple(path.split("/")))) >= 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("domain/a.py", "import json\nfrom .errors import BadData"),
        ("domain/sub/a.py", "from ..errors import BadData"),
        ("store/a.py", "import numpy\nfrom PIL import Image\nfrom ..domain.errors import BadData"),
        ("dimse/a.py", "from .. import __version__"),
        ("engine/a.py", "from ..store import files\nfrom ..jobs.states import State"),
        ("store/__init__.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pydicom"),
        ("store/__init__.py", "def f():\n    import pydicom"),
        ("gui/a.py", "import qt\nfrom ..engine.client import EngineClient"),
        ("host_desktop/a.py", "from PySide6 import QtGui\nfrom ..demo.pacs import Pacs"),
        ("cli.py", "from .demo import pacs\nfrom .engine.engine import Engine"),
    ],
)
def test_the_rule_lets_an_allowed_import_pass(path, source):
    assert violations(source, tuple(path.split("/"))) == []


def loaded_after(statement: str) -> set[str]:
    """Give the top-level modules that a fresh interpreter has loaded after *statement*."""
    program = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_heavy_library():
    loaded = loaded_after(f"import {LIB}")
    assert LIB in loaded
    assert not loaded & (HEAVY | set(HOST_LIBRARIES))


def test_importing_every_subpackage_and_the_light_layers_loads_no_heavy_library():
    names = [parts for parts in MODULES if layer_of(parts) in STDLIB_ONLY or parts[-1] == "__init__.py"]
    dotted = [".".join([LIB, *parts]).removesuffix(".py").removesuffix(".__init__") for parts in names]
    hosted = [name for name in dotted if not name.startswith((f"{LIB}.gui", f"{LIB}.host_"))]
    assert not loaded_after(f"import {', '.join(hosted)}") & HEAVY
