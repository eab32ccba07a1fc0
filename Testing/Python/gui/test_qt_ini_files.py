"""The reader of ini files without Qt against QSettings itself, in both directions of doubt."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PySide6.QtCore import QByteArray, QDateTime, QRect, QSettings

from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod, Server
from VisualDICOMBrowserLib.store.qt_settings import QtSettings
from VisualDICOMBrowserLib.store.slicer_ini import servers_in

ONE_FILE = hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
NUMBERS = itertools.count()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TRICKY = st.text(
    st.sampled_from('ab09 \t\n\r"\\,;=%@()[]{}äß放😀\0\x7f\x85\u2028')
)  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=20)


def written(path: Path, values: dict[str, Any]) -> QtSettings:
    path.unlink(missing_ok=True)
    settings = QSettings(str(path), QSettings.Format.IniFormat)
    for key, value in values.items():
        settings.setValue(key, value)
    settings.sync()
    assert settings.status() == QSettings.Status.NoError
    return QtSettings(path)


def by_qt(path: Path, key: str) -> Any:
    """Have Qt read a copy: it would answer from memory what it wrote or read under the same name."""
    copy = path.with_name(f"{next(NUMBERS)}.ini")
    copy.write_bytes(path.read_bytes())
    value = QSettings(str(copy), QSettings.Format.IniFormat).value(key)
    copy.unlink()
    return value


@ONE_FILE
@given(TEXTS | TRICKY)
def test_a_text_is_read_as_qt_reads_it(tmp_path, text):
    ours = written(tmp_path / "a.ini", {"group/key": text})
    assert ours.value("group/key") == text == by_qt(tmp_path / "a.ini", "group/key")


@ONE_FILE
@given(st.lists(TRICKY, min_size=2, max_size=5))
def test_so_is_a_list(tmp_path, texts):
    assert written(tmp_path / "a.ini", {"key": texts}).value("key") == texts


@ONE_FILE
@given(st.binary())
def test_and_bytes(tmp_path, raw):
    assert written(tmp_path / "a.ini", {"key": QByteArray(raw)}).value("key") == raw


@ONE_FILE
@given(st.lists(NAMES, min_size=1, max_size=3))
def test_and_the_names_of_keys(tmp_path, names):
    key = "/".join(names)
    assert written(tmp_path / "a.ini", {key: "value"}).value(key) == "value"


@pytest.mark.parametrize("key", ["General/a", "a", "Umläute/放射線/x y", "%/U00e4"])
def test_names_with_a_meaning_of_their_own(tmp_path, key):
    assert written(tmp_path / "a.ini", {key: "value"}).value(key) == "value"


@ONE_FILE
@given(
    st.dictionaries(
        TEXTS.filter(lambda key: "\0" not in key),
        TRICKY | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False),
        min_size=1,
    )
)
def test_a_map_of_values_is_read_as_qt_reads_it(tmp_path, values):
    ours = written(tmp_path / "a.ini", {"key": values}).value("key")
    assert ours == values == by_qt(tmp_path / "a.ini", "key")


@ONE_FILE
@given(st.text(st.sampled_from('ab1 \t"\\,;=@()x\n'), max_size=30))
def test_lines_that_somebody_wrote_by_hand_are_read_as_qt_reads_them(tmp_path, line):
    path = tmp_path / "a.ini"
    path.write_text(f"[group]\nkey={line}\n", encoding="utf-8", newline="")
    ours = QtSettings(path)
    theirs = by_qt(path, "group/key")
    read = ours.value("group/key")
    assert (read if read != "" else None) == (theirs if theirs not in ("", []) else None)


@pytest.mark.parametrize(
    "value", [QRect(1, 2, 3, 4), QDateTime.currentDateTime(), {"a": {"b": 1}}, {"a": [1, 2]}, {"a": QRect(1, 2, 3, 4)}]
)
def test_richer_values_are_refused(tmp_path, value):
    with pytest.raises(BadData):
        written(tmp_path / "a.ini", {"key": value}).value("key")


def test_the_servers_of_a_file_that_qt_wrote(tmp_path):
    newer = {
        "Name": "Röntgen, „放射線“ 😀",
        "QueryRetrieveCheckState": 2,
        "Calling AETitle": "SLICER",
        "Called AETitle": "PACS",
        "Address": "pacs.example.org",
        "Port": "11112",
        "Timeout": 30,
        "Retrieve Protocol": "CMOVE",
        "Retrieve Proxy": "Gäte",
    }
    gate = {**newer, "Name": "Gäte", "Port": 104, "Retrieve Protocol": "CGET", "Retrieve Proxy": ""}
    older = {"Name": "旧", "CheckState": 2, "AETitle": "OLD", "Address": "old", "Port": "104", "CGET": 2}
    path = tmp_path / "Slicer.ini"
    written(
        path,
        {
            "DICOM/ServerNodeCount": 3,
            "DICOM/ServerNodes/0": QByteArray(json.dumps(newer, indent=4, ensure_ascii=False).encode()),
            "DICOM/ServerNodes/1": json.dumps(gate, ensure_ascii=False),
            "DICOM/ServerNodes/2": {**newer, "Name": "Map", "Address": "map", "Retrieve Proxy": ""},
            "ServerNodeCount": 2,
            "ServerNodes/0": older,
            "ServerNodes/1": {"Name": QRect(1, 2, 3, 4)},
            "CallingAETitle": "FINDSCU",
        },
    )
    outcome = servers_in(path)
    move = RetrieveMethod.MOVE
    assert outcome.servers == (
        Server("Röntgen, „放射線“ 😀", "pacs.example.org", 11112, "PACS", "SLICER", move, "Gäte"),
        Server("Gäte", "pacs.example.org", 104, "PACS", "SLICER"),
        Server("Map", "map", 11112, "PACS", "SLICER", move),
        Server("旧", "old", 104, "OLD", "FINDSCU"),
    )
    assert [failure.subject for failure in outcome.unusable] == ["entry 2"]
