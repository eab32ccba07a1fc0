"""What counts as content of a DICOM file and what does not, on files written byte by byte."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.store.dicom_bytes import (
    DEFLATED,
    EXPLICIT_BIG,
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
from VisualDICOMBrowserLib.dicom import levels
from VisualDICOMBrowserLib.dicom.differences import MAX_NAMED, Differences, differences
from VisualDICOMBrowserLib.domain.errors import BadData

NAME = element(0x00100010, "PN", b"Doe^Jane")
ROWS = element(0x00280010, "US", b"\x01\x02")
PIXELS = element(0x7FE00010, "OW", b"\1\2\3\4")
SAME = Differences(())


def encapsulated(*fragments: bytes, table: bytes = b"") -> bytes:
    return element(0x7FE00010, "OB", length=UNDEFINED) + b"".join(map(item, (table, *fragments))) + SEQUENCE_END


def sequence(*items: bytes, undefined: bool = False, tag: int = 0x00081140) -> bytes:
    content = b"".join(item(one, undefined=undefined) for one in items)
    if undefined:
        return element(tag, "SQ", content, UNDEFINED) + SEQUENCE_END
    return element(tag, "SQ", content)


def in_syntax(syntax: str, content: bytes) -> bytes:
    return meta(syntax) + content


def big(content: list[tuple[int, str, bytes]]) -> bytes:
    return in_syntax(EXPLICIT_BIG, b"".join(element(*one, order=">") for one in content))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(file(NAME), bytes(128) + b"DICM" + file(NAME)[132:], id="the preamble"),
        pytest.param(
            file(NAME), meta("1.2.840.10008.1.2.1", element(0x00020016, "AE", b"X ")) + dataset(NAME), id="meta"
        ),
        pytest.param(file(NAME), dataset(NAME), id="no meta at all"),
        pytest.param(file(NAME), file(element(0x00100000, "UL", bytes(4)), NAME), id="group lengths"),
        pytest.param(file(NAME), file(NAME, element(0xFFFCFFFC, "OB", bytes(100))), id="padding of the data set"),
        pytest.param(file(NAME), file(NAME, bytes(50)), id="zeros behind the data set"),
        pytest.param(file(NAME), file(element(0x00100010, "PN", b"Doe^Jane  ")), id="padding of text"),
        pytest.param(file(NAME), file(element(0x00100010, "UN", b"Doe^Jane")), id="a lost VR"),
        pytest.param(
            file(element(0x00420011, "OB", b"odd")), file(element(0x00420011, "OB", b"odd\0")), id="padding of bytes"
        ),
        pytest.param(file(NAME, ROWS), file(ROWS, NAME), id="the order"),
        pytest.param(file(sequence(NAME, ROWS)), file(sequence(NAME, ROWS, undefined=True)), id="undefined lengths"),
        pytest.param(
            file(sequence(sequence(NAME))),
            file(sequence(sequence(NAME, undefined=True) + element(0x00100000, "UL", bytes(4)), undefined=True)),
            id="nested",
        ),
        pytest.param(file(sequence()), file(sequence(undefined=True)), id="sequences without items"),
        pytest.param(
            file(sequence(NAME)),
            file(element(0x00081140, "UN", item(implicit(0x00100010, b"Doe^Jane")))),
            id="a sequence whose VR was lost",
        ),
        pytest.param(
            file(encapsulated(b"abcd", b"efgh")), file(encapsulated(b"abcdefgh", table=bytes(4))), id="fragments"
        ),
        pytest.param(
            file(PIXELS), file(element(0x7FE00001, "OV", bytes(8)), PIXELS), id="an offset table without fragments"
        ),
    ],
)
def test_what_is_no_content_makes_no_difference(first, second):
    assert differences(first, second) == SAME
    assert differences(second, first) == SAME


def test_explicit_and_implicit_vr_and_deflating_make_no_difference():
    explicit = file(NAME, ROWS, sequence(NAME + ROWS), PIXELS)
    body = b"".join(
        implicit(tag, value)
        for tag, value in [
            (0x00080016, b"1.2.840.10008.5.1.4.1.1.2\0"),
            (0x00080018, b"1.2.3.40"),
            (0x0020000D, b"1.2.3.10"),
            (0x0020000E, b"1.2.3.20"),
            (0x00081140, item(implicit(0x00100010, b"Doe^Jane") + implicit(0x00280010, b"\1\2"))),
            (0x00100010, b"Doe^Jane"),
            (0x00280010, b"\1\2"),
            (0x7FE00010, b"\1\2\3\4"),
        ]
    )
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = compress.compress(dataset(NAME, ROWS, sequence(NAME + ROWS), PIXELS)) + compress.flush()
    assert differences(explicit, in_syntax(IMPLICIT_LITTLE, body)) == SAME
    assert differences(in_syntax(DEFLATED, deflated), explicit) == SAME


def test_byte_order_makes_no_difference():
    values = [
        (0x00080018, "UI", b"1.2.3.40"),
        (0x00280009, "AT", "HH", (0x0018, 0x1063)),
        (0x00280010, "US", "H", (513,)),
        (0x00189305, "FD", "d", (0.25,)),
        (0x00189073, "FL", "f", (1.5,)),
        (0x7FE00010, "OW", "HH", (1, 2)),
    ]

    def written(order: str) -> list[tuple[int, str, bytes]]:
        return [(v[0], v[1], v[2] if len(v) == 3 else struct.pack(order + v[2], *v[3])) for v in values]

    little = in_syntax("1.2.840.10008.1.2.1", b"".join(element(*one) for one in written("<")))
    assert differences(little, big(written(">"))) == SAME
    assert differences(big(written(">")), little) == SAME
    other = big([*written(">")[:-1], (0x7FE00010, "OW", b"\0\1\0\3")])
    assert differences(little, other) == Differences((), pixels_open=True)


@pytest.mark.parametrize(
    ("first", "second", "tags"),
    [
        (file(NAME), file(element(0x00100010, "PN", b"Doe^John")), ["(0010,0010) PatientName"]),
        (file(NAME), file(), ["(0010,0010) PatientName"]),
        (file(element(0x00100010, "PN")), file(), ["(0010,0010) PatientName"]),
        (file(element(0x00091010, "LO", b"a ")), file(element(0x00091010, "LO", b"b ")), ["(0009,1010)"]),
        (file(ROWS), file(element(0x00280010, "US", b"\x01\x00")), ["(0028,0010) Rows"]),
        (file(PIXELS), file(element(0x7FE00010, "OW", b"\1\2\3\5")), ["(7FE0,0010) PixelData"]),
        (file(sequence(NAME)), file(sequence(NAME, NAME)), ["(0008,1140) ReferencedImageSequence"]),
        (
            file(sequence(NAME, sequence(NAME + ROWS))),
            file(sequence(NAME, sequence(ROWS), undefined=True)),
            ["(0008,1140)[2].(0008,1140)[1].(0010,0010) PatientName"],
        ),
        (file(sequence(NAME)), file(element(0x00081140, "LO", b"text")), ["(0008,1140) ReferencedImageSequence"]),
        (
            file(element(0x00280006, "US", b"\0\0"), PIXELS),
            file(element(0x00280006, "US", b"\1\0"), PIXELS),
            ["(0028,0006) PlanarConfiguration"],
        ),
    ],
)
def test_other_content_is_named_by_tag_and_keyword_and_never_by_value(first, second, tags):
    assert differences(first, second) == differences(second, first) == Differences(tuple(tags))
    assert not any(word in tag for tag in tags for word in ("Doe", "Jane", "John"))


def test_long_values_are_compared_to_the_end():
    long = bytes(range(256)) * 1024 * 5
    first = file(element(0x7FE00010, "OW", long))
    assert differences(first, file(element(0x7FE00010, "OW", long))) == SAME
    assert differences(first, file(element(0x7FE00010, "OW", long[:-1] + b"\0"))).tags == ("(7FE0,0010) PixelData",)
    assert differences(first, file(element(0x7FE00010, "OW", long[:-2]))).tags == ("(7FE0,0010) PixelData",)


def test_pixels_in_another_encoding_are_left_open_with_the_elements_that_go_with_it():
    native = file(
        element(0x00280004, "CS", b"RGB "),
        element(0x00280006, "US", b"\1\0"),
        element(0x00282110, "CS", b"00"),
        PIXELS,
    )
    coded = file(element(0x00280004, "CS", b"YBR_RCT "), encapsulated(b"abcd"))
    grey = file(element(0x00280004, "CS", b"MONOCHROME2 "), encapsulated(b"abcd"))
    lossy = file(element(0x00280004, "CS", b"RGB "), element(0x00282110, "CS", b"01"), encapsulated(b"abcd"))
    assert differences(native, coded) == Differences((), pixels_open=True)
    assert differences(native, grey).tags == ("(0028,0004) PhotometricInterpretation",)
    assert differences(native, lossy).tags == ("(0028,2110) LossyImageCompression",)
    assert differences(native, file(NAME, encapsulated(b"abcd"))).pixels_open is False


def test_only_so_many_differences_are_named():
    many = [element(0x00091000 + n, "LO", b"a ") for n in range(1, 100)]
    assert len(differences(file(*many), file()).tags) == MAX_NAMED


@pytest.mark.parametrize(
    "damaged",
    [
        file(NAME)[:-3],
        file(NAME, NAME),
        file(element(0x00081140, "SQ", b"no items")),
        file(element(0x00081140, "SQ", item(NAME), UNDEFINED)),
        file(element(0x7FE00010, "OB", length=UNDEFINED) + item(b"abcd")),
        file(element(0x7FE00010, "OW", b"", 0x7FFFFFFF)),
        in_syntax(DEFLATED, b"no deflate"),
        b"text",
        b"",
    ],
)
def test_a_damaged_file_cannot_be_compared(damaged):
    with pytest.raises(BadData):
        differences(file(NAME, sequence(NAME)), damaged)


def test_deep_nesting_and_floods_of_elements_end_the_comparison(monkeypatch):
    monkeypatch.setattr(levels, "MAX_STEPS", 10_000)
    deep = b""
    for _ in range(200):
        deep = element(0x00081140, "SQ", item(deep, undefined=True), UNDEFINED) + SEQUENCE_END
    with pytest.raises(BadData, match="nested"):
        differences(file(deep), file(NAME))
    flood = item(b"") * 10_000
    with pytest.raises(BadData, match="too many"):
        differences(file(element(0x00081140, "SQ", flood, UNDEFINED) + SEQUENCE_END), file(NAME))


@given(st.binary(max_size=300), st.integers(0, 400))
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_are_the_answer_is_differences_or_bad_data(garbage, place):
    whole = file(NAME, sequence(NAME, undefined=True), encapsulated(b"abcd"))
    damaged = whole[: min(place, len(whole))] + garbage
    try:
        found = differences(whole, damaged)
    except BadData:
        return
    assert isinstance(found, Differences)


def test_whoever_has_no_more_time_can_end_it_within_a_long_value():
    calls: list[None] = []

    def check() -> None:
        calls.append(None)
        if len(calls) > 3:
            raise BadData("Enough.")

    long = element(0x7FE00010, "OW", bytes(8 << 20))
    with pytest.raises(BadData, match="Enough"):
        differences(file(long), file(long), check)
