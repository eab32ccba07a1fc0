"""Makes QImages of arrays by filling their own memory, which is right in every Qt binding."""

from __future__ import annotations

from typing import Any

import qt


def grey_image(values: Any, table: Any) -> qt.QImage:
    """Return a picture of ``(rows, columns)`` of uint16, seen through a lookup table of 65,536 greys."""
    import numpy as np  # noqa: PLC0415

    rows, columns = values.shape
    image = qt.QImage(columns, rows, qt.QImage.Format_Grayscale8)
    np.take(table, values, out=_lines(image, rows)[:, :columns], mode="clip")
    return image


def colour_image(values: Any) -> qt.QImage:
    """Return a picture of ``(rows, columns, 3)`` of uint8, red first."""
    rows, columns = values.shape[:2]
    image = qt.QImage(columns, rows, qt.QImage.Format_RGB888)
    _lines(image, rows)[:, : columns * 3] = values.reshape(rows, columns * 3)
    return image


def _lines(image: qt.QImage, rows: int) -> Any:
    """Return the memory of a picture; its lines are padded to four bytes."""
    import numpy as np  # noqa: PLC0415

    return np.frombuffer(image.bits(), np.uint8).reshape(rows, image.bytesPerLine())
