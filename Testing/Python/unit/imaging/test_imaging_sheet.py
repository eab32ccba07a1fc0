from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw

from VisualDICOMBrowserLib.imaging import contact_sheet as sheets
from VisualDICOMBrowserLib.imaging.contact_sheet import SheetCell, SheetSection, contact_sheet, display_name
from VisualDICOMBrowserLib.imaging.fonts import (
    BUILT_IN,
    FontFile,
    Typesetter,
    font_folders,
    read_characters,
    system_fonts,
)


@pytest.fixture
def thumbnail(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    Image.new("RGB", (256, 128), (255, 0, 0)).save(path)
    return path


@pytest.fixture
def ascii_only() -> Typesetter:
    return Typesetter(iter([BUILT_IN]))


@pytest.fixture
def all_letters() -> Typesetter:
    """A typesetter that believes its font has everything."""
    return Typesetter(iter([FontFile(None, frozenset(range(0x20, 0x10000)))]))


def test_cells_stand_in_rows_and_columns(thumbnail, tmp_path):
    size = contact_sheet([SheetCell(thumbnail, ("one", "two"))] * 7, tmp_path / "s.png", columns=3)
    # 3 cards of 192 + 2 x 8, 2 gaps of 16, margins of 28; 3 rows of cards of 192 + 16 + 2 x 19 + 4
    assert size == (3 * 208 + 2 * 16 + 2 * 28, 3 * 250 + 2 * 16 + 2 * 28)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == size
        centres = [(28 + 104 + column * 224, 28 + 8 + 96 + row * 266) for row in range(3) for column in range(3)]
        red = [sheet.convert("RGB").getpixel(centre) == (255, 0, 0) for centre in centres]
    assert red == [True] * 7 + [False] * 2


def test_a_thumbnail_keeps_its_proportions(thumbnail, tmp_path):
    contact_sheet([SheetCell(thumbnail)], tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as sheet:
        red = sheet.convert("RGB").getchannel("R").point(lambda value: 255 * (value > 200)).getbbox()
    assert (red[2] - red[0], red[3] - red[1]) == (192, 96)


def test_title_headings_and_captions_are_drawn(thumbnail, tmp_path):
    bare = contact_sheet([SheetSection("", (SheetCell(thumbnail),))], tmp_path / "bare.png")
    full = contact_sheet(
        [SheetSection("Patient A", (SheetCell(thumbnail, ("CT",)),))], tmp_path / "full.png", title="Title"
    )
    assert full[1] > bare[1]
    with Image.open(tmp_path / "full.png") as sheet:
        title, heading = (sheet.convert("L").crop((28, top, 200, top + 30)) for top in (24, 76))
    assert title.getextrema()[1] > 180
    assert heading.getextrema()[1] > 150


def test_long_lines_stay_within_their_card(thumbnail, tmp_path):
    contact_sheet([SheetCell(thumbnail, ("W" * 300,))], tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as sheet:
        beside = sheet.crop((28 + 8 + 192, 28 + 8 + 192, 28 + 208, 28 + 230)).convert("L")
    assert beside.getextrema()[1] < 60


def test_missing_and_damaged_thumbnails_leave_an_empty_well(tmp_path, thumbnail):
    broken = tmp_path / "broken.png"
    broken.write_bytes(thumbnail.read_bytes()[:60])
    text = tmp_path / "text.png"
    text.write_text("no picture at all")
    cells = [SheetCell(path, ("x",)) for path in (tmp_path / "none.png", broken, text, thumbnail)]
    assert contact_sheet(cells, tmp_path / "s.png", columns=4)[0] == 4 * 208 + 3 * 16 + 2 * 28


def test_a_sheet_of_many_greys_stays_small_and_keeps_a_rare_colour(tmp_path):
    picture = Image.effect_noise((192, 192), 60).convert("RGB")
    picture.paste((0, 200, 30), (90, 90, 96, 96))
    picture.save(tmp_path / "noise.png")
    contact_sheet([SheetCell(tmp_path / "noise.png")], tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.mode == "P"
        shown = sheet.convert("RGB").crop((36, 36, 228, 228))
    worst = max(high for _, high in ImageChops.difference(shown, picture).getextrema())
    assert worst <= 12
    assert (tmp_path / "s.png").stat().st_size < (tmp_path / "noise.png").stat().st_size


def test_a_sheet_of_nothing_is_still_a_picture(tmp_path):
    contact_sheet([], tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as sheet:
        assert min(sheet.size) > 0


def test_too_many_cells_are_counted_instead_of_drawn(thumbnail, tmp_path, monkeypatch):
    few = contact_sheet([SheetCell(thumbnail)] * 4, tmp_path / "few.png", columns=4)
    monkeypatch.setattr(sheets, "MAX_CELLS", 4)
    sections = [SheetSection("", (SheetCell(thumbnail),) * 3)] * 2
    many = contact_sheet([*sections[0].cells, *sections[1].cells], tmp_path / "many.png", columns=4)
    assert many[1] == few[1] + 33


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎)"),
        ("Buc^Jérôme", "Buc, Jérôme"),
        ("Люкceмбypг", "Люкceмбypг"),
        ("=洪^吉洞=홍^길동", "洪 吉洞"),
        ("Doe^Jane^Q^Dr^III", "Doe, Jane Q Dr III"),
        ("^Jane", "Jane"),
        ("", "4711"),
    ],
)
def test_names_are_written_for_readers(all_letters, name, drawn):
    assert display_name(name, "4711", all_letters) == drawn


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou"),
        ("Люкceмбypг", "4711"),
        ("=洪^吉洞=홍^길동", "4711"),
    ],
)
def test_names_no_font_can_draw_fall_back(ascii_only, name, drawn):
    assert display_name(name, "4711", ascii_only) == drawn


def test_what_cannot_be_drawn_is_left_out(ascii_only):
    assert ascii_only.drawable("a\n山 b\x07\t c\ud800") == "a b c"
    assert not ascii_only.covers("山")
    assert ascii_only.covers("plain")


def test_runs_go_to_the_first_font_that_has_the_characters():
    latin = FontFile(None, frozenset(map(ord, "ab ")))
    other = FontFile(None, frozenset(map(ord, "bcd")))
    pen = Typesetter(iter([latin, other]))
    assert [(font, run) for font, run in pen._runs("ab cda")] == [(latin, "ab "), (other, "cd"), (latin, "a")]


def test_text_is_cut_by_its_measured_width(ascii_only):
    assert ascii_only.cut("short", 13, 200) == "short"
    cut = ascii_only.cut("W" * 100, 13, 200)
    assert cut.endswith("...")
    assert ascii_only.width(cut, 13) <= 200 < ascii_only.width("W" + cut, 13)


def test_fonts_are_read_only_as_far_as_texts_ask():
    asked = []

    def fonts():
        for characters in ("abc", "xyz"):
            asked.append(characters)
            yield FontFile(None, frozenset(map(ord, characters)))

    pen = Typesetter(fonts())
    assert pen.covers("abc")
    assert asked == ["abc"]
    assert not pen.covers("é")
    assert asked == ["abc", "xyz"]


def test_the_character_map_agrees_with_what_the_font_draws():
    fonts = [font for font in system_fonts(font_folders()) if font.path]
    if not fonts:
        pytest.skip("this computer has no fonts")
    for font in fonts[:3]:
        face = font.at(20)
        boxes = {bytes(face.getmask(chr(code))) for code in (0x10FFFE, 0xFFFE)}
        for letter in "AZaz09":
            assert (ord(letter) in font.characters) == (bytes(face.getmask(letter)) not in boxes)
        for code in sorted(font.characters)[:2000:20]:
            if chr(code).isalnum():
                assert bytes(face.getmask(chr(code))) not in boxes


def test_pillow_s_own_font_draws_where_there_is_no_other(ascii_only):
    picture = Image.new("L", (100, 30))
    ascii_only.draw(ImageDraw.Draw(picture), (5, 20), "Ab", 16, (255,))
    left, _, _, bottom = picture.getbbox()
    assert left >= 5
    assert bottom == 20


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=300),
    head=st.sampled_from([b"", b"ttcf", b"\0\1\0\0\0\1" + b"\0" * 6 + b"cmap" + b"\0" * 8]),
)
def test_a_damaged_font_is_no_font(tmp_path, data, head):
    path = tmp_path / "font.ttf"
    path.write_bytes(head + data)
    assert isinstance(read_characters(path), frozenset)


def test_a_file_that_only_calls_itself_a_font_is_passed_over(tmp_path):
    (tmp_path / "dejavusans.ttf").write_bytes(os.urandom(500))
    assert [font.path for font in system_fonts([tmp_path])] == [None]
