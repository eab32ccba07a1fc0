"""Texts that must agree with the code: version ranges and the commands that the README shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

TOP = Path(__file__).resolve().parents[4]
LIB = TOP / "VisualDICOMBrowser" / "VisualDICOMBrowserLib"
README = TOP / "README.md"
RUN_SCRIPT_COMMANDS = {"test", "soak", "help", "--help"}


def dependencies() -> dict[str, Requirement]:
    text = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    return {wish.name: wish for wish in map(Requirement, re.findall(r'"(.*?)"', block))}


def slicer_requirements() -> list[Requirement]:
    lines = (TOP / "VisualDICOMBrowser/Resources/requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def commands_in(markdown: str) -> list[str]:
    """Give the word after ``python3 run.py`` of each line in a code fence that begins so."""
    fences = re.findall(r"^```\w*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    lines = [line for fence in fences for line in fence.splitlines()]
    return [match[1] for line in lines if (match := re.match(r"(?:\$ )?python3 run\.py +(\S+)", line))]


def program_commands() -> set[str]:
    """Give the words that the program's own help lists in braces."""
    done = subprocess.run(
        [sys.executable, "-m", LIB.name, "--help"],
        cwd=LIB.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(re.findall(r"[\w-]+", " ".join(re.findall(r"\{(.*?)\}", done.stdout, re.DOTALL))))


def test_slicer_is_asked_for_the_same_version_ranges_as_pip():
    wishes = slicer_requirements()
    assert [wish.name for wish in wishes] == ["pynetdicom", "python-gdcm", "pylibjpeg-openjpeg", "pyjpegls"]
    ours = dependencies()
    assert [wish for wish in wishes if wish.specifier != ours[wish.name].specifier] == []


def test_commands_are_found_in_code_fences_only():
    text = "`python3 run.py no`\n```sh\n# set up\npython3 run.py demo --headless\n$ python3 run.py test\n```\n"
    assert commands_in(text) == ["demo", "test"]


def test_every_command_that_the_readme_shows_exists():
    if not README.exists() or not (LIB / "__main__.py").exists():
        pytest.skip("no README or no command line in this checkout")
    commands = set(commands_in(README.read_text(encoding="utf-8"))) - RUN_SCRIPT_COMMANDS
    assert commands <= program_commands()
