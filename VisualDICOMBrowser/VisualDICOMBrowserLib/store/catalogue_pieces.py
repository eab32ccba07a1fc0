"""An index for parts of texts: what each person is found by, cut into pieces.

A piece is six characters from any place of the text on, as one number: ten bits of each character. Whoever has a word
in the text has a piece in the range of numbers that begin like the word. Some others have, too: it only narrows down
who has to be looked at. The numbers are another spelling of the names, not a secret: they go with the rows of a person
who is removed, and the copies that SQLite may have left of them go when the catalogue is written anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

#: Characters of a piece.
LENGTH = 6
#: Stands for the pieces of texts that are too long to be cut up.
LONG = -1
# Twice what a name in all three groups and an ID can have (PS3.5, 6.2).
_LONGEST_TEXT = 512
_BITS = 10
_CHARACTER = (1 << _BITS) - 1
_PIECE = (1 << _BITS * LENGTH) - 1


def pieces_of(text: str) -> set[int]:
    """Return the pieces of a text."""
    if len(text) > _LONGEST_TEXT:
        return {LONG}
    found, piece = set(), 0
    for at, code in enumerate((*(ord(character) & _CHARACTER for character in text), *(0,) * (LENGTH - 1)), 1):
        piece = (piece << _BITS | code) & _PIECE
        if at >= LENGTH:
            found.add(piece)
    return found


def ranges_of(word: str) -> Iterator[tuple[int, int]]:
    """Yield ranges of numbers, some for long words. In each is a piece of every text with the word but :data:`LONG`."""
    last = max(0, len(word) - LENGTH)
    for at in sorted({0, last // 3, last * 2 // 3, last}):
        beginning = word[at : at + LENGTH]
        first = 0
        for character in beginning:
            first = first << _BITS | ord(character) & _CHARACTER
        open_bits = _BITS * (LENGTH - len(beginning))
        yield first << open_bits, (first + 1 << open_bits) - 1


def change_pieces(db: sqlite3.Connection, person: int, before: str, after: str) -> None:
    """Have a person found by another text than before; empty ones stand for none."""
    old, new = pieces_of(before), pieces_of(after)
    for statement, pieces in (
        ("DELETE FROM pieces WHERE piece = ? AND patient = ?", old - new),
        ("INSERT OR IGNORE INTO pieces VALUES (?, ?)", new - old),
    ):
        db.executemany(statement, [(piece, person) for piece in sorted(pieces)])
