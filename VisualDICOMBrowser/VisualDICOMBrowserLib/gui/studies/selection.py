"""Which series are chosen: the rules of mouse and keys, by UID, so that it outlives every refresh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Order = Callable[[], Sequence[str]]


class Selection:
    """A set of Series Instance UIDs with an anchor, from which ranges reach.

    Every method that changes something returns whether the set is another one than before.

    :param order: gives the UIDs that can be chosen, as they lie in the window from above to below.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._chosen: frozenset[str] = frozenset()
        self._before_band: frozenset[str] | None = None
        self.anchor: str | None = None

    def __contains__(self, uid: str) -> bool:
        return uid in self._chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def uids(self) -> frozenset[str]:
        """What is chosen."""
        return self._chosen

    def choose(self, uid: str) -> bool:
        """Choose this one alone: a click, or an arrow key."""
        self.anchor = uid
        return self._set({uid})

    def toggle(self, uid: str) -> bool:
        """Take one in or out, the others stay: a click with Ctrl, or Space."""
        self.anchor = uid
        return self._set(self._chosen ^ {uid})

    def reach(self, uid: str, *, add: bool = False) -> bool:
        """Choose all from the anchor to this one, with Shift; with ``add`` the others stay."""
        order = self._order()
        if self.anchor not in order or uid not in order:
            return self.choose(uid)
        first, last = sorted((order.index(self.anchor), order.index(uid)))
        reached = set(order[first : last + 1])
        return self._set(self._chosen | reached if add else reached)

    def begin_band(self, *, add: bool) -> None:
        """Begin a rubber band; with ``add`` (Ctrl) it turns over what it meets, and the others stay."""
        self._before_band = self._chosen if add else frozenset()

    def stretch_band(self, uids: Iterable[str]) -> bool:
        """Have the rubber band meet these now."""
        return self._set((self._before_band or frozenset()) ^ frozenset(uids))

    def end_band(self) -> None:
        """Let go of the rubber band."""
        self._before_band = None

    def set_all(self, uids: Iterable[str], chosen: bool = True) -> bool:
        """Take all of these in, or out."""
        return self._set(self._chosen | set(uids) if chosen else self._chosen - set(uids))

    def clear(self) -> bool:
        """Choose nothing."""
        return self._set(())

    def keep_only(self, known: Iterable[str]) -> bool:
        """Drop those that are gone."""
        return self._set(self._chosen & frozenset(known))

    def share_of(self, uids: Sequence[str]) -> float:
        """Return how many of these are chosen, from 0 (none, or there are none) to 1 (all)."""
        return sum(uid in self._chosen for uid in uids) / len(uids) if uids else 0.0

    def _set(self, uids: Iterable[str]) -> bool:
        before, self._chosen = self._chosen, frozenset(uids)
        return self._chosen != before
