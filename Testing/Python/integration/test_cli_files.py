"""The commands ``export`` and ``thumbnail`` with files that people name."""

from __future__ import annotations

import pytest

from support.synthetic import make_ct_series


@pytest.fixture
def filled(bench, tmp_path):
    files = make_ct_series(tmp_path / "ct", 3, 500, patient_id="CLI", patient_name="Doe^Jane", study=81)
    assert bench.run("import", tmp_path / "ct").code == 0
    return files


@pytest.mark.parametrize(
    ("option", "value"), [("--patient-id", lambda f: "CLI"), ("--study", lambda f: f.study_uid),
                          ("--series", lambda f: f.series_uid)]
)  # fmt: skip
def test_an_export_lies_in_folders_named_for_people(bench, filled, tmp_path, option, value):
    run = bench.run("export", option, value(filled[0]), tmp_path / "out")

    assert run.code == 0
    assert (run.document["files"], run.document["failed"]) == (3, [])
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.dcm"))
    assert names == [f"CLI-Doe, Jane/2024-01-01 Study 81/1 Series 1/0000{n}.dcm" for n in (1, 2, 3)]
    assert (tmp_path / "out" / names[0]).read_bytes() == filled[0].path.read_bytes()


def test_an_export_that_cannot_read_a_file_names_it_and_fails(bench, tmp_path):
    files = make_ct_series(tmp_path / "ct", 3, 500, patient_id="CLI", study=82)
    bench.run("import", "--link", tmp_path / "ct")
    files[1].path.unlink()
    run = bench.run("export", "--patient-id", "CLI", tmp_path / "out")

    assert run.code == 1
    assert run.document["files"] == 2
    assert [item["sop_uid"] for item in run.document["failed"]] == [files[1].sop_uid]
    assert "1 files could not be exported" in run.err


def test_an_export_of_nothing_is_wrong_usage(bench, tmp_path):
    assert bench.run("export", "--patient-id", "NOBODY", tmp_path / "out").code == 2
    assert bench.run("export", tmp_path / "out").code == 2


def test_an_export_for_people_says_where(bench, filled, tmp_path):
    run = bench.main(
        "export", "--patient-id", "CLI", tmp_path / "out", "--database", bench.database, "--config", bench.config
    )

    assert run.code == 0
    assert f"3 files are in {tmp_path / 'out'}" in run.out


def test_a_thumbnail_goes_where_it_is_wanted(bench, filled, tmp_path):
    picture = tmp_path / "picture.png"
    run = bench.run("thumbnail", filled[0].series_uid, "--output", picture)

    assert run.code == 0
    assert run.document["path"] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_thumbnail_that_cannot_be_written_is_wrong_usage(bench, filled, tmp_path):
    run = bench.run("thumbnail", "--series", filled[0].series_uid, "--output", tmp_path / "none" / "picture.png")

    assert run.code == 2
    assert "cannot be written" in run.document["error"]


def test_a_thumbnail_needs_one_series(bench):
    assert bench.run("thumbnail").code == 2
    assert bench.run("thumbnail", "1.2", "--series", "1.3").code == 2


def test_a_removal_of_the_command_line_is_final(bench, filled):
    run = bench.run("remove", "--patient-id", "CLI")

    assert run.code == 0
    assert set(run.document) == {"patients", "studies", "series", "instances", "files"}
    assert not (bench.database / ".trash").exists()


def test_damaged_databases_are_made_anew_from_the_files_on_request(bench, filled):
    database = bench.database / "ctkDICOM.sql"
    database.write_bytes(database.read_bytes()[:4096])
    for words in (("list",), ("verify",), ("import", filled[0].path)):
        refused = bench.run(*words)
        assert (refused.code, "verify --rebuild" in refused.document["error"]) == (2, True)
    run = bench.run("verify", "--rebuild")

    assert run.code == 0
    assert run.document["ok"]
    assert run.document["rows"] == 3
    assert run.document["rebuilt"] == {
        "databases": [{"name": "ctkDICOM.sql", "how": "it was damaged", "kept_as": "ctkDICOM.sql.unusable"}],
        "rows": 3,
        "failed": [],
    }
    assert "ctkDICOM.sql was made anew" in run.err
    assert bench.run("remove", "--patient-id", "CLI").code == 0
    assert not list(bench.database.glob("*.unusable"))
