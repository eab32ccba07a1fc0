"""``servers import-slicer``: documents, exit codes, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from VisualDICOMBrowserLib.domain.servers import RetrieveMethod, Server
from VisualDICOMBrowserLib.engine.configuration import Configuration


def row(name: str, host: str, **changes: Any) -> str:
    values = {
        "Name": name,
        "QueryRetrieveCheckState": 2,
        "Calling AETitle": "SLICER",
        "Called AETitle": "ANY",
        "Address": host,
        "Port": "104",
        "Timeout": 10,
        "Retrieve Protocol": "CGET",
        "Retrieve Proxy": "",
        **changes,
    }
    return json.dumps(values, ensure_ascii=False, indent=4)


def write_settings(path: Path, *rows: str) -> Path:
    """Write them as Qt 6 writes a QByteArray."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"ServerNodeCount={len(rows)}"]
    for number, text in enumerate(rows):
        plain = text.encode().decode("latin-1").replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        escaped = "".join(c if c.isascii() else rf"\x{ord(c):x}" for c in plain)
        lines.append(rf'ServerNodes\{number}="@ByteArray({escaped})"')
    path.write_text("\n".join(["[DICOM]", *lines]) + "\n")
    return path


PACS = Server("PACS", "pacs.example.org", 104, "ANY", "SLICER")
EXAMPLE = row("MedicalConnections", "dicomserver.co.uk", QueryRetrieveCheckState=0)


@pytest.fixture
def slicer(bench) -> Path:
    """Slicer's file in the user's home: two good ones, one of them behind a proxy, one bad and one unchecked."""
    behind = row("Archiv 放", "b", **{"Retrieve Protocol": "CMOVE", "Retrieve Proxy": "PACS"})
    bad = row("Bad", "c", Port="dicom")
    path = bench.home / ".config" / "slicer.org" / "Slicer.ini"
    return write_settings(path, behind, row("PACS", "pacs.example.org"), bad, EXAMPLE)


def servers(bench) -> list[Server]:
    return Configuration(bench.config).servers()


def test_the_users_own_file_is_found_and_the_outcome_is_one_document(bench, slicer):
    Configuration(bench.config).add(Server("PACS", "mine.example.org", 104, "ANY"))
    done = bench.process("servers", "import-slicer", "--json", "--config", bench.config)
    renamed = Server("PACS (2)", PACS.host, 104, "ANY", "SLICER")
    behind = Server("Archiv 放", "b", 104, "ANY", "SLICER", RetrieveMethod.MOVE, "PACS (2)")
    assert done.document == {
        "imported": [renamed.to_dict(), behind.to_dict()],
        "known": [],
        "skipped": [
            {"name": "Bad", "reason": "Its port is no number."},
            {"name": "MedicalConnections", "reason": "It is not checked in Slicer; --all imports it."},
        ],
    }
    assert done.code == 1
    assert f"Reading {slicer}" in done.err
    assert servers(bench)[1:] == [renamed, behind]


def test_a_second_time_all_are_known(bench, slicer):
    bench.run("servers", "import-slicer", "--file", slicer)
    before = bench.config.read_bytes()
    again = bench.run("servers", "import-slicer", "--file", slicer)
    assert (again.document["imported"], again.document["known"]) == ([], ["PACS", "Archiv 放"])
    assert bench.config.read_bytes() == before


def test_what_is_not_checked_comes_only_when_all_is_said(bench, tmp_path):
    file = write_settings(tmp_path / "any.ini", row("PACS", "pacs.example.org"), EXAMPLE)
    done = bench.run("servers", "import-slicer", "--file", file)
    assert (done.code, [server.name for server in servers(bench)]) == (0, ["PACS"])
    more = bench.run("servers", "import-slicer", "--all", "--file", file)
    assert (more.code, more.document["known"], more.document["skipped"]) == (0, ["PACS"], [])
    assert [server.name for server in servers(bench)] == ["PACS", "MedicalConnections"]


def test_people_read_lines(bench, slicer):
    done = bench.process("servers", "import-slicer", "--config", bench.config, "--file", slicer)
    assert done.out.splitlines() == [
        "imported: PACS: ANY at pacs.example.org:104, called as SLICER, retrieve by get",
        "imported: Archiv 放: ANY at b:104, called as SLICER, retrieve by move through PACS",
        "not imported: Bad: Its port is no number.",
        "not imported: MedicalConnections: It is not checked in Slicer; --all imports it.",
    ]


def test_a_slicer_without_servers_is_no_failure(bench, tmp_path):
    file = write_settings(tmp_path / "none.ini")
    assert bench.run("servers", "import-slicer", "--file", file).document == {
        "imported": [],
        "known": [],
        "skipped": [],
    }
    assert not bench.config.exists()


def test_without_a_file_it_is_wrong_usage_and_a_wrong_file_is_a_failure(bench, tmp_path):
    nowhere = bench.process("servers", "import-slicer", "--json", "--config", bench.config)
    assert (nowhere.code, "--file" in nowhere.document["error"]) == (2, True)
    assert bench.run("servers", "import-slicer", "--file", tmp_path / "gone.ini").code == 2
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    wrong = bench.run("servers", "import-slicer", "--file", tmp_path / "picture.png")
    assert (wrong.code, "no file of settings" in wrong.document["error"]) == (1, True)


def test_the_engine_tells_its_windows(engine):
    told: list[str] = []
    engine.subscribe(lambda name, *_: told.append(name))
    assert engine.import_servers([PACS]).added == (PACS,)
    assert engine.import_servers([PACS]).known == ("PACS",)
    assert told.count("servers-changed") == 1
