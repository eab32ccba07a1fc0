"""What the command line writes for people."""

from __future__ import annotations

import io
import json
import sys

import pytest

from VisualDICOMBrowserLib.cli import main
from VisualDICOMBrowserLib.cli_text import as_text, printable
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.configuration import Configuration

PATIENT = {"patient_id": "1", "name": "Doe^\x1b[2J\x9b", "birth_date": "", "sex": "", "shares_id": False}
ELEMENT = {"depth": 0, "tag": "(0010,0010)", "vr": "PN", "name": "Patient's Name", "value": "Doe\n(0010,0020)"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("山田　太郎 · Süß\nRoe", "山田　太郎 · Süß\nRoe"),
        ("\x1b[31m\r\t\x9b", r"\x1b[31m\r\t\x9b"),
        ("a\u202eb", r"a\u202eb"),
        ("/media/\udce9.dcm", r"/media/\udce9.dcm"),
    ],
)
def test_what_moves_a_cursor_or_is_no_character_is_escaped(text, shown):
    assert printable(text) == shown
    assert printable(text).encode()


def test_a_name_from_a_server_cannot_steer_the_terminal():
    assert printable(as_text("query", {"patients": [PATIENT]})) == r"Doe, \x1b[2J\x9b  ID 1"


def test_a_person_who_shares_an_id_is_marked():
    patient = {**PATIENT, "name": "Doe^Jane", "shares_id": True}
    assert as_text("list", {"patients": [patient]}) == "Doe, Jane  ID 1  (not the only person with this ID)"


def test_a_value_of_several_lines_stands_on_one():
    assert as_text("metadata", {"elements": [ELEMENT]}) == r"(0010,0010) PN Patient's Name: Doe\n(0010,0020)"


def test_of_many_conflicts_it_is_said_how_many_more_there_are():
    numbers = {"imported": 0, "files": 1200, "duplicates": 0, "replaced": 0, "seconds": 1.0}
    counts = {**numbers, "left_out": 0, "rejected": []}
    conflict = {"sop_uid": "1.2", "source": "/a", "reason": "It differs.", "tags": ["(0010,0010) PatientName"]}
    text = as_text("import", {**counts, "conflicting": 1200, "conflicts": [conflict]})
    assert text.splitlines()[1:] == [
        "  1.2 from /a: It differs. Different: (0010,0010) PatientName.",
        "  and 1199 more with other content.",
    ]
    assert "more" not in as_text("import", {**counts, "conflicting": 1, "conflicts": [conflict]})


@pytest.mark.parametrize("as_json", [True, False])
def test_what_standard_output_cannot_encode_is_escaped(tmp_path, monkeypatch, as_json):
    Configuration(tmp_path / "config.json").add(Server("病院", "localhost", 104, "PACS"))
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "latin-1", write_through=True))
    assert main(["servers", "list", "--config", str(tmp_path / "config.json"), *["--json"] * as_json]) == 0
    text = out.getvalue().decode("ascii")
    assert json.loads(text)["servers"][0]["name"] == "病院" if as_json else text.startswith(r"\u75c5\u9662: PACS at")
