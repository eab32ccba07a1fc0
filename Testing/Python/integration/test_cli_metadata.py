"""The command metadata."""

from __future__ import annotations

from pathlib import Path

from support.synthetic import make_ct_series, truncated_file


def test_metadata_of_an_instance_a_series_and_a_file_are_the_same(bench, tmp_path: Path):
    files = make_ct_series(tmp_path / "ct", 2, 200)
    bench.run("import", tmp_path / "ct")
    of_instance = bench.run("metadata", files[0].sop_uid).document
    of_series = bench.run("metadata", files[0].series_uid).document
    of_file = bench.run("metadata", files[0].path).document

    assert of_instance["sop_uid"] == files[0].sop_uid
    assert of_series == of_instance
    assert of_file["elements"] == of_instance["elements"]
    assert of_file["total"] == len(of_file["elements"]) > 30
    name = {"depth": 0, "tag": "(0010,0020)", "vr": "LO", "name": "Patient ID", "length": 10, "value": "SYNTHETIC"}
    assert {**name, "parent": -1} in of_file["elements"]


def test_metadata_can_be_searched(bench, tmp_path: Path):
    (file,) = make_ct_series(tmp_path / "ct", 1, 200)
    found = bench.run("metadata", file.path, "--search", "0010,0020")
    assert [element["value"] for element in found.document["elements"]] == ["SYNTHETIC"]
    assert found.document["total"] == 1


def test_metadata_of_a_cut_file_warns_and_shows_the_rest(bench, tmp_path: Path):
    done = bench.run("metadata", truncated_file(tmp_path))
    assert done.code == 0
    assert "cut off" in done.document["warning"]


def test_metadata_of_nothing_is_wrong_usage(bench, tmp_path: Path):
    assert bench.run("metadata", "no such file").code == 2
    assert bench.run("metadata", "1.2.3.4").code == 2
    assert bench.run("metadata", "x" * 5000).code == 2
    (tmp_path / "text").write_text("no DICOM")
    assert bench.run("metadata", tmp_path / "text").code == 1
