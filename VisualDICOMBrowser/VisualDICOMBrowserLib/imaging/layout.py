"""How pixels are laid out, from the Image Pixel module (PS3.3, C.7.6.3), checked before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from ..domain.errors import BadData
from .source import DOUBLE_PIXEL_DATA, FLOAT_PIXEL_DATA, DicomImage, distrust

_INTEGER_BITS = (1, 8, 16, 32)


class NotShowable(BadData):
    """Sound data that this program cannot turn into a picture (yet). ``str()`` says why."""


class NoPicture(NotShowable):
    """An object that is not a picture in the first place."""


@dataclass(frozen=True)
class PixelLayout:
    """The numbers of the Image Pixel module.

    :ivar samples: samples a pixel, 1 or 3.
    :ivar planar: whether the three colours lie in planes one after the other.
    :ivar floating: float or double float pixel data.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    floating: bool
    photometric: str
    planar: bool
    frames: int

    @property
    def subsampled(self) -> bool:
        """Whether two pixels share one pair of chrominance samples (YBR_FULL_422)."""
        return self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")

    @property
    def frame_bits(self) -> int:
        """Size of one uncompressed frame, in bits."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated


def first_value(header: Dataset, keyword: str) -> Any:
    """Return an element's value, of several the first, None where absent or empty."""
    value = header.get(keyword)
    if isinstance(value, MultiValue | list | tuple):
        value = value[0] if value else None
    return None if value in ("", b"") else value


def whole(header: Dataset, keyword: str, default: int) -> int:
    """Return an element as an integer, ``default`` where it is absent or empty."""
    value = first_value(header, keyword)
    return default if value is None else int(value)


def read_layout(image: DicomImage) -> PixelLayout:
    """Read and check the layout of an image that has pixel data.

    :raises BadData: the numbers contradict each other.
    :raises NotShowable: they are sound, but of a kind that is not supported.
    """
    with distrust("The picture's description is damaged."):
        layout = _from_header(image)
    _check(layout)
    return layout


def _from_header(image: DicomImage) -> PixelLayout:
    header = image.header
    tag = image.element.tag if image.element else 0
    floating = {FLOAT_PIXEL_DATA: 32, DOUBLE_PIXEL_DATA: 64}.get(tag)
    allocated = floating or whole(header, "BitsAllocated", 0)
    samples = whole(header, "SamplesPerPixel", 1)
    stored = allocated if floating else whole(header, "BitsStored", allocated)
    return PixelLayout(
        rows=whole(header, "Rows", 0),
        columns=whole(header, "Columns", 0),
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if floating else whole(header, "HighBit", stored - 1),
        signed=whole(header, "PixelRepresentation", 0) == 1,
        floating=floating is not None,
        photometric=str(first_value(header, "PhotometricInterpretation") or _usual_photometric(samples)).strip(),
        planar=whole(header, "PlanarConfiguration", 0) == 1,
        frames=whole(header, "NumberOfFrames", 1),
    )


def _usual_photometric(samples: int) -> str:
    return "MONOCHROME2" if samples == 1 else "RGB"


def _check(layout: PixelLayout) -> None:
    if not (0 < layout.rows <= 0xFFFF and 0 < layout.columns <= 0xFFFF and layout.frames > 0):
        raise BadData("The picture's description is damaged: it has no rows, columns or frames.")
    if layout.samples not in (1, 3):
        raise NotShowable(f"Pictures of {layout.samples} samples a pixel cannot be shown.")
    if not layout.floating and layout.bits_allocated not in _INTEGER_BITS:
        raise NotShowable(f"Pictures of {layout.bits_allocated} bits a sample cannot be shown.")
    if not 0 < layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated:
        raise BadData("The picture's description is damaged: its bits do not fit each other.")
    if layout.bits_allocated == 1 and layout.samples != 1:
        raise NotShowable("Colour pictures of one bit a sample cannot be shown.")
