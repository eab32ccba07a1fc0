"""Lossless compression of the sample images, as archives keep theirs (PS3.5 8.2, A.4)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from openjpeg.utils import encode
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import JPEGLSLosslessEncoder, RLELosslessEncoder
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

_ENCODERS = {JPEGLSLossless: JPEGLSLosslessEncoder, RLELossless: RLELosslessEncoder}


def compress(dataset: Dataset, syntax: UID) -> None:
    """Replace plain pixels by losslessly compressed ones: JPEG-LS, RLE or, one grey frame, JPEG 2000."""
    dataset.PixelData = encapsulate(list(_frames(dataset, syntax)))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _frames(dataset: Dataset, syntax: UID) -> Iterator[bytes]:
    if syntax == JPEG2000Lossless:
        kind = np.dtype(f"<{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
        pixels = np.frombuffer(dataset.PixelData, kind).reshape(dataset.Rows, dataset.Columns)
        yield encode(pixels, dataset.BitsStored)
    else:
        yield from map(bytes, _ENCODERS[syntax].iter_encode(dataset))
