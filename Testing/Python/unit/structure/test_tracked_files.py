"""What must hold for every file that the repository carries."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[4]

#: Folders of one particular machine, and hosts of package registries (pip's and apt's configuration names those).
#: Written in pieces, so that this file does not find itself.
MACHINE_FOLDERS = (("", "work"), ("", "root"), ("", "opt", "wheels"), ("", "opt", "pypi"), ("", "tmp", "venv"))
REGISTRY_HOSTS = (("pypi", "org"), ("pythonhosted", "org"), ("deb", "debian", "org"), ("archive", "ubuntu", "com"))
FORBIDDEN = re.compile(
    "|".join(
        [
            *(r"(?<![\w.])" + "/".join(folder) + r"\b" for folder in MACHINE_FOLDERS),
            *(r"\b" + r"\.".join(host) + r"\b" for host in REGISTRY_HOSTS),
            r"\bshared" + "/",
        ]
    )
)


def repository_files() -> list[Path]:
    """Give what git tracks or would add; a copy without git cannot tell."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=TOP, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [TOP / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def forbidden_words(text: str) -> list[str]:
    return [match[0] for match in FORBIDDEN.finditer(text)]


def test_no_file_names_a_machine_or_a_package_registry():
    found = []
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(TOP)}: {word}" for word in forbidden_words(text)]
    assert found == []


@pytest.mark.parametrize("pieces", [*MACHINE_FOLDERS, ("..", "shared", "x"), ("shared", "y")])
def test_a_path_of_this_machine_is_found(pieces):
    assert forbidden_words(f"see '{'/'.join(pieces)}' there") != []


@pytest.mark.parametrize("pieces", REGISTRY_HOSTS)
def test_a_registry_host_is_found(pieces):
    assert forbidden_words(f"https://{'.'.join(pieces)}/simple") != []


@pytest.mark.parametrize("text", ["dicom/workflow", "a/rooted tree", "PACS/worklist", "Qt's shared libraries"])
def test_innocent_words_are_not_found(text):
    assert forbidden_words(text) == []


def test_no_test_folder_is_a_package_and_test_file_names_are_unique():
    names = [path.name for path in (TOP / "Testing" / "Python").rglob("*.py")]
    assert "__init__.py" not in names
    tests = Counter(name for name in names if name.startswith("test_"))
    assert [name for name, count in tests.items() if count > 1] == []
