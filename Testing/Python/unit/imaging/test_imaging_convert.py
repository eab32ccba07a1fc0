"""Data sets in another transfer syntax: every element and pixel as before, and named failures for what is damaged."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from support.comparison import differences
from support.corpus import Corpus, folders
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.imaging.convert import convert

EXPLICIT, IMPLICIT = str(uid.ExplicitVRLittleEndian), str(uid.ImplicitVRLittleEndian)
#: Changed by decompression, and compared by the pixels themselves.
PICTURE = ("PixelData", "PhotometricInterpretation", "PlanarConfiguration", "LossyImageCompression:")
#: One or two of each kind: what pydicom can decode as well.
NAMES = [
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "SC_rgb_rle.dcm",
    "SC_rgb_rle_2frame.dcm",
    "MR_small_RLE.dcm",
    "JPEG2000.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG-LL.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "examples_ybr_color.dcm",
    "image_dfl.dcm",
    "test-SR.dcm",
    "rtplan.dcm",
    "liver_1frame.dcm",
    "waveform_ecg.dcm",
    "chrH31.dcm",
]


def converted(path: Path, folder: Path, syntax: str = EXPLICIT) -> Dataset:
    made = folder / "converted"
    size = convert(path, made, syntax)
    assert made.stat().st_size == size
    dataset = read_dataset(io.BytesIO(made.read_bytes()), syntax == IMPLICIT, True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", NAMES)
def test_a_converted_data_set_says_the_same(tmp_path: Path, name: str, syntax: str) -> None:
    path = next(path for folder in folders() for path in folder.rglob(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, made = pydicom.dcmread(path), converted(path, tmp_path, syntax)
        assert [line for line in differences(source, made) if not line.startswith(PICTURE)] == []
        if "PixelData" in source:
            np.testing.assert_array_equal(made.pixel_array, source.pixel_array)
            assert "YBR_FULL_422" not in made.PhotometricInterpretation


def encapsulated(folder: Path, frame: bytes, syntax: str, **values: object) -> Path:
    (file,) = make_ct_series(folder / "source", 1, 128)
    dataset = pydicom.dcmread(file.path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    path = folder / "compressed.dcm"
    dataset.save_as(path)
    return path


def rle_frame(cells: np.ndarray) -> bytes:
    """Compress 16-bit cells as literal runs."""
    planes = [(cells >> 8).astype(np.uint8).tobytes(), cells.astype(np.uint8).tobytes()]
    segments = [
        b"".join(bytes([len(p[i : i + 128]) - 1]) + p[i : i + 128] for i in range(0, len(p), 128)) for p in planes
    ]
    offsets = [64, 64 + len(segments[0])]
    return np.array([2, *offsets, *[0] * 13], "<u4").tobytes() + b"".join(segments)


def test_bits_that_are_not_stored_are_kept(tmp_path: Path) -> None:
    cells = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1021
    path = encapsulated(tmp_path, rle_frame(cells), uid.RLELossless, BitsStored=12, HighBit=11)

    made = converted(path, tmp_path)

    assert made.PixelData == cells.tobytes()
    assert (made.BitsAllocated, made.BitsStored, made.HighBit) == (16, 12, 11)
    assert "LossyImageCompression" not in made


def test_what_was_compressed_with_loss_goes_on_saying_so(corpus: Corpus, tmp_path: Path) -> None:
    path = next(path for path in corpus.paths if path.name == "examples_ybr_color.dcm")
    dataset = pydicom.dcmread(path)
    if "LossyImageCompression" in dataset:
        del dataset.LossyImageCompression
    changed = tmp_path / "silent.dcm"
    dataset.save_as(changed)

    made = converted(changed, tmp_path)

    assert made.LossyImageCompression == "01"
    assert (made.PhotometricInterpretation, made.PlanarConfiguration) == ("RGB", 0)
    assert made.SOPInstanceUID == dataset.SOPInstanceUID


def test_offset_tables_and_compressed_icons_are_left_out(tmp_path: Path) -> None:
    cells = np.arange(64, dtype=np.uint16).reshape(8, 8)
    icon = Dataset()
    icon.Rows = icon.Columns = 8
    icon.PixelData = encapsulate([rle_frame(cells)])
    icon["PixelData"].VR = "OB"
    icon["PixelData"].is_undefined_length = True
    path = encapsulated(
        tmp_path,
        rle_frame(cells),
        uid.RLELossless,
        IconImageSequence=Sequence([icon]),
        ExtendedOffsetTable=bytes(8),
        ExtendedOffsetTableLengths=(len(rle_frame(cells))).to_bytes(8, "little"),
        DataSetTrailingPadding=b"\1\2\3\4",
    )

    made = converted(path, tmp_path)

    assert made.PixelData == cells.tobytes()
    assert "IconImageSequence" not in made
    assert "ExtendedOffsetTable" not in made
    assert made.DataSetTrailingPadding == b"\1\2\3\4"


@pytest.mark.parametrize(
    ("frame", "syntax", "values"),
    [
        (b"\xff\xd8\xff\xd9", uid.JPEGBaseline8Bit, {}),
        (bytes(64), uid.RLELossless, {}),
        (bytes(64), uid.RLELossless, {"NumberOfFrames": 2_000_000_000}),
        (b"\xff\x4f\xff\x51" + bytes(40), uid.JPEG2000Lossless, {}),
        (bytes(200), uid.MPEG2MPML, {}),
        (bytes(64), uid.RLELossless, {"Rows": 0}),
    ],
)
def test_a_picture_that_cannot_be_decompressed_is_refused(
    tmp_path: Path, frame: bytes, syntax: str, values: dict[str, object]
) -> None:
    path = encapsulated(tmp_path, frame, syntax, **values)
    with pytest.raises(BadData):
        convert(path, tmp_path / "out", EXPLICIT)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    (file,) = make_ct_series(tmp_path / "source", 1, 20_000)
    data = file.path.read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadData):
        convert(path, tmp_path / "out", IMPLICIT)


def test_files_that_cannot_be_read_or_written_are_named_so(tmp_path: Path) -> None:
    (file,) = make_ct_series(tmp_path / "source", 1, 2000)
    with pytest.raises(StorageError, match="cannot be read"):
        convert(tmp_path / "nothing.dcm", tmp_path / "out", IMPLICIT)
    with pytest.raises(StorageError, match="cannot be written"):
        convert(file.path, tmp_path / "no folder" / "out", IMPLICIT)
