"""The README's pictures: the real window on the embedded PACS, driven and grabbed.

Nothing in them depends on the time of day, on a port number or on the size of the screen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from VisualDICOMBrowserLib.demo.launcher import demo_pacs
from VisualDICOMBrowserLib.domain.servers import Server

from .scenes import Stage

#: The README is read over the network: no picture may be larger, in bytes.
MOST_BYTES = 250_000
#: So many colours are kept exactly where there must be fewer.
_EXACT = 64
_CT, _HEART = "Müller, Jörg", "Yamada, Tarou"
_OURS = (Server("Hospital PACS", "pacs.example.org", 104, called_aet="HOSPITAL"),)

Say = Callable[[str], None]


def make(folder: Path, say: Say) -> list[Path]:
    """Make all pictures, and return their paths.

    :raises AssertionError: the window did not come to what a picture shows, or a picture is too large.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch, demo_pacs() as pacs:
        studio = _Studio(folder, Path(scratch), pacs.server, say)
        for scene in (studio.window, studio.dark, studio.narrow, studio.settings, studio.welcome):
            scene()
    return studio.made


class _Studio:
    def __init__(self, folder: Path, scratch: Path, server: Server, say: Say) -> None:
        self.made: list[Path] = []
        self._folder, self._scratch, self._server, self._say = folder, scratch, server, say

    def window(self) -> None:
        """CT: one series fetched, one of its slices and its elements."""
        with self._stage("window-light", self._server) as stage:
            stage.search()
            stage.choose(_CT)
            stage.fold("PET/CT")
            stage.fetch("Thorax/Abdomen")
            stage.look_at("Thorax/Abdomen", share=0.45)
            stage.find_elements("")
            self._take(stage)

    def dark(self) -> None:
        """Ultrasound: names in Japanese, a clip in colour, a search in the elements, the jobs."""
        with self._stage("window-dark", self._server, theme="dark") as stage:
            stage.search()
            stage.choose(_HEART)
            stage.fetch("カラー")
            stage.look_at("カラー", share=0.4)
            stage.find_elements("patient")
            self._take(stage)

    def narrow(self) -> None:
        """The least that a laptop beside another window leaves."""
        with self._stage("window-narrow", self._server, size=(900, 600)) as stage:
            stage.search()
            stage.choose(_HEART)
            stage.hide_detail()
            self._take(stage)

    def settings(self) -> None:
        """The servers, one of them out of reach."""
        with self._stage("settings", self._server, *_OURS) as stage:
            stage.show_server("Hospital PACS")
            self._take(stage)

    def welcome(self) -> None:
        """The first page."""
        with self._stage("welcome", size=(900, 600)) as stage:
            stage.wait_for_welcome()
            self._take(stage)

    def _stage(self, name: str, *servers: Server, theme: str = "light", size: tuple[int, int] = (1280, 820)) -> Stage:
        self._say(f"{name} ...")
        return Stage(name, self._scratch / name, *servers, theme=theme, size=size)

    def _take(self, stage: Stage) -> None:
        path = stage.take(self._folder / f"{stage.name}.png")
        _shrink(path)
        if path.stat().st_size > MOST_BYTES:
            raise AssertionError(f"{path.name} has {path.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
        self.made.append(path)


def _shrink(path: Path) -> None:
    """Write a picture with the best compression, and with fewer colours if that is not enough."""
    with Image.open(path) as picture:
        true = picture.convert("RGB")
    true.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        true.quantize(palette=_palette_of(true), dither=Image.Dither.NONE).save(path, optimize=True)


def _palette_of(picture: Image.Image) -> Image.Image:
    """Choose 256 colours: the most frequent, which are those of the window itself, then what covers the rest."""
    frequent = sorted(picture.getcolors(1 << 24) or [], reverse=True)[:_EXACT]
    rest = picture.quantize(256 - _EXACT, Image.Quantize.MAXCOVERAGE).getpalette() or []
    chosen = Image.new("P", (1, 1))
    chosen.putpalette([part for _, colour in frequent for part in colour] + rest)
    return chosen
