"""Command sets: the same bytes as pynetdicom's, and DCMTK's and Orthanc's are understood."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import dimse_messages, dimse_primitives

from support.messages import STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION, encode_command
from VisualDICOMBrowserLib.dimse import command as c
from VisualDICOMBrowserLib.domain.errors import ProtocolViolation

CT = "1.2.840.10008.5.1.4.1.1.2"


def pynetdicoms(primitive: object) -> bytes:
    """Return the command set as pynetdicom encodes it."""
    kind = type(primitive).__name__
    is_response = getattr(primitive, "Status", None) is not None
    suffix = "_RSP" if is_response else "_RQ"
    message = getattr(dimse_messages, kind + suffix)()
    message.primitive_to_message(primitive)
    (value,) = next(iter(message.encode_msg(1, 0))).presentation_data_value_list
    assert value[1][0] == 3  # a command, and the last fragment of it
    return value[1][1:]


def primitive(kind: str, **values: object) -> object:
    made = getattr(dimse_primitives, kind)()
    for name, value in values.items():
        setattr(made, name, value)
    return made


ECHO = {c.AFFECTED_SOP_CLASS: VERIFICATION, c.COMMAND_FIELD: c.C_ECHO_RQ, c.MESSAGE_ID: 7, c.DATA_SET_TYPE: 0x0101}
FIND = {
    c.AFFECTED_SOP_CLASS: STUDY_ROOT_FIND,
    c.COMMAND_FIELD: c.C_FIND_RQ,
    c.MESSAGE_ID: 65535,
    c.PRIORITY: c.MEDIUM,
    c.DATA_SET_TYPE: c.WITH_DATA_SET,
}
GET = {**FIND, c.AFFECTED_SOP_CLASS: STUDY_ROOT_GET, c.COMMAND_FIELD: c.C_GET_RQ, c.MESSAGE_ID: 1}
CANCEL = {c.COMMAND_FIELD: c.C_CANCEL_RQ, c.MESSAGE_ID_RESPONDED_TO: 7, c.DATA_SET_TYPE: c.NO_DATA_SET}
STORED = {
    c.AFFECTED_SOP_CLASS: CT,
    c.COMMAND_FIELD: c.C_STORE_RQ | c.RESPONSE,
    c.MESSAGE_ID_RESPONDED_TO: 300,
    c.DATA_SET_TYPE: c.NO_DATA_SET,
    c.STATUS: 0xA700,
    c.AFFECTED_SOP_INSTANCE: "1.2.3",
}
SAME = {
    "C-ECHO-RQ": (ECHO, primitive("C_ECHO", MessageID=7, AffectedSOPClassUID=VERIFICATION)),
    "C-FIND-RQ": (
        FIND,
        primitive(
            "C_FIND", MessageID=65535, AffectedSOPClassUID=STUDY_ROOT_FIND, Priority=0, Identifier=BytesIO(b"12")
        ),
    ),
    "C-GET-RQ": (
        GET,
        primitive("C_GET", MessageID=1, AffectedSOPClassUID=STUDY_ROOT_GET, Priority=0, Identifier=BytesIO(b"12")),
    ),
    "C-CANCEL-RQ": (CANCEL, primitive("C_CANCEL", MessageIDBeingRespondedTo=7)),
    "C-STORE-RSP": (
        STORED,
        primitive(
            "C_STORE",
            MessageIDBeingRespondedTo=300,
            AffectedSOPClassUID=CT,
            AffectedSOPInstanceUID="1.2.3",
            Status=0xA700,
        ),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_our_bytes_are_pynetdicoms_bytes(name: str):
    ours, theirs = SAME[name]
    assert c.encode_command(ours) == pynetdicoms(theirs)


@pytest.mark.parametrize("name", SAME)
def test_pynetdicoms_bytes_are_understood(name: str):
    ours, theirs = SAME[name]
    assert dict(c.decode_command(pynetdicoms(theirs)).values) == ours


def test_a_message_with_identifier_says_so_and_one_without_too():
    assert c.decode_command(c.encode_command(FIND)).has_data_set
    assert not c.decode_command(c.encode_command(ECHO)).has_data_set


# What DCMTK 3.6.7 and Orthanc 1.10.1 put on the wire.
DCMTK_STORE = (
    "00000000040000008a000000000002001a000000312e322e3834302e31303030382e352e312e342e312e312e32000000000102000000"
    "01000000100102000000020000000007020000000000000000080200000001000000001038000000322e32352e31323933343631383237"
    "35393330313832373336343530393138323733363435303931383237332e312e312e31303030303032"
)
ORTHANC_FINAL = (
    "00000000040000006a000000000002001c000000312e322e3834302e31303030382e352e312e342e312e322e322e330000000001020000"
    "0010800000200102000000010000000008020000000101000000090200000002a700002110020000000000000022100200000002000000"
    "231002000000000008000000040000007a0000000800580072000000322e32352e31323933343631383237353933303138323733363435"
    "30393138323733363435303931383237332e312e312e313030303030325c322e32352e3132393334363138323735393330313832373336"
    "343530393138323733363435303931383237332e312e312e3130303030303100"
)
UID = "2.25.129346182759301827364509182736450918273.1.1.100000"


def test_a_store_request_of_dcmtk_is_understood():
    command = c.decode_command(bytes.fromhex(DCMTK_STORE))
    assert command.field == c.C_STORE_RQ
    assert command.has_data_set
    assert command.number(c.MESSAGE_ID) == 2
    assert command.text(c.AFFECTED_SOP_CLASS) == CT
    assert command.text(c.AFFECTED_SOP_INSTANCE) == UID + "2"


def test_orthancs_list_of_failed_instances_within_the_command_set_is_understood():
    command = c.decode_command(bytes.fromhex(ORTHANC_FINAL))
    assert command.number(c.STATUS) == 0xA702
    assert command.number(c.FAILED) == 2
    assert not command.has_data_set
    assert command.text(c.MISPLACED_FAILED_UIDS).split("\\") == [UID + "2", UID + "1"]


def test_padding_by_blanks_and_zeros_is_taken_off():
    raw = encode_command({"CommandField": 1, "AffectedSOPInstanceUID": "1.2.34 ", "ErrorComment": "odd"})
    command = c.decode_command(raw)
    assert command.text(c.AFFECTED_SOP_INSTANCE) == "1.2.34"
    assert command.text(c.ERROR_COMMENT) == "odd"


def test_a_wrong_group_length_does_not_matter():
    raw = encode_command({"CommandField": 0x8030, "Status": 0}, group_length=0xFFFFFFFF)
    assert c.decode_command(raw).field == 0x8030


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"\0", "ends within an element"),
        (b"\0\0\0\1\x02\0\0\0\1", "damaged"),
        (b"\0\0\0\1\xff\xff\xff\xff\1\0", "damaged"),
        (b"\0\0\0\1\x04\0\0\0\1\0\0\0", "wrong length"),
    ],
)
def test_damaged_command_sets_are_violations(raw: bytes, part: str):
    with pytest.raises(ProtocolViolation, match=part):
        c.decode_command(raw)


@pytest.mark.parametrize("element", [c.COMMAND_FIELD, c.STATUS, c.MESSAGE_ID])
def test_a_missing_or_empty_number_is_a_violation_when_it_is_asked_for(element: int):
    empty = c.decode_command(bytes((0, 0)) + element.to_bytes(2, "little") + bytes(4))
    for command in (empty, c.Command({}), c.Command({element: "text"})):
        with pytest.raises(ProtocolViolation, match=f"0000,{element:04X}"):
            command.number(element)
        assert command.number(c.REMAINING, 0) == 0


def test_a_text_that_is_a_number_or_missing_is_empty():
    assert c.Command({c.STATUS: 1}).text(c.STATUS) == ""
    assert c.Command({}).text(c.AFFECTED_SOP_CLASS) == ""


def elements(group: int = 0) -> st.SearchStrategy[bytes]:
    head = st.tuples(st.sampled_from(sorted(c.__dict__["_SHORTS"] | c.__dict__["_UIDS"] | {0x0902, 0})), st.binary())
    return head.map(lambda e: bytes((group, 0)) + e[0].to_bytes(2, "little") + len(e[1]).to_bytes(4, "little") + e[1])


@settings(deadline=None)
@given(st.binary() | st.lists(elements()).map(b"".join) | st.lists(elements(8) | st.binary(max_size=8)).map(b"".join))
def test_any_bytes_are_a_command_or_a_violation(raw: bytes):
    try:
        command = c.decode_command(raw)
    except ProtocolViolation:
        return
    assert all(isinstance(value, int | str) for value in command.values.values())


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {c.MESSAGE_ID: st.integers(0, 0xFFFF), c.AFFECTED_SOP_INSTANCE: st.from_regex(r"\A[0-9.]{1,64}\Z")}
    )
)
def test_what_was_encoded_is_decoded(values: dict[int, int | str]):
    raw = c.encode_command(values)
    assert len(raw) % 2 == 0
    assert dict(c.decode_command(raw).values) == values
