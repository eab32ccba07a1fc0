"""Files of settings that no QSettings would write: old, cut, hostile, absent."""

from __future__ import annotations

import os
import struct
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import BadData, StorageError, UsageError
from VisualDICOMBrowserLib.store import slicer_ini
from VisualDICOMBrowserLib.store.qt_settings import MAX_BYTES, MAX_VALUE_BYTES, QtSettings
from VisualDICOMBrowserLib.store.qt_variant import read_variant


def read(tmp_path: Path, raw: bytes) -> QtSettings:
    path = tmp_path / "Slicer.ini"
    path.write_bytes(raw)
    return QtSettings(path)


def text(value: str) -> bytes:
    raw = value.encode("utf-16-be")
    return struct.pack(">I", len(raw)) + raw


def test_a_file_of_qt_5_is_escaped_ascii(tmp_path):
    raw = rb'[DICOM]@ServerNodes\0="R\xf6ntgen; \x653e\xd83d\xde00\x31"@'
    ours = read(tmp_path, raw.replace(b"@", b"\r\n"))
    assert ours.value("DICOM/ServerNodes/0") == "Röntgen; 放😀1"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_bytes_are_utf_8_or_else_latin_1(tmp_path, encoding):
    assert read(tmp_path, "[Gerät]\nn%E4me=Röntgen\n".encode(encoding)).value("Gerät/näme") == "Röntgen"


def test_comments_blank_lines_and_later_values(tmp_path):
    ours = read(tmp_path, b"; one\n\n  [a] ; two\n key = x ; three\n;key=no\nnonsense\nkey=y;z\n[General]\nb=1")
    assert (ours.value("a/key"), ours.value("b"), ours.value("c")) == ("y", "1", None)


def test_an_empty_file_has_no_settings(tmp_path):
    assert read(tmp_path, b" \n").value("a") is None


@pytest.mark.parametrize(
    ("raw", "said"),
    [(b"\x89PNG\r\n\x1a\n" + b"x" * 50, "no file of settings"), (b"a=1\n" * (MAX_BYTES // 4 + 1), "too big")],
)
def test_what_is_no_file_of_settings_is_refused(tmp_path, raw, said):
    with pytest.raises(BadData, match=said):
        read(tmp_path, raw)


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path, monkeypatch):
    for path in (tmp_path / "no.ini", tmp_path):
        with pytest.raises(UsageError, match="There is no file"):
            QtSettings(path)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match="cannot be read: Permission denied"):
        QtSettings(tmp_path / "any.ini")


@given(st.binary(max_size=200) | st.text(st.sampled_from('@ByteArrayVint()\\x0"=[]\n'), max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.ini"
    path.write_bytes(b"key=" + raw)
    try:
        value = QtSettings(path).value("key")
    except BadData:
        return
    assert QtSettings(path).value("key") == value


@pytest.mark.parametrize("raw", [b'="' + b'\\"' * 1_000_000, b"=" + b"a," * 1_000_000, b"=" + b"x" * MAX_VALUE_BYTES])
def test_a_value_that_is_too_long_is_refused(tmp_path, raw):
    ours = read(tmp_path, b"b=1\n" + b";\n" * 1_000_000 + b"a" + raw)
    assert ours.value("b") == "1"
    with pytest.raises(BadData, match="too long") if len(raw) > MAX_VALUE_BYTES + 1 else nullcontext():
        ours.value("a")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        struct.pack(">I", 8),
        struct.pack(">II", 8, 1000),
        struct.pack(">II", 8, 1) + text("a"),
        struct.pack(">II", 10, 3) + b"\0ab",
        struct.pack(">II", 10, 2) + b"\xd8\x00",
        struct.pack(">II", 8, 1) + text("a") + struct.pack(">II", 8, 0),
        struct.pack(">I", 1024) + b"\0\0\0\x0dQt::CheckState",
        struct.pack(">IB", 2, 1),
    ],
)
def test_a_variant_that_is_cut_or_richer_is_refused(raw):
    with pytest.raises(BadData):
        read_variant(raw)


def test_the_values_of_a_variant():
    pairs = {
        "bool": struct.pack(">I?", 1, True),
        "int": struct.pack(">Ii", 2, -5),
        "uint": struct.pack(">II", 3, 5),
        "long": struct.pack(">Iq", 4, -(2**40)),
        "ulong": struct.pack(">IQ", 5, 2**63),
        "double": struct.pack(">Id", 6, 1.5),
        "null": struct.pack(">II", 10, 0xFFFFFFFF),
        "nothing": struct.pack(">II", 0, 0xFFFFFFFF),
        "text": struct.pack(">I", 10) + text("放"),
        "bytes": struct.pack(">II", 12, 2) + b"\0\xff",
    }
    raw = struct.pack(">II", 8, len(pairs)) + b"".join(text(key) + value for key, value in pairs.items())
    assert read_variant(raw + b"rest") == {
        "bool": True,
        "int": -5,
        "uint": 5,
        "long": -(2**40),
        "ulong": 2**63,
        "double": 1.5,
        "null": None,
        "nothing": None,
        "text": "放",
        "bytes": b"\0\xff",
    }


# where Slicer has its file


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(slicer_ini.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def made(path: Path, age: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[General]\n")
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_the_newest_form_of_slicers_file_is_taken(home):
    assert slicer_ini.slicer_settings_file() is None
    made(home / "config" / "slicer.org" / "Slicer-33000.ini", age=5)
    newest = made(home / "config" / "NA-MIC" / "Slicer-34000.ini")
    assert slicer_ini.slicer_settings_file() == newest
    mac = made(home / "config" / "www.na-mic.org" / "Slicer.ini")
    assert slicer_ini.slicer_settings_file() == mac
    old = made(home / "config" / "NA-MIC" / "Slicer.ini")
    assert slicer_ini.slicer_settings_file() == old
    new = made(home / "config" / "slicer.org" / "Slicer.ini", age=9)
    assert slicer_ini.slicer_settings_file() == new


def test_each_system_has_its_own_folder(home, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(slicer_ini.Path, "home", lambda: home)
    linux = made(home / ".config" / "slicer.org" / "Slicer.ini")
    assert slicer_ini.slicer_settings_file() == linux
    monkeypatch.setattr(slicer_ini.sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", str(home / "Roaming"))
    windows = made(home / "Roaming" / "slicer.org" / "Slicer.ini")
    assert slicer_ini.slicer_settings_file() == windows
    monkeypatch.delenv("APPDATA")
    assert slicer_ini.slicer_settings_file() is None
    other = made(home / "AppData" / "Roaming" / "slicer.org" / "Slicer.ini")
    assert slicer_ini.slicer_settings_file() == other
