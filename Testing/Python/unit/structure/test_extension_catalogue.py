"""What the Extensions Index of 3D Slicer checks of an extension, as far as it can be checked here.

The entry for the index is ``Resources/VisualDICOMBrowser.json``; a pull request there copies it.
"""

from __future__ import annotations

import ast
import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[4]
ENTRY = TOP / "Resources" / "VisualDICOMBrowser.json"
MODULE = TOP / "VisualDICOMBrowser" / "VisualDICOMBrowser.py"
HOST = TOP / "VisualDICOMBrowser" / "VisualDICOMBrowserLib" / "host_slicer"
README = (TOP / "README.md").read_text(encoding="utf-8")

#: The fields of schema 1.0.1 with their types; it allows no others.
FIELDS: dict[str, type] = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
REQUIRED = ("$schema", "category", "scm_url")
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
MAX_BYTES = 100 * 1024 * 1024
HOSTS_LIBRARIES = {"slicer", "qt", "ctk", "vtk", "VisualDICOMBrowserLib"}


def entry() -> dict[str, Any]:
    return json.loads(ENTRY.read_text(encoding="utf-8"))


def metadata(name: str) -> str:
    text = re.sub(r"(?m)^\s*#.*$", "", (TOP / "CMakeLists.txt").read_text(encoding="utf-8"))
    found = re.findall(rf'set\(EXTENSION_{name}\s+"([^"]*)"\)', text)
    assert len(found) == 1, name
    return found[0]


def imports_at_file_scope(source: str) -> set[str]:
    """Give the top-level names that are imported when a file is read."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(ast.parse(source).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
        waiting += ast.iter_child_nodes(node)
    return found


def foreign(source: str) -> set[str]:
    return imports_at_file_scope(source) - HOSTS_LIBRARIES - sys.stdlib_module_names


def code_at_file_scope(source: str) -> list[str]:
    """Give the statements that do more than import, define and name constants."""
    plain = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
    found = []
    for node in ast.parse(source).body:
        constant = isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) and isinstance(node.value, ast.Constant)
        if not isinstance(node, plain) and not constant:
            found.append(ast.unparse(node))
    return found


def test_the_entry_has_the_fields_of_the_schema():
    text = ENTRY.read_bytes()
    assert b"\r" not in text
    fields = entry()
    assert [name for name in REQUIRED if not fields.get(name)] == []
    assert [name for name, value in fields.items() if not isinstance(value, FIELDS.get(name, ()))] == []
    assert fields["$schema"] == SCHEMA
    assert fields["scm_type"] in ("git", "local")
    assert fields["tier"] in range(1, 6)
    assert all(isinstance(name, str) for name in fields["build_dependencies"])


def test_the_extensions_name_does_not_begin_with_slicer_but_the_repositorys_does():
    name = ENTRY.stem
    assert not name.lower().startswith("slicer")
    repository = entry()["scm_url"].rpartition("/")[2].removesuffix(".git")
    assert repository == f"Slicer{name}"
    assert metadata("HOMEPAGE") == entry()["scm_url"].removesuffix(".git")


def test_project_and_module_have_the_entrys_name():
    assert f"\nproject({ENTRY.stem})\n" in (TOP / "CMakeLists.txt").read_text(encoding="utf-8")
    assert MODULE.stem == ENTRY.stem
    assert f"set(MODULE_NAME {ENTRY.stem})" in (MODULE.parent / "CMakeLists.txt").read_text(encoding="utf-8")


def test_dependencies_agree():
    assert metadata("DEPENDS") == "NA"
    assert entry()["build_dependencies"] == []


def test_the_module_names_the_category_of_the_entry():
    assert f'"{entry()["category"]}")' in MODULE.read_text(encoding="utf-8")


def test_there_is_a_licence_file():
    assert "MIT License" in (TOP / "LICENSE").read_text(encoding="utf-8")


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n"), path
    return struct.unpack(">II", head[16:24])


def test_icon_and_screenshots_are_pictures_of_this_repository():
    raw = metadata("HOMEPAGE").replace("github.com", "raw.githubusercontent.com") + f"/{entry()['scm_revision']}/"
    icon, *screenshots = [metadata("ICONURL"), *metadata("SCREENSHOTURLS").split()]
    assert [url for url in (icon, *screenshots) if not url.startswith(raw)] == []
    assert png_size(TOP / icon.removeprefix(raw)) == (128, 128)
    assert screenshots
    assert [url for url in screenshots if min(png_size(TOP / url.removeprefix(raw))) < 400] == []


def test_the_description_is_one_line_that_says_enough():
    assert 40 <= len(metadata("DESCRIPTION")) <= 300
    assert "\n" not in metadata("DESCRIPTION")
    assert metadata("CONTRIBUTORS")
    assert "DICOM" in metadata("KEYWORDS").split()


def test_the_readme_has_a_summary_a_picture_the_module_and_how_to_use_it_in_slicer():
    title, summary, *_ = README.split("\n\n")
    assert title.startswith("# ")
    assert len(summary) > 100
    assert re.search(r"<img |!\[", README)
    (section,) = re.findall(r"(?ms)^## In 3D Slicer$(.*?)^## ", README)
    assert "**Visual DICOM Browser**" in section  # a sentence for each module
    for word in ("--additional-module-path", "Ctrl+Shift+D", "log", "Documentation/Slicer.md"):
        assert word in " ".join(section.split()), word
    assert (TOP / "Documentation" / "Slicer.md").is_file()


def test_the_module_runs_nothing_and_imports_nothing_foreign_when_slicer_reads_it():
    source = MODULE.read_text(encoding="utf-8")
    assert imports_at_file_scope(source) <= {"slicer", "qt", "vtk"} | sys.stdlib_module_names
    assert code_at_file_scope(source) == []


@pytest.mark.parametrize("path", sorted(HOST.glob("*.py")), ids=lambda path: path.name)
def test_nothing_foreign_is_imported_at_file_scope_for_slicer(path):
    assert foreign(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    "source",
    ["import pydicom", "try:\n import numpy as np\nexcept ImportError:\n pass", "class A:\n from pydicom import uid"],
)
def test_a_foreign_import_is_found(source):
    assert foreign(source) != set()


def test_what_runs_at_file_scope_is_found():
    assert code_at_file_scope("import os\nX = 1\nif X:\n  pass\nos.getcwd()\n") == ["if X:\n    pass", "os.getcwd()"]


def test_the_repository_is_small_enough():
    sizes = [
        path.stat().st_size for path in TOP.rglob("*") if path.is_file() and not set(path.parts) & {".git", ".venv"}
    ]
    assert sum(sizes) < MAX_BYTES


def test_ctest_knows_the_self_test_and_the_generic_tests():
    assert "WITH_GENERIC_TESTS" in (MODULE.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    text = (TOP / "Testing/Python/CMakeLists.txt").read_text(encoding="utf-8")
    (script,) = re.findall(r"(?m)^slicer_add_python_unittest\(SCRIPT (\S+)\)", text)
    assert (TOP / script.replace("${VisualDICOMBrowser_SOURCE_DIR}/", "")).is_file()
