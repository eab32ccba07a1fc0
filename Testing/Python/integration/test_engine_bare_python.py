"""The engine under a Python that has pydicom, numpy and Pillow only, as Slicer's before anything is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, uid

import VisualDICOMBrowserLib
from support import streams
from support.bare_python import IN_SLICER, bare_python, engine_on
from support.processes import free_port
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.errors import PackageMissing, UsageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Patient, Series, Study
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.client import EngineClient
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.reader import CatalogueReader

GREY = np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)
PIXELS = {
    "1.2.3.1": (uid.ExplicitVRLittleEndian, GREY.tobytes()),
    "1.2.3.2": (uid.RLELossless, streams.encapsulated([[streams.rle(GREY)]])),
    "1.2.3.3": (uid.JPEGBaseline8Bit, streams.encapsulated([[streams.jpeg(GREY)]])),
    "1.2.3.4": (uid.JPEG2000Lossless, streams.encapsulated([[streams.jpeg_2000(GREY)]])),
    "1.2.3.5": (uid.JPEGLSLossless, streams.encapsulated([[streams.jpeg_ls_stream(GREY)]])),
    "1.2.3.6": (uid.JPEGLosslessSV1, streams.encapsulated([[streams.jpeg_lossless(GREY)]])),
}
DECODERS = {"1.2.3.4": "pylibjpeg-openjpeg", "1.2.3.5": "pyjpegls", "1.2.3.6": "python-gdcm"}
REMOTE = Series("1.2.9.1", "1.2.9")
ABSENT = ("pynetdicom", "platformdirs", "gdcm", "openjpeg", "jpeg_ls", "PySide6", "pytest")


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    program = bare_python(tmp_path_factory.mktemp("bare") / "venv", *IN_SLICER)
    code = f"import importlib.util as u; print([n for n in {ABSENT} if u.find_spec(n)])"
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
    return program


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (template,) = make_ct_series(folder / "template", 1, 20_000)
    for number, (series, (syntax, data)) in enumerate(PIXELS.items(), 1):
        image = dcmread(template.path)
        image.SeriesInstanceUID, image.SOPInstanceUID = series, f"{series}.{number}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.file_meta.TransferSyntaxUID = syntax
        image.Rows, image.Columns, image.PixelRepresentation = *GREY.shape, 0
        image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
        image.PixelData = data
        image["PixelData"].VR = "OB"
        image["PixelData"].is_undefined_length = syntax.is_encapsulated
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    template.path.unlink()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    Configuration(folder / "config.json").add(Server("pacs", "127.0.0.1", free_port(), called_aet="PACS"))
    with LocalStore.open(folder / "database", read_only=False) as store:
        study = Study("1.2.9", Patient("REMOTE", "Remote^Rita"))
        store.catalogue.note_found("pacs", [study], [REMOTE])
    return folder


@pytest.fixture(scope="module")
def engine(python, folder) -> Iterator[EngineClient]:
    with engine_on(python, folder / "database", folder / "config.json", folder / "engine.log") as client:
        yield client
    assert (folder / "engine.log").read_text(encoding="utf-8") == ""


def series(*uids: str) -> dict[str, object]:
    return {"level": "series", "uids": list(uids)}


def test_local_work_needs_nothing_that_slicer_lacks(engine, files, tmp_path):
    done = engine.call("import_paths", {"paths": [str(files)], "link": False}, 60)
    assert (done["imported"], done["rejected"]) == (len(PIXELS), [])
    for series_uid in ("1.2.3.1", "1.2.3.2", "1.2.3.3"):
        thumbnail = engine.call("thumbnail", {"series_uid": series_uid}, 60)
        assert (thumbnail["placeholder"], thumbnail["reason"]) == (False, "")
        (image,) = engine.call("stack", {"series_uid": series_uid}, 60)["images"]
        frame = engine.call("frame", {"sop_uid": image[0], "frame": 0}, 60)
        assert (frame["placeholder"], frame["width"], frame["height"]) == (False, 48, 64)
        page = engine.call("elements", {"sop_uid": image[0], "offset": 0, "limit": 100, "search": ""}, 60)
        assert "Synthetic^Series" in str(page["rows"])
    exported = engine.call("export", {"target": series("1.2.3.1", "1.2.3.4"), "folder": str(tmp_path / "out")}, 60)
    assert (exported["files"], exported["failed"]) == (2, [])
    removed = engine.call("remove", {"target": series("1.2.3.1"), "undoable": True}, 60)
    assert removed["instances"] == 1
    assert engine.call("undo_remove", {"trash": removed["trash"]}, 60)["instances"] == 1
    assert engine.call("verify", {}, 60)["ok"]
    found = engine.call("local", {"filter": {}, "level": "series"}, 60)
    assert {one["series_uid"] for one in found["patients"][0]["studies"][0]["series"]} == set(PIXELS)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("echo", {"server": "pacs"}),
        ("test_server", {"server": Server("new", "127.0.0.1", 104, called_aet="PACS").to_dict()}),
        ("search", {"filter": {}, "servers": None}),
        ("query", {"filter": {}, "level": "study", "servers": None}),
        ("explore", {"patient": None, "servers": None}),
        ("fetch", {"series_uids": [REMOTE.series_uid]}),
        ("retrieve", {"target": series(REMOTE.series_uid), "server": "pacs"}),
        ("thumbnail", {"series_uid": REMOTE.series_uid}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_asks_a_server_says_which_package_is_missing(engine, folder, method, params):
    if "patient" in params:
        with closing(CatalogueReader(folder / "database")) as reader:
            params = params | {"patient": reader.patient_rows(QueryFilter(), Places())[0]}
    with pytest.raises(PackageMissing, match=r"DICOM servers.* pynetdicom ") as caught:
        engine.call(method, params, 60)
    assert not caught.value.retryable


def test_a_retrieve_that_failed_by_it_is_not_tried_again_in_vain(engine):
    with pytest.raises(PackageMissing):
        engine.call("retrieve", {"target": series(REMOTE.series_uid), "server": "pacs"}, 60)
    job = next(one for one in engine.call("jobs", {}, 60) if one["job"]["kind"] == "retrieve")
    assert (job["state"], job["tries"]) == ("failed", 1)
    assert "pynetdicom" in job["reason"]
    with pytest.raises(PackageMissing):
        engine.call("retry_job", {"job_id": job["job"]["job_id"]}, 60)


def test_where_no_server_is_asked_nothing_is_missing(engine):
    assert engine.call("search", {"filter": {}, "servers": []}, 60)["complete"]


def test_a_picture_without_its_decoder_is_made_once_the_decoder_is_here(python, files, tmp_path):
    place = (tmp_path / "database", tmp_path / "config.json", tmp_path / "engine.log")
    with engine_on(python, *place) as bare:
        bare.call("import_paths", {"paths": [str(files)], "link": True}, 60)
        for series_uid, package in DECODERS.items():
            thumbnail = bare.call("thumbnail", {"series_uid": series_uid}, 60)
            assert thumbnail["placeholder"]
            assert thumbnail["reason"].endswith(f" images need the package {package}.")
            assert Path(thumbnail["path"]).exists()
    with engine_on(Path(sys.executable), *place) as full:
        with closing(CatalogueReader(tmp_path / "database")) as reader:
            known = reader.series_by_uid(list(DECODERS))
        assert [row.thumbnail for row in known.values()] == [None] * len(DECODERS)
        for series_uid in DECODERS:
            assert not full.call("thumbnail", {"series_uid": series_uid}, 60)["placeholder"]


def program(python: Path, *words: object) -> subprocess.CompletedProcess[str]:
    library = Path(VisualDICOMBrowserLib.__file__).parents[1]
    command = [python, "-m", "VisualDICOMBrowserLib", *map(str, words)]
    return subprocess.run(command, cwd=library, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line_says_it_too(python, folder, tmp_path):
    config = ("--config", folder / "config.json")
    echo = program(python, *config, "--database", tmp_path / "database", "echo", "pacs")
    assert (echo.returncode, echo.stdout) == (2, "")
    assert echo.stderr == "Error: To talk to DICOM servers, the Python package pynetdicom is needed.\n"
    without = program(python, *config, "list")
    assert without.returncode == 2
    assert "platformdirs is needed" in without.stderr


def test_a_series_that_nobody_has_is_told_before_the_package(engine):
    with pytest.raises(UsageError, match="search for them first"):
        engine.call("fetch", {"series_uids": ["1.2.77"]}, 60)
