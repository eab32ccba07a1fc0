"""Which frame of a series is shown, which ones are wanted next, and when a cine goes on: all of it without Qt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

#: Frames a second of a cine whose file does not say.
DEFAULT_RATE = 12.0
#: What can be chosen, in frames a second.
RATES = (1, 60)
#: More frames than any display can be moved through; a file that claims more is not believed.
MAX_FRAMES = 100_000

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Frame:
    """One picture of a series. ``number`` counts from 0 within its instance."""

    sop_uid: str
    number: int = 0


def frames_of(images: Iterable[Sequence[object]]) -> tuple[Frame, ...]:
    """Return the frames of ``[[SOP Instance UID, number of frames], ...]``, in their order."""
    frames: list[Frame] = []
    for sop_uid, count in images:
        room = MAX_FRAMES - len(frames)
        frames.extend(Frame(str(sop_uid), number) for number in range(min(room, int(str(count)))))
    return tuple(frames)


class StackState:
    """The frames of a series and the one that is shown; more may be added at any place while a series arrives.

    :ivar direction: 1 or -1, the way the user went last.
    """

    def __init__(self) -> None:
        self.frames: tuple[Frame, ...] = ()
        self.index = 0
        self.direction = 1
        self._places: dict[Frame, int] = {}

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.frames)

    @property
    def current(self) -> Frame | None:
        """The frame that is shown."""
        return self.frames[self.index] if self.frames else None

    def set_frames(self, frames: Sequence[Frame]) -> bool:
        """Take the frames that are here now and stay at the one that is shown; tell whether anything is new.

        The first time it is the middle one of several instances, which is what the thumbnail shows, or the first
        frame of a single one.
        """
        if tuple(frames) == self.frames:
            return False
        current = self.current
        self.frames = tuple(frames)
        self._places = {frame: place for place, frame in enumerate(self.frames)}
        self.index = self._first() if current is None else self._places.get(current, min(self.index, self.count - 1))
        self.index = max(0, self.index)
        return True

    def _first(self) -> int:
        several = len({frame.sop_uid for frame in self.frames[:2]}) > 1
        return self.count // 2 if several else 0

    def go(self, index: int) -> bool:
        """Show another frame, the nearest there is; tell whether it is another one."""
        index = max(0, min(index, self.count - 1))
        if index == self.index:
            return False
        self.direction = 1 if index > self.index else -1
        self.index = index
        return True

    def go_round(self, steps: int) -> None:
        """Go on as a cine does: after the last frame comes the first."""
        if self.count:
            self.index = (self.index + steps) % self.count
            self.direction = 1

    def place_of(self, sop_uid: str) -> int | None:
        """Return where an instance begins; None if it is not in the stack."""
        return self._places.get(Frame(sop_uid))

    def wanted(self, most: int = 8, *, round_trip: bool = False) -> list[Frame]:
        """Return the frames worth having, the most urgent first: the one shown, those ahead, one behind."""
        places = [self.index + self.direction * step for step in range(most - 1)]
        places.insert(most // 2, self.index - self.direction)
        if round_trip and self.count:
            places = [place % self.count for place in places]
        inside = dict.fromkeys(place for place in places if 0 <= place < self.count)
        return [self.frames[place] for place in inside][:most]


class CineClock:
    """Says how many frames are due. Times are seconds on any clock that does not run backwards."""

    def __init__(self, rate: float = DEFAULT_RATE) -> None:
        self.rate = rate
        self._last = 0.0

    def start(self, now: float) -> None:
        """Begin, or begin anew after a wait for a frame: nothing is caught up."""
        self._last = now

    def due(self, now: float) -> int:
        """Return how many frames to go on; what is left of a frame's time counts for the next."""
        steps = int((now - self._last) * self.rate + 1e-9)
        if steps > 0:
            self._last += steps / self.rate
        return max(0, steps)


def cine_rate(frame_time_ms: float | None) -> float:
    """Return frames a second for a file's frame time (Frame Time, PS3.3 C.7.6.5), within :data:`RATES`."""
    if not frame_time_ms or not frame_time_ms > 0:
        return DEFAULT_RATE
    return max(float(RATES[0]), min(float(RATES[1]), 1000.0 / frame_time_ms))


class Recent(Generic[Key, Value]):
    """What was used last, as much of it as fits.

    :param budget: the most that all sizes may add up to; the newest stays even if it alone is more.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value, and drop those that were not used for longest."""
        self.used += size - self._kept.pop(key, (value, 0))[1]
        self._kept[key] = (value, size)
        while self.used > self.budget and len(self._kept) > 1:
            self.used -= self._kept.popitem(last=False)[1][1]

    def get(self, key: Key) -> Value | None:
        """Return a value, which makes it the one used last; None if it is not kept."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def keep(self, wanted: Callable[[Value], bool]) -> None:
        """Drop all values but those that are wanted."""
        for key in [key for key, (value, _) in self._kept.items() if not wanted(value)]:
            self.used -= self._kept.pop(key)[1]

    def clear(self) -> None:
        """Drop everything."""
        self._kept.clear()
        self.used = 0
