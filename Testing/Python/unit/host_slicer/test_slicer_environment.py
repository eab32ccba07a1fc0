"""What PythonSlicer gets of Slicer's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

import VisualDICOMBrowserLib
from VisualDICOMBrowserLib.host_slicer.engine_environment import clean_environment

PACKAGE = str(Path(VisualDICOMBrowserLib.__file__).parents[1])


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONWARNINGS", "PythonOptimize", "__PYVENV_LAUNCHER__"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"),
        *("QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH", "QML2_IMPORT_PATH"),
    ],
)
def test_what_leads_python_and_the_loader_astray_is_left_out(name):
    assert name not in clean_environment({name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "PATH", "Path", "LANG", "LC_ALL", "TZ", "TMPDIR", "SystemRoot", "LOCALAPPDATA", "XDG_CONFIG_HOME"),
        *("http_proxy", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "OMP_NUM_THREADS"),
        *("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"),
        *("APPLAUNCHER_LEVEL", "SLICER_HOME"),
    ],
)
def test_what_the_engine_or_its_launcher_needs_stays(name):
    assert clean_environment({name: "x"})[name] == "x"


def test_python_finds_this_package_first_and_none_of_the_users_own():
    environment = clean_environment({"PYTHONPATH": "/opt/conda/lib", "PYTHONNOUSERSITE": ""})
    assert environment == {"PYTHONPATH": PACKAGE, "PYTHONNOUSERSITE": "1"}
