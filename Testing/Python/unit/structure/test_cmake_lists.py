"""Slicer packages what CMake lists, file by file: the lists must be the folder."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[4]
MODULE = TOP / "VisualDICOMBrowser"
LIB = MODULE / "VisualDICOMBrowserLib"
RAW_FILES = "https://raw.githubusercontent.com/VisualDICOMBrowser/SlicerVisualDICOMBrowser/main/"


def cmake(path: Path) -> str:
    """Read a CMake file without its comments."""
    return re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8"))


def listed(variable: str) -> list[str]:
    """Give the words of ``set(variable ...)`` in the module's CMake file."""
    text = cmake(MODULE / "CMakeLists.txt")
    name = re.search(r"set\(MODULE_NAME (\w+)\)", text)[1]
    words = re.search(rf"set\({variable}\s+(.*?)\)", text, re.DOTALL)[1].split()
    return [word.replace("${MODULE_NAME}", name) for word in words]


def files_below(*folders: Path) -> list[str]:
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path.relative_to(MODULE).as_posix() for path in found if "__pycache__" not in path.parts]


def correction(variable: str, actual: list[str], wanted: list[str]) -> str:
    """Tell which lines to add and to remove, ready to be copied."""
    add = [f"  {line}" for line in sorted(set(wanted) - set(actual))]
    remove = [f"  {line}" for line in sorted(set(actual) - set(wanted))]
    parts = []
    for verb, lines in (("add to", add), ("remove from", remove)):
        if lines:
            parts.append("\n".join([f"{verb} {variable} in VisualDICOMBrowser/CMakeLists.txt:", *lines]))
    return "\n".join(parts)


def test_every_python_file_is_listed_and_the_module_file_only_if_it_exists():
    wanted = [path for path in files_below(LIB) if path.endswith(".py")]
    if (MODULE / "VisualDICOMBrowser.py").exists():
        wanted.append("VisualDICOMBrowser.py")
    actual = listed("MODULE_PYTHON_SCRIPTS")
    if correct := correction("MODULE_PYTHON_SCRIPTS", actual, wanted):
        pytest.fail(correct, pytrace=False)
    assert actual == sorted(wanted)


def test_every_resource_is_listed():
    wanted = [path for path in files_below(MODULE / "Resources", LIB) if not path.endswith(".py")]
    actual = listed("MODULE_PYTHON_RESOURCES")
    if correct := correction("MODULE_PYTHON_RESOURCES", actual, wanted):
        pytest.fail(correct, pytrace=False)
    assert actual == sorted(wanted)


def test_the_correction_names_the_lines_to_add_and_to_remove():
    text = correction("LIST", ["gone.py", "kept.py"], ["kept.py", "new.py"])
    assert text.splitlines() == [
        "add to LIST in VisualDICOMBrowser/CMakeLists.txt:",
        "  new.py",
        "remove from LIST in VisualDICOMBrowser/CMakeLists.txt:",
        "  gone.py",
    ]


def test_data_files_of_the_package_are_in_the_wheel_too():
    pyproject = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    patterns = re.findall(r'"(.*?)"', re.search(r"VisualDICOMBrowserLib = \[(.*?)\]", pyproject, re.DOTALL)[1])
    data = [path.split("/", 1)[1] for path in files_below(LIB) if not path.endswith(".py")]
    assert [path for path in data if not any(fnmatch(path, pattern) for pattern in patterns)] == []


def test_slicer_finds_no_python_file_beside_the_module_that_it_would_try_to_load():
    assert [path.name for path in MODULE.glob("*.py") if path.name != "VisualDICOMBrowser.py"] == []


def test_extension_metadata_is_complete():
    text = cmake(TOP / "CMakeLists.txt")
    names = ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "DEPENDS", "README_FILE", "LICENSE_FILE"]
    assert [name for name in names if not re.search(rf'set\(EXTENSION_{name} "?[^"\s)]', text)] == []
    assert "project(VisualDICOMBrowser)" in text


def test_the_wizard_finds_its_marker():
    assert "\n## NEXT_MODULE\n" in (TOP / "CMakeLists.txt").read_text(encoding="utf-8")


def test_pictures_that_the_metadata_points_to_exist():
    pictures = re.findall(rf"{re.escape(RAW_FILES)}(\S+?)[\"\s]", cmake(TOP / "CMakeLists.txt"))
    assert pictures
    assert [path for path in pictures if not (TOP / path).is_file()] == []
