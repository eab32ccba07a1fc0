"""Texts from data sets as names of folders that every system takes, and that stay in their folder."""

from __future__ import annotations

import unicodedata

#: Longest name, in characters and in bytes of UTF-8: three of them and a file name stay below Windows' 260 with a
#: reasonable folder above, and each below the 255 bytes of other file systems.
MAX_CHARACTERS = 48
MAX_BYTES = 150

_FORBIDDEN = frozenset('<>:"/\\|?*')
# Devices, with whatever extension (Windows, "Naming Files, Paths, and Namespaces").
_RESERVED = frozenset(
    ("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *(f"{d}{n}" for d in ("COM", "LPT") for n in "0123456789¹²³"))
)


def safe_name(text: str, fallback: str) -> str:
    """Return ``text`` as the name of one file or folder.

    :param fallback: for a text of which nothing is left; a safe name itself.
    """
    # Normalized first: what looks like a full-width stroke stays one, but a letter and its accent become one.
    characters = [_safe(character) for character in unicodedata.normalize("NFC", text)]
    name = _shortened(" ".join("".join(characters).split()).strip(". "))
    if not name.strip("_. "):
        return fallback
    return f"_{name}" if name.split(".")[0].rstrip(" ").upper() in _RESERVED else name


def _safe(character: str) -> str:
    if character in _FORBIDDEN:
        return "_"
    if character.isspace():
        return " "
    # Control and format characters (which turn the direction of text), lone surrogates, unassigned and private ones.
    return "" if unicodedata.category(character).startswith("C") else character


def _shortened(name: str) -> str:
    name = name[:MAX_CHARACTERS]
    while len(name.encode()) > MAX_BYTES:
        name = name[:-1]
    return name.rstrip(". ")
