from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from VisualDICOMBrowserLib.demo.pacs import AE_TITLE, DemoPacs
from VisualDICOMBrowserLib.demo.people import ELENI, HONG, WANG, YAMADA

TOOLS = ("echoscu", "findscu", "getscu", "movescu", "storescu", "storescp")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"DCMTK is not installed: {', '.join(MISSING)}")
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}  # without it, DCMTK waits 40 ms for each small message


def call(*command: str | bytes | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=100, check=False)


def run(tool: str, port: int, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return call(tool, "-aec", AE_TITLE, *arguments, "127.0.0.1", str(port))


def find(port: int, folder: Path, model: str, *keys: str | bytes) -> list:
    """Ask findscu, and return the responses that it saved."""
    folder.mkdir()
    arguments = [part for key in keys for part in ("-k", key)]
    done = call("findscu", model, "-X", "-od", folder, "-aec", AE_TITLE, *arguments, "127.0.0.1", str(port))
    assert done.returncode == 0, done.stderr
    return [dcmread(path, force=True) for path in sorted(folder.iterdir())]


def test_echoscu_is_answered(pacs):
    assert run("echoscu", pacs.port).returncode == 0


def test_findscu_finds_names_in_japanese_and_cyrillic(pacs, tmp_path):
    japanese = "PatientName=*山田*".encode("iso2022_jp")
    found = find(
        pacs.port,
        tmp_path / "a",
        "-P",
        "QueryRetrieveLevel=PATIENT",
        r"SpecificCharacterSet=ISO 2022 IR 6\ISO 2022 IR 87",
        japanese,
        "PatientID",
    )
    assert [(p.PatientID, p.PatientName) for p in found] == [("DEMO-1003", "Yamada^Tarou=山田^太郎=やまだ^たろう")]
    cyrillic = "PatientName=ОБРАЗЦОВА*".encode("iso8859_5")
    found = find(
        pacs.port,
        tmp_path / "b",
        "-S",
        "QueryRetrieveLevel=STUDY",
        "SpecificCharacterSet=ISO_IR 144",
        cyrillic,
        "StudyDescription",
        "StudyDate",
    )
    assert sorted(s.StudyDate for s in found) == ["20210908", "20240219"]
    assert {s.StudyDescription for s in found} == {"МРТ головного мозга", "МРТ головного мозга с контрастом"}


def test_findscu_descends_from_study_to_series_to_image(pacs, tmp_path, archive):
    (study,) = find(
        pacs.port,
        tmp_path / "a",
        "-S",
        "QueryRetrieveLevel=STUDY",
        "AccessionNumber=A2025-1701",
        "StudyInstanceUID",
        "NumberOfStudyRelatedInstances",
    )
    uid = f"StudyInstanceUID={study.StudyInstanceUID}"
    series = find(
        pacs.port,
        tmp_path / "b",
        "-S",
        "QueryRetrieveLevel=SERIES",
        uid,
        "SeriesInstanceUID",
        "NumberOfSeriesRelatedInstances",
    )
    assert len(series) == 3
    assert sum(s.NumberOfSeriesRelatedInstances for s in series) == study.NumberOfStudyRelatedInstances
    images = find(
        pacs.port,
        tmp_path / "c",
        "-S",
        "QueryRetrieveLevel=IMAGE",
        uid,
        f"SeriesInstanceUID={series[0].SeriesInstanceUID}",
        "SOPInstanceUID",
        "SOPClassUID",
    )
    expected = {h.header.SOPInstanceUID for h in archive if h.header.SeriesInstanceUID == series[0].SeriesInstanceUID}
    assert {i.SOPInstanceUID for i in images} == expected


def test_getscu_fetches_everything_of_some_patients(pacs, tmp_path, archive):
    ids = {person.patient_id for person in (YAMADA, HONG, WANG, ELENI)}
    wanted = [h.header for h in archive if h.header.PatientID in ids]
    assert len({h.syntax for h in archive if h.header.PatientID in ids}) >= 5
    patients = "PatientID=" + "\\".join(sorted(ids))
    done = run("getscu", pacs.port, "-P", "+B", "-od", tmp_path, "-k", "QueryRetrieveLevel=PATIENT", "-k", patients)
    assert done.returncode == 0, done.stderr
    fetched = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in tmp_path.iterdir() if path.is_file()}
    assert fetched == {header.SOPInstanceUID for header in wanted}


@pytest.fixture
def storescp(pacs: DemoPacs, tmp_path: Path):
    folder = tmp_path / "received"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(["storescp", "-aet", "STORE", "-od", folder, str(port)], env=ENVIRONMENT) as process:
        deadline = time.monotonic() + 10
        while run("echoscu", port).returncode != 0:
            assert time.monotonic() < deadline
        pacs.destinations["STORE"] = ("127.0.0.1", port)
        yield folder
        process.terminate()


def test_movescu_moves_a_study_with_a_compressed_clip_to_storescp(pacs, tmp_path, storescp, archive):
    clip = next(h.header for h in archive if h.header.Modality == "US")
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={clip.StudyInstanceUID}")
    assert run("movescu", pacs.port, "-S", "-aem", "STORE", *keys).returncode == 0
    moved = [dcmread(path) for path in storescp.iterdir()]
    assert {ds.SOPInstanceUID for ds in moved} == {
        h.header.SOPInstanceUID for h in archive if h.header.StudyInstanceUID == clip.StudyInstanceUID
    }
    assert {str(ds.PatientName) for ds in moved} == {"Yamada^Tarou=山田^太郎=やまだ^たろう"}


def test_movescu_is_told_of_an_unknown_destination(pacs, archive):
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive[0].header.StudyInstanceUID}")
    done = run("movescu", pacs.port, "-v", "-S", "-aem", "NOWHERE", *keys)
    assert b"MoveDestinationUnknown" in done.stderr.replace(b" ", b"")


def test_what_storescu_stores_findscu_finds(pacs, tmp_path, archive):
    dataset = dcmread(archive[3].path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "NEW-2", generate_uid(), generate_uid()
    dataset.save_as(tmp_path / "new.dcm", enforce_file_format=True)
    done = call("storescu", "-aec", AE_TITLE, "127.0.0.1", str(pacs.port), tmp_path / "new.dcm")
    assert done.returncode == 0, done.stderr
    (study,) = find(pacs.port, tmp_path / "a", "-S", "QueryRetrieveLevel=STUDY", "PatientID=NEW-2", "StudyInstanceUID")
    assert study.StudyInstanceUID == dataset.StudyInstanceUID
