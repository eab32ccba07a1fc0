"""The images of a series in the order to look through them."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dicom.values import to_text
from ..domain.cancel import CancelToken
from ..domain.errors import BadData, StorageError
from ..domain.views import Stack
from ..imaging.order import InstanceGeometry, display_order
from ..imaging.placeholder import kind_of
from ..store.catalogue import LocalFile
from ..store.elements import RawElement, scan_file

_VRS = {
    0x00080060: "CS",
    0x00082144: "IS",
    0x00180040: "IS",
    0x00181063: "DS",
    0x00181065: "DS",
    0x00200013: "IS",
    0x00200032: "DS",
    0x00200037: "DS",
    0x00280008: "IS",
    0x00280010: "US",
    0x00280011: "US",
}
_MODALITY, _NUMBER, _POSITION, _ORIENTATION = 0x00080060, 0x00200013, 0x00200032, 0x00200037
_FRAMES, _ROWS, _COLUMNS = 0x00280008, 0x00280010, 0x00280011
_FRAME_TIME, _FRAME_TIME_VECTOR, _DISPLAY_RATE, _CINE_RATE = 0x00181063, 0x00181065, 0x00082144, 0x00180040
# The vector of a long film is longer than the scanner takes; it is asked for alone.
_FIRST_LOOK = frozenset(_VRS) - {_FRAME_TIME_VECTOR}
# Milliseconds between frames that make a film.
_PLAUSIBLE = (1.0, 60_000.0)
_MAX_FRAMES = 1_000_000
_CACHED_FILES = 50_000


@dataclass(frozen=True)
class Facts:
    """What a file says of its place in a stack.

    :ivar frames: 0 for an object without pixels.
    """

    frames: int
    number: int | None
    geometry: InstanceGeometry
    modality: str
    frame_time_ms: float | None


@dataclass(frozen=True)
class _Known:
    """A file that was read: modification time and size then, and its facts, None if it was damaged."""

    path: Path
    stamp: tuple[int, int]
    facts: Facts | None


def read_facts(path: Path) -> Facts:
    """Read what a stack needs of a file, and nothing else.

    :raises BadData: not a whole DICOM file.
    :raises StorageError: it cannot be read.
    """
    found = scan_file(path, _FIRST_LOOK)
    little = found.little_endian
    texts = {tag: _text(tag, value, little) for tag, value in found.values.items()}
    frames = min(max(1, _whole(texts.get(_FRAMES)) or 1), _MAX_FRAMES)
    number = _whole(texts.get(_NUMBER))
    return Facts(
        frames=frames if _whole(texts.get(_ROWS)) and _whole(texts.get(_COLUMNS)) else 0,
        number=number,
        geometry=_geometry(number, texts.get(_POSITION, ""), texts.get(_ORIENTATION, "")),
        modality=texts.get(_MODALITY, ""),
        frame_time_ms=_frame_time(path, texts) if frames > 1 else None,
    )


def _text(tag: int, element: RawElement, little_endian: bool) -> str:
    vr = _VRS[tag] if element.vr in ("", "UN") else element.vr
    return to_text(element.value, vr, ("ascii",), little_endian=little_endian)


def _whole(text: str | None) -> int | None:
    numbers = _numbers((text or "").partition("\\")[0])
    return int(numbers[0]) if numbers and abs(numbers[0]) < 1e12 else None


def _numbers(text: str) -> tuple[float, ...]:
    """Return the values of a text, none if one of them is not a finite number."""
    try:
        numbers = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _geometry(number: int | None, position: str, orientation: str) -> InstanceGeometry:
    place, cosines = _numbers(position), _numbers(orientation)
    if len(place) != 3 or len(cosines) != 6:
        return InstanceGeometry("", number)
    x, y, z = place
    a, b, c, d, e, f = cosines
    return InstanceGeometry("", number, (x, y, z), (a, b, c, d, e, f))


def _frame_time(path: Path, texts: dict[int, str]) -> float | None:
    """Return milliseconds from frame to frame (PS3.3, C.7.6.5), None if nothing sensible says."""
    times = [_first(texts.get(_FRAME_TIME)), _vector_mean(path)]
    times += [1000 / rate for tag in (_DISPLAY_RATE, _CINE_RATE) if (rate := _first(texts.get(tag))) > 0]
    return next((time for time in times if _PLAUSIBLE[0] <= time <= _PLAUSIBLE[1]), None)


def _first(text: str | None) -> float:
    numbers = _numbers((text or "").partition("\\")[0])
    return numbers[0] if numbers else 0.0


def _vector_mean(path: Path) -> float:
    """Return the mean of the increments in Frame Time Vector (0018,1065), whose first is that of no frame."""
    try:
        found = scan_file(path, {_FRAME_TIME_VECTOR}).values.get(_FRAME_TIME_VECTOR)
    except BadData:  # longer than the scanner takes
        return 0.0
    increments = _numbers(_text(_FRAME_TIME_VECTOR, found, little_endian=True))[1:] if found else ()
    return sum(increments) / len(increments) if increments else 0.0


class FactsCache:
    """Remembers the facts of files that have not changed since. Safe from several threads.

    :param path_of: tells where the file of an instance lies; asked once for each file.
    :param read: what reads a file.
    """

    def __init__(self, path_of: Callable[[LocalFile], Path], read: Callable[[Path], Facts] = read_facts) -> None:
        self._path_of = path_of
        self._read = read
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, file: LocalFile) -> Facts | None:
        """Return the facts of a file; None if it is damaged or cannot be read."""
        with self._lock:
            known = self._known.get(file.file)
        try:
            path = known.path if known is not None else self._path_of(file)
            state = os.stat(path)  # noqa: PTH116  the same, faster
            stamp = (state.st_mtime_ns, state.st_size)
            if known is None or known.stamp != stamp:
                known = _Known(path, stamp, self._read_sound(path))
        except (OSError, BadData, StorageError):
            return None  # may be readable the next time
        self._remember(file.file, known)
        return known.facts

    def _read_sound(self, path: Path) -> Facts | None:
        try:
            return self._read(path)
        except BadData:
            return None

    def _remember(self, name: str, known: _Known) -> None:
        with self._lock:
            self._known[name] = known
            self._known.move_to_end(name)
            while len(self._known) > _CACHED_FILES:
                self._known.popitem(last=False)


def stack_of(files: Sequence[LocalFile], cache: FactsCache, token: CancelToken) -> Stack:
    """Return the stack of the local instances of a series.

    A damaged file has its place by its instance number, so that the viewer can say what is wrong with it; objects
    without pixels have theirs with no frames, because they have elements to look at.

    :raises Cancelled: the token was raised.
    """
    images = []
    for file in files:
        token.check()
        images.append((file.instance.sop_uid, cache.get(file) or _facts_of_damaged(file)))
    films = [facts for _, facts in images if facts.frames > 1]
    places = [InstanceGeometry("", facts.number) if films else facts.geometry for _, facts in images]
    return Stack(
        images=tuple((images[index][0], images[index][1].frames) for index in display_order(places)),
        frame_time_ms=next((film.frame_time_ms for film in films if film.frame_time_ms), None),
        modality=next((facts.modality for _, facts in images if facts.modality), ""),
    )


def _facts_of_damaged(file: LocalFile) -> Facts:
    instance = file.instance
    frames = 0 if kind_of("", instance.sop_class) else 1
    return Facts(frames, instance.number, InstanceGeometry("", instance.number), "", None)
