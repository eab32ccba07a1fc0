"""Which messages are shown, and which only counted; without Qt."""

from __future__ import annotations

from dataclasses import dataclass

from ..messages import Message, Tone

MAX_SHOWN = 3
#: More than these are dropped, oldest first: nobody reads them.
MAX_KEPT = 50

_WEIGHT = {Tone.NOTE: 0, Tone.WARNING: 1, Tone.PROBLEM: 2}


@dataclass(frozen=True)
class Entry:
    """A message with a number of its own."""

    number: int
    message: Message


class MessageStack:
    """The messages that nobody has closed yet. A newer one takes the place of the older about the same thing."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._next = 0

    def add(self, message: Message) -> Entry:
        """Take a message; one that says the same as one that is there, word for word, is not doubled."""
        self._entries = [e for e in self._entries if not _same_matter(e.message, message)]
        entry = Entry(self._next, message)
        self._next += 1
        self._entries = [*self._entries, entry][-MAX_KEPT:]
        return entry

    def close(self, number: int) -> None:
        """Drop a message."""
        self._entries = [entry for entry in self._entries if entry.number != number]

    def close_about(self, about: str) -> None:
        """Drop the message about something."""
        self._entries = [entry for entry in self._entries if entry.message.about != about]

    def clear(self) -> None:
        """Drop all."""
        self._entries = []

    def shown(self) -> list[Entry]:
        """Return what is shown, the gravest and newest first."""
        return self._by_weight()[:MAX_SHOWN]

    def hidden(self) -> int:
        """Return how many are only counted."""
        return max(0, len(self._entries) - MAX_SHOWN)

    def _by_weight(self) -> list[Entry]:
        return sorted(self._entries, key=lambda e: (_WEIGHT[e.message.tone], e.number), reverse=True)


def _same_matter(old: Message, new: Message) -> bool:
    if new.about:
        return old.about == new.about
    return not old.about and old.text == new.text and old.tone is new.tone
