"""Which of the system's fonts can draw a text, and the drawing of it in runs.

A font answers a character it does not know with a box. So the character map ("cmap" table of the OpenType
specification) of each candidate is read, and a run of text is drawn with the first font that has its characters.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

AnyFont = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Ahead of all others, in this order: plain faces that draw many scripts well, for Linux, macOS and Windows.
_PREFERRED = (
    r"dejavusans$|notosans-regular|liberationsans-regular|segoeui$|helveticaneue$|^arial$",
    r"notosanscjk-?(jp|sc|kr|tc)?-?(regular)?$|sourcehansans-?(jp|sc|kr)?-?regular",
    r"wqy-microhei|wqy-zenhei|droidsansfallback|arial ?unicode|arialuni",
    r"notosans(jp|sc|kr|tc|hk)-?(regular)?|ヒラギノ角ゴシック w3|hiragino sans gb|applesdgothicneo|pingfang",
    r"^(msgothic|yugothm|meiryo|malgun|msyh|simsun|stheiti light)$|ipag|takaogothic|vl-gothic|nanumgothic$|undotum",
    r"^noto(sans|naskh)(arabic|hebrew|thai|devanagari|bengali|tamil|armenian|georgian|ethiopic).*regular",
)
# "Last resort" fonts claim every character and draw a box for it; colour fonts do not scale.
_UNWANTED = re.compile(r"emoji|symbol|lastresort|last ?resort|adobeblank|bold|italic|oblique|mono|math|ding|light|thin")
_SUFFIXES = frozenset({".ttf", ".ttc", ".otf", ".otc"})
#: So many of the fonts that are not named above are tried.
_MAX_OTHERS = 40
_LAST_CHARACTER = 0x10FFFF


@dataclass(frozen=True, eq=False)
class FontFile:
    """A font file (the first face of a collection) and the characters it draws; no path: Pillow's own font."""

    path: Path | None
    characters: frozenset[int] = field(repr=False)

    @lru_cache(maxsize=256)  # noqa: B019  fonts live as long as the process
    def at(self, size: int) -> AnyFont:
        """Return the face at a size in pixels."""
        return ImageFont.truetype(self.path, size) if self.path else ImageFont.load_default(size)


BUILT_IN = FontFile(None, frozenset(range(0x20, 0x7F)))


class Typesetter:
    """Draws text with as many fonts as it needs.

    :param fonts: in order of preference; iterated only as far as texts ask for.
    """

    def __init__(self, fonts: Iterator[FontFile]) -> None:
        self._source = fonts
        self._fonts: list[FontFile] = []
        self._known: dict[str, FontFile | None] = {}

    def covers(self, text: str) -> bool:
        """Tell whether every character of ``text`` can be drawn."""
        return all(self._font_for(character) for character in text)

    def drawable(self, text: str) -> str:
        """Return ``text`` on one line, without the characters that cannot be drawn."""
        kept = "".join(character for character in " ".join(text.split()) if self._font_for(character))
        return " ".join(kept.split())

    def width(self, text: str, size: int) -> float:
        """Return how wide ``text`` is, in pixels, at ``size`` pixels."""
        return sum(font.at(size).getlength(run) for font, run in self._runs(text))

    def cut(self, text: str, size: int, room: float) -> str:
        """Return ``text``, or as much of its beginning with an ellipsis as fits into ``room`` pixels."""
        if self.width(text, size) <= room:
            return text
        ellipsis = "…" if self._font_for("…") else "..."
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.width(text[:middle].rstrip() + ellipsis, size) <= room:
                low = middle
            else:
                high = middle - 1
        return text[:low].rstrip() + ellipsis

    def draw(
        self, canvas: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: tuple[int, ...]
    ) -> None:
        """Draw ``text`` with its baseline's beginning ``at``. What cannot be drawn is left out."""
        x, baseline = at
        for font, run in self._runs(text):
            canvas.text((x, baseline), run, fill=colour, font=font.at(size), anchor="ls")
            x += font.at(size).getlength(run)

    def _runs(self, text: str) -> list[tuple[FontFile, str]]:
        pairs = ((self._font_for(character), character) for character in text)
        runs = groupby(pairs, key=lambda pair: pair[0])
        return [(font, "".join(character for _, character in run)) for font, run in runs if font]

    def _font_for(self, character: str) -> FontFile | None:
        if character not in self._known:
            self._known[character] = self._search(character) if character.isprintable() else None
        return self._known[character]

    def _search(self, character: str) -> FontFile | None:
        code = ord(character)
        for font in self._fonts:
            if code in font.characters:
                return font
        for font in self._source:
            self._fonts.append(font)
            if code in font.characters:
                return font
        return None


@lru_cache(maxsize=1)
def system_typesetter() -> Typesetter:
    """Return the typesetter for the fonts of this computer; without any it draws ASCII."""
    return Typesetter(system_fonts(font_folders()))


def font_folders() -> list[Path]:
    """Return the folders where this kind of system keeps its fonts."""
    home = Path.home()
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local"))
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts", local / "Microsoft/Windows/Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    shared = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), shared / "fonts", home / ".fonts"]


def system_fonts(folders: Sequence[Path]) -> Iterator[FontFile]:
    """Yield usable fonts, the preferred first, Pillow's own last; files are read as they are asked for."""
    for path in _by_preference(folders):
        characters = read_characters(path)
        if characters and _loads(path):
            yield FontFile(path, characters)
    yield BUILT_IN


def _by_preference(folders: Sequence[Path]) -> list[Path]:
    found = [
        Path(folder, name)
        for start in folders
        for folder, _, names in os.walk(start)
        for name in names
        if Path(name).suffix.lower() in _SUFFIXES
    ]
    ranked = sorted((_rank(_stem(path)), _stem(path), path) for path in found)
    preferred = [path for rank, _, path in ranked if rank < len(_PREFERRED)]
    others = [path for rank, stem, path in ranked if rank == len(_PREFERRED) and not _UNWANTED.search(stem)]
    return preferred + others[:_MAX_OTHERS]


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", path.stem).lower()  # macOS may take names apart


def _rank(stem: str) -> int:
    return next((rank for rank, pattern in enumerate(_PREFERRED) if re.search(pattern, stem)), len(_PREFERRED))


def _loads(path: Path) -> bool:
    try:
        ImageFont.truetype(path, 12)
    except OSError:
        return False
    return True


def read_characters(path: Path) -> frozenset[int]:
    """Return the code points a font file maps to glyphs; nothing if the file is not a readable font."""
    try:
        with path.open("rb") as stream:
            return frozenset(_characters(stream.read()))
    except (OSError, struct.error, IndexError, MemoryError):
        return frozenset()


def _characters(data: bytes) -> Iterator[int]:
    start = struct.unpack_from(">L", data, 12)[0] if data[:4] == b"ttcf" else 0
    for index in range(struct.unpack_from(">H", data, start + 4)[0]):
        tag, _, offset, _ = struct.unpack_from(">4sLLL", data, start + 12 + 16 * index)
        if tag == b"cmap":
            yield from _from_cmap(data, offset)


def _from_cmap(data: bytes, cmap: int) -> Iterator[int]:
    """Read the richest Unicode subtable: format 12 (all planes), else format 4 (basic plane)."""
    tables: dict[int, int] = {}
    for index in range(struct.unpack_from(">H", data, cmap + 2)[0]):
        platform, _, offset = struct.unpack_from(">HHL", data, cmap + 4 + 8 * index)
        if platform in (0, 3):
            tables.setdefault(struct.unpack_from(">H", data, cmap + offset)[0], cmap + offset)
    if 12 in tables:
        yield from _format_12(data, tables[12])
    elif 4 in tables:
        yield from _format_4(data, tables[4])


def _format_12(data: bytes, table: int) -> Iterator[int]:
    for index in range(struct.unpack_from(">L", data, table + 12)[0]):
        first, last, glyph = struct.unpack_from(">LLL", data, table + 16 + 12 * index)
        yield from range(first + (glyph == 0), min(last, _LAST_CHARACTER) + 1)


def _format_4(data: bytes, table: int) -> Iterator[int]:
    doubled = struct.unpack_from(">H", data, table + 6)[0]
    ends = table + 14
    starts, deltas, offsets = (ends + 2 + doubled * step for step in (1, 2, 3))
    for index in range(0, doubled, 2):
        end, start, delta, offset = (
            struct.unpack_from(">H", data, at + index)[0] for at in (ends, starts, deltas, offsets)
        )
        for code in range(start, min(end, 0xFFFE) + 1):
            glyph = code
            if offset:
                glyph = struct.unpack_from(">H", data, offsets + index + offset + 2 * (code - start))[0]
            # With an offset, glyph 0 means "none" whatever the delta.
            if (glyph or not offset) and (glyph + delta) & 0xFFFF:
                yield code
