"""Identifiers both ways: character sets, transfer syntaxes, and answers that are anything but a data set."""

from __future__ import annotations

import logging
import warnings
from io import BytesIO
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from support import messages as kit
from VisualDICOMBrowserLib.dimse.identifier import Keys, decode_identifier, encode_identifier, failed_uids
from VisualDICOMBrowserLib.domain.errors import ProtocolViolation

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN)


def read(raw: bytes, syntax: str) -> Dataset:
    return read_dataset(BytesIO(raw), syntax == IMPLICIT, syntax != BIG_ENDIAN)


def written(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, syntax != BIG_ENDIAN
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def element(group: int, number: int, value: bytes) -> bytes:
    """Return an element in implicit VR little endian."""
    head = group.to_bytes(2, "little") + number.to_bytes(2, "little")
    return head + len(value).to_bytes(4, "little") + value


def person(name: bytes, character_set: bytes | None) -> bytes:
    stated = b"" if character_set is None else element(8, 5, character_set)
    return stated + element(0x10, 0x10, name)


# What we send

KEYS: Keys = {
    "QueryRetrieveLevel": "STUDY",
    "PatientName": "*Doe^J?n*",
    "StudyDate": "20240101-20241231",
    "StudyInstanceUID": ["1.2.3", "1.2.34"],
    "ModalitiesInStudy": ["CT", "MR"],
    "NumberOfStudyRelatedInstances": "",
    "PatientID": "4711",
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_our_bytes_are_pydicoms_bytes(syntax: str):
    dataset = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in KEYS.items():
            setattr(dataset, keyword, value)
        assert encode_identifier(KEYS, syntax) == written(dataset, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_text_beyond_ascii_goes_out_as_utf8_and_says_so(syntax: str):
    dataset = read(encode_identifier({"PatientName": "*Müller^Jürgen*", "PatientID": ""}, syntax), syntax)
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert str(dataset.PatientName) == "*Müller^Jürgen*"


def test_what_is_no_character_becomes_a_wildcard():
    assert b"D?e" in encode_identifier({"PatientName": "D\udcffe"}, EXPLICIT)


def test_plain_text_goes_out_without_a_character_set():
    assert b"ISO_IR" not in encode_identifier({"PatientName": "Doe"}, EXPLICIT)


def test_uids_are_padded_by_zeros_and_texts_by_blanks():
    raw = encode_identifier({"StudyInstanceUID": "1.2.3", "PatientID": "odd"}, IMPLICIT)
    assert raw == element(0x10, 0x20, b"odd ") + element(0x20, 0xD, b"1.2.3\0")


@pytest.mark.parametrize("keyword", ["NoSuchKeyword", "PixelData", "Rows", "ReferencedStudySequence"])
def test_a_key_without_text_is_a_bug_of_the_caller(keyword: str):
    with pytest.raises(ValueError, match="no key"):
        encode_identifier({keyword: "1"}, EXPLICIT)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_list_of_more_uids_than_an_element_holds_is_a_bug_of_the_caller(syntax: str):
    assert len(encode_identifier({"SOPInstanceUID": ["1" * 63] * 1023}, syntax)) == 8 + 64 * 1023
    with pytest.raises(ValueError, match="value of 65536 bytes"):
        encode_identifier({"SOPInstanceUID": ["1" * 63] * 1024}, syntax)


def test_search_text_never_reaches_a_log_or_a_warning(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    encode_identifier({"PatientName": "*" * 70 + "Secret", "StudyInstanceUID": "../evil", "StudyDate": "x"}, EXPLICIT)
    assert caplog.records == []


# What comes

NAMES = {
    "undeclared, plain": (None, b"Doe^Jane", "Doe^Jane"),
    "Latin-1": (b"ISO_IR 100", b"M\xfcller^J\xfcrgen", "Müller^Jürgen"),
    "Latin-1, undeclared": (None, b"M\xfcller", "Müller"),
    "UTF-8, undeclared": (None, "Müller".encode(), "Müller"),
    "Latin-1, though UTF-8 is declared": (b"ISO_IR 192", b"M\xfcller", "Müller"),
    "UTF-8": (b"ISO_IR 192", "Wang^XiaoDong=王^小东=".encode(), "Wang^XiaoDong=王^小东="),
    "GB18030": (b"GB18030 ", "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东="),
    "GBK": (b"GBK ", "王^小东".encode("gbk"), "王^小东"),
    "Cyrillic": (b"ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
    "Greek, terms padded": (b"ISO_IR 126 ", "Διονυσιος".encode("iso8859-7"), "Διονυσιος"),
    "Japanese": (  # PS3.5, H.3.1
        b"\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "Japanese, half-width": (  # PS3.5, H.3.2
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    "Korean": (  # PS3.5, I.2
        b"\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "Chinese, by code extension": (  # PS3.5, K.2
        b"\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    "Japanese and Korean": (
        b"\\ISO 2022 IR 87\\ISO 2022 IR 149",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Yamada^Tarou=山田^太郎=홍^길동",
    ),
    "Latin, Greek and Cyrillic": (
        b"ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 144",
        b"M\xfcller=\x1b-F" + "Διον".encode("iso8859-7") + b"=\x1b-L" + "Люк".encode("iso8859-5"),
        "Müller=Διον=Люк",
    ),
    "unknown character set": (b"KLINGON", b"Doe", "Doe"),
    "escape sequence of nobody": (b"\\ISO 2022 IR 87", b"Doe\x1b%Z^X", "Doe\x1b%Z^X"),
    "zeros at the end": (None, b"Doe\0\0", "Doe"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_read_in_its_character_set(name: str):
    character_set, raw, expected = NAMES[name]
    assert decode_identifier(person(raw, character_set), IMPLICIT).text("PatientName") == expected


def test_backslashes_within_characters_do_not_separate_values():
    raw = "表".encode("shift_jis")
    assert b"\\" in raw
    answer = decode_identifier(element(8, 5, b"GBK ") + element(8, 0x1030, "乗\\b".encode("gbk")), IMPLICIT)
    assert answer.texts("StudyDescription") == ("乗", "b")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs"], exclude_characters="\\"), max_size=60))
def test_whatever_we_send_we_can_read(text: str):
    for syntax in SYNTAXES:
        answer = decode_identifier(encode_identifier({"StudyDescription": text, "PatientID": "1"}, syntax), syntax)
        told = tuple(normalize("NFC", value) for value in answer.texts("StudyDescription"))
        assert told == ((normalize("NFC", text),) if text else ())
        assert answer.text("PatientID") == "1"


def nested() -> Dataset:
    inner, item, dataset = Dataset(), Dataset(), Dataset()
    inner.PatientID = "not this one"
    item.ReferencedSOPSequence = Sequence([inner])
    item.PatientID = "nor this one"
    dataset.StudyDate = "20240101"
    dataset.ReferencedStudySequence = Sequence([item, item])
    dataset.PatientID = "this one"
    dataset.add_new(0x00091010, "UN", b"private")
    return dataset


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_elements_within_sequences_are_passed_over(syntax: str, undefined: bool):
    dataset = nested()
    for sequence in (dataset["ReferencedStudySequence"], dataset.ReferencedStudySequence[0]["ReferencedSOPSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
    answer = decode_identifier(written(dataset, syntax), syntax)
    assert answer.texts("PatientID") == ("this one",)
    assert answer.text("StudyDate") == "20240101"


@pytest.mark.parametrize(("sent", "agreed"), [(IMPLICIT, EXPLICIT), (EXPLICIT, IMPLICIT)])
def test_explicit_and_implicit_mixed_up_by_the_peer_are_told_apart(sent: str, agreed: str):
    assert decode_identifier(encode_identifier(KEYS, sent), agreed).texts("ModalitiesInStudy") == ("CT", "MR")


def test_values_are_split_stripped_and_without_empty_ones():
    answer = decode_identifier(element(8, 0x61, b" CT \\\\MR\0"), IMPLICIT)
    assert answer.texts("ModalitiesInStudy") == ("CT", "MR")
    assert answer.text("ModalitiesInStudy") == "CT"
    assert answer.text("StudyDate") == ""


def test_a_returned_empty_element_is_told_from_an_absent_one():
    answer = decode_identifier(element(8, 0x60, b""), IMPLICIT)
    assert answer.has("Modality")
    assert not answer.has("StudyDate")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"12 ", 12),
        (b"+7", 7),
        (b"-3", -3),
        (b"12.0", 12),
        (b"", None),
        (b"many", None),
        (b"1" * 30, None),
        (b"1e3", None),
    ],
)
def test_integer_strings_are_numbers_or_nothing(value: bytes, number: int | None):
    assert decode_identifier(element(0x20, 0x1208, value), IMPLICIT).number("NumberOfStudyRelatedInstances") == number


def test_an_empty_identifier_is_an_empty_answer():
    assert decode_identifier(b"", EXPLICIT).text("PatientID") == ""


# Hostile ones

NO_DATA_SETS = {
    "half an element": b"\x10\0\x10\0\4",
    "length beyond the end": element(0x10, 0x10, b"abc")[:-1],
    "4 GiB": b"\x10\0\x10\0\xfe\xff\xff\xff1234",
    "sequence without end": b"\x08\0\x10\x11\xff\xff\xff\xff",
    "delimiter without sequence": b"\xfe\xff\xdd\xe0\0\0\0\0",
    "item at the top": b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    "a web page": b"<!DOCTYPE html><html><body></body></html>",
}


@pytest.mark.parametrize("name", NO_DATA_SETS)
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_what_is_no_data_set_is_a_violation(name: str, syntax: str):
    with pytest.raises(ProtocolViolation, match="not a DICOM data set"):
        decode_identifier(NO_DATA_SETS[name], syntax)


def test_nesting_without_measure_costs_neither_stack_nor_time():
    deep = (b"\x08\0\x10\x11\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 20_000
    with pytest.raises(ProtocolViolation):
        decode_identifier(deep, IMPLICIT)


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_any_bytes_are_an_answer_or_a_violation(raw: bytes, syntax: str):
    check(raw, syntax)


def check(raw: bytes, syntax: str) -> None:
    try:
        answer = decode_identifier(raw, syntax)
    except ProtocolViolation:
        return
    answer.text("PatientName").encode("utf-8")
    assert "" not in answer.texts("ModalitiesInStudy")


@settings(deadline=None)
@given(st.data(), st.sampled_from(SYNTAXES))
def test_damage_anywhere_is_survived_or_a_violation(data: st.DataObject, syntax: str):
    raw = bytearray(written(nested(), syntax))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(raw[: data.draw(st.integers(0, len(raw)))]), syntax)


@settings(deadline=None)
@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"\\ISO 2022 IR 87", b"ISO_IR 192", b"GB18030", b"\\\\", b"ISO_IR 100\\GBK"]),
)
def test_any_name_in_any_character_set_is_text(name: bytes, character_set: bytes):
    text = decode_identifier(person(name, character_set), IMPLICIT).text("PatientName")
    assert "\0" not in text
    text.encode("utf-8")  # no surrogates: they could be neither stored nor sent


def test_an_answer_that_does_not_decode_is_not_quoted():
    with pytest.raises(ProtocolViolation) as caught:
        decode_identifier(person(b"Secret^Name", None)[:-1], EXPLICIT)
    assert "Secret" not in repr(caught.value)
    assert caught.value.__cause__ is None


# Failed instances


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_failed_instances_are_listed(syntax: str):
    dataset = Dataset()
    dataset.FailedSOPInstanceUIDList = ["1.2.3", "1.2.34"]
    assert failed_uids(written(dataset, syntax), syntax) == ("1.2.3", "1.2.34")


def test_a_single_failed_instance_is_a_list_too():
    dataset = Dataset()
    dataset.FailedSOPInstanceUIDList = "1.2.3"
    assert failed_uids(kit.encode_dataset(dataset), IMPLICIT) == ("1.2.3",)


def test_no_list_means_no_failed_instances():
    assert failed_uids(b"", IMPLICIT) == ()


def test_a_list_whose_length_looks_like_a_vr_is_still_implicit():
    uids = b"\\".join([b"1.2.840.10008.5.1.4.1.1"] * 800)[: int.from_bytes(b"LO", "little") & ~1]
    raw = element(8, 0x58, uids.ljust(int.from_bytes(b"LO", "little") + 1 & ~1, b"\0"))
    assert len(failed_uids(raw, IMPLICIT)) > 700
