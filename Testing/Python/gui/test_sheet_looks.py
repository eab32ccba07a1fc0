"""The sheet as it is painted: every state in light and dark and in every size."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import qt
from PIL import Image

from support import sheet_samples as samples
from VisualDICOMBrowserLib.gui.studies.sheet_look import Look, ThumbnailSize
from VisualDICOMBrowserLib.gui.studies.study_sheet import StudySheet

DARK = {"Window": "#2b2d30", "Base": "#1e1f22", "Text": "#dfe1e5", "WindowText": "#dfe1e5", "Highlight": "#3b7ddd"}
LIGHT = {"Window": "#f4f5f7", "Base": "#ffffff", "Text": "#1c1e21", "WindowText": "#1c1e21", "Highlight": "#2a6fdb"}


def palette(colours: dict[str, str]) -> qt.QPalette:
    made = qt.QPalette()
    for role, colour in colours.items():
        made.setColor(getattr(qt.QPalette, role), qt.QColor(colour))
    return made


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    made = [tmp_path / f"picture{index}.png" for index in range(8)]
    for path in made:
        Image.linear_gradient("L").save(path)
    return [str(path) for path in made]


@pytest.fixture
def shown(qtbot, session, pictures):
    sheet = StudySheet(session)
    qtbot.addWidget(sheet)
    sheet.resize(1000, 700)
    sheet.show()
    qtbot.waitExposed(sheet)
    yield sheet
    sheet.cleanup()


def colours_of(image: qt.QImage, box, top: int, ratio: float) -> set[str]:
    return {
        image.pixelColor(int(x * ratio), int((y - top) * ratio)).name()
        for x in range(box.x, box.right)
        for y in range(box.y, box.bottom)
    }


def contrast(one: qt.QColor, other: qt.QColor) -> float:
    first, second = sorted((luminance(one), luminance(other)))
    return (second + 0.05) / (first + 0.05)


def luminance(colour: qt.QColor) -> float:
    parts = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("size", ThumbnailSize)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_state_has_a_look_of_its_own(shown, session, qtbot, pictures, tmp_path, colours, size):
    shown.setPalette(palette(colours))
    shown.set_thumbnail_size(size)
    shown.resize(1800, 900)
    shown.show_patient(samples.one_of_each_state(session, Path(pictures[0])))
    shown.set_loaded(["1.1.6"])
    if size:
        qtbot.waitUntil(lambda: shown._store.picture(pictures[0], int(size)) is not None)
    image = shown.canvas.grab().toImage()
    image.save(str(tmp_path / "sheet.png"))
    look, ratio = shown.canvas.look, shown.canvas.look.ratio
    assert look.base.name() == colours["Base"]
    failed = colours_of(image, shown.canvas.places.box(shown.content.spot_of("1.1.7")), 0, ratio)
    loaded = colours_of(image, shown.canvas.places.box(shown.content.spot_of("1.1.6")), 0, ratio)
    arriving = colours_of(image, shown.canvas.places.box(shown.content.spot_of("1.1.4")), 0, ratio)
    assert look.red.name() in failed - loaded
    assert look.green.name() in loaded - failed
    assert look.accent.name() in arriving - loaded - failed


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_can_be_read_on_what_they_stand_on(qapp, colours):
    look = Look(palette(colours), qapp.font(), ThumbnailSize.SMALL, 1.0)
    for ground in (look.base, look.chosen, look.hover):
        assert contrast(look.ink, ground) > 7
        assert contrast(look.quiet, ground) > 3
    assert contrast(look.red, look.base) > 4


def test_a_text_takes_two_lines_at_most_and_breaks_between_words(qapp):
    look = Look(palette(LIGHT), qapp.font(), ThumbnailSize.SMALL, 1.0)
    assert look.two_lines("Scout", 128) == ("Scout",)
    first, second = look.two_lines("Axial 5 mm soft tissue kernel arterial phase", 128)
    assert (first + " " + second).startswith("Axial 5 mm soft tissue")
    for text in (
        "腹部造影動脈相軸位断再構成五ミリ高分解能" * 3,
        "t2_tse_dark-fluid_tra_p2_without_spaces" * 3,
        "W" * 90,
    ):
        lines = look.two_lines(text, 128)
        assert len(lines) == 2
        assert all(0 < look.of_font.horizontalAdvance(line) <= 128 for line in lines)


def test_scrolling_past_a_thousand_pictures_takes_little_time_a_step(shown, session, qtbot, pictures):
    shown.show_patient(samples.many(session, 100, 10, pictures))
    for row in shown.content.studies:
        shown.content.unfold(row.study.study_uid)
    shown.refresh()
    qtbot.waitUntil(lambda: all(shown._store.picture(path, 128) for path in pictures[:2]))
    times = []
    for top in range(0, shown.canvas.places.height - 700, 400):
        start = time.perf_counter()
        shown.canvas.scroll_asked.emit(top)
        shown.canvas.repaint()
        times.append(time.perf_counter() - start)
    assert len(times) > 50
    assert sorted(times)[len(times) // 2] < 0.05  # a tenth of that on an idle machine


def test_an_empty_sheet_says_why(shown, qapp):
    shown.set_notice("No studies were found.")
    image = shown.canvas.grab().toImage()
    width, height = image.width(), image.height()
    middle = {image.pixelColor(x, y).name() for x in range(width) for y in range(height // 2 - 10, height // 2 + 10)}
    assert len(middle) > 1
