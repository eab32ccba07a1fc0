"""Listings of elements: compared with pydicom on real files, and bounded on hostile ones."""

from __future__ import annotations

import json
import re
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from VisualDICOMBrowserLib.dicom import listing as listing_module
from VisualDICOMBrowserLib.dicom.listing import MAX_NESTING, MAX_ROWS, Listing, Row, list_elements
from VisualDICOMBrowserLib.dicom.value_text import MAX_TEXT
from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.imaging import listings
from VisualDICOMBrowserLib.imaging.listings import write_listing
from VisualDICOMBrowserLib.imaging.source import distrust

_COMPARED = frozenset(re.findall("..", "AEASCSDADTTMISDSLOSHPNSTLTUTUIUSSSULSLFLFDAT"))
_META = b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
_UNDEFINED = 0xFFFFFFFF


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Encode an element in explicit VR little endian."""
    size = len(value) if length is None else length
    if vr in (b"SQ", b"OB", b"OW", b"UN", b"UT"):
        return struct.pack("<HH2sHL", group, number, vr, 0, size) + value
    return struct.pack("<HH2sH", group, number, vr, size) + value


def item(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value) if length is None else length) + value


END_ITEM = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
END_SEQUENCE = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def file_of(*elements: bytes) -> bytes:
    return bytes(128) + b"DICM" + _META + b"".join(elements)


def nested(depth: int, *, undefined: bool) -> bytes:
    body = element(0x0010, 0x0020, b"LO", b"DEEP")
    for _ in range(depth):
        if undefined:
            body = element(0x0040, 0xA730, b"SQ", item(body + END_ITEM, _UNDEFINED) + END_SEQUENCE, _UNDEFINED)
        else:
            body = element(0x0040, 0xA730, b"SQ", item(body))
    return body


def by_tag(found: Listing) -> dict[str, Row]:
    return {row.tag: row for row in found.rows}


# Real files


def expected(dataset: Dataset) -> Iterator[tuple[str, str, Any]]:
    """Give tag, VR and text of the elements as pydicom reads them, without items; text None if not compared."""
    for one in dataset:
        tag = f"({one.tag.group:04X},{one.tag.element:04X})"
        yield tag, one.VR, None if one.VR == "SQ" else plain_text(one.VR, one.value)
        for inner in one.value if one.VR == "SQ" else ():
            yield from expected(inner)


def plain_text(vr: str, value: Any) -> str | None:
    if vr not in _COMPARED:
        return None
    parts = value if isinstance(value, MultiValue | list) else [value]
    if vr == "AT":
        return "\\".join(f"({int(part) >> 16:04X},{int(part) & 0xFFFF:04X})" for part in parts if part is not None)
    texts = [
        "" if part is None else str(getattr(part, "original_string", part) if vr in ("DS", "IS") else part)
        for part in parts
    ]
    text = "\\".join(text.strip(" \0") for text in texts)
    return text if text.isascii() and len(text) < MAX_TEXT else None


def test_real_files_are_listed_as_pydicom_reads_them(corpus):
    compared, differing = 0, []
    for file in corpus.files:
        found = list_elements(file.path.read_bytes())
        with distrust("pydicom complains of odd values, which is what these files are for"):
            dataset = pydicom.dcmread(file.path)
            wanted = [*expected(dataset.file_meta), *expected(dataset)]
        rows = [row for row in found.rows if row.vr]
        if [row.tag for row in rows] != [tag for tag, _, _ in wanted]:
            differing.append((file.path.name, "tags"))
            continue
        for row, (tag, vr, text) in zip(rows, wanted, strict=True):
            if text is None or row.vr != vr:
                continue
            compared += 1
            if row.value.strip() != text.strip():
                differing.append((file.path.name, tag, vr, row.value, text))
    assert differing == []
    assert compared > 5000


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrKoreanMulti.dcm", "김희중"),
        ("chrX1.dcm", "Wang^XiaoDong=王^小東="),
    ],
)
def test_names_in_other_scripts_are_readable(name, family):
    folder = Path(pydicom.__file__).parent / "data" / "charset_files"
    names = by_tag(list_elements((folder / name).read_bytes()))
    assert names["(0010,0010)"].value == family


def test_items_are_rows_below_their_sequence_with_private_creators_of_their_own():
    inner = element(9, 0x10, b"LO", b"GEMS_IDEN_01") + element(9, 0x1002, b"SH", b"CT01")
    outer = element(0x0040, 0xA730, b"SQ", item(inner) + item(b"")) + element(0x0041, 0x1001, b"LO", b"X ")
    found = list_elements(file_of(outer))
    rows = [(r.depth, r.tag, r.name, r.value, r.parent) for r in found.rows[1:]]
    assert found.warning == ""
    assert rows == [
        (0, "(0040,A730)", "Content Sequence", "2 items", -1),
        (1, "(FFFE,E000)", "Item 1", "", 1),
        (2, "(0009,0010)", "Private Creator", "GEMS_IDEN_01", 2),
        (2, "(0009,1002)", "Suite id [GEMS_IDEN_01]", "CT01", 2),
        (1, "(FFFE,E000)", "Item 2", "", 1),
        (0, "(0041,1001)", "Private element, of nobody", "X", -1),
    ]


def test_a_character_set_holds_from_its_element_on_and_in_items_until_they_say_otherwise():
    utf8 = element(8, 5, b"CS", b"ISO_IR 192")
    named = element(0x0010, 0x0010, b"PN", "Müller".encode())
    latin = element(8, 5, b"CS", b"ISO_IR 100") + element(0x0010, 0x0010, b"PN", "Bär^".encode("latin-1"))
    found = list_elements(file_of(utf8, element(8, 0x1140, b"SQ", item(named + b"") + item(latin)), named))
    assert [row.value for row in found.rows if row.tag == "(0010,0010)"] == ["Müller", "Bär^", "Müller"]


def test_pixel_data_is_told_by_its_size_compressed_or_not():
    native = by_tag(list_elements(file_of(element(0x7FE0, 0x10, b"OW", bytes(512)))))
    fragments = item(bytes(8)) + item(bytes(100)) + item(bytes(20)) + END_SEQUENCE
    packed = by_tag(list_elements(file_of(element(0x7FE0, 0x10, b"OB", fragments, _UNDEFINED))))
    assert native["(7FE0,0010)"].value == "512 bytes"
    assert packed["(7FE0,0010)"].value == "120 bytes in 2 fragments"


def test_a_sequence_that_lost_its_vr_is_listed_with_its_items():
    body = struct.pack("<HHL", 0x0010, 0x0020, 4) + b"ABCD"
    for length in (None, _UNDEFINED):
        value = item(body) + (END_SEQUENCE if length else b"")
        found = list_elements(file_of(element(0x0040, 0xA730, b"UN", value, length)))
        assert [row.value for row in found.rows[1:]] == ["1 item", "", "ABCD"]


def test_a_deflated_data_set_is_listed():
    syntax = b"1.2.840.10008.1.2.1.99"
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(element(0x0010, 0x0020, b"LO", b"ID")) + packer.flush()
    data = bytes(128) + b"DICM" + element(2, 0x10, b"UI", syntax) + packed
    assert by_tag(list_elements(data))["(0010,0020)"].value == "ID"
    cut = list_elements(data[:-2])
    assert "cut off" in cut.warning


def test_long_values_are_cut_and_say_how_long_they_are():
    row = by_tag(list_elements(file_of(element(0x0040, 0xA160, b"UT", "ä ".encode() * 60_000))))["(0040,A160)"]
    assert len(row.value) == MAX_TEXT
    assert row.value.endswith("… (180000 bytes in all)")
    assert row.length == 180_000


# Damaged and hostile files


@pytest.mark.parametrize("data", [b"", b"DICM", bytes(200), b"This is a text. " * 20])
def test_what_is_not_dicom_says_so(data):
    with pytest.raises(BadData, match="not a DICOM file"):
        list_elements(data)


def test_a_lying_length_ends_the_listing_with_what_came_before():
    found = list_elements(file_of(element(0x10, 0x10, b"PN", b"A^B "), element(0x10, 0x20, b"UT", b"xyz ", 0x7FFFFFFE)))
    assert [(row.value, row.length) for row in found.rows[1:]] == [("A^B", 4), ("xyz", 0x7FFFFFFE)]
    assert "cut off" in found.warning


def test_damage_in_an_item_of_stated_length_does_not_hide_what_follows():
    broken = element(0x0040, 0xA730, b"SQ", item(element(0x10, 0x20, b"LO", b"1234", 400)))
    found = list_elements(file_of(broken, element(0x0040, 0xA731, b"LO", b"after ")))
    assert found.rows[-1].value == "after"
    assert "cut off" in found.warning


@pytest.mark.parametrize("undefined", [True, False])
def test_deep_nesting_is_cut_at_a_depth_and_what_follows_is_listed(undefined):
    depth = 100 if undefined else 1000
    found = list_elements(file_of(nested(depth, undefined=undefined), element(0x0041, 0x10, b"LO", b"after ")))
    assert max(row.depth for row in found.rows) <= 2 * MAX_NESTING
    assert found.rows[-1].value == "after"
    assert "nested" in found.warning


def test_endless_nesting_takes_no_stack():
    found = list_elements(file_of((element(0x40, 0xA730, b"SQ", b"", _UNDEFINED) + item(b"", _UNDEFINED)) * 50_000))
    assert found.warning != ""


def test_a_hundred_thousand_elements_take_seconds_at_most():
    many = b"".join(element(0x0011, number, b"LO", b"VALUE ") for number in range(0x1000, 0x9000)) * 3
    begin = time.monotonic()
    found = list_elements(file_of(many))
    assert len(found.rows) == 3 * 0x8000 + 1
    assert time.monotonic() - begin < 10


def test_rows_and_steps_are_bounded(monkeypatch):
    monkeypatch.setattr(listing_module, "MAX_ROWS", 100)
    found = list_elements(file_of(element(0x0011, 0x1001, b"LO", b"") * 200))
    assert len(found.rows) == 100
    assert str(MAX_ROWS) in found.warning
    monkeypatch.setattr(listing_module, "MAX_STEPS", 1000)
    fragments = list_elements(file_of(element(0x7FE0, 0x10, b"OB", item(b"") * 2000, _UNDEFINED)))
    assert fragments.warning != ""


@given(st.binary(max_size=300))
def test_random_bytes_never_break_the_walk(noise):
    found = list_elements(file_of(noise))
    assert found.rows[0].tag == "(0002,0010)"


@given(st.integers(0, 1 << 30), st.integers(1, 255))
def test_flipped_and_cut_files_never_break_the_walk(place, flip):
    data = bytearray(file_of(nested(3, undefined=True), nested(3, undefined=False), element(9, 0x10, b"LO", b"ME")))
    data[132 + place % (len(data) - 132)] ^= flip
    whole, cut = list_elements(bytes(data)), list_elements(bytes(data[: 200 + place % (len(data) - 200)]))
    for found in (whole, cut):
        assert all(row.parent < index for index, row in enumerate(found.rows))


# The file of rows


def test_rows_are_written_a_line_each(sample, tmp_path):
    made = tmp_path / "rows"
    answer = write_listing(sample("CT_small.dcm"), made)
    rows = [json.loads(line) for line in made.read_text().splitlines()]
    assert answer == {"total": len(rows), "warning": ""}
    assert [0, "(0008,0060)", "CS", "Modality", 2, "CT", -1, "Modality"] in rows


def test_a_listing_full_of_long_values_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(listings, "_MAX_TEXT", 10_000)
    source, made = tmp_path / "a.dcm", tmp_path / "rows"
    source.write_bytes(file_of(element(0x0040, 0xA160, b"UT", b"words " * 700) * 50))
    write_listing(source, made)
    assert made.stat().st_size < 10_000 + 50 * 500


def test_files_that_cannot_be_read_or_written_are_storage_errors(sample, tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(StorageError):
        write_listing(tmp_path / "none", tmp_path / "rows")
    with pytest.raises(StorageError):
        write_listing(sample("CT_small.dcm"), tmp_path / "none" / "rows")
    with pytest.raises(BadData):
        write_listing(tmp_path / "empty", tmp_path / "rows")
