"""From stored values to shades of grey: modality rescale, window, inversion (PS3.3, C.11.1 and C.11.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from .layout import first_value
from .luts import sequence_table
from .pixels import Frame
from .source import distrust

Values = NDArray[np.float32]

#: Soft tissue, centre and width in Hounsfield units.
CT_WINDOW = (40.0, 400.0)
#: The percentiles that become black and white where nothing else says.
PERCENTILES = (1.0, 99.5)
PET_PERCENTILES = (0.0, 99.5)
# More values than this do not move a percentile anybody could see.
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class Window:
    """A window in output units of the modality (Hounsfield units for CT).

    :ivar function: LINEAR, LINEAR_EXACT or SIGMOID: the VOI LUT Function (0028,1056).
    """

    centre: float
    width: float
    function: str = "LINEAR"

    def apply(self, values: Values) -> Values:
        """Map values to shades, 0 black to 1 white (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
        return _FUNCTIONS[self.function](values, self.centre, self.width)


def _linear(values: Values, centre: float, width: float) -> Values:
    if width == 1:
        return (values > centre - 0.5).astype(np.float32)
    shades: Values = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    return shades


def _linear_exact(values: Values, centre: float, width: float) -> Values:
    shades: Values = np.clip((values - centre) / width + 0.5, 0, 1)
    return shades


def _sigmoid(values: Values, centre: float, width: float) -> Values:
    exponent = np.clip(-4 * (values - centre) / width, -80, 80)  # within what float32 can exponentiate
    return np.asarray(1 / (1 + np.exp(exponent)), np.float32)


_FUNCTIONS: Mapping[str, Callable[[Values, float, float], Values]] = {
    "LINEAR": _linear,
    "LINEAR_EXACT": _linear_exact,
    "SIGMOID": _sigmoid,
}
_LEAST_WIDTH = {"LINEAR": 1.0, "LINEAR_EXACT": 1e-30, "SIGMOID": 1e-30}


def grey_picture(frame: Frame, modality: str) -> NDArray[np.uint8]:
    """Return a monochrome frame as it is to be seen, 0 black to 255 white, shape (rows, columns).

    The object's own VOI LUT or first window is used, else a window that suits the modality.

    :raises BadData: the tables or windows of the object are damaged.
    """
    with distrust("The picture's grey scale is damaged."), np.errstate(all="ignore"):
        values = modality_values(frame)
        shades = _object_shades(frame, values)
        if shades is None:
            shades = default_shades(values, modality, padding_mask(frame))
        if frame.layout.photometric == "MONOCHROME1" or modality == "PT":  # PET is read black on white
            shades = 1 - shades
        picture: NDArray[np.uint8] = np.floor(np.nan_to_num(shades) * 255 + 0.5).astype(np.uint8)
        return picture


def colour_picture(frame: Frame) -> NDArray[np.uint8]:
    """Return a colour frame in 8 bits a sample, shape (rows, columns, 3)."""
    if frame.pixels.dtype == np.uint8 and frame.layout.bits_stored == 8:
        return frame.pixels
    if frame.layout.photometric == "PALETTE COLOR":
        return frame.pixels
    largest = float((1 << frame.layout.bits_stored) - 1)
    shades = frame.pixels.astype(np.float32) * np.float32(255 / largest)
    scaled: NDArray[np.uint8] = np.clip(shades + 0.5, 0, 255).astype(np.uint8)
    return scaled


def modality_values(frame: Frame) -> Values:
    """Apply the Modality LUT, or slope and intercept, of the frame (PS3.3, C.11.1)."""
    tables = frame.header.get("ModalityLUTSequence")
    if tables:
        table = sequence_table(tables[0], frame.layout.signed, frame.big_endian)
        return table.apply(frame.pixels).astype(np.float32)
    item = frame.group("PixelValueTransformationSequence")
    slope = _number(item, "RescaleSlope", 1.0) or 1.0
    # float64 for the product: stored values of 32 bits lose their low digits in float32
    rescaled: Values = (frame.pixels * np.float64(slope) + _number(item, "RescaleIntercept", 0.0)).astype(np.float32)
    return rescaled


def _object_shades(frame: Frame, values: Values) -> Values | None:
    """Apply what the object itself says, or return None."""
    item = frame.group("FrameVOILUTSequence")
    window = object_window(item)
    if window is not None:
        return window.apply(values)
    tables = item.get("VOILUTSequence")
    if not tables:
        return None
    table = sequence_table(tables[0], signed=bool(np.min(values) < 0), big_endian=frame.big_endian)
    # The descriptor says up to which value entries go, but says 16 bits of 8-bit entries now and then.
    top = max(1.0, float(np.max(table.entries)))
    shades: Values = table.apply(np.nan_to_num(values)).astype(np.float32) / np.float32(top)
    return shades


def object_window(item: Dataset) -> Window | None:
    """Return the first window of a data set; None if there is none that can be applied."""
    centre = _number(item, "WindowCenter", np.nan)
    width = _number(item, "WindowWidth", np.nan)
    function = str(first_value(item, "VOILUTFunction") or "LINEAR").strip()
    if function not in _FUNCTIONS:
        function = "LINEAR"
    if not (np.isfinite(centre) and np.isfinite(width) and width >= _LEAST_WIDTH[function]):
        return None
    return Window(centre, width, function)


def _number(item: Dataset, keyword: str, default: float) -> float:
    value = first_value(item, keyword)
    return default if value is None else float(value)


def padding_mask(frame: Frame) -> NDArray[np.bool_] | None:
    """Tell which stored values are padding (0028,0120), (0028,0121); None if there is no such value."""
    start = _stored(frame, "PixelPaddingValue")
    if start is None:
        return None
    end = _stored(frame, "PixelPaddingRangeLimit")
    low, high = sorted((start, start if end is None else end))
    mask: NDArray[np.bool_] = (frame.pixels >= low) & (frame.pixels <= high)
    return mask


def _stored(frame: Frame, keyword: str) -> int | None:
    value = first_value(frame.header, keyword)
    if value is None:
        return None
    number = int(value)
    # written as US in an image of signed pixels, now and then
    return number - 0x10000 if frame.layout.signed and 0x7FFF < number <= 0xFFFF else number


def default_shades(values: Values, modality: str, padding: NDArray[np.bool_] | None = None) -> Values:
    """Window values of an object that says nothing itself, by modality; see :func:`default_window`."""
    return default_window(values, modality, padding).apply(values)


def default_window(values: Values, modality: str, padding: NDArray[np.bool_] | None = None) -> Window:
    """Return a window for an object that says nothing itself, by modality and by the values that it has.

    :param padding: values that do not count.
    """
    counted = _sample(values if padding is None else values[~padding])
    if modality == "CT" and _within(counted, *CT_WINDOW):
        return Window(*CT_WINDOW)
    low, high = (float(limit) for limit in _percentiles(counted, PET_PERCENTILES if modality == "PT" else PERCENTILES))
    if low >= high:  # an even picture is black
        return Window(low + 0.5, 1.0, "LINEAR_EXACT")
    return Window(low / 2 + high / 2, high - low, "LINEAR_EXACT")


def _sample(values: Values) -> Values:
    flat = values.reshape(-1)
    thinned = flat[:: max(1, flat.size // _SAMPLE)]
    return np.compress(np.isfinite(thinned), thinned)


def _within(values: Values, centre: float, width: float) -> bool:
    """Tell whether a window shows anything of these values."""
    return bool(((values > centre - width / 2) & (values < centre + width / 2)).any())


def _percentiles(values: Values, percentiles: tuple[float, float]) -> tuple[np.float32, np.float32]:
    """Return the two limits; the extremes where the percentiles fall together, as in a mostly empty picture."""
    if not values.size:
        return np.float32(0), np.float32(1)
    low, high = np.percentile(values, percentiles)
    if low == high:
        low, high = np.min(values), np.max(values)
    return np.float32(low), np.float32(high)
