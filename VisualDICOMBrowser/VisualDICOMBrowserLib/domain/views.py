"""What a viewer shows of what is here: stacks, frames, and the elements of an instance."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stack:
    """The images of a series that are here, in the order to look through them.

    :ivar images: SOP Instance UID and number of frames of each; 0 frames where the object has no pixels.
    :ivar frame_time_ms: milliseconds from one frame to the next in a film; None if nothing says that it is one.
    """

    images: tuple[tuple[str, int], ...]
    frame_time_ms: float | None
    modality: str

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"images": [[uid, frames], …], "frame_time_ms", "modality"}``."""
        images = [[sop_uid, frames] for sop_uid, frames in self.images]
        return {"images": images, "frame_time_ms": self.frame_time_ms, "modality": self.modality}


@dataclass(frozen=True)
class FrameView:
    """A frame as raw pixels in a file: row by row, little endian, no padding.

    The file stays only until others need its room: read or map it at once, and ask again if it is gone.

    :ivar format: ``gray16``, two bytes a pixel, or ``rgb8``, three.
    :ivar slope: a modality value is the stored one times ``slope`` plus ``intercept``.
    :ivar center: of the window to begin with, in modality values, as the object states it where it does.
    :ivar width_of_window: in modality values.
    :ivar inverted: whether low values are bright.
    :ivar aspect: height of a pixel over its width.
    :ivar placeholder: whether this is an even grey instead of the picture; then ``reason`` says why.
    :ivar note: a sentence if the window only comes near what the object asks for, else empty.
    """

    path: str
    width: int
    height: int
    format: str
    slope: float = 1.0
    intercept: float = 0.0
    center: float = 32768.0
    width_of_window: float = 65536.0
    inverted: bool = False
    aspect: float = 1.0
    placeholder: bool = False
    reason: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ElementPage:
    """Some of the elements of an instance, as rows, nested ones below their sequence.

    :ivar total: how many rows there are, or match the search.
    :ivar path: of the file.
    :ivar warning: what is wrong with the file, empty if nothing is.
    :ivar rows: ``(depth, "(GGGG,EEEE)", vr, name, length, value, parent)``; the parent is the index, among all rows or
        all that match, of the row that this one stands below, -1 if there is none.
    """

    total: int
    path: str
    warning: str
    rows: tuple[tuple[Any, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"total", "path", "warning", "rows": [[…], …]}``."""
        rows = [list(row) for row in self.rows]
        return {"total": self.total, "path": self.path, "warning": self.warning, "rows": rows}
