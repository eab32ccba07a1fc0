"""Files made on the spot, and the comparison of data sets."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from support.comparison import differences
from support.corpus import Corpus, CorpusFile, LeftOut, examine
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from support.synthetic import empty_file, lying_file, make_ct_series, text_folder, truncated_file


def test_a_synthetic_series_is_one_series_of_instances_of_the_size_asked_for(tmp_path: Path):
    files = make_ct_series(tmp_path, 12, 8192)
    assert len({file.sop_uid for file in files}) == 12
    assert len({file.series_uid for file in files}) == 1
    assert all(8000 < file.path.stat().st_size < 11000 for file in files)
    assert [examine(file.path) for file in files] == files


def test_synthetic_instances_have_readable_pixels_that_differ(tmp_path: Path):
    first, second = (pydicom.dcmread(file.path) for file in make_ct_series(tmp_path, 2, 8192))
    assert first.pixel_array.shape == (64, 64)
    assert (first.InstanceNumber, second.InstanceNumber) == (1000001, 1000002)
    assert first.PixelData != second.PixelData


def test_other_numbers_give_other_uids(tmp_path: Path):
    (one,) = make_ct_series(tmp_path / "a", 1, 200, study=1, series=1)
    (two,) = make_ct_series(tmp_path / "b", 1, 200, study=1, series=2)
    (three,) = make_ct_series(tmp_path / "c", 1, 200, study=2, series=1)
    assert one.study_uid == two.study_uid != three.study_uid
    assert len({file.series_uid for file in (one, two, three)}) == 3


def test_servers_take_a_synthetic_series(tmp_path: Path, orthanc: Orthanc, dcmqrscp: Dcmqrscp):
    files = make_ct_series(tmp_path, 20, 8192)
    assert orthanc.load([file.path for file in files]) == []
    assert orthanc.instances() == sorted(file.sop_uid for file in files)
    assert dcmqrscp.index([file.path for file in files]) == []


@pytest.mark.parametrize("make", [lying_file, truncated_file])
def test_damaged_files_have_an_identity_all_the_same(tmp_path: Path, make):
    assert isinstance(examine(make(tmp_path)), CorpusFile)


def test_an_empty_file_and_texts_are_not_dicom(tmp_path: Path):
    others = [empty_file(tmp_path), *(path for path in text_folder(tmp_path).rglob("*") if path.is_file())]
    assert len(others) == 6
    assert all(isinstance(examine(path), LeftOut) for path in others)


def sample() -> Dataset:
    item = Dataset()
    item.CodeValue = "A"
    dataset = Dataset()
    dataset.PatientName = "Doe^Jane"
    dataset.Rows = 5
    dataset.ConceptCodeSequence = Sequence([item])
    return dataset


def test_a_changed_missing_or_additional_element_is_a_difference():
    changed = sample()
    changed.PatientName = "Roe^Jane"
    changed.ConceptCodeSequence[0].CodeValue = "B"
    changed.Columns = 7
    del changed.Rows
    assert differences(sample(), changed) == [
        "PatientName: 'Doe^Jane' is not 'Roe^Jane'",
        "Rows: only in the first",
        "Columns: only in the second",
        "ConceptCodeSequence[0].CodeValue: 'A' is not 'B'",
    ]


def test_another_number_of_items_is_a_difference():
    changed = sample()
    changed.ConceptCodeSequence = Sequence([])
    assert differences(sample(), changed) == ["ConceptCodeSequence: 1 items, not 0"]


def test_group_lengths_trailing_padding_and_the_encoding_of_sequences_are_none():
    other = sample()
    other.add_new(0x00100000, "UL", 42)
    other.add_new(0xFFFCFFFC, "OB", bytes(10))
    other["ConceptCodeSequence"].is_undefined_length = True
    assert differences(sample(), other) == []


def test_one_flipped_byte_in_the_pixels_is_a_difference(tmp_path: Path):
    (file,) = make_ct_series(tmp_path, 1, 2000)
    data = bytearray(file.path.read_bytes())
    data[-1000] ^= 1
    flipped = tmp_path / "flipped.dcm"
    flipped.write_bytes(data)
    (line,) = differences(file.path, flipped)
    assert line.startswith("PixelData: ")


def test_orthanc_gives_back_the_corpus_without_differences(
    orthanc_with_corpus: Orthanc, corpus: Corpus, tmp_path: Path
):
    refused = {entry.path for entry in orthanc_with_corpus.refused}
    for file in [file for file in corpus.files if file.path not in refused]:
        copy = tmp_path / "copy.dcm"
        copy.write_bytes(orthanc_with_corpus.file(file.sop_uid))
        assert differences(file.path, copy) == [], file.path.name
