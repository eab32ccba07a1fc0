"""Nothing that runs in Slicer's process opens Slicer's database with Python: held by reading what it imports.

Slicer's Python has an SQLite of its own beside Qt's. POSIX locks belong to a process, and are dropped as soon as it
closes the file once: with two copies in one process neither keeps the other from writing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[4] / "VisualDICOMBrowser"
LIB = "VisualDICOMBrowserLib"
STORE = f"{LIB}.store"

#: Of the store, what reads the catalogue, which is a file of our own; none of it knows CTK's tables.
ALLOWED = {
    *(STORE, f"{STORE}.reader", f"{STORE}.sqlite", f"{STORE}.layout", f"{STORE}.files", f"{STORE}.damage"),
    *(
        f"{STORE}.catalogue_schema",
        f"{STORE}.catalogue_matching",
        f"{STORE}.catalogue_people",
        f"{STORE}.catalogue_pieces",
        f"{STORE}.catalogue_records",
    ),
}
#: The one that knows where the files are; whoever asks it is found by these names.
NAMING = f"{STORE}.layout"
PATHS = {"ctk_database", "ctk_tag_cache"}
FILES = ("ctkdicom.sql", "ctkdicomtagcache.sql")
#: The way into the engine itself, for where it has to run in Slicer's process. It then reads rows through Slicer, and
#: ``gui/test_slicer_process.py`` looks at what it opens.
ENGINE_HERE = f"{LIB}.host_slicer.rows"
#: Slicer's own way to open them.
OPENING = "openDatabase"


def module_name(path: Path) -> str:
    """Give the dotted name of a file below the folder of the module."""
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> dict[str, str]:
    """Give all modules of the project with their text."""
    paths = [*TOP.glob("*.py"), *(TOP / LIB).rglob("*.py")]
    return {module_name(path): path.read_text(encoding="utf-8") for path in paths}


def in_slicer(names: Mapping[str, str]) -> set[str]:
    """Give the modules that are there for Slicer's process: others come in by being imported."""
    own = (f"{LIB}.gui", f"{LIB}.host_slicer")
    return {name for name in names if not name.startswith(f"{LIB}.") or name.startswith(own)} - {LIB, ENGINE_HERE}


def imported(name: str, source: str, names: Mapping[str, str]) -> Iterator[str]:
    """Give what a module imports, anywhere in it: modules of the project, and top-level names of others."""
    for wanted in imports(source):
        each = absolute(wanted, name, names)
        if each == f"{LIB}.__version__":
            continue  # what else the package offers comes when it is asked for
        yield next((known for known in ancestors(each) if known in names), each.partition(".")[0])


@cache
def imports(source: str) -> list[str]:
    """Give what a text imports, anywhere in it; relative names begin with their dots."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + ("" if node.module is None else f"{node.module}.")
            found += [f"{module}{alias.name}" for alias in node.names]
    return found


def absolute(wanted: str, name: str, names: Mapping[str, str]) -> str:
    """Give the full name of what a module imports."""
    level = len(wanted) - len(wanted.lstrip("."))
    if not level:
        return wanted
    is_package = any(other.startswith(f"{name}.") for other in names)
    parts = name.split(".")
    return ".".join([*parts[: len(parts) + is_package - level], wanted.lstrip(".")])


def ancestors(name: str) -> Iterator[str]:
    """Give a dotted name, and those that it begins with, the longest first."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def reached(names: Mapping[str, str]) -> dict[str, str]:
    """Give all modules that code in Slicer may load, each with who asks for it."""
    found: dict[str, str] = {}
    waiting = [(name, "") for name in sorted(in_slicer(names))]
    while waiting:
        name, asking = waiting.pop()
        if name in found or name == ENGINE_HERE:
            continue
        found[name] = asking
        if name in names:
            waiting += [(other, name) for other in imported(name, names[name], names)]
    return found


@cache
def opened_by_name(source: str) -> list[int]:
    """Give the lines that name the files of the database, but for Slicer's own function that opens them."""
    tree = ast.parse(source)
    harmless: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            harmless.add(node.value)  # a docstring
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == OPENING:
            harmless.update(part for argument in node.args for part in ast.walk(argument))
    found = []
    for node in ast.walk(tree):
        named = isinstance(node, ast.Constant) and isinstance(node.value, str) and names_a_file(node.value)
        asked = isinstance(node, ast.Attribute) and node.attr in PATHS
        if (named or asked) and node not in harmless:
            found.append(node.lineno)
    return found


def names_a_file(text: str) -> bool:
    return any(name in text.casefold() for name in FILES)


def violations(names: Mapping[str, str]) -> list[str]:
    """Tell what opens Slicer's database, or may."""
    found = reached(names)
    wrong = []
    for name, asking in sorted(found.items()):
        if name.startswith(STORE) and name not in ALLOWED:
            wrong.append(f"{asking} imports {name}")
        if name in names and name not in ALLOWED and "sqlite3" in set(imported(name, names[name], names)):
            wrong.append(f"{name} imports sqlite3")
        if name in names and name != NAMING:
            wrong += [f"{name}, line {line}: names a file of the database" for line in opened_by_name(names[name])]
    return wrong


def test_nothing_in_slicers_process_opens_slicers_database():
    names = sources()
    assert {f"{LIB}.host_slicer.indexing", f"{LIB}.gui.session"} < in_slicer(names)
    assert f"{STORE}.reader" in reached(names)
    assert violations(names) == []


def test_the_way_into_the_engine_is_taken_by_one_function_and_names_no_file():
    names = sources()
    asking = [name for name in names if ENGINE_HERE in imported(name, names[name], names)]
    assert asking == [f"{LIB}.host_slicer.engine_start"]
    top = [node for node in ast.parse(names[asking[0]]).body if isinstance(node, ast.ImportFrom)]
    assert "rows" not in [node.module for node in top]
    assert opened_by_name(names[ENGINE_HERE]) == []


def test_what_may_be_imported_is_imported():
    assert ALLOWED - {STORE} <= set(reached(sources()))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("host_slicer.a", "import sqlite3"),
        ("host_slicer.a", "def f():\n    from sqlite3 import connect"),
        ("host_slicer.a", "from ..store import ctk_database"),
        ("host_slicer.a", "from ..store.local import LocalStore"),
        ("host_slicer.a", f"import {STORE}.ctk_schema"),
        ("host_slicer.a", "from ..engine.engine import Engine"),
        ("host_slicer.a", "def f():\n    from ..engine import engine"),
        ("host_slicer.a", "from .. import Engine"),
        ("host_slicer.a", "open(folder / 'ctkDICOM.sql', 'rb')"),
        ("host_slicer.a", "shutil.copy(f'{folder}/ctkDICOMTagCache.sql', target)"),
        ("host_slicer.a", "path = DatabaseFolder(root).ctk_database"),
        ("gui.sub.a", "from ...store.mirror import Mirror"),
        ("gui.a", "from ..jobs import b"),
        ("gui", "from ..store.mirror import Mirror"),
    ],
)
def test_the_rule_finds_what_opens_it(name, source):
    names = {**sources(), f"{LIB}.jobs.b": "import sqlite3", f"{LIB}.{name}": source}
    assert violations(names) != []


@pytest.mark.parametrize(
    "source",
    [
        "from ..store.reader import CatalogueReader",
        "'''Reads ctkDICOM.sql.'''",
        "slicer.dicomDatabase.openDatabase(folder + '/ctkDICOM.sql')",
        "from ..gui.session import Session\nimport qt",
    ],
)
def test_the_rule_lets_pass_what_does_not(source):
    assert violations({**sources(), f"{LIB}.host_slicer.a": source}) == []
