from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.store.dicom_bytes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IDENTITY,
    IMPLICIT_LITTLE,
    SEQUENCE_END,
    UNDEFINED,
    dataset,
    element,
    file,
    implicit,
    item,
    meta,
)
from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.store import elements, sources
from VisualDICOMBrowserLib.store.elements import MAX_DEPTH, scan_bytes, scan_dataset, scan_file

SOP, ROWS, COMMENTS, PIXELS, LAST = 0x00080018, 0x00280010, 0x00104000, 0x7FE00010, 0x7FE10010
WANTED = frozenset((SOP, ROWS, COMMENTS, LAST))
MARK = element(LAST, "LO", b"seen")


def _deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def _scan_on_disk(tmp_path: Path, data: bytes) -> elements.Elements:
    path = tmp_path / "x.dcm"
    path.write_bytes(data)
    return scan_file(path, WANTED)


def test_wanted_values_are_returned_raw_with_their_vr():
    found = scan_bytes(file(element(ROWS, "US", b"\x10\0")), WANTED)
    assert found.values == {SOP: ("UI", b"1.2.3.40"), ROWS: ("US", b"\x10\0")}
    assert found.transfer_syntax == EXPLICIT_LITTLE
    assert found.dataset_offset == len(meta())
    assert found.size == len(file(element(ROWS, "US", b"\x10\0")))


def test_implicit_little_endian_is_read():
    data = b"".join(implicit(tag, value) for tag, _, value in IDENTITY) + implicit(ROWS, b"\x10\0")
    assert scan_dataset(data, IMPLICIT_LITTLE, WANTED).values[ROWS] == ("", b"\x10\0")


def test_explicit_big_endian_is_read():
    data = b"".join(element(*part, order=">") for part in IDENTITY) + element(ROWS, "US", b"\0\x10", order=">")
    found = scan_dataset(data, EXPLICIT_BIG, WANTED)
    assert found.values[ROWS] == ("US", b"\0\x10")
    assert not found.little_endian


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_a_deflated_data_set_is_inflated(padding):
    big = element(PIXELS, "OW", bytes(range(256)) * 4000)
    found = scan_bytes(meta(DEFLATED) + _deflated(dataset(big, MARK)) + padding, WANTED)
    assert found.values[LAST].value == b"seen"


def test_a_deflated_data_set_that_begins_like_meta_information_is_told_by_the_group_length():
    data = dataset(MARK)
    empty_block, last_block = b"\x02\0", b"\x01\0\0\xff\xff"  # RFC 1951, 3.2.4 and 3.2.6
    stored = struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    found = scan_bytes(meta(DEFLATED) + empty_block + stored + last_block, WANTED)
    assert found.values[LAST].value == b"seen"


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_a_deflated_data_set_that_is_cut_off_is_refused(size):
    deflated = _deflated(dataset(element(PIXELS, "OW", bytes(range(256)) * 400)))
    with pytest.raises(BadData):
        scan_bytes(meta(DEFLATED) + deflated[: min(size, len(deflated) - 2)], WANTED)


def test_a_deflate_bomb_is_refused_without_inflating_it_all(monkeypatch):
    monkeypatch.setattr(sources, "_RATIO_COUNTS_FROM", 1 << 20)
    bomb = _deflated(dataset(element(PIXELS, "OW", bytes(32 << 20))))
    assert len(bomb) < 40_000
    with pytest.raises(BadData, match="beyond all measure"):
        scan_bytes(meta(DEFLATED) + bomb, WANTED)


def test_an_inflated_data_set_has_an_absolute_limit(monkeypatch):
    monkeypatch.setattr(sources, "MAX_INFLATED", 1 << 20)
    with pytest.raises(BadData, match="beyond all measure"):
        scan_bytes(meta(DEFLATED) + _deflated(dataset(element(PIXELS, "OW", bytes(range(256)) * 8192))), WANTED)


def test_sequences_of_undefined_length_are_walked_over():
    inner = element(0x00081150, "UI", b"1.2\0")
    nested = element(0x00081115, "SQ", item(inner, undefined=True) + item(inner) + SEQUENCE_END, UNDEFINED)
    data = element(0x00081140, "SQ", item(nested, undefined=True) + SEQUENCE_END, UNDEFINED)
    assert LAST in scan_bytes(file(data, MARK), WANTED).values


def test_wanted_elements_inside_sequences_are_not_taken_for_the_objects_own():
    inner = element(ROWS, "US", b"\x10\0")
    data = element(0x00081140, "SQ", item(inner, undefined=True) + SEQUENCE_END, UNDEFINED)
    assert ROWS not in scan_bytes(file(data, MARK), WANTED).values


def test_unknown_elements_of_undefined_length_hold_implicit_items():
    inner = implicit(0x00081150, b"1.2\0") + implicit(0x00081151, SEQUENCE_END, UNDEFINED)
    data = element(0x00091001, "UN", item(inner, undefined=True) + SEQUENCE_END, UNDEFINED)
    assert LAST in scan_bytes(file(data, MARK), WANTED).values


def test_unknown_elements_of_undefined_length_with_explicit_items_are_tolerated():
    data = element(
        0x00091001, "UN", item(element(0x00081150, "UI", b"1.2\0"), undefined=True) + SEQUENCE_END, UNDEFINED
    )
    assert LAST in scan_bytes(file(data, MARK), WANTED).values


def test_encapsulated_pixel_data_is_skipped_by_its_fragments():
    fragments = item(b"") + item(b"\xfe\xff\xdd\xe0\0\0\0\0") + item(bytes(70_000))
    data = element(PIXELS, "OB", fragments + SEQUENCE_END, UNDEFINED)
    assert LAST in scan_bytes(file(data, MARK), WANTED).values


def test_pixel_data_is_never_read(tmp_path, monkeypatch):
    asked: list[int] = []
    real = sources._read_fully
    monkeypatch.setattr(sources, "_read_fully", lambda stream, count: asked.append(count) or real(stream, count))
    pixels = element(PIXELS, "OW", bytes(4 << 20))
    fragments = element(0x7FE00011, "SQ", (item(bytes(1 << 20))) * 3 + SEQUENCE_END, UNDEFINED)
    found = _scan_on_disk(tmp_path, file(pixels, fragments, MARK))
    assert found.values[LAST].value == b"seen"
    assert sum(asked) < 20_000


def test_a_value_across_the_end_of_the_first_read_is_whole(tmp_path):
    for gap in range(65_536 - 40, 65_536 + 4):
        filler = element(0x00091001, "OB", bytes(gap - len(meta()) - len(dataset())))
        assert _scan_on_disk(tmp_path, file(filler, MARK)).values[LAST].value == b"seen"


def test_a_file_without_group_length_is_read():
    assert scan_bytes(bytes(128) + b"DICM" + element(0x00020010, "UI", b"1.2.840.10008.1.2.1\0") + dataset(), WANTED)


@pytest.mark.parametrize("length", [0, 7, 4000, 0xFFFFFFFF])
def test_a_wrong_group_length_is_of_no_consequence(length):
    data = bytearray(file())
    data[140:144] = struct.pack("<L", length)
    assert scan_bytes(bytes(data), WANTED).values[SOP].value == b"1.2.3.40"


def test_a_file_without_transfer_syntax_is_recognised_by_its_first_element():
    head = bytes(128) + b"DICM"
    assert scan_bytes(head + dataset(), WANTED).transfer_syntax == EXPLICIT_LITTLE
    data = b"".join(implicit(tag, value) for tag, _, value in IDENTITY)
    assert scan_bytes(head + data, WANTED).transfer_syntax == IMPLICIT_LITTLE


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_bare_data_set_that_begins_with_group_8_is_a_file(order):
    data = b"".join(element(*part, order=order) for part in IDENTITY)
    expected = EXPLICIT_LITTLE if order == "<" else EXPLICIT_BIG
    assert scan_bytes(data, WANTED).transfer_syntax == expected


def test_meta_information_without_preamble_is_read():
    assert scan_bytes(meta()[132:] + dataset(), WANTED).values[SOP].value == b"1.2.3.40"


def test_a_data_set_in_the_other_vr_coding_than_stated_is_read():
    data = b"".join(implicit(tag, value) for tag, _, value in IDENTITY)
    assert scan_dataset(data, EXPLICIT_LITTLE, WANTED).values[SOP].value == b"1.2.3.40"
    assert scan_dataset(dataset(), IMPLICIT_LITTLE, WANTED).values[SOP].value == b"1.2.3.40"


def test_an_unknown_value_representation_has_a_long_length():
    head = struct.pack("<HH2sHL", 0x0009, 0x1001, b"ZZ", 0, 4)
    assert LAST in scan_bytes(file(head + b"abcd", MARK), WANTED).values


def test_a_single_implicit_element_among_explicit_ones_is_tolerated():
    assert LAST in scan_bytes(file(implicit(0x00091001, b"abcd"), MARK), WANTED).values


@pytest.mark.parametrize("zeros", [1, 7, 8, 100, 100_000])
def test_zeros_at_the_end_are_tolerated(zeros, tmp_path):
    assert scan_bytes(file(MARK) + bytes(zeros), WANTED).values[LAST].value == b"seen"
    assert _scan_on_disk(tmp_path, file(MARK) + bytes(zeros)).values[LAST].value == b"seen"


def test_trailing_padding_is_tolerated():
    assert scan_bytes(file(MARK, element(0xFFFCFFFC, "OB", bytes(100))), WANTED)


@pytest.mark.parametrize(
    "rest",
    [
        b"x",
        bytes(100) + b"x",
        bytes(2 << 20),
        element(PIXELS, "OW", b"1234", length=6),
        element(PIXELS, "OW", b"1234", length=0xFFFFFFFE),
        element(ROWS, "US", b"\x10\0", length=40),
        element(PIXELS, "OW")[:9],
        element(0x00081140, "SQ", b"", UNDEFINED),
        element(0x00081140, "SQ", item(b"1234", undefined=True), UNDEFINED),
        element(0x00081140, "SQ", implicit(0xFFFEE000, b"", 100) + SEQUENCE_END, UNDEFINED),
        element(PIXELS, "OB", item(b"") + implicit(0xFFFEE000, b"1234", 0x7FFFFFFF), UNDEFINED),
    ],
    ids=lambda rest: rest[:12].hex(),
)
def test_a_file_that_lies_about_its_sizes_or_is_cut_off_is_refused(rest, tmp_path):
    with pytest.raises(BadData, match="cut off, or lies about its sizes"):
        scan_bytes(file(rest), WANTED)
    with pytest.raises(BadData, match="cut off, or lies about its sizes"):
        _scan_on_disk(tmp_path, file(rest))


@pytest.mark.parametrize(
    "rest",
    [
        element(0x00081140, "SQ", element(ROWS, "US", b"12"), UNDEFINED),
        element(0x00081140, "SQ", implicit(0xFFFEE00D), UNDEFINED),
        element(PIXELS, "OB", item(b"12", undefined=True) + SEQUENCE_END, UNDEFINED),
        SEQUENCE_END + MARK,
        item(b"1234"),
    ],
    ids=lambda rest: rest[:12].hex(),
)
def test_items_where_none_belong_are_refused(rest):
    with pytest.raises(BadData):
        scan_bytes(file(rest), WANTED)


def test_nesting_is_followed_without_recursion_up_to_a_limit():
    def nested(depth: int) -> bytes:
        opening = element(0x00081140, "SQ", b"", UNDEFINED) + implicit(0xFFFEE000, b"", UNDEFINED)
        return opening * depth + (implicit(0xFFFEE00D) + SEQUENCE_END) * depth

    assert LAST in scan_bytes(file(nested(MAX_DEPTH // 2), MARK), WANTED).values
    with pytest.raises(BadData, match="nested beyond all measure"):
        scan_bytes(file(nested(100_000)), WANTED)


def test_a_file_of_endlessly_many_elements_is_refused(monkeypatch):
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 1000)
    many = element(0x00091001, "UN") * 2000
    with pytest.raises(BadData, match="more elements"):
        scan_bytes(file(many), WANTED)
    inside = element(0x00081140, "SQ", item(many, undefined=True) + SEQUENCE_END, UNDEFINED)
    with pytest.raises(BadData, match="more elements"):
        scan_bytes(file(inside), WANTED)


def test_a_wanted_value_beyond_measure_is_refused():
    with pytest.raises(BadData, match="longer than 64 KiB"):
        scan_bytes(file(element(COMMENTS, "UT", bytes(70_000))), WANTED)


def test_one_element_stated_twice_must_say_the_same():
    assert scan_bytes(file(element(ROWS, "US", b"\x10\0") * 2), WANTED).values[ROWS].value == b"\x10\0"
    with pytest.raises(BadData, match="twice"):
        scan_bytes(file(element(SOP, "UI", b"9.9.9.99")), WANTED)


@pytest.mark.parametrize("data", [b"", b"D", b"DICM", bytes(200), bytes(128) + b"DICM", b"GIF89a" * 50, b"{}" * 100])
def test_other_files_are_not_dicom(data, tmp_path):
    with pytest.raises(BadData):
        scan_bytes(data, WANTED)
    with pytest.raises(BadData):
        _scan_on_disk(tmp_path, data)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="not a regular file"):
        scan_file(tmp_path / "pipe", WANTED)


def test_a_file_of_meta_information_only_is_refused_soon():
    endless = element(0x00020102, "OB", bytes(100)) * 100_000
    with pytest.raises(BadData, match="more elements"):
        scan_bytes(meta(EXPLICIT_LITTLE) + endless, WANTED)


def test_long_private_meta_information_is_skipped():
    data = meta(EXPLICIT_LITTLE, element(0x00020102, "OB", bytes(200_000))) + dataset(MARK)
    assert scan_bytes(data, WANTED).values[LAST].value == b"seen"


def test_an_empty_transfer_syntax_counts_as_none():
    data = bytes(128) + b"DICM" + element(0x00020010, "UI") + dataset()
    assert scan_bytes(data, WANTED).transfer_syntax == EXPLICIT_LITTLE


def test_what_cannot_be_read_is_a_storage_error(tmp_path):
    for path in (tmp_path, tmp_path / "missing", Path("nul\0character")):
        with pytest.raises(StorageError, match="read the file"):
            scan_file(path, WANTED)


def test_a_valid_file_cut_anywhere_is_refused_unless_cut_between_elements(source_files):
    data = source_files[0].read_bytes()
    whole = scan_bytes(data, WANTED)
    accepted = []
    for length in range(len(data)):
        try:
            accepted.append(scan_bytes(data[:length], WANTED).size)
        except BadData:
            continue
    assert whole.size == len(data) == 1546
    assert set(accepted) <= _boundaries(data, 132)
    assert max(accepted) == 1546 - 12 - 512  # before the pixel data


def _boundaries(data: bytes, position: int) -> set[int]:
    found = {position}
    while position < len(data):
        long = data[position + 4 : position + 6] in (b"OW", b"OB", b"SQ", b"UN", b"UT")
        length = struct.unpack_from("<L" if long else "<H", data, position + (8 if long else 6))[0]
        position += (12 if long else 8) + length
        found.add(position)
    return found


@given(st.binary(max_size=400), st.sampled_from([EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, "", "x"]))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_elements_or_bad_data(data, syntax):
    for scan in (
        lambda: scan_dataset(data, syntax, WANTED),
        lambda: scan_bytes(data, WANTED),
        lambda: scan_bytes(bytes(128) + b"DICM" + data, WANTED),
        lambda: scan_bytes(meta(DEFLATED) + data, WANTED),
    ):
        try:
            assert isinstance(scan(), elements.Elements)
        except BadData:
            continue


_TAGS = st.sampled_from([SOP, ROWS, COMMENTS, PIXELS, LAST, 0x00081140, 0x00091001, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD])
_VRS = st.sampled_from(["UI", "US", "SQ", "UN", "OB", "OW", "UT", "ZZ", "\0\0", "  "])
_LENGTHS = st.sampled_from([None, 0, 1, 8, 0xFFFF, UNDEFINED, 0xFFFFFFFE])


def _short_enough(vr: str, length: int | None) -> int | None:
    return None if length is not None and length > 0xFFFF and vr not in ("SQ", "UN", "OB", "OW", "UT") else length


@given(st.lists(st.tuples(_TAGS, _VRS, st.binary(max_size=20), _LENGTHS), max_size=30))
@settings(deadline=None, max_examples=300)
def test_any_arrangement_of_elements_is_elements_or_bad_data(parts):
    explicit = b"".join(element(tag, vr, value, _short_enough(vr, length)) for tag, vr, value, length in parts)
    bare = b"".join(implicit(tag, value, length) for tag, _, value, length in parts)
    for data, syntax in ((explicit, EXPLICIT_LITTLE), (bare, IMPLICIT_LITTLE), (_deflated(explicit), DEFLATED)):
        try:
            found = scan_dataset(dataset(data) if syntax == EXPLICIT_LITTLE else data, syntax, WANTED)
        except BadData:
            continue
        assert set(found.values) <= WANTED
