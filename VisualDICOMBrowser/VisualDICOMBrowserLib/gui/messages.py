"""What the window tells its user: a sentence, how serious it is, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


class Tone(Enum):
    """How serious a message is."""

    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Remedy:
    """A button on a message."""

    label: str
    act: Callable[[], object]


@dataclass(frozen=True)
class Message:
    """One message. A newer one with the same ``about`` takes the place of the older.

    :ivar about: what it is about, for example ``search`` or ``server:PACS``.
    :ivar details: more lines for who wants to know.
    """

    text: str
    tone: Tone = Tone.NOTE
    about: str = ""
    remedies: tuple[Remedy, ...] = field(default=())
    details: tuple[str, ...] = ()


def counted(number: int, word: str) -> str:
    """Return a number of things for people: ``1 image``, ``2 images``, ``2 series``."""
    plural = word if word.endswith("s") else f"{word}s"
    return f"{number:,} {word if number == 1 else plural}"
