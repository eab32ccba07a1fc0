"""The packages that Slicer lacks: found without importing, installed by Slicer, with nothing of Slicer replaced."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from support.bare_python import IN_SLICER, bare_environment, bare_python
from support.slicer_fakes.packaging import FakePackaging
from VisualDICOMBrowserLib.host_slicer import packages

#: What Slicer 5.12 has of what is required.
SHIPPED = {"pyjpegls": "1.5.1"}
LACKED = ["pynetdicom", "python-gdcm", "pylibjpeg-openjpeg"]


@pytest.fixture
def packaging(monkeypatch) -> FakePackaging:
    fake, slicer = FakePackaging(SHIPPED), ModuleType("slicer")
    monkeypatch.setattr(slicer, "packaging", fake, raising=False)
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    monkeypatch.setitem(sys.modules, "slicer.packaging", fake)
    return fake


def names(requirements: list[str]) -> list[str]:
    return [Requirement(one).name for one in requirements]


def test_what_is_lacked_is_asked_for_once_and_installed(packaging):
    assert packages.ensure_packages()
    (asked,) = packaging.asked
    assert names(asked) == LACKED
    assert packaging.requesters == ["Visual DICOM Browser"]
    assert packages.ensure_packages()
    assert len(packaging.asked) == len(packaging.installs) == 1


def test_who_declines_has_nothing_installed(packaging):
    packaging.consents = False
    assert not packages.ensure_packages()
    assert packaging.installs == []


@pytest.mark.expects_log("pip ended with code 2")
def test_an_installation_that_fails_is_told(packaging):
    packaging.error = subprocess.CalledProcessError(2, "pip install")
    assert not packages.ensure_packages()
    assert len(packaging.installs) == 1


def test_nothing_is_installed_while_slicer_runs_its_tests(packaging):
    packaging.testing = True
    assert not packages.ensure_packages()
    assert (packaging.asked, packaging.installs) == ([], [])


def test_all_that_is_installed_is_held_at_its_version(packaging):
    packages.ensure_packages()
    ((_, held),) = packaging.installs
    constraints = {one.name: one for one in map(Requirement, held.splitlines())}
    for name in ("numpy", "pydicom", "pillow", "packaging"):
        assert str(constraints[name].specifier) == f"=={metadata.version(name)}"
    assert not set(constraints) & {"pynetdicom", "python-gdcm", "pylibjpeg-openjpeg", "pyjpegls"}


@pytest.mark.parametrize(
    ("version", "held"),
    [("1.2.3", True), ("2026.1rc1", True), ("1.0+cu118", True), ("unknown", False), ("1.0-local", False)],
)
def test_a_version_that_pip_cannot_read_holds_nothing(packaging, tmp_path, monkeypatch, version, held):
    folder = tmp_path / "Odd_Package-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: Odd_Package\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    packages.ensure_packages()
    assert (f"odd-package=={version}" in packaging.installs[0][1].splitlines()) == held


def test_a_folder_of_wheels_is_enough_without_internet(packaging):
    assert packages.install_from_folder(Path("/media/my wheels"))
    ((words, held),) = packaging.installs
    assert words[:5] == ["--no-index", "--find-links", str(Path("/media/my wheels")), "--only-binary", ":all:"]
    assert names(words[5:]) == LACKED
    assert "numpy==" in held
    assert packaging.asked == []
    assert packages.install_from_folder(Path("/media/my wheels"))
    assert len(packaging.installs) == 1


@pytest.mark.expects_log("pip ended with code 1")
def test_a_folder_without_the_wheels_is_told(packaging):
    del packaging.available["python-gdcm"]
    assert not packages.install_from_folder(Path("/media/empty"))


def test_the_missing_ones_are_found_in_a_python_like_slicers(tmp_path):
    code = "from VisualDICOMBrowserLib.host_slicer.packages import missing_packages as m; print(*m())"
    for has in (IN_SLICER, (*IN_SLICER, "pynetdicom", "pyjpegls")):
        python = bare_python(tmp_path / str(len(has)), *has)
        done = subprocess.run(
            [python, "-c", code], env=bare_environment(), capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.split() == [n for n in (*LACKED, "pyjpegls") if n not in has]


def test_nothing_is_missing_where_the_project_is_installed():
    assert packages.missing_packages() == []


def test_the_requirements_name_nothing_that_slicer_always_ships():
    wanted = set(packages._required_names())
    assert wanted == {*LACKED, *SHIPPED}
    assert not wanted & {"pydicom", "numpy", "pillow", "requests", "scipy", "setuptools", "pip"}
