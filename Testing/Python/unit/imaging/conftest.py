from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset

Write = Callable[..., Path]


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """Give the path of one of pydicom's own files."""

    def find(name: str) -> Path:
        path = get_testdata_file(name, download=False)
        assert isinstance(path, str)
        return Path(path)

    return find


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an image: a small monochrome one, but for what the keywords say."""

    def build(
        pixels: np.ndarray[Any, Any] | bytes = b"", syntax: str = uid.ExplicitVRLittleEndian, **elements: Any
    ) -> Path:
        data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
        dataset = Dataset()
        dataset.SOPClassUID = uid.CTImageStorage
        dataset.SOPInstanceUID = uid.generate_uid(entropy_srcs=["test"])
        dataset.Modality = "OT"
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        if isinstance(pixels, np.ndarray):
            dataset.Rows, dataset.Columns = pixels.shape[:2]
            dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
            dataset.HighBit = dataset.BitsAllocated - 1
            dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        if data:
            dataset.PixelData = data + b"\0" * (len(data) % 2)
            compressed = uid.UID(syntax).is_encapsulated
            dataset["PixelData"].VR = "OB" if compressed else "OW"
            dataset["PixelData"].is_undefined_length = compressed
        for keyword, value in elements.items():
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
        dataset.file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = tmp_path / f"image{len(list(tmp_path.iterdir()))}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return build
