from __future__ import annotations

import io
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from VisualDICOMBrowserLib.demo import people
from VisualDICOMBrowserLib.demo.objects import made_uid
from VisualDICOMBrowserLib.demo.part10 import Held, SeriesWriter
from VisualDICOMBrowserLib.demo.studies import sample_studies


def by_series(archive: list[Held]) -> dict[str, list[Held]]:
    groups = defaultdict(list)
    for held in archive:
        groups[held.header.SeriesInstanceUID].append(held)
    return groups


def test_there_are_enough_patients_studies_series_and_modalities(archive):
    assert len({h.header.PatientID for h in archive}) == 7
    assert len({h.header.StudyInstanceUID for h in archive}) >= 9
    assert len(by_series(archive)) >= 30
    assert {h.header.StudyDate[:4] for h in archive} >= {"2018", "2019", "2020", "2021", "2022", "2023", "2024", "2025"}
    modalities = {h.header.Modality for h in archive}
    assert modalities >= {"CT", "MR", "DX", "CR", "US", "OT", "SR", "PT", "RTSTRUCT", "DOC"}


def test_the_files_together_are_small(archive):
    assert sum(h.path.stat().st_size for h in archive) < 70e6


def test_sop_instance_uids_are_unique_valid_and_the_same_in_every_run(archive):
    uids = [h.header.SOPInstanceUID for h in archive]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_valid for uid in uids)
    first, _ = next(iter(sample_studies()))
    assert first.uid == archive[0].header.SeriesInstanceUID
    assert made_uid("study", "A2023-1101") == archive[0].header.StudyInstanceUID
    assert str(made_uid("x")) == "1.2.826.0.1.3680043.8.498." + str(made_uid("x")).rsplit(".", 1)[1]


@pytest.mark.parametrize("person", people.EVERYBODY, ids=lambda p: p.patient_id)
def test_names_and_descriptions_survive_their_character_set(archive, person):
    files = [h for h in archive if h.header.PatientID == person.patient_id]
    assert files
    for held in files[:: max(1, len(files) // 5)]:
        dataset = dcmread(held.path)
        assert dataset.PatientName == person.name
        assert dataset.InstitutionName == person.institution
        assert dataset.ReferringPhysicianName == person.referring
        assert dataset.StudyDescription == held.header.StudyDescription
        charset = dataset.get("SpecificCharacterSet", "")
        assert (tuple(charset) if isinstance(charset, (list, tuple)) or len(person.charset) > 1 else (charset,)) == (
            person.charset or ("",)
        )


def test_each_person_is_of_another_character_set():
    assert len({person.charset for person in people.EVERYBODY}) == len(people.EVERYBODY) == 7


def test_every_file_reads_back_as_it_was_made_and_as_pydicom_would_write_it(archive):
    for held in archive:
        dataset = dcmread(held.path)
        meta = dataset.file_meta
        assert meta.TransferSyntaxUID == held.syntax
        assert meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == held.header.SOPInstanceUID
        assert meta.MediaStorageSOPClassUID == dataset.SOPClassUID
        assert all(element.tag in dataset for element in held.header)
    some = [next(h for h in archive if h.syntax == syntax) for syntax in _SYNTAXES]
    for held in some:
        dataset = dcmread(held.path)
        rewritten = io.BytesIO()
        dataset.save_as(rewritten, enforce_file_format=True)
        rewritten.seek(0)
        assert dcmread(rewritten) == dataset


_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_losslessly_compressed_images_have_the_range_of_the_organ_they_show(archive, syntax):
    held = [h for h in archive if h.syntax == syntax]
    one = held[len(held) // 2]
    pixels = dcmread(one.path).pixel_array
    assert pixels.std() > 20
    assert pixels.shape[:2] == (one.header.Rows, one.header.Columns)


def test_stored_syntaxes_are_mixed(archive):
    assert {h.syntax for h in archive} == set(_SYNTAXES)
    for series in by_series(archive).values():
        assert len({h.syntax for h in series}) == 1


def test_slices_of_a_series_are_parallel_and_evenly_spaced(archive):
    checked = 0
    for series in by_series(archive).values():
        headers = [h.header for h in series if "ImagePositionPatient" in h.header]
        headers = [ds for ds in headers if "LOCALIZER" not in ds.ImageType]
        if len(headers) < 4:
            continue
        orientation = np.array(headers[0].ImageOrientationPatient, float)
        normal = np.cross(orientation[:3], orientation[3:])
        assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-5)
        assert all(ds.ImageOrientationPatient == headers[0].ImageOrientationPatient for ds in headers)
        heights = np.array([np.dot(normal, np.array(ds.ImagePositionPatient, float)) for ds in headers])
        np.testing.assert_allclose(np.abs(np.diff(heights)), float(headers[0].SpacingBetweenSlices), atol=1e-3)
        assert len({ds.FrameOfReferenceUID for ds in headers}) == 1
        checked += 1
    assert checked >= 20


def test_all_orientations_occur(archive):
    normals = set()
    for held in archive:
        if "ImageOrientationPatient" in held.header:
            o = np.array(held.header.ImageOrientationPatient, float)
            normals.add(tuple(np.abs(np.cross(o[:3], o[3:])).round(2)))
    assert {(0, 0, 1), (0, 1, 0), (1, 0, 0)} <= normals
    assert len(normals) > 3


def test_one_series_holds_a_localizer_among_its_slices(archive):
    kinds = Counter(
        h.header.ImageType[2] for h in archive if h.header.SeriesInstanceUID == archive[0].header.SeriesInstanceUID
    )
    assert kinds["LOCALIZER"] == 1
    assert kinds["AXIAL"] > 40


def test_ct_pixels_rescale_to_hounsfield_units_with_air_soft_tissue_and_bone(archive):
    held = archive[25]
    dataset = dcmread(held.path)
    assert dataset.Modality == "CT"
    hounsfield = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    assert (hounsfield < -900).mean() > 0.2
    assert ((hounsfield > 0) & (hounsfield < 250)).mean() > 0.05
    assert (hounsfield > 400).any()


def test_every_image_decodes_to_the_shape_it_states(archive):
    for series in by_series(archive).values():
        dataset = dcmread(series[0].path)
        if "PixelData" not in dataset:
            continue
        frames = int(dataset.get("NumberOfFrames", 1))
        pixels = dataset.pixel_array
        assert pixels.size == frames * dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
        assert pixels.std() > 1


def test_the_cine_clips_have_many_frames_and_one_is_colour(archive):
    clips = [h.header for h in archive if h.header.Modality == "US"]
    assert [int(clip.NumberOfFrames) for clip in clips] == [30, 12]
    assert [clip.SamplesPerPixel for clip in clips] == [1, 3]


def test_the_report_refers_to_the_clip_it_is_about(archive):
    report = next(h.header for h in archive if h.header.Modality == "SR")
    clip = next(h.header for h in archive if h.header.Modality == "US")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == clip.SOPInstanceUID
    findings = report.ContentSequence[1]
    assert [item.ValueType for item in findings.ContentSequence] == ["TEXT", "TEXT", "IMAGE"]
    assert (
        "僧帽弁"
        in dcmread(next(h.path for h in archive if h.header.Modality == "SR"))
        .ContentSequence[1]
        .ContentSequence[1]
        .TextValue
    )


def test_the_structures_are_drawn_on_slices_that_exist(archive):
    structures = next(h.header for h in archive if h.header.Modality == "RTSTRUCT")
    heights = {
        h.header.SOPInstanceUID: float(h.header.ImagePositionPatient[2]) for h in archive if h.header.Modality == "CT"
    }
    for roi in structures.ROIContourSequence:
        assert len(roi.ContourSequence) >= 2
        for contour in roi.ContourSequence:
            uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            assert float(contour.ContourData[2]) == pytest.approx(heights[uid], abs=0.01)


def test_the_document_is_a_pdf(archive):
    held = next(h for h in archive if h.header.Modality == "DOC")
    assert "EncapsulatedDocument" not in held.header
    assert dcmread(held.path).EncapsulatedDocument.startswith(b"%PDF")


def test_a_series_writer_encodes_like_pydicom(tmp_path: Path):
    series, datasets = next(iter(sample_studies()))
    dataset = next(iter(datasets))
    theirs = tmp_path / "theirs.dcm"
    dataset.save_as(theirs, implicit_vr=False, little_endian=True)
    held = SeriesWriter(series.syntax).write(dataset, tmp_path / "ours.dcm")
    assert dcmread(held.path) == dcmread(theirs, force=True)
    assert held.path.read_bytes().endswith(theirs.read_bytes()[-100_000:])
