from __future__ import annotations

import math
import pickle
import struct
import warnings
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_charset_files, get_testdata_files
from pydicom.valuerep import PersonName

from unit.store.dicom_bytes import CT, EXPLICIT_LITTLE, dataset, element, meta
from VisualDICOMBrowserLib.dicom.values import encodings_of, to_text
from VisualDICOMBrowserLib.domain.errors import BadData, StorageError
from VisualDICOMBrowserLib.store.headers import CTK_TAGS, OWN_TAGS, Header, read_header, read_header_bytes

NAME, DESCRIPTION = 0x00100010, 0x00081030


def _header(*more: bytes) -> Header:
    return read_header_bytes(dataset(*more), EXPLICIT_LITTLE)


def _encoded(character_set: bytes, tag: int, vr: str, value: bytes) -> Header:
    return _header(element(0x00080005, "CS", character_set), element(tag, vr, value))


def test_a_header_is_read_from_a_file(source_files):
    header = read_header(source_files[0])
    assert header.sop_uid == "1.2.826.0.1.3680043.8.498.84464213652490592025355473067975944279"
    assert header.study_uid == "1.2.826.0.1.3680043.8.498.13032911582176390737694135309109971567"
    assert header.series_uid == "1.2.826.0.1.3680043.8.498.30147642812743613394408058254606912145"
    assert (header.sop_class, header.transfer_syntax, header.size) == (CT, EXPLICIT_LITTLE, 1546)
    assert (header.patient_id, header.patient_name, header.birth_date, header.sex) == (
        "BAR1",
        "Bar^Test",
        "19700101",
        "O",
    )
    assert (header.study_date, header.study_time, header.study_id) == ("20260101", "101010", "1")
    assert (header.study_description, header.accession_number, header.issuer) == ("Bar", "A1", "")
    assert (header.series_number, header.modality, header.series_description) == (0, "CT", "S0")
    assert (header.instance_number, header.rows, header.columns, header.frames) == (0, 16, 16, 1)
    assert (header.position, header.orientation) == ((0, 0, 0), (1, 0, 0, 0, 1, 0))
    assert header.body_part == ""


def test_a_header_holds_every_tag_and_none_for_those_that_are_missing(source_files):
    header = read_header(source_files[0])
    assert set(header.tags) == set(CTK_TAGS) | set(OWN_TAGS)
    assert header.tags["0008,0050"] == "A1"
    assert header.tags["0018,0015"] is None
    assert _header(element(0x00180015, "CS")).tags["0018,0015"] == ""


def test_a_header_can_be_sent_between_processes():
    assert pickle.loads(pickle.dumps(_header())) == _header()


@pytest.mark.parametrize(
    ("missing", "name"),
    [(0, "SOP Class UID"), (1, "SOP Instance UID"), (2, "Study Instance UID"), (3, "Series Instance UID")],
)
def test_an_instance_without_its_uids_is_refused(missing, name):
    parts = [element(0x00080016, "UI", CT.encode() + b"\0"), element(0x00080018, "UI", b"1.2.3.40")]
    parts += [element(0x0020000D, "UI", b"1.2.3.10"), element(0x0020000E, "UI", b"1.2.3.20")]
    del parts[missing]
    with pytest.raises(BadData, match=f"no {name}"):
        read_header_bytes(b"".join(parts), EXPLICIT_LITTLE)


@pytest.mark.parametrize("uid", [b"../../etc", b"1.2\\1.3", b"1.2.3x", b"1" * 66, "１.２".encode(), b"1 2"])
def test_an_instance_with_a_hostile_uid_is_refused(uid):
    data = element(0x00080016, "UI", CT.encode() + b"\0") + element(0x00080018, "UI", uid)
    data += element(0x0020000D, "UI", b"1.2.3.10") + element(0x0020000E, "UI", b"1.2.3.20")
    with pytest.raises(BadData, match="is not a UID"):
        read_header_bytes(data, EXPLICIT_LITTLE)


def test_a_transfer_syntax_that_is_no_uid_is_refused():
    with pytest.raises(BadData, match="Transfer Syntax UID"):
        read_header_bytes(dataset(), "../x")


def test_the_directory_of_a_medium_is_refused_with_a_sentence_of_its_own(tmp_path):
    path = tmp_path / "DICOMDIR"
    path.write_bytes(meta(EXPLICIT_LITTLE, element(0x00020002, "UI", b"1.2.840.10008.1.3.10")) + dataset())
    with pytest.raises(BadData, match="DICOMDIR"):
        read_header(path)


def test_a_file_that_is_not_there_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        read_header(tmp_path / "missing.dcm")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"12", 12),
        (b" -3 ", -3),
        (b"+7", 7),
        (b"", None),
        (b"1.5", None),
        (b"x", None),
        (b"9" * 40, None),
        (b"4\\5", 4),
    ],
)
def test_integers_are_read_or_none(value, number):
    assert _header(element(0x00200011, "IS", value)).series_number == number


@pytest.mark.parametrize("value", [b"", b"1\\2", b"1\\2\\x", b"1\\2\\nan", b"1\\2\\1e999", b"1\\2\\3\\4"])
def test_a_position_that_is_none_is_none(value):
    assert _header(element(0x00200032, "DS", value)).position is None


@pytest.mark.parametrize(("value", "day"), [(b"20260131", "20260131"), (b"2026.01.31", "20260131"), (b"2026", "")])
def test_dates_are_in_one_form_or_empty(value, day):
    assert _header(element(0x00080020, "DA", value)).study_date == day


@pytest.mark.parametrize(("value", "frames"), [(b"", 1), (b"0", 1), (b"-5", 1), (b"12", 12)])
def test_an_instance_has_at_least_one_frame(value, frames):
    assert _header(element(0x00280008, "IS", value)).frames == frames


def test_binary_numbers_become_text():
    assert _header(element(0x00280010, "US", struct.pack("<HH", 16, 17))).tags["0028,0010"] == "16\\17"
    assert _header(element(0x00280010, "US", b"\x10\0\1")).rows == 16
    assert _header(element(0x00280010, "IS", b"512")).rows == 512
    assert _header(element(0x00280010, "UN", b"\x10\0")).rows == 16


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        (b"ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        (b"ISO_IR 192", "Äneas^王".encode(), "Äneas^王"),
        (b"iso-ir 192 ", "Äneas".encode(), "Äneas"),
        (b"GB18030", "王^小东".encode("gb18030"), "王^小东"),
        (b"GBK", "王^小东".encode("gbk"), "王^小东"),
        (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144", b"\xc4\x1b-L\xbb\xee^\xc4", "ÄЛю^Ä"),
    ],
)
def test_names_in_many_character_sets(character_set, value, text):
    assert _encoded(character_set, NAME, "PN", value).patient_name == text


def test_a_chinese_character_that_contains_the_byte_of_a_backslash_is_not_cut():
    value = "俓\\x".encode("gb18030")
    assert value.count(b"\\") == 2
    assert _encoded(b"GB18030", DESCRIPTION, "LO", value).study_description == "俓\\x"


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        (b"", "Jérôme".encode(), "Jérôme"),
        (b"", "Jérôme".encode("latin-1"), "Jérôme"),
        (b"ISO_IR 192", "Jérôme".encode("latin-1"), "Jérôme"),
        (b"NO SUCH SET", "Jérôme".encode(), "Jérôme"),
        (b"\\ISO 2022 IR 87", b"A\x1b%Gx", "A\x1b%Gx"),
        (b"\\ISO 2022 IR 87", b"A\x1b", "A\x1b"),
        (b"\\ISO 2022 IR 87", b"A\x1b$B\xff", "A\x1b$Bÿ"),
    ],
)
def test_undecodable_bytes_fall_back_without_a_warning(character_set, value, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _encoded(character_set, NAME, "PN", value).patient_name == text


def test_several_values_are_joined_and_padding_goes():
    header = _header(element(0x00080061, "CS", b"CT \\ PT\0"), element(0x00104000, "LT", b" a\\b \0"))
    assert header.tags["0008,0061"] == "CT\\PT"
    assert header.tags["0010,4000"] == " a\\b"


def test_nothing_behind_a_nul_is_text():
    assert _header(element(0x00100020, "LO", b"A1\0hidden")).patient_id == "A1"


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(["PN", "LO", "UT", "CS", "US", "FD", "SQ", ""]))
@settings(deadline=None, max_examples=500)
def test_any_bytes_in_any_character_set_become_text_that_can_be_stored(character_set, value, vr):
    text = to_text(value, vr, encodings_of(character_set))
    assert text.encode("utf-8").decode("utf-8") == text
    assert "\0" not in text


_TERMS = st.sampled_from(
    ["", "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 58", "ISO_IR 13", "GB18030", "ISO_IR 192"]
)
_PIECES = st.sampled_from([b"\x1b$B", b"\x1b$)C", b"\x1b$)A", b"\x1b$(D", b"\x1b(J", b"\x1b(B", b"\x1b)I", b"^", b"\\"])


@given(st.lists(_TERMS, max_size=3), st.lists(_PIECES | st.binary(max_size=4), max_size=8))
@settings(deadline=None, max_examples=500)
def test_any_mixture_of_escapes_becomes_text_that_can_be_stored(terms, pieces):
    text = to_text(b"".join(pieces), "PN", encodings_of("\\".join(terms).encode()))
    assert text.encode("utf-8") is not None


@given(st.integers(min_value=0), st.integers(0, 7))
@settings(deadline=None, max_examples=500)
def test_a_file_with_a_flipped_bit_is_a_header_or_bad_data(tmp_path_factory, source_files, position, bit):
    data = bytearray(source_files[0].read_bytes())
    data[position % len(data)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped.dcm"
    path.write_bytes(data)
    try:
        header = read_header(path)
    except BadData:
        return
    assert header.size == len(data)
    assert all(text is None or math.isfinite(len(text.encode())) for text in header.tags.values())


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=200)
def test_any_bytes_behind_a_valid_beginning_are_a_header_or_bad_data(tail):
    try:
        assert isinstance(_header(tail), Header)
    except BadData:
        return


def _pydicom_text(found: pydicom.Dataset, tag: int) -> str | None:
    if tag not in found:
        return None
    value = found[tag].value
    values = value if isinstance(value, list | pydicom.multival.MultiValue) else [] if value is None else [value]
    return "\\".join(_plain(value) for value in values)


def _plain(value: object) -> str:
    text = str(value) if isinstance(value, PersonName) else getattr(value, "original_string", None) or str(value)
    return text.strip("\0 ").rstrip("=")


def _pydicom_files() -> list[Path]:
    paths = {Path(name) for name in get_testdata_files() + get_charset_files()}
    return sorted(path for path in paths if path.is_file() and path.suffix in ("", ".dcm"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.expects_log("Expected explicit VR", "Invalid value for VR")
def test_all_files_of_pydicom_read_as_pydicom_reads_them():
    read = 0
    for path in _pydicom_files():
        try:
            header = read_header(path)
        except BadData:
            continue
        found = pydicom.dcmread(path, force=True)
        ours = {tag: text and text.rstrip("=") for tag, text in header.tags.items()}
        assert ours == {tag: _pydicom_text(found, int(tag.replace(",", ""), 16)) for tag in ours}, path.name
        assert header.sop_uid == found.SOPInstanceUID
        read += 1
    assert read > 150


@pytest.mark.filterwarnings("ignore")
def test_the_files_of_pydicom_that_are_refused_deserve_it():
    reasons = {}
    for path in _pydicom_files():
        try:
            read_header(path)
        except BadData as error:
            reasons[path.name] = str(error)
    assert {name for name, reason in reasons.items() if "DICOMDIR" in reason} == {
        name for name in reasons if name.startswith("DICOMDIR")
    }
    cut_off = {name for name, reason in reasons.items() if "cut off" in reason}
    assert {"MR_truncated.dcm", "rtplan_truncated.dcm"} <= cut_off
    assert not {"CT_small.dcm", "MR_small_padded.dcm", "image_dfl.dcm", "rtstruct.dcm", "liver.dcm"} & set(reasons)
