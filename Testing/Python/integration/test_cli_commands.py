"""The command line: documents, exit codes, and what stays away from standard output."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.orthanc import Orthanc
from support.synthetic import empty_file, lying_file, make_ct_series, text_folder, truncated_file
from VisualDICOMBrowserLib.jobs import scheduler
from VisualDICOMBrowserLib.jobs.retry import RetryStrategy

CTK_SAMPLES = Path(__file__).resolve().parents[2] / "Data" / "ctk-databases"


@pytest.fixture(scope="module")
def pacs(orthanc: Orthanc, tmp_path_factory) -> Orthanc:
    """Two patients; the first with two studies, one of them with two series."""
    root = tmp_path_factory.mktemp("ct")
    files = [
        *make_ct_series(root / "a", 3, 2000, patient_id="P1", patient_name="Synthetic^One", study=1, series=1),
        *make_ct_series(root / "b", 2, 2000, patient_id="P1", patient_name="Synthetic^One", study=1, series=2),
        *make_ct_series(root / "c", 1, 2000, patient_id="P1", patient_name="Synthetic^One", study=2, series=1),
        *make_ct_series(root / "d", 4, 2000, patient_id="P2", patient_name="Synthetic^Two", study=3, series=1),
    ]
    assert orthanc.load([file.path for file in files]) == []
    return orthanc


# Servers


def test_servers_are_added_listed_and_removed(bench):
    added = bench.run(
        "servers", "add", "PACS", "--host", "pacs.example", "--port", 11112, "--called-aet", "ARCHIVE",
        "--calling-aet", "ME", "--timeout", 12.5, "--fetch-ahead",
    )  # fmt: skip
    expected = {
        "name": "PACS", "host": "pacs.example", "port": 11112, "called_aet": "ARCHIVE", "calling_aet": "ME",
        "retrieve": "get", "proxy": None, "timeout": 12.5, "max_associations": 2,
        "fetch_ahead": True, "tls": None,
    }  # fmt: skip

    assert (added.code, added.document) == (0, {"added": expected})
    assert bench.run("servers", "list").document == {"servers": [expected]}
    assert bench.run("servers", "remove", "PACS").code == 0
    assert bench.run("servers", "list").document == {"servers": []}
    assert bench.run("servers", "remove", "PACS").code == 2


def test_tls_is_configured_with_full_paths_and_a_missing_file_is_named(bench):
    gone = Path("gone.pem").absolute()
    words = ["servers", "add", "PACS", "--host", "127.0.0.1", "--port", 104, "--called-aet", "P"]
    added = bench.run(*words, "--tls", "--tls-ca", "gone.pem", "--tls-host-name", "pacs.example")
    assert added.document["added"]["tls"] == {
        "ca_file": str(gone), "certificate": None, "key": None, "key_password_file": None, "host_name": "pacs.example",
    }  # fmt: skip
    assert bench.run("servers", "list").document["servers"][0]["tls"]["ca_file"] == str(gone)
    done = bench.run("echo", "PACS")
    assert (done.code, done.document["ok"]) == (1, False)
    assert "gone.pem cannot be read" in done.document["message"]


def test_a_proxy_is_stored_and_stays_as_long_as_somebody_needs_it(bench):
    bench.run("servers", "add", "GATE", "--host", "h", "--port", 104, "--called-aet", "G")
    added = bench.run(
        "servers", "add", "PACS", "--host", "h", "--port", 105, "--called-aet", "P", "--retrieve", "move",
        "--proxy", "GATE",
    )  # fmt: skip
    assert (added.document["added"]["retrieve"], added.document["added"]["proxy"]) == ("move", "GATE")
    assert bench.run("servers", "remove", "GATE").code == 2


def test_a_proxy_that_has_itself_a_proxy_is_told_to_be_no_use(bench):
    bench.run("servers", "add", "FAR", "--host", "h", "--port", 104, "--called-aet", "F")
    bench.run("servers", "add", "GATE", "--host", "h", "--port", 105, "--called-aet", "G", "--proxy", "FAR")
    bench.run("servers", "add", "PACS", "--host", "h", "--port", 106, "--called-aet", "P", "--proxy", "GATE")
    done = bench.run("retrieve", "--study", "1.2.3", "--server", "PACS")

    assert done.code == 2
    assert done.document["error"] == "GATE is the proxy of PACS, and has to be retrieved from by C-GET."


@pytest.mark.parametrize(
    "words",
    [
        ["servers", "add", "X", "--host", "h", "--port", "99999", "--called-aet", "A"],
        ["servers", "add", "X", "--host", "h", "--port", "104", "--called-aet", "MORETHAN16CHARACTERS"],
        ["servers", "add", "X", "--host", "h", "--port", "104", "--called-aet", "A", "--proxy", "NOBODY"],
        ["servers", "add", "X", "--host", "h", "--port", "104", "--called-aet", "A", "--timeout", "0"],
        ["servers", "add", "X", "--host", "h", "--port", "none", "--called-aet", "A"],
        ["servers", "add", "X", "--host", "h", "--port", "104", "--called-aet", "A", "--tls-ca", "ca.pem"],
        ["servers", "add", "X", "--host", "h", "--port", "104", "--called-aet", "A", "--tls", "--tls-key", "k.pem"],
        ["echo", "NOBODY"],
        ["query", "--server", "NOBODY"],
        ["query", "--study-date", "yesterday"],
        ["query", "--limit", "0"],
        ["query", "--level", "body"],
        ["retrieve", "--study", "1.2", "--series", "1.2"],
        ["retrieve", "--study", "1.2"],
        ["retrieve"],
        ["thumbnail", "--series", "1.2.3"],
        ["import", "/no/such/path"],
        ["remove"],
        ["remove", "--patient-id", ""],
        ["verify", "too much"],
        ["levitate"],
        [],
    ],
)
def test_wrong_words_end_with_2_a_sentence_and_one_document(bench, words):
    done = bench.run(*words)

    assert done.code == 2
    assert set(done.document) == {"error", "retryable"}
    assert done.document["error"].endswith(".")
    assert "Error: " in done.err
    assert "Traceback" not in done.err


def test_the_folder_and_the_configuration_are_accepted_before_the_command_too(bench):
    options = ["--database", bench.database, "--config", bench.config]
    added = bench.process(*options, "servers", "add", "PACS", "--host", "h", "--port", "104", "--called-aet", "A")

    assert added.code == 0
    assert bench.config.exists()
    assert bench.process(*options, "--json", "verify").document["ok"]
    assert bench.database.is_dir()
    assert list(bench.home.rglob("*")) == []


def test_without_options_the_users_own_folders_are_used(bench):
    assert bench.process("verify", "--json").document["rows"] == 0
    bench.process("servers", "add", "PACS", "--host", "h", "--port", "104", "--called-aet", "A")
    made = {str(path.relative_to(bench.home)) for path in bench.home.rglob("*") if path.is_file()}

    assert any(name.endswith("ctkDICOM.sql") for name in made)
    assert any(name.endswith("config.json") for name in made)


def test_version_and_help_go_to_standard_output(bench):
    assert bench.main("--version").out.strip()
    assert "retrieve" in bench.main("retrieve", "--help").out


# Echo, query, list, retrieve, remove


def test_echo_tells_how_long_it_took(bench, pacs):
    bench.add("PACS", pacs)
    done = bench.run("echo", "PACS")

    assert done.code == 0
    assert set(done.document) == {"server", "ok", "seconds", "message"}
    assert (done.document["server"], done.document["ok"]) == ("PACS", True)
    assert 0 < done.document["seconds"] < 5


def test_query_prints_the_tree_that_scripts_rely_on(bench, pacs):
    bench.add("PACS", pacs)
    done = bench.spawn("query", "--patient-id", "P1", "--level", "series")
    document = done.document
    (patient,) = document["patients"]
    study = next(s for s in patient["studies"] if s["accession_number"] == "A1")

    assert done.code == 0
    assert set(document) == {"patients", "complete", "warnings"}
    assert (document["complete"], document["warnings"]) == (True, [])
    assert {k: v for k, v in patient.items() if k != "studies"} == {
        "patient_id": "P1", "name": "Synthetic^One", "birth_date": "19700101", "sex": "O",
        "shares_id": False,
    }  # fmt: skip
    assert {k: v for k, v in study.items() if k not in ("series", "study_uid")} == {
        "date": "20240101", "time": "120000", "description": "Study 1", "accession_number": "A1",
        "modalities": ["CT"], "servers": ["PACS"],
    }  # fmt: skip
    assert [{k: v for k, v in s.items() if k != "series_uid"} for s in study["series"]] == [
        {
            "number": number, "modality": "CT", "description": f"Series {number}", "instances": count,
            "local_instances": 0, "servers": ["PACS"],
        }
        for number, count in ((1, 3), (2, 2))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--patient-name", "two"], 1),
        (["--accession", "A2"], 1),
        (["--study-date", "20240101"], 3),
        (["--study-date", "20240102-"], 0),
        (["--modality", "CT", "--modality", "MR"], 3),
        (["--modality", "mr"], 0),
        (["--study-description", "study 3"], 1),
        (["--server", "PACS", "--patient-id", "P?"], 3),
    ],
)
def test_every_filter_has_its_option(bench, pacs, filters, count):
    bench.add("PACS", pacs)
    patients = bench.run("query", *filters).document["patients"]

    assert sum(len(patient["studies"]) for patient in patients) == count


def test_a_server_out_of_reach_makes_a_query_incomplete_and_not_failed(bench, pacs, dead_port):
    bench.add("PACS", pacs)
    bench.add("GONE", ("127.0.0.1", dead_port))
    done = bench.run("query")

    assert done.code == 0
    assert done.seconds < 6
    assert done.document["complete"] is False
    assert len(done.document["patients"]) == 2
    assert done.document["warnings"][0].startswith("GONE: The server at 127.0.0.1:")
    assert "GONE" in done.err
    assert bench.run("query", "--server", "GONE").code == 1
    assert bench.run("query", "--server", "GONE", "PACS").code == 0


def test_a_limit_reached_is_told_and_not_a_failure(bench, pacs):
    bench.add("PACS", pacs)
    done = bench.run("query", "--limit", 2)

    assert (done.code, done.document["complete"]) == (0, False)
    assert "more than 2 matches exist" in done.document["warnings"][0]


def test_what_cannot_be_fetched_for_want_of_a_server_is_not_said_to_be_nothing(bench, pacs, dead_port, monkeypatch):
    monkeypatch.setattr(scheduler, "RetryStrategy", lambda: RetryStrategy((0.05, 0.1, 0.2)))
    bench.add("GONE", ("127.0.0.1", dead_port))
    gone = bench.run("retrieve", "--patient-id", "P1")
    assert gone.code == 1
    assert gone.err.splitlines()[-1] == "Error: Nothing was fetched, for no server could be asked."
    assert "nothing to fetch" not in gone.err
    bench.add("PACS", pacs)
    half = bench.run("retrieve", "--patient-id", "NOBODY")
    assert half.err.splitlines()[-1] == "Error: Nothing was found on the servers that could be asked."
    nothing = bench.run("retrieve", "--patient-id", "NOBODY", "--server", "PACS")
    assert nothing.err.splitlines()[-1] == "Error: There is nothing to fetch."


def test_retrieve_list_and_remove_agree(bench, pacs):
    bench.add("PACS", pacs)
    done = bench.spawn("retrieve", "--patient-id", "P1")
    assert done.code == 0
    expected = {"requested", "counted_by", "received", "replaced", "verified", "missing", "failed", "conflicts"}
    expected |= {"conflicting", "bytes", "seconds"}
    assert set(done.document) - {"warnings"} == expected
    assert [done.document[k] for k in ("requested", "received", "verified", "missing", "failed")] == [6, 6, 6, [], []]
    assert done.document["bytes"] > 6 * 2000

    (patient,) = bench.run("list").document["patients"]
    assert sum(s["local_instances"] for study in patient["studies"] for s in study["series"]) == 6
    assert all(study["servers"] == [] for study in patient["studies"])
    assert bench.run("retrieve", "--patient-id", "P1").document["received"] == 0

    one = patient["studies"][0]["series"][0]["series_uid"]
    removed = bench.run("remove", "--series", one)
    assert (removed.code, removed.document["series"]) == (0, 1)
    assert bench.run("remove", "--series", one).code == 1
    rest = bench.run("remove", "--patient-id", "P1").document
    assert (rest["patients"], rest["instances"]) == (1, 6 - removed.document["instances"])
    assert bench.run("verify").document == {"rows": 0, "files": 0, "missing": [], "orphans": [], "ok": True}
    assert bench.run("list").document["patients"] == []


def test_retrieve_takes_single_series_and_instances(bench, pacs):
    bench.add("PACS", pacs)
    found = bench.run("query", "--patient-id", "P1", "--level", "image").document["patients"][0]["studies"]
    series = next(s for study in found for s in study["series"] if s["instances"] == 3)
    one, other, _ = (image["sop_uid"] for image in series["images"])
    first = bench.run("retrieve", "--instance", one, other, "--server", "PACS").document
    second = bench.run("retrieve", "--series", series["series_uid"]).document

    assert (first["requested"], first["received"], first["verified"]) == (2, 2, 2)
    assert (second["requested"], second["received"], second["verified"]) == (3, 1, 3)


def test_a_retrieve_of_the_unknown_does_not_depend_on_what_was_searched_before(bench, pacs):
    """Nothing is in the catalogue: study and series of an instance have to be found first."""
    bench.add("PACS", pacs)
    uids = sorted(pacs.instances())
    done = bench.run("retrieve", "--instance", uids[0])

    assert (done.code, done.document["received"]) == (0, 1)


def test_people_get_text(bench, pacs):
    bench.add("PACS", pacs)
    options = ["--database", bench.database, "--config", bench.config]
    assert "Synthetic, One" in bench.main("query", *options).out
    retrieved = bench.main("retrieve", "--patient-id", "P2", *options).out
    assert "4 of 4 instances are here and verified" in retrieved
    assert "on this computer" in bench.main("list", *options).out
    assert "all is well" in bench.main("verify", *options).out
    assert "PACS: " in bench.main("servers", "list", *options).out


# Import


def test_import_takes_what_is_dicom_and_names_the_rest(bench, tmp_path):
    good = make_ct_series(tmp_path / "in" / "ct", 3, 1000)
    text_folder(tmp_path / "in")
    lying_file(tmp_path / "in")
    truncated_file(tmp_path / "in")
    empty_file(tmp_path / "in")
    shutil.rmtree(tmp_path / "in" / "whole")  # what the helpers leave beside the damaged files
    done = bench.run("import", tmp_path / "in")
    document = done.document

    assert done.code == 0
    counts = {"files", "imported", "duplicates", "replaced", "conflicting", "left_out"}
    assert set(document) == counts | {"conflicts", "rejected", "seconds"}
    assert document["files"] == len(good) + 5 + 3
    assert document["imported"] == len(good)
    assert document["imported"] + document["duplicates"] + len(document["rejected"]) == document["files"]
    reasons = {Path(entry["path"]).name: entry["reason"] for entry in document["rejected"]}
    assert {"lying.dcm", "truncated.dcm", "empty.dcm", "README.txt", "looks-like.dcm"} <= set(reasons)
    assert all(reason.endswith(".") for reason in reasons.values())
    assert bench.run("import", tmp_path / "in").document["imported"] == 0
    assert bench.run("verify").document["ok"]


def test_a_folder_without_any_dicom_is_a_failure(bench, tmp_path):
    done = bench.run("import", text_folder(tmp_path))

    assert done.code == 1
    assert done.document["imported"] == 0
    assert len(done.document["rejected"]) == done.document["files"] > 0
    assert "None of the files is a DICOM object" in done.err


@pytest.mark.parametrize("make", [lying_file, truncated_file])
def test_a_file_that_lies_about_its_sizes_is_refused_quickly(bench, tmp_path, make):
    done = bench.run("import", make(tmp_path))

    assert done.code == 1
    assert done.seconds < 5
    assert len(done.document["rejected"]) == 1
    assert bench.run("verify").document["files"] == 0


def test_linked_files_stay_where_they_are(bench, tmp_path):
    (file,) = make_ct_series(tmp_path / "ct", 1, 1000)
    assert bench.run("import", "--link", file.path).document["imported"] == 1
    checked = bench.run("verify").document
    assert (checked["rows"], checked["files"], checked["ok"]) == (1, 0, True)
    assert bench.run("remove", "--study", file.study_uid).document["instances"] == 1

    assert file.path.exists()
    assert bench.run("import", "--copy", file.path).document["imported"] == 1
    file.path.unlink()
    assert bench.run("verify").document["ok"]


def test_verify_names_what_is_wrong(bench, tmp_path):
    files = make_ct_series(tmp_path / "ct", 2, 1000)
    bench.run("import", tmp_path / "ct")
    stored = sorted((bench.database / "dicom").rglob("*.dcm"))
    stored[0].unlink()
    (stored[1].parent / "stray.dcm").write_bytes(b"stray")
    done = bench.run("verify")

    assert done.code == 1
    assert done.document["ok"] is False
    assert len(done.document["missing"]) == 1
    assert done.document["missing"][0] in {file.sop_uid for file in files}
    assert [Path(name).name for name in done.document["orphans"]] == ["stray.dcm"]


# Folders and configurations that are wrong


@pytest.mark.parametrize("command", [["verify"], ["list"], ["import", "."], ["query"]])
def test_a_database_folder_that_cannot_be_is_a_matter_of_configuration(bench, command):
    bench.database.write_text("a file where the folder should be")
    done = bench.run(*command)

    assert done.code == 2
    assert str(bench.database) in done.document["error"]
    assert done.seconds < 5


def test_a_folder_where_nothing_can_be_written_is_refused(bench):
    done = bench.main("verify", "--json", "--database", "/proc/nothing", "--config", bench.config)

    assert done.code == 2
    assert "/proc/nothing cannot be used" in done.document["error"]


def test_a_database_of_another_version_is_left_alone(bench):
    shutil.copytree(CTK_SAMPLES / "empty", bench.database)
    database = bench.database / "ctkDICOM.sql"
    database.write_bytes(database.read_bytes().replace(b"0.8.1", b"0.6.2"))
    before = database.read_bytes()
    done = bench.run("verify")

    assert done.code == 2
    assert "version 0.6.2" in done.document["error"]
    assert database.read_bytes() == before


@pytest.mark.parametrize("text", ["{ not json", "[]", '{"version": 99}', '{"version": 1, "servers": [{"name": "x"}]}'])
def test_a_broken_configuration_is_named_and_local_work_goes_on(bench, text):
    bench.config.write_text(text)
    for command in (["query"], ["servers", "list"], ["echo", "PACS"], ["retrieve", "--study", "1.2"]):
        done = bench.run(*command)
        assert done.code == 2
        assert "configuration" in done.document["error"]
    assert bench.run("verify").code == 0
    assert bench.run("list").code == 0
    assert bench.config.read_text() == text


def test_a_folder_in_use_can_be_read_and_who_writes_is_told_by_whom(bench, engine, tmp_path):
    files = make_ct_series(tmp_path / "ct", 2, 1000)
    engine.import_paths([tmp_path / "ct"])
    for command in (["import", tmp_path / "ct"], ["remove", "--study", files[0].study_uid]):
        done = bench.spawn(*command)
        assert done.code == 2
        assert f"in use by process {os.getpid()} " in done.document["error"]

    assert len(bench.run("list").document["patients"]) == 1
    assert bench.run("verify").document["rows"] == 2
    assert len(bench.run("query").document["patients"]) == 1
